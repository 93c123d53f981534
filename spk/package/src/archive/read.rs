//! Reading archives made by anybody: one walk with all checks, used by everything that looks into
//! a package, so that nothing verifies and then fails to unpack.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};
use spk_files::path::push;
use spk_files::printable;

use super::tree::valid_name;
use crate::limits::{
    MAX_ARCHIVE_SEGMENTS, MAX_ENTRIES, MAX_NAME_BYTES, MAX_PATH_COMPONENTS, MAX_TARGET_BYTES,
};
use crate::wire::{self, Message, StructList};

/// Why an archive is refused. Paths are shown with what is not UTF-8 replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The message itself is damaged.
    #[error("the package's archive is damaged")]
    Message(#[from] wire::Error),
    /// An entry is damaged.
    #[error("the package's archive is damaged at '{path}'")]
    Entry {
        /// The directory or entry.
        path: String,
        /// What is wrong.
        source: wire::Error,
    },
    /// A name that could lead elsewhere, or that no file system takes.
    #[error("the package has an entry with the invalid name '{name}' in '{directory}'")]
    Name {
        /// Path of its directory.
        directory: String,
        /// The name.
        name: String,
    },
    /// Two entries of one name.
    #[error("the package has two entries '{path}'")]
    Duplicate {
        /// Path.
        path: String,
    },
    /// A kind of entry that does not exist.
    #[error("the package's entry '{path}' is of the unknown type {tag}")]
    Type {
        /// Path.
        path: String,
        /// The union's tag.
        tag: u16,
    },
    /// A target that cannot be.
    #[error("the package's symbolic link '{path}' has an invalid target")]
    Target {
        /// Path.
        path: String,
    },
    /// Deeper than servers unpack.
    #[error(
        "the package's entry '{path}' lies too deep: no more than {MAX_PATH_COMPONENTS} path \
         components are allowed"
    )]
    Depth {
        /// Path.
        path: String,
    },
    /// More entries than allowed.
    #[error("the package has more than {MAX_ENTRIES} entries")]
    Entries,
    /// Reading contents failed.
    #[error("cannot read the unpacked archive: {0}")]
    Read(io::Error),
}

/// An archive that is in a file, starting at its first byte.
pub struct Archive {
    message: Message<File>,
    words: u64,
}

/// An entry as the walk comes to it.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Path in the package, without a leading slash.
    pub path: &'a [u8],
    /// Its last component.
    pub name: &'a [u8],
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What an entry is.
#[derive(Debug)]
pub enum Kind<'a> {
    /// A file and where its contents are.
    File {
        /// Whether it may be executed.
        executable: bool,
        /// To be read with [`Archive::copy`].
        contents: Contents,
    },
    /// A symbolic link's target.
    Symlink(&'a [u8]),
    /// A directory; its entries follow, then [`Visitor::leave`].
    Directory,
}

/// A file's contents: a range of the archive.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    offset: u64,
    /// In bytes.
    pub length: u64,
}

/// Sees every entry of an archive: directories before what is in them.
pub trait Visitor {
    /// What can go wrong with the visitor itself.
    type Error: From<Error>;
    /// An entry.
    fn entry(&mut self, archive: &Archive, entry: &Entry<'_>) -> Result<(), Self::Error>;
    /// All entries of the directory last entered have been seen.
    fn leave(&mut self, _entry: &Entry<'_>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A visitor that only lets the walk check.
pub struct Check;

impl Visitor for Check {
    type Error = Error;
    fn entry(&mut self, _: &Archive, _: &Entry<'_>) -> Result<(), Error> {
        Ok(())
    }
}

impl Archive {
    /// Opens the archive in the first `length` bytes of `file`.
    pub fn open(file: File, length: u64) -> Result<Archive, Error> {
        // As in the original: all objects together may be as large as the message.
        let words = length / 8;
        let message = Message::open(file, length, MAX_ARCHIVE_SEGMENTS, words)?;
        Ok(Archive { message, words })
    }

    /// Gives back the file.
    pub fn into_file(self) -> File {
        self.message.into_source()
    }

    /// Visits every entry and checks all that unpacking would trip over.
    pub fn walk<V: Visitor>(&self, visitor: &mut V) -> Result<(), V::Error> {
        self.message.reset_budget(self.words);
        let root = self.message.root().map_err(Error::from)?;
        let files = match root.and_then(|root| root.slot(0)) {
            Some(slot) => self.message.list(slot, "the list of files").map_err(Error::from)?,
            None => None,
        };
        let mut walk = Walk { archive: self, visitor, path: Vec::new(), entries: 0 };
        match files {
            Some(files) => walk.directory(&files, 1),
            None => Ok(()),
        }
    }

    /// Writes a file's contents to `out`.
    pub fn copy(&self, contents: Contents, out: &mut dyn Write) -> io::Result<()> {
        let mut buffer = vec![0; contents.length.min(256 << 10) as usize];
        let mut offset = contents.offset;
        let mut rest = contents.length;
        while rest > 0 {
            let step = rest.min(buffer.len() as u64) as usize;
            self.message.source().read_exact_at(&mut buffer[..step], offset)?;
            out.write_all(&buffer[..step])?;
            offset += step as u64;
            rest -= step as u64;
        }
        Ok(())
    }

    /// Fills `buffer` with a part of a file's contents, which has to be there.
    pub fn read_at(&self, contents: Contents, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > contents.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.message.source().read_exact_at(buffer, contents.offset + offset)
    }

    /// A file's contents, if they have at most `limit` bytes.
    pub fn bytes(&self, contents: Contents, limit: u64) -> Option<Result<Vec<u8>, Error>> {
        (contents.length <= limit).then(|| {
            let mut bytes = vec![0; contents.length as usize];
            self.message
                .source()
                .read_exact_at(&mut bytes, contents.offset)
                .map(|()| bytes)
                .map_err(Error::Read)
        })
    }
}

struct Walk<'a, V> {
    archive: &'a Archive,
    visitor: &'a mut V,
    path: Vec<u8>,
    entries: u64,
}

impl<V: Visitor> Walk<'_, V> {
    fn directory(&mut self, list: &StructList, depth: usize) -> Result<(), V::Error> {
        self.entries = self.entries.saturating_add(list.count);
        if self.entries > MAX_ENTRIES {
            return Err(Error::Entries.into());
        }
        let mut names = Names::default();
        for index in 0..list.count {
            let length = self.path.len();
            self.entry(list, index, depth, &mut names)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(
        &mut self,
        list: &StructList,
        index: u64,
        depth: usize,
        names: &mut Names,
    ) -> Result<(), V::Error> {
        let message = &self.archive.message;
        let directory = |path: &[u8]| printable::line(if path.is_empty() { b"/" } else { path });
        let element = list.element(index);
        let in_directory = |path: &[u8], source| Error::Entry { path: directory(path), source };
        let name = match element.slot(0) {
            Some(slot) => match message.text(slot, MAX_NAME_BYTES, "a name") {
                Err(wire::Error::TooLong(length)) => {
                    let name = format!("(of {length} bytes)");
                    let directory = directory(&self.path);
                    return Err(Error::Name { directory, name }.into());
                }
                other => other.map_err(|source| in_directory(&self.path, source))?,
            },
            None => Vec::new(),
        };
        if !valid_name(&name) {
            let directory = directory(&self.path);
            return Err(Error::Name { directory, name: printable::line(&name) }.into());
        }
        push(&mut self.path, &name);
        let start = self.path.len() - name.len();
        if !names.insert(name) {
            return Err(Error::Duplicate { path: printable::line(&self.path) }.into());
        }
        if depth > MAX_PATH_COMPONENTS {
            return Err(Error::Depth { path: printable::line(&self.path) }.into());
        }
        let here = |source| Error::Entry { path: printable::line(&self.path), source };
        let tag = message.data_word(&element, 0).map_err(here)? as u16;
        let mtime = message.data_word(&element, 1).map_err(here)? as i64;
        let slot = element.slot(1);
        let archive = self.archive;
        let entry = |kind| Entry { path: &self.path, name: &self.path[start..], mtime, kind };
        match tag {
            0 | 1 => {
                let bytes = match slot {
                    Some(slot) => message.bytes(slot, "a file's contents").map_err(here)?,
                    None => None,
                };
                let contents = bytes.map_or(Contents { offset: 0, length: 0 }, |bytes| Contents {
                    offset: bytes.offset,
                    length: bytes.length,
                });
                let kind = Kind::File { executable: tag == 1, contents };
                self.visitor.entry(archive, &entry(kind))
            }
            2 => {
                let target = match slot {
                    Some(slot) => message.text(slot, MAX_TARGET_BYTES, "a symbolic link's target"),
                    None => Ok(Vec::new()),
                };
                let target = match target {
                    Err(wire::Error::TooLong(_)) => Vec::new(),
                    other => other.map_err(here)?,
                };
                if target.is_empty() || target.contains(&0) {
                    return Err(Error::Target { path: printable::line(&self.path) }.into());
                }
                self.visitor.entry(archive, &entry(Kind::Symlink(&target)))
            }
            3 => {
                let list = match slot {
                    Some(slot) => message.list(slot, "a directory").map_err(here)?,
                    None => None,
                };
                self.visitor.entry(archive, &entry(Kind::Directory))?;
                if let Some(list) = list {
                    self.directory(&list, depth + 1)?;
                }
                let (path, name) = (&self.path[..], &self.path[start..]);
                self.visitor.leave(&Entry { path, name, mtime, kind: Kind::Directory })
            }
            _ => Err(Error::Type { path: printable::line(&self.path), tag }.into()),
        }
    }
}

/// The names seen in one directory. Almost every archive lists them in order, where looking at the
/// last one is enough; else 16 bytes of a hash are kept of each, whatever its length.
#[derive(Default)]
struct Names {
    last: Option<Vec<u8>>,
    sorted: Option<Vec<[u8; 16]>>,
    seen: HashSet<[u8; 16]>,
    unsorted: bool,
}

impl Names {
    /// Whether `name` is new.
    fn insert(&mut self, name: Vec<u8>) -> bool {
        let in_order = self.last.as_ref().is_none_or(|last| *last < name);
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(&name)[..16]);
        if in_order && !self.unsorted {
            self.sorted.get_or_insert_default().push(hash);
            self.last = Some(name);
            return true;
        }
        if !self.unsorted {
            self.unsorted = true;
            self.seen.extend(self.sorted.take().unwrap_or_default());
        }
        self.seen.insert(hash)
    }
}
