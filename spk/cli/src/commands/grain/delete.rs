//! `spk grain delete`.

use serde_json::json;
use spk_grains::backup::automatic;
use spk_grains::store::Store;
use spk_package::app_id::AppId;

use super::{hold, open_damaged, warn_of};
use crate::error::{CliError, Result, ResultExt};
use crate::progress::Bar;
use crate::ui::Ui;

/// Delete grains and all their data
///
/// A backup is taken before, and kept for 30 days.
#[derive(clap::Args)]
pub struct Args {
    /// Grains to delete: IDs, or unique beginnings of them of four letters or more
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

/// So much of an ID has to be given.
const SHORTEST: usize = 4;

/// No app's ID.
const NOBODY: AppId = AppId([0; 32]);

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    for id in &args.ids {
        // A slip of one letter is another grain.
        if id.len() < SHORTEST {
            return Err(CliError::usage(format!(
                "{id:?} is too little of an ID to delete a grain by"
            ))
            .hint(format!("at least the first {SHORTEST} letters; spk grain list shows them")));
        }
    }
    if args.no_backup && !args.dry_run {
        let question = format!("delete {} without a backup?", args.ids.join(", "));
        if !ui.confirm(args.yes, &question)? {
            return Ok(());
        }
    }
    for id in &args.ids {
        let id = store.resolve(id)?;
        let damaged = store.grain_info(&id)?.meta.is_err_and(|error| error.is_damaged_grain());
        let grain = match damaged {
            false => hold(store, id.as_str(), "delete")?,
            // Whose it is says only its backup.
            true if args.no_backup || args.dry_run => {
                open_damaged(store, &id, "delete", Some(NOBODY), ui)?
            }
            true => open_damaged(store, &id, "delete", None, ui)
                .context(format!("no backup of grain {id} could be taken, so it was kept"))
                .hint(format!(
                    "--no-backup deletes without one; `spk grain export {id} --app APPID` saves its \
                     data before"
                ))?,
        };
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
        if let Some(path) = &backup {
            ui.note(format!("backup before the deletion: {}", path.display()));
        }
        store.delete(grain)?;
        match args.json {
            true => ui.line(json!({ "grainId": id.as_str(), "backup": backup }).to_string())?,
            false => ui.note(format!("deleted grain {id}")),
        }
    }
    Ok(())
}
