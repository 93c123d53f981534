//! `spk grain delete`.

use serde_json::json;
use spk_host::backup::automatic;
use spk_host::store::Store;

use super::{hold, warn_of};
use crate::error::{Result, ResultExt};
use crate::progress::Bar;
use crate::ui::Ui;

/// Delete grains and all their data
///
/// A backup is taken before, and kept for 30 days.
#[derive(clap::Args)]
pub struct Args {
    /// Grains to delete: IDs, or unique beginnings of them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    /// Take no backup before: nothing brings the grains back
    #[arg(long)]
    no_backup: bool,
    /// Only say what would be deleted
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask, as it is done otherwise with --no-backup
    #[arg(short = 'y', long)]
    yes: bool,
    /// Print JSON: one object for each grain
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    if args.no_backup && !args.dry_run {
        let question = format!("delete {} without a backup?", args.ids.join(", "));
        if !ui.confirm(args.yes, &question)? {
            return Ok(());
        }
    }
    for id in &args.ids {
        let grain = hold(store, id, "delete")?;
        let id = grain.id().clone();
        if args.dry_run {
            match args.json {
                true => ui.line(json!({ "grainId": id.as_str(), "dryRun": true }).to_string())?,
                false => ui.line(format!("would delete: {id} {}", grain.meta().title))?,
            }
            continue;
        }
        let backup = match args.no_backup {
            true => None,
            false => {
                let (backup, exported) =
                    automatic::before(store, &grain, "delete", &mut Bar::new(ui))
                        .context(format!("no backup of grain {id} could be taken, so it was kept"))
                        .hint("--no-backup deletes without one")?;
                warn_of(ui, &exported.contents.skipped);
                Some(backup.path)
            }
        };
        store.delete(grain)?;
        if let Some(path) = &backup {
            ui.note(format!("backup before the deletion: {}", path.display()));
        }
        match args.json {
            true => ui.line(json!({ "grainId": id.as_str(), "backup": backup }).to_string())?,
            false => ui.note(format!("deleted grain {id}")),
        }
    }
    Ok(())
}
