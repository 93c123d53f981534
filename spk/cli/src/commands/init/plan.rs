//! Files that are about to be written: shown, agreed to, then written, and none of them if one
//! is there already.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::Args;
use crate::error::{CliError, Result, ResultExt};
use crate::templates;
use crate::ui::Ui;

/// See the module's description.
pub(super) struct Plan {
    overwrite: bool,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Plan {
    /// Nothing yet. Without `overwrite` files that are there already are refused.
    pub(super) fn new(overwrite: bool) -> Plan {
        Plan { overwrite, files: Vec::new() }
    }

    /// One more file, for version control. One that is there already stays, with a note what it lacks.
    pub(super) fn add_ignored(&mut self, path: &str, contents: &[u8], ui: &Ui) -> Result<()> {
        let there = match fs::read(path) {
            Err(_) => return self.add(path, contents.to_vec()),
            Ok(there) => String::from_utf8_lossy(&there).into_owned(),
        };
        let known: Vec<&str> = there.lines().map(str::trim).collect();
        let wanted = String::from_utf8_lossy(contents).into_owned();
        let lacks = |line: &&str| !line.starts_with('#') && !known.contains(line);
        let missing: Vec<&str> = wanted.lines().filter(lacks).collect();
        if !missing.is_empty() {
            ui.note(format!("{path} is here already; for spk add: {}", missing.join(" ")));
        }
        Ok(())
    }

    /// One more file.
    pub(super) fn add(&mut self, path: impl Into<PathBuf>, contents: Vec<u8>) -> Result<()> {
        let path = path.into();
        if !self.overwrite && path.symlink_metadata().is_ok() {
            return Err(exists(&path));
        }
        self.files.push((path, contents));
        Ok(())
    }

    /// Whether the user wants them written: `--yes`, or asked on a terminal. Shows what it is about
    /// with `--dry-run`, which is a no.
    pub(super) fn agreed(&self, args: &Args, ui: &Ui) -> Result<bool> {
        if args.dry_run {
            self.show(ui);
            return Ok(false);
        }
        let names: Vec<String> =
            self.files.iter().map(|(path, _)| path.display().to_string()).collect();
        ui.confirm(args.yes, &format!("write {}?", names.join(", ")))
    }

    /// Says what would be written.
    pub(super) fn show(&self, ui: &Ui) {
        for (path, _) in &self.files {
            ui.line(format!("would write: {}", path.display()))?;
        }
    }

    /// Fills the blanks of texts and writes all files.
    pub(super) fn write(&self, values: &[(&str, String)], ui: &Ui) -> Result<()> {
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (path, contents) in &self.files {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).context(format!("cannot make {}", parent.display()))?;
            }
            let contents = match std::str::from_utf8(contents) {
                Ok(text) => templates::fill(text, &values).into_bytes(),
                Err(_) => contents.clone(),
            };
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(!self.overwrite).create(true).truncate(true);
            options
                .open(path)
                .and_then(|mut file| file.write_all(&contents))
                .context(format!("cannot write {}", path.display()))?;
        }
        // Last: who reads this may go away, which ends the program.
        for (path, _) in &self.files {
            ui.line(format!("wrote: {}", path.display()))?;
        }
        Ok(())
    }
}

/// The refusal to overwrite a file.
pub(super) fn exists(path: &Path) -> CliError {
    CliError::usage(format!("{} already exists", path.display()))
        .hint("remove it first, or work in another directory")
}
