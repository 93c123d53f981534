//! `spk grain restore`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use spk_grains::backup::{self, Counts, Examined, Limits, RestoreOptions, Skipped};
use spk_grains::store::Store;
use spk_package::app_id::AppId;

use super::{skipped_json, warn_of};
use crate::error::{Result, ResultExt};
use crate::package_input;
use crate::progress::Bar;
use crate::ui::Ui;

/// Make a grain from a backup
///
/// Takes backups of this tool and of Sandstorm servers, and zip files of the same layout. Prints
/// the new grain's ID. A file that is not in order is refused as a whole.
#[derive(clap::Args)]
pub struct Args {
    /// The backup; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Package to run the grain with, instead of the newest of its app in the store
    #[arg(long, value_name = "SPK")]
    package: Option<PathBuf>,
    /// Only read the backup as for restoring it, and say what would be made
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Restore although no package of the app is in the store (for `spk dev`)
    #[arg(long, conflicts_with = "package")]
    without_package: bool,
    /// Restore data older than what the package says it upgrades
    #[arg(long)]
    force: bool,
    /// Most files, directories and links
    #[arg(long, value_name = "N", default_value_t = Limits::default().members)]
    max_entries: u64,
    /// Most bytes of all files together
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().total)]
    max_size: u64,
    /// How many times larger than the backup its data may be, not counting runs of zeros
    #[arg(long, value_name = "N", default_value_t = Limits::default().ratio)]
    max_ratio: u64,
    /// Most bytes in a path
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().name_length)]
    max_name_length: usize,
    /// Take backslashes in names for letters, also where they look like an escape
    #[arg(long)]
    literal_backslashes: bool,
    /// Do not wait until everything is on the disk: faster, and a power cut soon after can damage
    /// the grain
    #[arg(long)]
    no_sync: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let shown = args.file.display().to_string();
    let on_trial = match &args.package {
        Some(path) if args.dry_run => Some(super::on_trial(path)?),
        _ => None,
    };
    let added = match &args.package {
        Some(path) if !args.dry_run => Some(package_input::add(store, path)?),
        _ => None,
    };
    let package = added.as_ref().or(on_trial.as_ref().map(|(_, package)| package));
    let options = RestoreOptions {
        limits: Limits {
            members: args.max_entries,
            total: args.max_size,
            ratio: args.max_ratio,
            name_length: args.max_name_length,
        },
        package,
        force: args.force,
        without_package: args.without_package,
        sync: !args.no_sync,
        literal_backslashes: args.literal_backslashes,
    };
    let mut bar = Bar::new(ui);
    let file = match args.file == Path::new("-") {
        true => backup::spool(store, io::stdin().lock(), &mut bar)?,
        false => File::open(&args.file).context(format!("cannot open {shown}"))?,
    };
    let file = match file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        true => file,
        // A pipe by name: only a file can be read from its end.
        false => backup::spool(store, file, &mut bar)?,
    };
    if args.dry_run {
        let examined = backup::examine(store, file, &options, &mut bar)
            .context(format!("{shown}: cannot be restored"))?;
        drop(bar);
        return say(&examined, args.json, ui);
    }
    let restored = backup::restore(store, file, &options, &mut bar)
        .context(format!("{shown}: not restored"))?;
    drop(bar);
    warn_of(ui, &restored.notes);
    let id = restored.grain.id();
    if args.json {
        let meta = restored.grain.meta();
        let mut value = described(&meta.app_id, &meta.title, restored.counts, &restored.notes);
        value["grainId"] = json!(id.as_str());
        ui.line(value.to_string())?;
    } else {
        ui.line(id.as_str())?;
    }
    Ok(())
}

/// What `--dry-run` found.
fn say(examined: &Examined, json: bool, ui: &Ui) -> Result<()> {
    let Examined { app_id, package_id, title, counts, notes } = examined;
    warn_of(ui, notes);
    if json {
        let mut value = described(app_id, title, *counts, notes);
        value["packageId"] = json!(package_id.map(|id| id.to_string()));
        value["dryRun"] = json!(true);
        ui.line(value.to_string())?;
    } else {
        ui.line(format!(
            "would restore: {title}, {} files, {} directories, {} links, {} bytes",
            counts.files, counts.directories, counts.links, counts.bytes
        ))?;
    }
    Ok(())
}

fn described(app_id: &AppId, title: &str, counts: Counts, notes: &[Skipped]) -> Value {
    json!({
        "appId": app_id.to_string(),
        "title": title,
        "files": counts.files,
        "directories": counts.directories,
        "links": counts.links,
        "bytes": counts.bytes,
        "notes": skipped_json(notes),
    })
}
