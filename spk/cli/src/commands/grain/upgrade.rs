//! `spk grain upgrade`.

use std::path::PathBuf;

use serde_json::json;
use spk_grains::store::{Error, Store};

use super::{backup_before_upgrade, hold};
use crate::error::{CliError, Result, ResultExt};
use crate::package_input;
use crate::ui::Ui;

/// Let a grain run with a newer package of its app from now on
///
/// A backup is taken before, and kept for 30 days.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// The package; - is stdin [default: the newest of the app in the store]
    #[arg(value_name = "FILE")]
    package: Option<PathBuf>,
    /// Upgrade although the package does not say that it can take over data so old
    #[arg(short, long)]
    force: bool,
    /// Take no backup before: nothing brings back what the new version makes of the data
    #[arg(long)]
    no_backup: bool,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask, as it is done otherwise with --no-backup
    #[arg(short = 'y', long)]
    yes: bool,
    /// Print JSON: the grain as it is now
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let mut grain = hold(store, &args.id, "upgrade")?;
    let id = grain.id().clone();
    let mut trial = None;
    let package = match &args.package {
        Some(path) if args.dry_run => {
            let (dir, package) = super::on_trial(path)?;
            trial = Some(dir);
            package
        }
        Some(path) => package_input::add(store, path)?,
        None => store.newest_package(&grain.meta().app_id)?.ok_or_else(|| {
            CliError::new(format!("no package of app {}", grain.meta().app_id))
                .hint("name the package file after the grain")
        })?,
    };
    let fits = grain.check_package(&package, args.force);
    match fits {
        Err(error @ Error::TooOld { .. }) => Err(error).hint("--force tries anyway")?,
        other => other?,
    }
    let changes = grain.meta().package_id != Some(package.id);
    let (before, version) = (grain.meta().app_version, package.manifest.app_version);
    if args.dry_run {
        match args.json {
            true => ui.line(
                json!({
                    "grainId": id.as_str(), "appVersion": before, "newAppVersion": version,
                    "packageId": package.id.to_string(), "dryRun": true,
                })
                .to_string(),
            )?,
            false => ui.line(format!("would upgrade: {id} from version {before} to {version}"))?,
        }
        drop(trial);
        return Ok(());
    }
    if changes && args.no_backup {
        if !ui.confirm(args.yes, &format!("upgrade {id} without a backup?"))? {
            return Ok(());
        }
    } else if changes {
        backup_before_upgrade(store, &grain, ui)?;
    }
    grain.set_package(&package, args.force)?;
    drop(grain);
    match args.json {
        true => ui.line(super::list::json(&store.grain_info(&id)?).to_string())?,
        false => ui.note(format!("grain {id} runs version {version} from now on")),
    }
    Ok(())
}
