//! `spk keygen`.

use std::path::PathBuf;

use spk_package::keyring::Key;

use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::keyring;
use crate::ui::Ui;

/// Make a new app key and print its app ID
///
/// The key is added to the keyring, which is made if it does not exist. Whoever has the key can
/// publish new versions of the app: keep a copy of the keyring in a safe place.
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to add the key to instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Print the app ID as a JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let key = Key::generate()?;
    keep(&key, args.keyring.as_ref(), global, ui)?;
    let id = key.app_id().to_string();
    let printed =
        if args.json { serde_json::json!({ "appId": id }).to_string() } else { id.clone() };
    ui.line(printed).hint(format!("the new key is in the keyring; its app ID is {id}"))
}

/// Adds a new key to the keyring.
pub fn keep(key: &Key, keyring: Option<&PathBuf>, global: &Global, ui: &Ui) -> Result<()> {
    let (path, _) = global.keyring_path(keyring)?;
    let keyring = keyring::addition(&path)?;
    ui.note(format!(
        "adding a new key to {}\nkeep a copy of that file: without it nobody can release new \
         versions of the app, and whoever has it can",
        path.display()
    ));
    Ok(keyring.append(key)?)
}
