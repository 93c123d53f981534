//! `spk grain gc`.

use serde_json::json;
use spk_host::backup::automatic;
use spk_host::store::Store;

use crate::error::Result;
use crate::ui::Ui;

/// Remove packages that no grain uses, and automatic backups older than 30 days
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let packages = store.collect_packages()?;
    let backups = automatic::expire(store)?;
    if args.json {
        let packages: Vec<_> = packages.iter().map(ToString::to_string).collect();
        let backups: Vec<_> = backups.iter().map(|backup| backup.path.to_string_lossy()).collect();
        ui.line(json!({ "packages": packages, "backups": backups }).to_string());
        return Ok(());
    }
    for package in packages {
        ui.note(format!("removed package {package}"));
    }
    for backup in backups {
        ui.note(format!("removed {}", backup.path.display()));
    }
    Ok(())
}
