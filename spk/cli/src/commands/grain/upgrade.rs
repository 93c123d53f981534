//! `spk grain upgrade`.

use std::path::PathBuf;

use spk_host::store::{Error, Store};

use super::{backup_before_upgrade, hold};
use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// Let a grain run with a newer package of its app from now on
///
/// A backup is taken before, and kept for 30 days.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// The package [default: the newest of the app in the store]
    #[arg(value_name = "FILE")]
    package: Option<PathBuf>,
    /// Upgrade although the package does not say that it can take over data so old
    #[arg(short, long)]
    force: bool,
    /// Take no backup before
    #[arg(long)]
    no_backup: bool,
    /// Print JSON: the grain as it is now
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let mut grain = hold(store, &args.id, "upgrade")?;
    let id = grain.id().clone();
    let package = match &args.package {
        Some(path) => store.add_package(path)?,
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
    if !args.no_backup && grain.meta().package_id != Some(package.id) {
        backup_before_upgrade(store, &grain, ui)?;
    }
    grain.set_package(&package, args.force)?;
    let version = package.manifest.app_version;
    drop(grain);
    match args.json {
        true => ui.line(super::list::json(&store.grain_info(&id)?).to_string()),
        false => ui.note(format!("grain {id} runs version {version} from now on")),
    }
    Ok(())
}
