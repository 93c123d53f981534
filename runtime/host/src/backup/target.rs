//! Where a backup goes: a file that appears when it is complete, or a pipe.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock};

use super::error::Error;
use crate::store::layout::{PARTIAL, clean_partial};
use spk_files::Dir;

/// Mode of a backup: it holds all of a grain's data.
const MODE: u32 = 0o600;

/// What is kept of the final name meanwhile: with what is added, names stay within 255 bytes.
const LONGEST_KEPT: usize = 200;

/// A file being written beside its final place.
pub(crate) struct Beside {
    path: PathBuf,
    dir: Dir,
    name: Vec<u8>,
    /// The name it has meanwhile; none when the file system can do without one.
    partial: Option<Vec<u8>>,
    file: File,
}

impl Beside {
    /// Starts a file that will be called `path`, and removes what killed runs have left beside it
    /// (told in `notes`). With `O_TMPFILE` nothing can be left.
    pub fn create(path: &Path, notes: &mut Vec<String>) -> Result<Beside, Error> {
        let failed = |source| Error::Io { action: "create", path: path.to_owned(), source };
        let name = match path.file_name() {
            Some(name) => name.as_bytes().to_vec(),
            None => return Err(failed(io::ErrorKind::InvalidInput.into())),
        };
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let dir = Dir::open_trusted(parent).map_err(failed)?;
        let kept = &name[..name.len().min(LONGEST_KEPT)];
        notes.extend(clean_partial(&dir, Some(kept)).map_err(failed)?);
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
        let mode = Mode::from_raw_mode(MODE);
        let (file, partial) = match rustix::fs::openat(&dir, c".", flags, mode) {
            Ok(file) => (File::from(file), None),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
                let partial = partial_name(&name)?;
                let file = dir.create_file(&partial, MODE).map_err(failed)?;
                flock(&file, FlockOperation::LockExclusive).map_err(|e| failed(e.into()))?;
                (file, Some(partial))
            }
            Err(error) => return Err(failed(error.into())),
        };
        Ok(Beside { path: path.to_owned(), dir, name, partial, file })
    }

    /// A descriptor to write or read through.
    pub fn file(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|source| self.failed("create", source))
    }

    /// Makes it last, and gives it its name.
    pub fn publish(mut self) -> Result<(), Error> {
        self.file.sync_all().map_err(|source| self.failed("write", source))?;
        let partial = match self.partial.take() {
            Some(partial) => partial,
            None => {
                let partial = partial_name(&self.name)?;
                let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                // Locked first, so that nobody takes it for a left-over.
                flock(&self.file, FlockOperation::LockExclusive)
                    .and_then(|()| {
                        let follow = AtFlags::SYMLINK_FOLLOW;
                        rustix::fs::linkat(CWD, from, &self.dir, &partial[..], follow)
                    })
                    .map_err(|error| self.failed("create", error.into()))?;
                partial
            }
        };
        let renamed = self.dir.rename(&partial, &self.dir, &self.name);
        if renamed.is_err() {
            self.partial = Some(partial);
        }
        renamed.and_then(|()| self.dir.sync()).map_err(|source| self.failed("create", source))
    }

    fn failed(&self, action: &'static str, source: io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            // A left-over that cannot be removed now is removed by the next run.
            let _ = self.dir.remove_file(partial);
        }
    }
}

fn partial_name(name: &[u8]) -> Result<Vec<u8>, Error> {
    let random = crate::store::random_name(8)?;
    let kept = &name[..name.len().min(LONGEST_KEPT)];
    Ok([b".", kept, PARTIAL, random.as_bytes()].concat())
}
