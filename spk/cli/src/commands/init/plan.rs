//! Files that are about to be written: shown, agreed to, then written, and none of them if one
//! is there already.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use spk_files::atomic::{self, AtomicFile};

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

    /// One more file, unless something is there already, which stays.
    pub(super) fn add_if_absent(&mut self, path: impl Into<PathBuf>, contents: &[u8]) {
        let path = path.into();
        if path.symlink_metadata().is_err() {
            self.files.push((path, contents.to_vec()));
        }
    }

    /// Whether the user wants them written: `--yes`, or asked on a terminal. Shows what it is about
    /// with `--dry-run`, which is a no.
    pub(super) fn agreed(&self, args: &Args, ui: &Ui) -> Result<bool> {
        if args.dry_run {
            self.show(ui)?;
            return Ok(false);
        }
        let names: Vec<String> =
            self.files.iter().map(|(path, _)| path.display().to_string()).collect();
        ui.confirm(args.yes, &format!("write {}?", names.join(", ")))
    }

    /// Says what would be written.
    pub(super) fn show(&self, ui: &Ui) -> Result<()> {
        let mut paths = self.files.iter().map(|(path, _)| path.display());
        paths.try_for_each(|path| ui.line(format!("would write: {path}")))
    }

    /// Fills the blanks of texts and writes all files, beside their places: see [`Staged::finish`].
    pub(super) fn stage(&self, values: &[(&str, String)]) -> Result<Staged> {
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut staged =
            Staged { overwrite: self.overwrite, files: Vec::new(), directories: Vec::new() };
        for (path, contents) in &self.files {
            match std::str::from_utf8(contents) {
                Ok(text) => staged.add(path, templates::fill(text, &values).as_bytes()),
                Err(_) => staged.add(path, contents),
            }?;
        }
        Ok(staged)
    }
}

/// Files that are written, and not yet in their places; those that do not get there leave nothing
/// behind.
pub(super) struct Staged {
    overwrite: bool,
    files: Vec<StagedFile>,
    /// The directories that were made for them, each behind the one it is in.
    directories: Vec<PathBuf>,
}

struct StagedFile {
    /// As it is called to the user.
    path: PathBuf,
    /// Where it goes: symbolic links are followed.
    place: PathBuf,
    contents: Contents,
}

enum Contents {
    Beside(AtomicFile),
    /// For a device or a pipe, which cannot be replaced.
    Kept(Vec<u8>),
}

impl Staged {
    fn add(&mut self, path: &Path, contents: &[u8]) -> Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let existing = path.metadata().ok();
        let place = match existing {
            Some(_) => path.canonicalize().context(cannot())?,
            None => path.to_owned(),
        };
        let contents = if existing.as_ref().is_some_and(|found| !found.is_file()) {
            Contents::Kept(contents.to_vec())
        } else {
            let parent = atomic::directory_of(&place);
            self.make(parent).context(format!("cannot make {}", parent.display()))?;
            let options = atomic::Options::mode(NEW_MODE).keep_mode();
            let options = if self.overwrite { options } else { options.exclusive() };
            let mut file = options.create(&place).context(cannot())?;
            file.write_all(contents).context(cannot())?;
            Contents::Beside(file)
        };
        self.files.push(StagedFile { path: path.to_owned(), place, contents });
        Ok(())
    }

    /// Makes a directory and those above it that are not there.
    fn make(&mut self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> = dir
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .collect();
        for dir in missing.into_iter().rev() {
            fs::create_dir(dir)?;
            self.directories.push(dir.to_owned());
        }
        Ok(())
    }

    /// Puts them in their places, and says so.
    pub(super) fn finish(mut self, ui: &Ui) -> Result<()> {
        let mut paths = Vec::new();
        for StagedFile { path, place, contents } in self.files.drain(..) {
            let written = match contents {
                Contents::Kept(contents) => fs::write(&place, contents),
                Contents::Beside(file) => file.commit(),
            };
            written.context(format!("cannot write {}", path.display()))?;
            paths.push(path);
        }
        self.directories.clear();
        paths.iter().try_for_each(|path| ui.line(format!("wrote: {}", path.display())))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What is in the directories goes first.
        self.files.clear();
        for dir in self.directories.drain(..).rev() {
            // It may have got other contents meanwhile.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// The mode of a new file, of which the umask takes its part.
const NEW_MODE: u32 = 0o666;

/// The refusal to overwrite a file.
pub(super) fn exists(path: &Path) -> CliError {
    CliError::usage(format!("{} already exists", path.display()))
        .hint("remove it first, or work in another directory")
}
