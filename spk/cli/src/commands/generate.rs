//! `spk generate`: pages made from the program itself, for packaging and for `docs/reference`.

use std::fs;
use std::path::PathBuf;

use clap::Command;

use crate::command_line;
use crate::error::{Result, ResultExt};

/// Write the pages that are made from the program
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// man: a man page for each command; reference: the same as Markdown
    #[arg(value_parser = ["man", "reference"])]
    what: String,
    /// Directory to write them to
    dir: PathBuf,
}

/// Columns of the reference pages.
const WIDTH: usize = 100;

/// Runs the subcommand.
pub fn run(args: Args) -> Result<()> {
    let dir = &args.dir;
    fs::create_dir_all(dir).context(format!("cannot make {}", dir.display()))?;
    if args.what == "man" {
        clap_mangen::generate_to(command_line::command(), dir)
            .context(format!("cannot write to {}", dir.display()))?;
        return Ok(());
    }
    for (name, text) in reference() {
        let file = dir.join(name);
        fs::write(&file, text).context(format!("cannot write {}", file.display()))?;
        tracing::info!("wrote: {}", file.display());
    }
    Ok(())
}

/// File names and texts of the reference pages.
pub fn reference() -> Vec<(String, String)> {
    let mut program = command_line::command().term_width(WIDTH);
    program.build();
    let mut pages = Vec::new();
    page(&mut program, "spk", &mut pages);
    let mut index = String::from(
        "# Reference\n\nMade from the program: `SPK_REGENERATE=1 cargo test -p spk-cli --bin spk \
         reference`.\n\n",
    );
    for (name, text) in &pages {
        let what = text.lines().nth(2).unwrap_or_default();
        index +=
            &format!("- [{}]({name}): {what}\n", name.trim_end_matches(".md").replace('-', " "));
    }
    index += "- [JSON for programs](json.md): what --json prints\n";
    pages.push(("README.md".into(), index));
    pages
}

fn page(command: &mut Command, name: &str, pages: &mut Vec<(String, String)>) {
    let help = command.render_long_help().to_string();
    let what = command.get_about().map(ToString::to_string).unwrap_or_default();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    let text = format!("# {name}\n\n{what}\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    pages.push((format!("{}.md", name.replace(' ', "-")), text));
    for below in
        command.get_subcommands_mut().filter(|c| !c.is_hide_set() && c.get_name() != "help")
    {
        let name = format!("{name} {}", below.get_name());
        page(below, &name, pages);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What JSON the program prints: the end-to-end tests compare it.
    const WRITTEN_BY_HAND: &str = "json.md";

    #[test]
    fn reference_is_up_to_date() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
        let mut differing = Vec::new();
        let pages = reference();
        if std::env::var_os("SPK_REGENERATE").is_some() {
            for entry in fs::read_dir(&dir).expect("the docs can be listed").flatten() {
                if entry.file_name() != WRITTEN_BY_HAND {
                    fs::remove_file(entry.path()).expect("the docs can be written");
                }
            }
            for (name, text) in &pages {
                fs::write(dir.join(name), text).expect("the docs can be written");
            }
        }
        for (name, text) in &pages {
            if fs::read_to_string(dir.join(name)).unwrap_or_default() != *text {
                differing.push(name.clone());
            }
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != WRITTEN_BY_HAND && !pages.iter().any(|(known, _)| *known == name) {
                differing.push(name);
            }
        }
        assert!(differing.is_empty(), "out of date, run with SPK_REGENERATE=1: {differing:?}");
    }
}
