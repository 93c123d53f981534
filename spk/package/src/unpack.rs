//! Unpacking a package: into a staging directory beside the target, through directory
//! descriptors, and renamed when all is written (format, "unpacking").

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use spk_files::{Dir, Staging, Time, atomic, printable};

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
    let parent_path = atomic::directory_of(target);
    let in_parent = |source: io::Error| Error::Parent { path: parent_path.to_owned(), source };
    let parent = Dir::open_trusted(parent_path).map_err(in_parent)?;
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
    let name = name.as_encoded_bytes();
    let staging = Staging::create(&parent, name, 0o777).map_err(in_parent)?;
    let top = staging.dir().try_clone().map_err(in_parent)?;
    let mut writer = Writer { target, directories: vec![top], progress };
    package.archive.walk(&mut writer)?;
    staging.commit(name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(target.to_owned()),
        _ => in_parent(error),
    })?;
    Ok((Unpacked { app_id: package.app_id, package_id: package.package_id }, info))
}

/// Writes entries below the last of the open directories. Names are single components and unique,
/// and everything is made exclusively, so nothing can lead out.
struct Writer<'a> {
    target: &'a Path,
    directories: Vec<Dir>,
    progress: &'a mut dyn Progress,
}

impl Writer<'_> {
    fn here(&self) -> io::Result<&Dir> {
        self.directories.last().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write(&mut self, archive: &Archive, entry: &Entry<'_>) -> io::Result<()> {
        let directory = self.here()?;
        let time = time(entry.mtime);
        match entry.kind {
            Kind::File { executable, contents } => {
                let mode = if executable { 0o777 } else { 0o666 };
                let mut file = directory.create_file(entry.name, mode)?;
                archive.copy(contents, &mut file)?;
                rustix::fs::futimens(&file, &time.both())?;
                self.progress.advance(contents.length);
            }
            Kind::Symlink(target) => {
                directory.create_link(entry.name, target)?;
                directory.set_time(entry.name, time)?;
            }
            Kind::Directory => {
                directory.create_dir(entry.name, 0o777)?;
                let inner = directory.open_dir(entry.name)?;
                self.directories.push(inner);
            }
        }
        Ok(())
    }

    fn failed(&self, entry: &Entry<'_>, source: io::Error) -> Error {
        let path = printable::line(entry.path);
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
        rustix::fs::futimens(directory.as_fd(), &time(entry.mtime).both())
            .map_err(|errno| self.failed(entry, errno.into()))
    }
}

/// The time so many nanoseconds since 1970.
fn time(nanoseconds: i64) -> Time {
    const SECOND: i64 = 1_000_000_000;
    Time {
        seconds: nanoseconds.div_euclid(SECOND),
        nanoseconds: nanoseconds.rem_euclid(SECOND) as u32,
    }
}
