//! `spk grain restore`.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;
use spk_host::backup::{self, Limits, RestoreOptions};
use spk_host::store::Store;

use super::{skipped_json, warn_of};
use crate::error::{Result, ResultExt};
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
    let package = match &args.package {
        Some(path) => Some(store.add_package(path)?),
        None => None,
    };
    let options = RestoreOptions {
        limits: Limits {
            members: args.max_entries,
            total: args.max_size,
            ratio: args.max_ratio,
            name_length: args.max_name_length,
        },
        package: package.as_ref(),
        force: args.force,
        without_package: args.without_package,
        sync: !args.no_sync,
        literal_backslashes: args.literal_backslashes,
    };
    let file = match args.file == Path::new("-") {
        true => backup::spool(store, io::stdin().lock())?,
        false => File::open(&args.file).context(format!("cannot open {shown}"))?,
    };
    let file = match file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        true => file,
        // A pipe by name: only a file can be read from its end.
        false => backup::spool(store, file)?,
    };
    let restored =
        backup::restore(store, file, &options).context(format!("{shown}: not restored"))?;
    warn_of(ui, &restored.notes);
    let id = restored.grain.id();
    if args.json {
        let counts = restored.counts;
        let value = json!({
            "grainId": id.as_str(),
            "appId": restored.grain.meta().app_id.to_string(),
            "title": restored.grain.meta().title,
            "files": counts.files,
            "directories": counts.directories,
            "links": counts.links,
            "bytes": counts.bytes,
            "notes": skipped_json(&restored.notes),
        });
        ui.line(value.to_string());
    } else {
        ui.line(id.as_str());
    }
    Ok(())
}
