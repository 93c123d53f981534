//! Where the parts of an image are: a directory, or a tar in a file or a stream.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use spk_files::path::{is_name, join, parent, split};
use spk_files::{Dir, printable};

use crate::blob::{Bounded, Compression, Counting, Exceeded, decompressed};
use crate::error::Error;
use crate::limits::{self, Limits};

/// An image that has not been looked into yet.
#[derive(Debug)]
pub struct Input(Kind);

#[derive(Debug)]
enum Kind {
    Directory(Dir),
    Archive(Archive),
}

/// A part's bytes.
#[derive(Debug)]
pub struct Part<'a> {
    /// How many.
    pub size: u64,
    bytes: Bytes<'a>,
}

#[derive(Debug)]
enum Bytes<'a> {
    Own(File),
    Within { file: &'a File, at: u64, left: u64 },
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.bytes {
            Bytes::Own(file) => file.read(buffer),
            Bytes::Within { file, at, left } => {
                let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                let count = file.read_at(&mut buffer[..most], *at)?;
                if count == 0 && most > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                *at += count as u64;
                *left -= count as u64;
                Ok(count)
            }
        }
    }
}

impl Input {
    /// A layout's directory, or an archive, compressed or not.
    ///
    /// # Errors
    /// When it cannot be read, or is no archive.
    pub fn open(path: &Path, limits: &Limits) -> Result<Input, Error> {
        let file = File::open(path).map_err(Error::Read)?;
        let found = file.metadata().map_err(Error::Read)?;
        if found.is_dir() {
            return Ok(Input(Kind::Directory(Dir::open_trusted(path).map_err(Error::Read)?)));
        }
        if !found.is_file() {
            return Input::from_stream(file, limits);
        }
        let mut head = [0; 8];
        let count = file.read_at(&mut head, 0).map_err(Error::Read)?;
        match Compression::of(&head[..count]) {
            Some(_) => Input::from_stream(file, limits),
            None => Ok(Input(Kind::Archive(Archive::open(file)?))),
        }
    }

    /// An archive that comes through a pipe, compressed or not. It is kept in a temporary file.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn from_stream(from: impl Read, limits: &Limits) -> Result<Input, Error> {
        let mut file = tempfile::tempfile().map_err(Error::Read)?;
        let (from, count) = Counting::new(from);
        let (mut from, exceeded) = Bounded::new(
            decompressed(from).map_err(Error::Read)?,
            count,
            limits.ratio,
            limits.total,
        );
        io::copy(&mut from, &mut file).map_err(|error| match exceeded.get() {
            Some(Exceeded::Ratio) => {
                Error::Bomb { what: "the archive".into(), limit: limits.ratio }
            }
            Some(Exceeded::Total) => total(limits),
            None => Error::Read(error),
        })?;
        file.seek(SeekFrom::Start(0)).map_err(Error::Read)?;
        Ok(Input(Kind::Archive(Archive::open(file)?)))
    }

    /// Whether there is such a part.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_ok_and(|part| part.is_some())
    }

    /// The part of that name.
    pub(crate) fn part(&self, name: &str) -> Result<Part<'_>, Error> {
        self.find(name)?.ok_or_else(|| Error::NoPart(printable::line(name)))
    }

    fn find(&self, name: &str) -> Result<Option<Part<'_>>, Error> {
        if !name.split('/').all(|name| is_name(name.as_bytes())) {
            return Err(Error::PartName(printable::line(name)));
        }
        match &self.0 {
            Kind::Archive(archive) => Ok(archive.find(name)),
            Kind::Directory(dir) => {
                let (parent, last) = split(name.as_bytes());
                let opened = dir.open_dir(parent).and_then(|dir| dir.open_file(last));
                let sized = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
                match sized {
                    Ok((size, file)) => Ok(Some(Part { size, bytes: Bytes::Own(file) })),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(Error::ReadPart { part: printable::line(name), source }),
                }
            }
        }
    }

    /// A part that is small, whole.
    pub(crate) fn document(&self, name: &str) -> Result<Vec<u8>, Error> {
        let part = self.part(name)?;
        if part.size > limits::DOCUMENT {
            let what = format!("bytes in '{}'", printable::line(name));
            return Err(Error::TooMany { what, limit: limits::DOCUMENT });
        }
        let mut bytes = Vec::new();
        part.take(limits::DOCUMENT)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::ReadPart { part: printable::line(name), source })?;
        Ok(bytes)
    }
}

/// The error of too much in all.
pub(crate) fn total(limits: &Limits) -> Error {
    Error::Limit { what: "bytes in the image", limit: limits.total, flag: "--max-size" }
}

/// Where each part of a tar lies. Parts can be links to others, as `docker save` once wrote layers that
/// several images share.
#[derive(Debug)]
struct Archive {
    file: File,
    parts: BTreeMap<String, Place>,
}

#[derive(Debug)]
enum Place {
    Bytes { at: u64, size: u64 },
    Link(String),
}

/// Links to links.
const LINKS: usize = 8;

impl Archive {
    fn open(file: File) -> Result<Archive, Error> {
        let mut parts = BTreeMap::new();
        let mut tar = tar::Archive::new(&file);
        for entry in tar.entries_with_seek().map_err(Error::Read)? {
            let entry = entry.map_err(not_a_tar)?;
            let name = name_of(&entry.path_bytes())?;
            let place = match entry.header().entry_type() {
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    Place::Bytes { at: entry.raw_file_position(), size: entry.size() }
                }
                kind @ (tar::EntryType::Symlink | tar::EntryType::Link) => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let from =
                        if kind == tar::EntryType::Link { b"" } else { parent(name.as_bytes()) };
                    Place::Link(resolved(from, &target)?)
                }
                _ => continue,
            };
            if parts.len() >= limits::PARTS {
                let what = "parts of the archive".to_owned();
                return Err(Error::TooMany { what, limit: limits::PARTS as u64 });
            }
            if parts.insert(name.clone(), place).is_some() {
                return Err(Error::DuplicatePart(printable::line(name)));
            }
        }
        Ok(Archive { file, parts })
    }

    fn find(&self, name: &str) -> Option<Part<'_>> {
        let mut place = self.parts.get(name)?;
        for _ in 0..LINKS {
            match place {
                Place::Bytes { at, size } => {
                    let bytes = Bytes::Within { file: &self.file, at: *at, left: *size };
                    return Some(Part { size: *size, bytes });
                }
                Place::Link(target) => place = self.parts.get(target)?,
            }
        }
        None
    }
}

fn not_a_tar(error: io::Error) -> Error {
    match error.kind() {
        // As the library tells a header that is none.
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Read(io::Error::new(error.kind(), format!("not a tar, or damaged: {error}")))
        }
        _ => Error::Read(error),
    }
}

fn name_of(name: &[u8]) -> Result<String, Error> {
    let name = crate::name::plain(0, name).map_err(|_| Error::PartName(printable::line(name)))?;
    String::from_utf8(name).map_err(|error| Error::PartName(printable::line(error.as_bytes())))
}

/// What a link in the directory `from` leads to, within the archive.
fn resolved(from: &[u8], target: &[u8]) -> Result<String, Error> {
    let bad = || Error::PartName(printable::line(target));
    let mut path = from.to_vec();
    for component in target.split(|&byte| byte == b'/') {
        match component {
            b".." if path.is_empty() => return Err(bad()),
            b".." => path = parent(&path).to_vec(),
            b"" | b"." => {}
            name => path = join(&path, name),
        }
    }
    name_of(&path)
}
