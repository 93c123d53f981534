//! `spk cat`.

use std::path::PathBuf;

use spk_package::contents::ItemKind;

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::package_input::{open, shown};
use crate::ui::Ui;

/// Write files of a package to stdout
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Paths in the package
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// Write a JSON object with the size and, if it is text, the text of each file instead
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    let opened = open(&args.package, ui)?;
    for path in &args.paths {
        let path = path.trim_start_matches('/').as_bytes();
        let item = opened
            .items()
            .get(path)
            .ok_or_else(|| CliError::new(format!("{}: not in the package", shown(path))))
            .hint("list what there is with: spk ls")?;
        match &item.kind {
            ItemKind::File { .. } => {}
            ItemKind::Directory => {
                return Err(CliError::new(format!("{} is a directory", shown(path)))
                    .hint("list what is in it with: spk ls"));
            }
            ItemKind::Symlink(target) => {
                let message = format!("{} is a symbolic link to {}", shown(path), shown(target));
                return Err(CliError::new(message).hint("name the file that it leads to"));
            }
        }
        if args.json {
            let mut contents = Vec::new();
            opened.copy(item, &mut contents)?;
            let text = std::str::from_utf8(&contents).ok();
            let value = serde_json::json!({
                "path": shown(path), "size": contents.len(), "text": text,
            });
            ui.line(value.to_string())?;
        } else {
            opened.copy(item, &mut ui.pipe())?;
        }
    }
    Ok(())
}
