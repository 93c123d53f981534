//! `spk grain gc`.

use serde_json::json;
use spk_host::backup::automatic;
use spk_host::store::Store;

use crate::error::Result;
use crate::ui::Ui;

/// Remove packages that no grain uses, and automatic backups older than 30 days
#[derive(clap::Args)]
pub struct Args {
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let (packages, backups) = match args.dry_run {
        true => (store.unused_packages()?, automatic::expired(store)?),
        false => (store.collect_packages()?, automatic::expire(store)?),
    };
    if args.json {
        let packages: Vec<_> = packages.iter().map(ToString::to_string).collect();
        let backups: Vec<_> = backups.iter().map(|backup| backup.path.to_string_lossy()).collect();
        ui.line(
            json!({ "packages": packages, "backups": backups, "dryRun": args.dry_run }).to_string(),
        )?;
        return Ok(());
    }
    let say = |what: String| match args.dry_run {
        true => ui.line(format!("would remove: {what}")),
        false => {
            ui.note(format!("removed {what}"));
            Ok(())
        }
    };
    packages.iter().try_for_each(|package| say(format!("package {package}")))?;
    backups.iter().try_for_each(|backup| say(backup.path.display().to_string()))
}
