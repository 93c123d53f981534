//! A file that appears under its name only when it is complete, and then lasts.
//!
//! It is written without a name where the file system can (`O_TMPFILE`), else beside its place
//! under a name of its own. Then it is synced, takes the place of what has the name by one rename,
//! and the directory is synced. Whoever reads meanwhile, and whoever is killed at any moment,
//! finds the old file or the new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    Access, AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock,
};
use rustix::io::Errno;

use crate::{Dir, random};

/// Unfinished files are called `.NAME.spk-partial-RANDOM`.
const PARTIAL: &[u8] = b".spk-partial-";

/// What is kept of the final name meanwhile: with what is added, names stay within 255 bytes.
const LONGEST_KEPT: usize = 200;

/// How an [`AtomicFile`] is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    mode: u32,
    keep_mode: bool,
    exclusive: bool,
    durable: bool,
    only_writer: bool,
}

impl Options {
    /// A file with these permissions, from which the umask takes away.
    pub const fn mode(mode: u32) -> Options {
        Options { mode, keep_mode: false, exclusive: false, durable: true, only_writer: false }
    }

    /// A file that takes another's place takes its permissions, too.
    pub const fn keep_mode(self) -> Options {
        Options { keep_mode: true, ..self }
    }

    /// The name must be free, still when the file is finished: nothing is ever replaced.
    pub const fn exclusive(self) -> Options {
        Options { exclusive: true, ..self }
    }

    /// Without waiting for the disk: for what can be made again, and whose damage is noticed.
    pub const fn not_durable(self) -> Options {
        Options { durable: false, ..self }
    }

    /// Nobody else writes this file now, since the caller holds a lock: the unfinished file has a
    /// fixed name, `.NAME.new`, so that what a killed writer left there goes with the next write.
    pub const fn only_writer(self) -> Options {
        Options { only_writer: true, ..self }
    }

    /// Starts a file that will be `path`.
    ///
    /// # Errors
    /// When `path` does not end in a name, or nothing can be made in its directory.
    pub fn create(self, path: &Path) -> io::Result<AtomicFile> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        self.create_in(&Dir::open_trusted(directory_of(path))?, name.as_bytes())
    }

    /// Starts a file that will be `name` in `dir`.
    ///
    /// # Errors
    /// When nothing can be made there.
    pub fn create_in(self, dir: &Dir, name: &[u8]) -> io::Result<AtomicFile> {
        if !crate::path::is_name(name) {
            return Err(Errno::INVAL.into());
        }
        let dir = dir.try_clone()?;
        let (file, temporary) = match unnamed(&dir, self.mode)? {
            Some(file) => (file, None),
            None => {
                let temporary = self.temporary_name(name)?;
                match self.only_writer {
                    true => ignore_missing(dir.remove_file(&temporary))?,
                    false => drop(remove_left_overs(&dir, Some(name))?),
                }
                (dir.create_file(&temporary, self.mode)?, Some(temporary))
            }
        };
        let unfinished = AtomicFile { options: self, dir, name: name.to_vec(), file, temporary };
        // So that nobody takes it for a left-over.
        flock(&unfinished.file, FlockOperation::LockExclusive)?;
        Ok(unfinished)
    }

    /// Puts `content` at `path`.
    ///
    /// # Errors
    /// When it cannot be written; what was there is unchanged then.
    pub fn write(self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.create(path)?;
        file.write_all(content)?;
        file.commit()
    }

    /// Puts `content` at `name` in `dir`.
    ///
    /// # Errors
    /// When it cannot be written; what was there is unchanged then.
    pub fn write_in(self, dir: &Dir, name: &[u8], content: &[u8]) -> io::Result<()> {
        let mut file = self.create_in(dir, name)?;
        file.write_all(content)?;
        file.commit()
    }

    fn temporary_name(self, name: &[u8]) -> io::Result<Vec<u8>> {
        let kept = kept(name);
        match self.only_writer {
            true => Ok([b".", kept, b".new"].concat()),
            false => Ok([b".", kept, PARTIAL, random::name(8)?.as_bytes()].concat()),
        }
    }
}

/// A file being written. Unless it is [committed](AtomicFile::commit), nothing of it stays.
#[derive(Debug)]
pub struct AtomicFile {
    options: Options,
    dir: Dir,
    name: Vec<u8>,
    file: File,
    /// The name it has meanwhile, if it has one.
    temporary: Option<Vec<u8>>,
}

impl AtomicFile {
    /// The file, to be written and read.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Makes it last, and gives it its name.
    ///
    /// # Errors
    /// When that fails; what had the name has it still. Only when the directory cannot be synced,
    /// the new file may be there.
    pub fn commit(mut self) -> io::Result<()> {
        if self.options.keep_mode {
            self.take_mode()?;
        }
        if self.options.durable {
            self.file.sync_all()?;
        }
        match self.temporary.take() {
            None if self.options.exclusive => self.link(&self.name)?,
            None => {
                let temporary = self.options.temporary_name(&self.name)?;
                match self.link(&temporary) {
                    Err(error)
                        if self.options.only_writer
                            && error.kind() == io::ErrorKind::AlreadyExists =>
                    {
                        self.dir.remove_file(&temporary)?;
                        self.link(&temporary)?;
                    }
                    linked => linked?,
                }
                self.rename(temporary)?;
            }
            Some(temporary) => self.rename(temporary)?,
        }
        if self.options.durable { self.dir.sync() } else { Ok(()) }
    }

    /// The permissions of what it replaces.
    fn take_mode(&self) -> io::Result<()> {
        match self.dir.stat(&self.name) {
            Ok(old) if FileType::from_raw_mode(old.st_mode) == FileType::RegularFile => {
                Ok(rustix::fs::fchmod(&self.file, Mode::from_raw_mode(old.st_mode & 0o7777))?)
            }
            Ok(_) => Ok(()),
            Err(error) => ignore_missing(Err(error)),
        }
    }

    /// A name for a file that has none.
    fn link(&self, name: &[u8]) -> io::Result<()> {
        let from = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, from, &self.dir, name, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn rename(&mut self, temporary: Vec<u8>) -> io::Result<()> {
        let renamed = match self.options.exclusive {
            true => rename_exclusive(&self.dir, &temporary, &self.dir, &self.name),
            false => self.dir.rename(&temporary, &self.dir, &self.name),
        };
        if renamed.is_err() {
            self.temporary = Some(temporary);
        }
        renamed
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl AsFd for AtomicFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // On the way out with an error already; the next writer of the name removes it.
            let _ = self.dir.remove_file(temporary);
        }
    }
}

/// The file to be replaced for `path`: where a link leads, so that the link stays; `path` itself
/// when nothing is there.
///
/// # Errors
/// When the links cannot be followed.
pub fn behind_links(path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        found => found,
    }
}

/// The directory that `path` is a name in.
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes files that killed processes left unfinished in `dir`: those to be called `name`, or all;
/// gives their names. What somebody is writing stays.
///
/// # Errors
/// When the directory cannot be read, or a file not removed.
pub fn remove_left_overs(dir: &Dir, name: Option<&[u8]>) -> io::Result<Vec<Vec<u8>>> {
    let mut removed = Vec::new();
    for left in dir.names()? {
        let mark = left.windows(PARTIAL.len()).position(|window| window == PARTIAL);
        let Some(found) = mark.and_then(|mark| left[..mark].strip_prefix(b".")) else { continue };
        if name.is_some_and(|name| kept(name) != found) {
            continue;
        }
        let Ok(file) = dir.open_file(&left) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            ignore_missing(dir.remove_file(&left))?;
            removed.push(left);
        }
    }
    Ok(removed)
}

/// Renames to a name that must be free.
pub(crate) fn rename_exclusive(from: &Dir, name: &[u8], to: &Dir, new: &[u8]) -> io::Result<()> {
    match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
        // File systems without the flag.
        Err(Errno::INVAL | Errno::NOSYS) => match to.stat(new) {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => from.rename(name, to, new),
            Err(error) => Err(error),
        },
        other => Ok(other?),
    }
}

/// A file without a name, where the file system has such and `/proc` is there to name it later.
fn unnamed(dir: &Dir, mode: u32) -> io::Result<Option<File>> {
    if rustix::fs::access("/proc/self/fd", Access::EXISTS).is_err() {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
    match rustix::fs::openat(dir, c".", flags, Mode::from_raw_mode(mode)) {
        Ok(file) => Ok(Some(file.into())),
        // By file system and kernel.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// As much of a name as unfinished files have in theirs.
fn kept(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LONGEST_KEPT)]
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "atomic/tests.rs"]
mod tests;
