//! `spk diff`.

use std::path::PathBuf;

use serde_json::json;
use spk_package::contents::{Change, diff, sizes};

use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::package_input::{open, shown};
use crate::ui::Ui;

/// Directories shown with their change in size.
const DIRECTORIES: usize = 10;

/// Show how two packages differ
///
/// Lines begin with + for what only the second package has, - for what only the first has, and ~
/// for what is different; then follow the directories whose size changed most. Modification times
/// do not count.
#[derive(clap::Args)]
pub struct Args {
    /// The first package; - is stdin
    #[arg(value_name = "A.spk")]
    before: PathBuf,
    /// The second package; - is stdin
    #[arg(value_name = "B.spk")]
    after: PathBuf,
    /// Show it as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    let (before, after) = (open(&args.before, ui)?, open(&args.after, ui)?);
    let changes = diff(&before, &after).context("cannot compare the packages")?;
    let of = |after: bool| {
        sizes(changes.iter().map(|(path, change)| {
            let (old, new) = change.sizes();
            (&path[..], if after { new } else { old })
        }))
    };
    let (old, new) = (of(false), of(true));
    let mut directories: Vec<(&Vec<u8>, i64)> = new
        .iter()
        .map(|(path, size)| (path, *size as i64 - old.get(path).map_or(0, |old| *old as i64)))
        .filter(|(_, change)| *change != 0)
        .collect();
    directories.sort_by_key(|(path, change)| (-change.abs(), *path));
    if args.json {
        let list = |wanted: &dyn Fn(&Change) -> bool| -> Vec<serde_json::Value> {
            let found = changes.iter().filter(|(_, change)| wanted(change));
            found
                .map(|(path, change)| {
                    let (before, after) = change.sizes();
                    json!({ "path": shown(path), "before": before, "after": after })
                })
                .collect()
        };
        let directories: Vec<serde_json::Value> = directories
            .iter()
            .map(|(path, change)| json!({ "path": directory(path), "change": change }))
            .collect();
        ui.line(
            json!({
                "added": list(&|change| matches!(change, Change::Added(_))),
                "removed": list(&|change| matches!(change, Change::Removed(_))),
                "changed": list(&|change| matches!(change, Change::Changed(..))),
                "directories": directories,
            })
            .to_string(),
        )?;
        return Ok(());
    }
    for (path, change) in &changes {
        let (sign, size) = match change {
            Change::Added(size) => ("+", format!("{size}")),
            Change::Removed(size) => ("-", format!("{size}")),
            Change::Changed(before, after) => ("~", format!("{before} -> {after}")),
        };
        let line = [sign.as_bytes(), b" ", path, b" (", size.as_bytes(), b")"].concat();
        ui.bytes_line(&line)?;
    }
    for (path, change) in directories.iter().take(DIRECTORIES) {
        ui.line(format!("{change:>+12} {}", spk_files::printable::line(directory(path))))?;
    }
    Ok(())
}

fn directory(path: &[u8]) -> String {
    format!("{}/", shown(path))
}
