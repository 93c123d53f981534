//! Making a package: the tree becomes an archive, streamed file by file into blocks that are
//! compressed side by side, hashed on the way and signed at the end (format, "packing").
//!
//! The signature comes first in the file but is known last. It gets a block of its own, stored and
//! so of a known size, for which room is left.

mod cache;
mod compress;
pub mod plan;
pub mod selected;
mod similar;
mod source;
mod survey;

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256, Sha512};
use spk_files::atomic::{self, AtomicFile};

use crate::app_id::AppId;
use crate::archive::layout::{Layout, TooLarge};
use crate::archive::tree::{self, Tree};
use crate::keyring::Key;
use crate::limits::MAGIC;
use crate::package_id::PackageId;
use crate::progress::{Progress, Stage};
use crate::signature;
use crate::xz::container;
use crate::xz::encode;

use cache::Cache;
pub use plan::Level;
pub(crate) use source::open as open_contents;

/// Why a package was not made. What was at its place before is still there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree has something no package can hold.
    #[error(transparent)]
    Tree(#[from] tree::Error),
    /// The tree is too large.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// A file could not be read.
    #[error("cannot read {} for '{path}'", .file.display())]
    Read {
        /// Its path in the package.
        path: String,
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not what it was when the tree was made.
    #[error("{} changed while it was being packed (for '{path}')", .file.display())]
    Changed {
        /// Its path in the package.
        path: String,
        /// The file.
        file: PathBuf,
    },
    /// Compression failed.
    #[error(transparent)]
    Compress(#[from] encode::Error),
    /// The threads that compress could not be started.
    #[error("cannot start threads to compress the package")]
    Threads(#[source] io::Error),
    /// The package could not be written.
    #[error("cannot write the package {}", .path.display())]
    Write {
        /// The package.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// How to pack.
#[derive(Debug, Clone)]
pub struct Options {
    /// How hard to compress.
    pub level: Level,
    /// Blocks compressed at once. The result does not depend on it.
    pub threads: usize,
    /// Directory that keeps compressed blocks between packs.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Options { level: Level::default(), threads, cache: None }
    }
}

/// A package that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Whose key signed.
    pub key: AppId,
    /// The package's identity.
    pub package_id: PackageId,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the package.
    pub package_bytes: u64,
}

/// Packs `tree`, signed by `key`, into the file `output`, which is replaced once all has worked.
pub fn pack(
    tree: &Tree,
    key: &Key,
    output: &Path,
    options: &Options,
    progress: &mut dyn Progress,
) -> Result<Packed, Error> {
    tree.check()?;
    let layout = Layout::new(tree, |files| plan::arrange(files, &options.level, options.threads))?;
    let plan = plan::blocks(&layout, &options.level);
    progress.stage(Stage::Pack, Some(layout.total));
    let (files, blocks) = (layout.files.len(), plan.len());
    tracing::info!(files, bytes = layout.total, blocks, output = %output.display(), "packing");
    let failed = |source| Error::Write { path: output.to_owned(), source };
    let file = atomic::Options::mode(0o666).create(output).map_err(failed)?;
    let mut writer = Writer { file: &file, offset: FIRST_BLOCK, records: Vec::new() };

    let mut hash = Sha512::new();
    let cache = options.cache.as_deref().and_then(|directory| Cache::open(directory).ok());
    compress::run(
        &layout,
        &plan,
        options.threads,
        cache.as_ref(),
        &mut hash,
        progress,
        &mut |block| writer.block(&block).map_err(failed),
    )?;
    let mut digest = [0; 64];
    digest.copy_from_slice(&hash.finalize());
    let signature = container::stored_block(&signature::sign(key.signing_key(), &digest));
    debug_assert_eq!(FIRST_BLOCK, START + signature.bytes.len() as u64);
    let package_bytes = writer.finish(&signature).map_err(failed)?;

    let package_id = id(&file, package_bytes).map_err(failed)?;
    file.commit().map_err(failed)?;
    if let Some(cache) = cache {
        // The package is done; a cache that is too large is no reason to fail.
        let _ = cache.prune();
    }
    let archive_bytes = layout.total;
    tracing::info!(bytes = package_bytes, id = %package_id, "packed");
    Ok(Packed { key: key.app_id(), package_id, archive_bytes, package_bytes })
}

/// Where the signature's block starts.
const START: u64 = (MAGIC.len() + container::STREAM_HEADER) as u64;

/// Bytes of the signature's block: header 16, one stored chunk of 192 with 3 before and 1 after,
/// no padding, check 8.
const SIGNATURE_BLOCK: u64 = 16 + 3 + signature::LENGTH as u64 + 1 + 8;

/// Where the archive's first block starts.
const FIRST_BLOCK: u64 = START + SIGNATURE_BLOCK;

/// Writes blocks one after another, leaving room for the signature's.
struct Writer<'a> {
    file: &'a AtomicFile,
    offset: u64,
    records: Vec<container::Record>,
}

impl Writer<'_> {
    fn block(&mut self, block: &container::Block) -> io::Result<()> {
        self.file.file().write_all_at(&block.bytes, self.offset)?;
        self.offset += block.bytes.len() as u64;
        self.records.push(block.record);
        Ok(())
    }

    /// Writes what is at either end; gives the length of all.
    fn finish(mut self, signature: &container::Block) -> io::Result<u64> {
        self.records.insert(0, signature.record);
        let start = [&MAGIC[..], &container::stream_header(), &signature.bytes].concat();
        self.file.file().write_all_at(&start, 0)?;
        let end = container::stream_end(&self.records);
        self.file.file().write_all_at(&end, self.offset)?;
        Ok(self.offset + end.len() as u64)
    }
}

/// Reads the finished file once more, from the page cache, for its hash.
fn id(output: &AtomicFile, length: u64) -> io::Result<PackageId> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut offset = 0;
    while offset < length {
        let step = (length - offset).min(buffer.len() as u64) as usize;
        output.file().read_exact_at(&mut buffer[..step], offset)?;
        hash.update(&buffer[..step]);
        offset += step as u64;
    }
    Ok(PackageId::from_hash(hash))
}
