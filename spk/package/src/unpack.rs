//! Unpacking a package: into a staging directory beside the target, through directory
//! descriptors, and renamed when all is written (format, "unpacking").

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, Timespec, Timestamps};

use crate::app_id::AppId;
use crate::archive::read::{self, Archive, Check, Entry, Kind, Visitor};
use crate::info::Info;
use crate::package_id::PackageId;
use crate::progress::{Progress, Stage};
use crate::spk;
use crate::verify;

/// Why a package was not unpacked. The target does not exist then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package itself is refused.
    #[error(transparent)]
    Package(#[from] spk::Error),
    /// Its archive is.
    #[error(transparent)]
    Archive(#[from] read::Error),
    /// It does not pass `verify`.
    #[error(transparent)]
    Verify(#[from] verify::Error),
    /// There is something where the package should go.
    #[error("{} already exists", .0.display())]
    Exists(PathBuf),
    /// The target is not a name in a directory.
    #[error("cannot unpack to {}: it does not end in a name", .0.display())]
    NoName(PathBuf),
    /// The directory to hold the target cannot be used.
    #[error("cannot unpack into the directory {}", .path.display())]
    Parent {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An entry could not be written.
    #[error("cannot write '{path}' below {}", .target.display())]
    Write {
        /// Its path in the package.
        path: String,
        /// The directory unpacked to.
        target: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A package that was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// The app's identity, after replacement.
    pub app_id: AppId,
    /// The package's identity.
    pub package_id: PackageId,
}

/// How much of a package must be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// As the original's `unpack`: signature, hash and archive.
    Archive,
    /// As `verify`: also the manifest and the author's signature.
    Verified,
}

/// How to unpack.
#[derive(Debug, Clone)]
pub struct Options {
    /// Blocks decompressed at once.
    pub threads: usize,
    /// How much must be right.
    pub strictness: Strictness,
}

impl Default for Options {
    fn default() -> Options {
        let threads = verify::Options::default().threads;
        Options { threads, strictness: Strictness::Archive }
    }
}

/// Unpacks the package in the file `package` to the new directory `target`.
pub fn unpack(package: &Path, target: &Path) -> Result<Unpacked, Error> {
    let mut file = File::open(package).map_err(spk::Error::Read)?;
    let size = file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
    let mut progress = crate::progress::Silent;
    let (unpacked, _) = unpack_from(&mut file, size, target, &Options::default(), &mut progress)?;
    Ok(unpacked)
}

/// Unpacks the package that `input` reads to the new directory `target`. The second value is what
/// `verify` says about the package.
pub fn unpack_from(
    input: &mut dyn Read,
    size: Option<u64>,
    target: &Path,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<(Unpacked, Result<Info, verify::Error>), Error> {
    let name = target.file_name().ok_or_else(|| Error::NoName(target.to_owned()))?;
    if target.symlink_metadata().is_ok() {
        return Err(Error::Exists(target.to_owned()));
    }
    let parent_path = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let in_parent = |source: io::Error| Error::Parent { path: parent_path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(CWD, parent_path, flags, Mode::empty())
        .map_err(|errno| in_parent(errno.into()))?;
    // The archive is needed in full before its hash is known: in an unnamed file, so that nothing
    // stays however this ends.
    let package = spk::open(input, size, parent_path, options.threads, progress)?;
    let info = match options.strictness {
        Strictness::Verified => Ok(verify::inspect(&package)?),
        Strictness::Archive => {
            package.archive.walk(&mut Check)?;
            verify::inspect(&package)
        }
    };
    progress.stage(Stage::Unpack, Some(package.archive_bytes));
    let staging = Staging::create(parent, name.as_encoded_bytes()).map_err(in_parent)?;
    let mut writer =
        Writer { target, directories: vec![staging.open().map_err(in_parent)?], progress };
    package.archive.walk(&mut writer)?;
    staging.finish(name.as_encoded_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(target.to_owned()),
        _ => in_parent(error),
    })?;
    Ok((Unpacked { app_id: package.app_id, package_id: package.package_id }, info))
}

/// A directory that goes away again unless it is finished.
struct Staging {
    parent: OwnedFd,
    name: Option<Vec<u8>>,
}

impl Staging {
    fn create(parent: OwnedFd, target: &[u8]) -> io::Result<Staging> {
        loop {
            let mut random = [0u8; 8];
            getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
            let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            // Short enough for any name that the target may have.
            let stem = &target[..target.len().min(200)];
            let name = [b".", stem, b".unpacking-", suffix.as_bytes()].concat();
            match rustix::fs::mkdirat(&parent, &name[..], Mode::from_raw_mode(0o777)) {
                Ok(()) => return Ok(Staging { parent, name: Some(name) }),
                Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn open(&self) -> io::Result<OwnedFd> {
        match &self.name {
            Some(name) => open_directory(&self.parent, name),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives the directory its name; nothing must have that name yet.
    fn finish(mut self, target: &[u8]) -> io::Result<()> {
        let Some(name) = self.name.take() else { return Ok(()) };
        let rename =
            |flags| rustix::fs::renameat_with(&self.parent, &name[..], &self.parent, target, flags);
        let renamed = match rename(RenameFlags::NOREPLACE) {
            // File systems without the flag. A rename there replaces an empty directory at most.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                match rustix::fs::statat(&self.parent, target, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(_) => Err(rustix::io::Errno::EXIST),
                    Err(_) => rename(RenameFlags::empty()),
                }
            }
            other => other,
        };
        renamed.map_err(|errno| {
            self.name = Some(name.clone());
            errno.into()
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            // On the way out with an error already: nothing more can be done about another.
            let _ = remove_tree(&self.parent, &name);
        }
    }
}

fn open_directory(parent: &OwnedFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

/// Removes a directory and all below it, never following a link.
fn remove_tree(parent: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let directory = open_directory(parent, name)?;
    let names: Vec<_> = rustix::fs::Dir::read_from(&directory)?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_bytes().to_vec())
        .filter(|name| name != b"." && name != b"..")
        .collect();
    for name in names {
        match rustix::fs::unlinkat(&directory, &name[..], AtFlags::empty()) {
            Err(rustix::io::Errno::ISDIR | rustix::io::Errno::PERM) => {
                remove_tree(&directory, &name)?;
            }
            other => other?,
        }
    }
    Ok(rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Writes entries below the last of the open directories. Names are single components and unique,
/// and everything is made exclusively, so nothing can lead out.
struct Writer<'a> {
    target: &'a Path,
    directories: Vec<OwnedFd>,
    progress: &'a mut dyn Progress,
}

impl Writer<'_> {
    fn here(&self) -> io::Result<&OwnedFd> {
        self.directories.last().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, archive: &Archive, entry: &Entry<'_>) -> io::Result<()> {
        let directory = self.here()?;
        let times = times(entry.mtime);
        match entry.kind {
            Kind::File { executable, contents } => {
                let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(directory, entry.name, flags, mode)?);
                archive.copy(contents, &mut file)?;
                rustix::fs::futimens(&file, &times)?;
                self.progress.advance(contents.length);
            }
            Kind::Symlink(target) => {
                rustix::fs::symlinkat(target, directory, entry.name)?;
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::utimensat(directory, entry.name, &times, flags)?;
            }
            Kind::Directory => {
                rustix::fs::mkdirat(directory, entry.name, Mode::from_raw_mode(0o777))?;
                let inner = open_directory(directory, entry.name)?;
                self.directories.push(inner);
            }
        }
        Ok(())
    }

    fn failed(&self, entry: &Entry<'_>, source: io::Error) -> Error {
        let path = String::from_utf8_lossy(entry.path).into_owned();
        Error::Write { path, target: self.target.to_owned(), source }
    }
}

impl Visitor for Writer<'_> {
    type Error = Error;

    fn entry(&mut self, archive: &Archive, entry: &Entry<'_>) -> Result<(), Error> {
        self.write(archive, entry).map_err(|source| self.failed(entry, source))
    }

    fn leave(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        let Some(directory) = self.directories.pop() else { return Ok(()) };
        rustix::fs::futimens(directory.as_fd(), &times(entry.mtime))
            .map_err(|errno| self.failed(entry, errno.into()))
    }
}

/// Access and modification time from nanoseconds since 1970, rounded down for negative ones.
fn times(nanoseconds: i64) -> Timestamps {
    const SECOND: i64 = 1_000_000_000;
    let time = Timespec {
        tv_sec: nanoseconds.div_euclid(SECOND),
        tv_nsec: nanoseconds.rem_euclid(SECOND) as _,
    };
    Timestamps { last_access: time, last_modification: time }
}
