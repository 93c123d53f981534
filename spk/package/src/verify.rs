//! Checking a package: everything servers check before they install it, and everything that
//! unpacking would trip over (format, "verification").

use std::io::Read;
use std::path::Path;

use crate::archive::read::{self, Archive, Entry, Kind, Visitor};
use crate::author;
use crate::info::{self, Info, Manifest};
use crate::limits::MAX_MANIFEST_BYTES;
use crate::progress::Progress;
use crate::spk;
pub use crate::spk::Error as PackageError;

/// Name of the manifest in a package's root.
pub const MANIFEST: &[u8] = b"sandstorm-manifest";

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package itself.
    #[error(transparent)]
    Package(#[from] spk::Error),
    /// Its archive.
    #[error(transparent)]
    Archive(#[from] read::Error),
    /// It has no manifest.
    #[error("the package has no manifest: there is no sandstorm-manifest in its root directory")]
    NoManifest,
    /// The manifest is a directory, a link or a program.
    #[error("the package's sandstorm-manifest is not a regular file")]
    ManifestType,
    /// The manifest is larger than servers read.
    #[error("the package's manifest has {0} bytes; servers read at most 8 MiB")]
    ManifestSize(u64),
    /// The manifest's contents.
    #[error(transparent)]
    Manifest(#[from] info::Error),
    /// The author's signature.
    #[error(transparent)]
    Author(#[from] author::Error),
}

/// How to check.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the decompressed archive is kept meanwhile (up to 1 GiB).
    pub directory: std::path::PathBuf,
    /// Blocks decompressed at once.
    pub threads: usize,
}

impl Default for Options {
    /// The system's directory for temporary files, and all processors.
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Options { directory: std::env::temp_dir(), threads }
    }
}

/// Checks the package that `input` reads.
pub fn verify(
    input: &mut dyn Read,
    size: Option<u64>,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Info, Error> {
    let package = spk::open(input, size, &options.directory, options.threads, progress)?;
    inspect(&package)
}

/// Checks the package in the file `path`.
pub fn verify_file(
    path: &Path,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Info, Error> {
    let mut file = std::fs::File::open(path).map_err(spk::Error::Read)?;
    let size = file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len());
    verify(&mut file, size, options, progress)
}

/// Steps 9 to 12, and the walk that unpacking does.
pub(crate) fn inspect(package: &spk::Package) -> Result<Info, Error> {
    let manifest = manifest(&package.archive)?;
    let author_fingerprint = match manifest.author_signature() {
        Some(signature) => Some(author::check(&package.app_id, signature)?),
        None => None,
    };
    tracing::info!(app = %package.app_id, package = %package.package_id, "package verified");
    Ok(Info {
        app_id: package.app_id,
        package_id: package.package_id,
        author_fingerprint,
        manifest,
    })
}

/// Walks the whole archive and reads its manifest.
pub(crate) fn manifest(archive: &Archive) -> Result<Manifest, Error> {
    let mut finder = Finder { found: None };
    archive.walk(&mut finder)?;
    let bytes = finder.found.ok_or(Error::NoManifest)??;
    Ok(Manifest::parse(&bytes)?)
}

struct Finder {
    found: Option<Result<Vec<u8>, Error>>,
}

impl Visitor for Finder {
    type Error = Error;

    fn entry(&mut self, archive: &Archive, entry: &Entry<'_>) -> Result<(), Error> {
        if entry.path != MANIFEST {
            return Ok(());
        }
        self.found = Some(match entry.kind {
            Kind::File { executable: false, contents } => {
                match archive.bytes(contents, MAX_MANIFEST_BYTES) {
                    Some(bytes) => Ok(bytes?),
                    None => Err(Error::ManifestSize(contents.length)),
                }
            }
            _ => Err(Error::ManifestType),
        });
        Ok(())
    }
}
