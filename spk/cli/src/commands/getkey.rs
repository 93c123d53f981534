//! `spk getkey`.

use std::io::IsTerminal;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spk_package::app_id::AppId;
use spk_package::replacements::Table;

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::keyring;
use crate::ui::Ui;

/// Write keys of the keyring to stdout
///
/// What is written is a keyring itself: spk getkey ID > copy.
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to read instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Write JSON instead: an array of objects with the app IDs and the keys in base64
    #[arg(long)]
    json: bool,
    /// Apps whose keys to write
    #[arg(required = true, value_name = "APPID")]
    app_ids: Vec<String>,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    if std::io::stdout().is_terminal() {
        return Err(CliError::usage("keys are not text, and secret: not written to a terminal")
            .hint("redirect the output to a file"));
    }
    let (path, _) = global.keyring_path(args.keyring.as_ref())?;
    let missing = |id| format!("make a key with: spk keygen{}", keyring::elsewhere(id, &path));
    let keyring = keyring::open(&path, ui).hint(missing(None))?;
    let mut keys = Vec::new();
    for text in &args.app_ids {
        let id: AppId = text.parse()?;
        let current = Table::built_in().signing(id);
        if current != id {
            ui.warn(format!("the key {id} is obsolete: the app is signed with {current} now"));
        }
        let key = keyring::find(&keyring, &id)?
            .ok_or_else(|| CliError::new(format!("{text}: no such key in {}", path.display())))
            .hint(format!(
                "list the keys there are with: spk listkeys{}",
                keyring::elsewhere(Some(&id), &path)
            ))?;
        match args.json {
            true => keys.push(serde_json::json!({
                "appId": id.to_string(), "key": STANDARD.encode(key.to_message()),
            })),
            false => ui.data(key.to_message())?,
        }
    }
    if args.json {
        ui.line(serde_json::to_string(&keys)?)?;
    }
    Ok(())
}
