//! `spk ls`.

use std::path::PathBuf;

use serde_json::json;
use spk_package::contents::{Item, ItemKind};

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::package_input::{below, open, shown};
use crate::ui::Ui;

/// List what is in a package
///
/// One path a line. Paths are in the package, without a leading slash.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// List only what is at or below these paths
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// Also show type, size in bytes and modification time in seconds since 1970
    #[arg(short = 'l', long)]
    long: bool,
    /// List as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    let opened = open(&args.package, ui)?;
    let wanted: Vec<&[u8]> =
        args.paths.iter().map(|path| path.trim_matches('/').as_bytes()).collect();
    for path in &wanted {
        if !opened.items().contains_key(*path) && !path.is_empty() && *path != b"." {
            return Err(CliError::new(format!("{}: not in the package", shown(path))));
        }
    }
    let items = opened
        .items()
        .iter()
        .filter(|(path, _)| wanted.is_empty() || wanted.iter().any(|top| below(path, top)));
    if args.json {
        let entries: Vec<serde_json::Value> = items.map(|(path, item)| entry(path, item)).collect();
        ui.line(
            json!({
                "appId": opened.app_id().to_string(),
                "packageId": opened.package_id().to_string(),
                "entries": entries,
            })
            .to_string(),
        )?;
        return Ok(());
    }
    for (path, item) in items {
        ui.bytes_line(&if args.long { long(path, item) } else { path.clone() })?;
    }
    Ok(())
}

fn entry(path: &[u8], item: &Item) -> serde_json::Value {
    let mut value = json!({ "path": shown(path), "mtimeNs": item.mtime });
    match &item.kind {
        ItemKind::File { executable, size } => {
            value["type"] = json!("file");
            value["executable"] = json!(executable);
            value["size"] = json!(size);
        }
        ItemKind::Symlink(target) => {
            value["type"] = json!("symlink");
            value["target"] = json!(shown(target));
        }
        ItemKind::Directory => value["type"] = json!("directory"),
    }
    value
}

fn long(path: &[u8], item: &Item) -> Vec<u8> {
    let kind = match item.kind {
        ItemKind::File { executable: false, .. } => "-",
        ItemKind::File { executable: true, .. } => "x",
        ItemKind::Symlink(_) => "l",
        ItemKind::Directory => "d",
    };
    let seconds = item.mtime.div_euclid(1_000_000_000);
    let mut line = format!("{kind} {:>10} {seconds:>10} ", item.size()).into_bytes();
    line.extend(path);
    if let ItemKind::Symlink(target) = &item.kind {
        line.extend(b" -> ");
        line.extend(target);
    }
    line
}
