//! Restoring a backup into a new grain: all is checked before anything is written, everything is
//! written below one directory descriptor, links come last, and nothing stays after a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use rustix::fs::Mode;
use spk_package::progress::{Progress, Stage};

use super::error::{Error, shown};
use super::export::Skipped;
use super::info::METADATA_LIMIT;
use super::limits::{DIRECTORY_PER_MEMBER, LINK_LENGTH, Limits, RATIO_FREE};
use super::names::{DIRECTORY_MODE, Kind, Place, kind, place};
use super::zip::member::Reader;
use super::zip::read::{Archive, DirectoryLimits};
use crate::store::SANDBOX;
use spk_files::path::{above, parent, split};
use spk_files::{Dir, Time};

/// Runs of zeros of this length, at multiples of it, become holes.
const HOLE: usize = 32 << 10;

static ZEROS: [u8; HOLE] = [0; HOLE];

/// A backup that has been found good as far as its headers tell.
pub(crate) struct Plan {
    archive: Archive,
    archive_length: u64,
    /// Bytes in all files and links.
    total: u64,
    limits: Limits,
    metadata: usize,
    files: Vec<usize>,
    links: Vec<usize>,
    /// Path below `data/` → mode and time.
    directories: BTreeMap<Vec<u8>, (u32, Time)>,
    /// Not restored, or not as it was.
    pub notes: Vec<Skipped>,
}

/// What was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Regular files.
    pub files: u64,
    /// Directories, with those the archive does not list.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in files.
    pub bytes: u64,
}

impl Plan {
    /// Reads and checks all headers.
    pub fn new(file: File, limits: Limits, literal_backslashes: bool) -> Result<Plan, Error> {
        let length = file.metadata().map_err(|e| Error::Archive("read", e))?.len();
        let directory = limits.members.saturating_mul(DIRECTORY_PER_MEMBER).max(1 << 20);
        let archive = Archive::open(file, DirectoryLimits { members: limits.members, directory })?;
        let mut plan = Plan {
            archive,
            archive_length: length,
            total: 0,
            limits,
            metadata: usize::MAX,
            files: Vec::new(),
            links: Vec::new(),
            directories: BTreeMap::new(),
            notes: Vec::new(),
        };
        let mut data = false;
        for index in 0..plan.archive.len() {
            let (name, member) = plan.archive.member(index);
            let place = place(name, member, limits.name_length, literal_backslashes)?;
            let (kind, mode, special_bits) = kind(name, member)?;
            let note = |reason: &str| Skipped { path: name.to_vec(), reason: reason.to_owned() };
            match (place, kind) {
                (Place::Metadata, Kind::File) => {
                    if member.size > METADATA_LIMIT {
                        return Err(Error::BadMetadata("it is larger than 1 MiB".into()));
                    }
                    plan.metadata = index;
                }
                (Place::Metadata, _) => {
                    return Err(Error::BadMetadata("it is not a regular file".into()));
                }
                (Place::Top, _) => {}
                (Place::Other, _) if name == b"log" => {}
                (Place::Other, _) => plan.notes.push(note("not part of a backup")),
                (Place::Data(path), kind) => {
                    data = true;
                    plan.total = plan.total.saturating_add(member.size);
                    match kind {
                        Kind::Directory => {
                            plan.directories.insert(path.to_vec(), (mode, member.time));
                        }
                        _ if path.is_empty() => {
                            let what = "the grain's data is not a directory";
                            return Err(Error::Kind { name: shown(name), what });
                        }
                        Kind::File => plan.files.push(index),
                        Kind::Link if member.size == 0 || member.size > LINK_LENGTH => {
                            return Err(Error::BadLink(shown(name)));
                        }
                        Kind::Link => plan.links.push(index),
                    }
                    if special_bits && kind != Kind::Link {
                        plan.notes.push(note("set-id and sticky bits are not restored"));
                    }
                }
            }
        }
        if plan.metadata == usize::MAX {
            return Err(plan.no_metadata());
        }
        if !data {
            return Err(Error::NoData);
        }
        if plan.total > limits.total {
            return Err(Error::Limit {
                what: "bytes in the backup's files",
                found: plan.total,
                limit: limits.total,
                flag: "--max-size",
            });
        }
        Ok(plan)
    }

    /// Where the metadata may be instead.
    fn no_metadata(&self) -> Error {
        let names = (0..self.archive.len()).map(|index| self.archive.member(index).0);
        let folder = names
            .filter_map(|name| name.strip_suffix(b"/metadata"))
            .find(|folder| !folder.contains(&b'/'));
        match folder {
            Some(folder) => Error::InFolder { folder: shown(folder) },
            None => Error::NoMetadata,
        }
    }

    /// The bytes of `metadata`.
    pub fn metadata(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.archive.read(&mut Reader::new(), self.metadata, |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Reads all that [`Plan::extract`] would write, and writes nothing.
    pub fn examine(&self, progress: &mut dyn Progress) -> Result<Counts, Error> {
        progress.stage(Stage::Examine, Some(self.total));
        let mut counts = Counts { links: self.links.len() as u64, ..Counts::default() };
        let mut reader = Reader::new();
        let mut budget = self.budget();
        let mut directories: BTreeSet<&[u8]> = BTreeSet::from([&b""[..]]);
        let files = self.files.iter().chain(&self.links);
        let names = files.map(|&index| parent(data_path(self.archive.member(index).0)));
        for mut path in self.directories.keys().map(Vec::as_slice).chain(names) {
            while directories.insert(path) {
                path = parent(path);
            }
        }
        counts.directories = directories.len() as u64;
        for &index in &self.files {
            let (name, _) = self.archive.member(index);
            self.archive.read(&mut reader, index, |piece| {
                for run in runs(piece).filter(|run| !begins_zero(run)) {
                    budget.spend(name, run.len() as u64)?;
                }
                counts.bytes += piece.len() as u64;
                progress.advance(piece.len() as u64);
                Ok(())
            })?;
            counts.files += 1;
        }
        for &index in &self.links {
            self.link_target(&mut reader, index)?;
        }
        Ok(counts)
    }

    fn budget(&self) -> Budget {
        let ratio = self.limits.ratio;
        let allowed = RATIO_FREE.saturating_add(self.archive_length.saturating_mul(ratio));
        Budget { written: 0, ratio, allowed }
    }

    fn link_target(&self, reader: &mut Reader, index: usize) -> Result<Vec<u8>, Error> {
        let mut target = Vec::new();
        self.archive.read(reader, index, |piece| {
            target.extend_from_slice(piece);
            Ok(())
        })?;
        if target.contains(&0) {
            return Err(Error::BadLink(shown(self.archive.member(index).0)));
        }
        Ok(target)
    }

    /// Writes the grain's data as `sandbox` in `grain`, which must not have one.
    pub fn extract(&self, grain: &Dir, progress: &mut dyn Progress) -> Result<Counts, Error> {
        progress.stage(Stage::Restore, Some(self.total));
        let written = |path: &[u8]| {
            let path = shown(path);
            move |source| Error::Io { action: "write", path: path.into(), source }
        };
        // Usable by its owner, whatever the archive says of `data/` (grain-runtime §H.1 item 43).
        grain.create_dir(SANDBOX.as_bytes(), 0o700).map_err(written(b"data"))?;
        let top = grain.open_dir(SANDBOX.as_bytes()).map_err(written(b"data"))?;
        let mut tree = Tree { top: &top, made: BTreeSet::new(), parent: None };
        let mut counts = Counts::default();
        let mut reader = Reader::new();
        let mut budget = self.budget();
        for path in self.directories.keys() {
            tree.directory(path).map_err(written(path))?;
        }
        for &index in &self.files {
            let (name, member) = self.archive.member(index);
            let path = data_path(name);
            let (_, mode, _) = kind(name, member)?;
            let (parent, last) = tree.parent_of(path).map_err(written(path))?;
            let mut file = parent.create_file(last, 0o600).map_err(written(path))?;
            counts.bytes +=
                self.write_file(&mut reader, index, &mut file, &mut budget, progress)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode as _))
                .and_then(|()| rustix::fs::futimens(file.as_fd(), &member.time.stamps()))
                .map_err(|error| written(path)(error.into()))?;
            counts.files += 1;
        }
        // Only now, when nothing is written through a path any more.
        for &index in &self.links {
            let (name, member) = self.archive.member(index);
            let path = data_path(name);
            let target = self.link_target(&mut reader, index)?;
            let (parent, last) = tree.parent_of(path).map_err(written(path))?;
            parent.create_link(last, &target).map_err(written(path))?;
            parent.set_time(last, member.time).map_err(written(path))?;
            counts.links += 1;
        }
        let made = std::mem::take(&mut tree.made);
        counts.directories = made.len() as u64 + 1;
        // In reverse order of paths, what is inside comes first: a directory gets its final mode,
        // which may close it, when nothing below it is left to do.
        for path in made.iter().rev().map(Vec::as_slice).chain([&b""[..]]) {
            let dir = top.open_dir(path).map_err(written(path))?;
            let (mode, time) = match self.directories.get(path) {
                Some((mode, time)) => (*mode, Some(*time)),
                None => (DIRECTORY_MODE, None),
            };
            let mode = if path.is_empty() { mode | 0o700 } else { mode };
            dir.set_mode_and_time(mode, time).map_err(written(path))?;
        }
        Ok(counts)
    }

    fn write_file(
        &self,
        reader: &mut Reader,
        index: usize,
        file: &mut File,
        budget: &mut Budget,
        progress: &mut dyn Progress,
    ) -> Result<u64, Error> {
        let (name, _) = self.archive.member(index);
        let failed = |source| Error::Io { action: "write", path: shown(name).into(), source };
        let mut size = 0u64;
        let mut hole = false;
        self.archive.read(reader, index, |piece| {
            for run in runs(piece) {
                if begins_zero(run) {
                    file.seek(SeekFrom::Current(run.len() as i64)).map_err(failed)?;
                    hole = true;
                } else {
                    budget.spend(name, run.len() as u64)?;
                    file.write_all(run).map_err(failed)?;
                }
            }
            size += piece.len() as u64;
            progress.advance(piece.len() as u64);
            Ok(())
        })?;
        if hole {
            file.set_len(size).map_err(failed)?;
        }
        Ok(size)
    }
}

/// Bytes that may still be written.
struct Budget {
    written: u64,
    allowed: u64,
    ratio: u64,
}

impl Budget {
    fn spend(&mut self, name: &[u8], bytes: u64) -> Result<(), Error> {
        self.written += bytes;
        if self.written > self.allowed {
            return Err(Error::Bomb { name: shown(name), limit: self.ratio });
        }
        Ok(())
    }
}

/// The directories made so far, and the one last used.
struct Tree<'a> {
    top: &'a Dir,
    made: BTreeSet<Vec<u8>>,
    parent: Option<(Vec<u8>, Dir)>,
}

impl Tree<'_> {
    /// Makes a directory and those above it.
    fn directory(&mut self, path: &[u8]) -> io::Result<()> {
        if path.is_empty() || self.made.contains(path) {
            return Ok(());
        }
        let (parent, name) = self.parent_of(path)?;
        parent.create_dir(name, 0o700)?;
        self.made.insert(path.to_vec());
        Ok(())
    }

    /// The directory that `path` goes into, made if needed, and the last name of `path`.
    fn parent_of<'p>(&mut self, path: &'p [u8]) -> io::Result<(&Dir, &'p [u8])> {
        let (parent, name) = split(path);
        if self.parent.as_ref().is_none_or(|(open, _)| open != parent) {
            self.parent = None;
            for path in above(path) {
                if !self.made.contains(path) {
                    let (parent, name) = split(path);
                    self.top.open_dir(parent)?.create_dir(name, 0o700)?;
                    self.made.insert(path.to_vec());
                }
            }
            self.parent = Some((parent.to_vec(), self.top.open_dir(parent)?));
        }
        match &self.parent {
            Some((_, dir)) => Ok((dir, name)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// A piece in runs of chunks of [`HOLE`] bytes, as long as possible, that are zero or are not.
fn runs(piece: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let zero = is_zero(rest.chunks(HOLE).next()?);
        let count = rest.chunks(HOLE).take_while(|chunk| is_zero(chunk) == zero).count();
        let run;
        (run, rest) = rest.split_at((count * HOLE).min(rest.len()));
        Some(run)
    })
}

/// Which of the two a run is.
fn begins_zero(run: &[u8]) -> bool {
    run.get(..HOLE).is_some_and(is_zero)
}

fn is_zero(chunk: &[u8]) -> bool {
    // Short ends are not worth a hole.
    chunk.len() == HOLE && chunk == ZEROS
}

/// The path below `data/` of a member that is known to be there.
fn data_path(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b"/").unwrap_or(name);
    name.strip_prefix(b"data/").unwrap_or_default()
}
