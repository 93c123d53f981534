//! `spk grain export`.

use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use spk_grains::backup::{self, ExportOptions, Target};
use spk_grains::store::{GrainId, Store};
use spk_package::app_id::AppId;

use super::{skipped_json, warn_of};
use crate::error::{CliError, Result, ResultExt};
use crate::progress::Bar;
use crate::replacing::{self, Sort};
use crate::serving::seconds;
use crate::ui::Ui;

/// Save grains as zip files that any Sandstorm server restores
///
/// The file appears when it is complete and has been read back. A grain that runs stands still
/// while its data is copied.
#[derive(clap::Args)]
pub struct Args {
    /// Grains to export: IDs, or unique beginnings of them
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// Export all grains
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// File to write, or directory for several; - is stdout [default: ID.zip here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file even if it is no backup
    #[arg(long)]
    force: bool,
    /// Do not compress
    #[arg(long)]
    store: bool,
    /// Do not freeze a running grain: what it changes meanwhile may be torn
    #[arg(long)]
    live: bool,
    /// How long a running grain may be frozen while its data is copied
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    freeze_limit: Duration,
    /// The app of a grain whose metadata is damaged and does not say it
    #[arg(long, value_name = "APPID")]
    app: Option<AppId>,
    /// Print JSON: one object for each grain
    #[arg(long)]
    json: bool,
}

impl Args {
    fn options(&self) -> ExportOptions {
        ExportOptions { store: self.store, live: self.live, freeze_limit: self.freeze_limit }
    }
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let ids = match args.all {
        true => store.grains()?.into_iter().map(|grain| grain.id).collect(),
        false => {
            args.ids.iter().map(|id| Ok(store.resolve(id)?)).collect::<Result<Vec<GrainId>>>()?
        }
    };
    let to_stdout = args.output.as_deref() == Some(Path::new("-"));
    if to_stdout && (ids.len() > 1 || args.json) {
        return Err(CliError::usage("stdout has room for one backup and nothing else").hint(
            "-o DIR writes a file for each grain; without --json there is room for a backup",
        ));
    }
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(CliError::usage("a backup is not for a terminal").hint("-o FILE, or a pipe"));
    }
    if to_stdout && ids.is_empty() {
        return Err(CliError::new("there is no grain to export"));
    }
    let several = !to_stdout && (args.all || ids.len() > 1);
    if let (true, Some(dir)) = (several, &args.output) {
        std::fs::create_dir_all(dir).context(format!("cannot create {}", dir.display()))?;
    }
    let mut failed = 0;
    for id in &ids {
        let exported = one(id, &args, several, store, ui).context(format!("grain {id}"));
        match exported {
            Err(error) if several && !ui.reader_gone() => {
                error.say(ui);
                failed += 1;
            }
            other => other?,
        }
    }
    match failed {
        0 => Ok(()),
        _ => Err(CliError::new(format!("{failed} of {} grains were not exported", ids.len()))),
    }
}

/// Whether this is a pipe or a device, to be written into and not to be replaced.
fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

fn one(id: &GrainId, args: &Args, several: bool, store: &Store, ui: &Ui) -> Result<()> {
    let path = match &args.output {
        Some(path) if path == Path::new("-") => None,
        Some(path) if several || path.is_dir() => Some(path.join(format!("{id}.zip"))),
        Some(path) => Some(path.clone()),
        None => Some(PathBuf::from(format!("{id}.zip"))),
    };
    let target = match &path {
        Some(path) if is_special(path) => {
            let opened = File::options().write(true).open(path);
            Target::Pipe(Box::new(opened.context(format!("cannot open {}", path.display()))?))
        }
        Some(path) => {
            replacing::allow(path, Sort::Backup, args.force)?;
            Target::File(path.clone())
        }
        None => Target::Pipe(Box::new(ui.pipe())),
    };
    let (options, mut bar) = (args.options(), Bar::new(ui));
    let damaged = store.grain_info(id)?.meta.is_err_and(|error| error.is_damaged_grain());
    let exported = match damaged {
        false => backup::export(store, id, target, &options, &mut bar)?,
        true => {
            let grain = super::open_damaged(store, id, "export", args.app, ui)?;
            backup::export_grain(&grain, target, &options, &mut bar)?
        }
    };
    drop(bar);
    exported.notes.iter().for_each(|note| ui.note(note));
    let contents = &exported.contents;
    warn_of(ui, &contents.skipped);
    warn_of(ui, &contents.warnings);
    if args.json {
        let value = json!({
            "grainId": id.as_str(),
            "file": path,
            "size": exported.size,
            "files": contents.files,
            "directories": contents.directories,
            "links": contents.links,
            "bytes": contents.bytes,
            "frozenMs": exported.frozen.map(|time| time.as_millis() as u64),
            "skipped": skipped_json(&contents.skipped),
            "warnings": skipped_json(&contents.warnings),
        });
        ui.line(value.to_string())?;
    } else if let Some(path) = path {
        ui.line(path.to_string_lossy())?;
    }
    Ok(())
}
