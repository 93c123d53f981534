//! `spk grain gc`.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use spk_grains::backup::automatic;
use spk_grains::store::{Error, GrainId, GrainMeta, Store};

use crate::error::{Result, ResultExt};
use crate::progress::Bar;
use crate::ui::Ui;

/// Remove packages that no grain uses, and automatic backups older than 30 days
#[derive(clap::Args)]
pub struct Args {
    /// Also delete the grains of spk dev, but the last used one of each project that is still there;
    /// a backup of each is kept for 30 days
    #[arg(long)]
    dev: bool,
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let left_over = left_over(store)?;
    let grains = if args.dev { left_over.clone() } else { Vec::new() };
    let grains = match args.dry_run {
        true => grains,
        false => delete(grains, store, ui)?,
    };
    let (packages, backups) = match args.dry_run {
        true => (store.unused_packages()?, automatic::expired(store)?),
        false => (store.collect_packages()?, automatic::expire(store)?),
    };
    if !args.dev && !left_over.is_empty() {
        ui.note(format!(
            "{} grains of spk dev are not gone on with any more: --dev deletes them",
            left_over.len()
        ));
    }
    if args.json {
        let packages: Vec<_> = packages.iter().map(ToString::to_string).collect();
        let backups: Vec<_> = backups.iter().map(|backup| backup.path.to_string_lossy()).collect();
        let grains: Vec<_> = grains.iter().map(GrainId::as_str).collect();
        let value = json!({
            "grains": grains, "packages": packages, "backups": backups, "dryRun": args.dry_run,
        });
        return ui.line(value.to_string());
    }
    let say = |what: String| match args.dry_run {
        true => ui.line(format!("would remove: {what}")),
        false => {
            ui.note(format!("removed {what}"));
            Ok(())
        }
    };
    grains.iter().try_for_each(|id| say(format!("grain {id}")))?;
    packages.iter().try_for_each(|package| say(format!("package {package}")))?;
    backups.iter().try_for_each(|backup| say(backup.path.display().to_string()))
}

/// Grains of `spk dev` that it would not go on in: all but the last used one of each project, and
/// those of projects that are gone.
fn left_over(store: &Store) -> Result<Vec<GrainId>> {
    let grains = store.grains()?.into_iter().filter_map(|info| Some((info.id, info.meta.ok()?)));
    let mut grains: Vec<(GrainId, GrainMeta)> =
        grains.filter(|(_, meta)| meta.package_id.is_none()).collect();
    grains.sort_by_key(|(_, meta)| std::cmp::Reverse(meta.last_used));
    let mut seen = BTreeSet::new();
    grains.retain(|(_, meta)| {
        // What cannot be looked at (a file system that is away) may come back.
        let gone = |project| matches!(Path::new(project).try_exists(), Ok(false));
        let gone = meta.project.as_deref().is_some_and(gone);
        let last = seen.insert((meta.app_id, meta.project.clone()));
        gone || !last
    });
    Ok(grains.into_iter().map(|(id, _)| id).collect())
}

/// Deletes those that nobody uses just now, and gives them.
fn delete(grains: Vec<GrainId>, store: &Store, ui: &Ui) -> Result<Vec<GrainId>> {
    let mut deleted = Vec::new();
    for id in grains {
        let grain = match store.open_grain_for(&id, "delete") {
            Err(Error::Busy { .. } | Error::NoGrain(_)) => continue,
            opened => opened?,
        };
        automatic::before(store, &grain, "delete", &mut Bar::new(ui))
            .context(format!("no backup of grain {id} could be taken, so it was kept"))?;
        store.delete(grain)?;
        deleted.push(id);
    }
    Ok(deleted)
}
