//! Where a backup goes: a file that appears when it is complete.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::Error;
use crate::store::layout::clean_partial;
use spk_files::Dir;
use spk_files::atomic::{self, AtomicFile};

/// A backup holds all of a grain's data: nobody else may read it.
const OPTIONS: atomic::Options = atomic::Options::mode(0o600);

/// A file being written beside its final place.
pub(crate) struct Beside {
    path: PathBuf,
    file: AtomicFile,
}

impl Beside {
    /// Starts a file that will be called `path`, and removes what killed runs have left beside it
    /// (told in `notes`).
    pub fn create(path: &Path, notes: &mut Vec<String>) -> Result<Beside, Error> {
        let failed = |source| Error::Io { action: "create", path: path.to_owned(), source };
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let dir = Dir::open_trusted(atomic::directory_of(path)).map_err(failed)?;
        notes.extend(clean_partial(&dir, Some(name.as_bytes())).map_err(failed)?);
        let file = OPTIONS.create_in(&dir, name.as_bytes()).map_err(failed)?;
        Ok(Beside { path: path.to_owned(), file })
    }

    /// A descriptor to write or read through.
    pub fn file(&self) -> Result<File, Error> {
        self.file.file().try_clone().map_err(|source| self.failed("create", source))
    }

    /// Makes it last, and gives it its name.
    pub fn publish(self) -> Result<(), Error> {
        let Beside { path, file } = self;
        file.commit().map_err(|source| Error::Io { action: "create", path, source })
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}
