//! `spk listkeys`.

use std::path::PathBuf;

use spk_package::keyring::Keyring;

use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::ui::Ui;

/// List the app IDs in the keyring
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to read instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let (path, _) = global.keyring_path(args.keyring.as_ref())?;
    let keyring = Keyring::open_lenient(&path).hint("make a key with: spk keygen")?;
    let ids = keyring.keys().iter().map(|key| key.app_id().to_string());
    if args.json {
        let keys: Vec<_> = ids.map(|id| serde_json::json!({ "appId": id })).collect();
        ui.line(serde_json::to_string(&keys)?)?;
    } else {
        ids.into_iter().try_for_each(|id| ui.line(id))?;
    }
    // What could be read has been listed, as the original does.
    match keyring.damage() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}
