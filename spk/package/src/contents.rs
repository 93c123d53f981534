//! Looking into packages: what is in them, single files of them, and how two of them differ.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use spk_files::path::above;

use crate::app_id::AppId;
use crate::archive::read::{self, Archive, Contents, Entry, Kind, Visitor};
use crate::package_id::PackageId;
use crate::progress::Progress;
use crate::spk::{self, Package};
use crate::verify::Options;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// A file.
    File {
        /// Whether it may be executed.
        executable: bool,
        /// In bytes.
        size: u64,
    },
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A directory.
    Directory,
}

/// An entry of a package.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    contents: Option<Contents>,
}

impl Item {
    /// Bytes of contents.
    pub fn size(&self) -> u64 {
        self.contents.map_or(0, |contents| contents.length)
    }
}

/// A package whose signature and hash hold, opened for looking into it.
pub struct Opened {
    package: Package,
    items: BTreeMap<Vec<u8>, Item>,
}

impl Opened {
    /// Opens the package that `input` reads.
    pub fn open(
        input: &mut dyn Read,
        size: Option<u64>,
        options: &Options,
        progress: &mut dyn Progress,
    ) -> Result<Opened, spk::Error> {
        let package = spk::open(input, size, &options.directory, options.threads, progress)?;
        let mut collector = Collector(BTreeMap::new());
        package.archive.walk(&mut collector)?;
        Ok(Opened { package, items: collector.0 })
    }

    /// The app's identity.
    pub fn app_id(&self) -> AppId {
        self.package.app_id
    }

    /// The package's identity.
    pub fn package_id(&self) -> PackageId {
        self.package.package_id
    }

    /// All entries by path (without a leading slash).
    pub fn items(&self) -> &BTreeMap<Vec<u8>, Item> {
        &self.items
    }

    /// Writes an item's contents to `out`; nothing unless it is a file.
    pub fn copy(&self, item: &Item, out: &mut dyn Write) -> io::Result<()> {
        match item.contents {
            Some(contents) => self.package.archive.copy(contents, out),
            None => Ok(()),
        }
    }

    /// Fills `buffer` with a part of an item's contents, which has to be there.
    pub fn read_at(&self, item: &Item, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match item.contents {
            Some(contents) => self.package.archive.read_at(contents, buffer, offset),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn hash(&self, item: &Item) -> io::Result<[u8; 32]> {
        struct Hasher(Sha256);
        impl Write for Hasher {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.update(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut hasher = Hasher(Sha256::new());
        self.copy(item, &mut hasher)?;
        Ok(hasher.0.finalize().into())
    }
}

struct Collector(BTreeMap<Vec<u8>, Item>);

impl Visitor for Collector {
    type Error = read::Error;
    fn entry(&mut self, _: &Archive, entry: &Entry<'_>) -> Result<(), read::Error> {
        let (kind, contents) = match entry.kind {
            Kind::File { executable, contents } => {
                (ItemKind::File { executable, size: contents.length }, Some(contents))
            }
            Kind::Symlink(target) => (ItemKind::Symlink(target.to_vec()), None),
            Kind::Directory => (ItemKind::Directory, None),
        };
        self.0.insert(entry.path.to_vec(), Item { kind, mtime: entry.mtime, contents });
        Ok(())
    }
}

/// How an entry differs between two packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Only in the second; bytes there.
    Added(u64),
    /// Only in the first; bytes there.
    Removed(u64),
    /// In both, but not the same: bytes in the first and in the second.
    Changed(u64, u64),
}

impl Change {
    /// Bytes in the first and in the second package.
    pub fn sizes(&self) -> (u64, u64) {
        match *self {
            Change::Added(size) => (0, size),
            Change::Removed(size) => (size, 0),
            Change::Changed(before, after) => (before, after),
        }
    }
}

/// What differs between two packages, by path. Modification times do not count.
pub fn diff(before: &Opened, after: &Opened) -> io::Result<BTreeMap<Vec<u8>, Change>> {
    let mut changes = BTreeMap::new();
    for (path, old) in &before.items {
        let change = match after.items.get(path) {
            None => Change::Removed(old.size()),
            Some(new) if old.kind != new.kind => Change::Changed(old.size(), new.size()),
            Some(new) if before.hash(old)? != after.hash(new)? => {
                Change::Changed(old.size(), new.size())
            }
            Some(_) => continue,
        };
        changes.insert(path.clone(), change);
    }
    for (path, new) in &after.items {
        if !before.items.contains_key(path) {
            changes.insert(path.clone(), Change::Added(new.size()));
        }
    }
    Ok(changes)
}

/// The directories of a package and the bytes of all files in and below each; the root is empty.
pub fn sizes<'a>(items: impl Iterator<Item = (&'a [u8], u64)>) -> BTreeMap<Vec<u8>, u64> {
    let mut sizes = BTreeMap::new();
    for (path, size) in items {
        *sizes.entry(Vec::new()).or_default() += size;
        for directory in above(path) {
            *sizes.entry(directory.to_vec()).or_default() += size;
        }
    }
    sizes
}
