//! The tree that layers make, one on the other.
//!
//! Nothing is ever written through a path: each directory on the way is opened for itself. A link on the
//! way is followed only if it is of a lower layer, as engines do where a layer has `lib/x` on an image in
//! which `lib` is a link to `usr/lib`; and then as for a process whose root the tree is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode};
use spk_files::path::{above, components, is_name, join, parent, split};
use spk_files::{Dir, Time, printable};

use crate::error::Error;
use crate::limits::{self, Limits};
use crate::name;
use crate::notes::{Notes, Unkept};

/// Mode and time of an entry.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// All twelve bits.
    pub mode: u32,
    /// When it was modified.
    pub time: Time,
}

/// What an image's root has in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Layers that were applied.
    pub layers: usize,
    /// Regular files; one with several names counts for each.
    pub files: u64,
    /// Directories, without the root itself.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in files.
    pub bytes: u64,
}

/// See the module.
pub struct Tree<'a> {
    top: &'a Dir,
    limits: Limits,
    notes: Notes,
    entries: u64,
    bytes: u64,
    /// What directories are to have in the end; no time for one that no layer lists.
    directories: BTreeMap<Vec<u8>, (u32, Option<Time>)>,
    /// The layer that is applied, from 1.
    layer: usize,
    /// Paths that this layer has, and all above them.
    touched: BTreeSet<Vec<u8>>,
    /// Entries of this layer that are no directories.
    said: BTreeSet<Vec<u8>>,
    /// Those that were left out.
    special: BTreeSet<Vec<u8>>,
    /// The directory last used: its name in entries, where it really is, and itself.
    last: Option<(Vec<u8>, Vec<u8>, Dir)>,
}

/// A directory that no layer lists.
const DIRECTORY_MODE: u32 = 0o755;

/// What is kept of modes: not the set-id bits.
const KEPT: u32 = 0o1777;

/// Links on the way to one entry, as in the kernel.
const LINKS: usize = 40;

/// Bytes written at once.
const BUFFER: usize = 128 << 10;

impl<'a> Tree<'a> {
    /// Below `top`, which is empty.
    pub fn new(top: &'a Dir, limits: Limits) -> Tree<'a> {
        Tree {
            top,
            limits,
            notes: Notes::default(),
            entries: 0,
            bytes: 0,
            directories: BTreeMap::new(),
            layer: 0,
            touched: BTreeSet::new(),
            said: BTreeSet::new(),
            special: BTreeSet::new(),
            last: None,
        }
    }

    /// What may be read.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What may still be written.
    pub fn bytes_left(&self) -> u64 {
        self.limits.total.saturating_sub(self.bytes)
    }

    /// From now on entries are of layer `layer`.
    pub fn begin(&mut self, layer: usize) {
        self.layer = layer;
        self.touched.clear();
        self.said.clear();
        self.special.clear();
        // What was of this layer is now of a lower one.
        self.last = None;
    }

    /// One more entry.
    pub fn count(&mut self) -> Result<(), Error> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            let (what, limit) = ("files in the image's layers", self.limits.entries);
            return Err(Error::Limit { what, limit, flag: "--max-entries" });
        }
        Ok(())
    }

    /// Remembers what is not kept.
    pub fn note(&mut self, what: Unkept, path: &[u8]) {
        self.notes.add(what, path);
    }

    /// The root's own entry.
    pub fn root(&mut self, time: Time) {
        self.directories.insert(Vec::new(), (DIRECTORY_MODE, Some(time)));
    }

    /// A directory, with what lower layers have in it.
    pub fn directory(&mut self, path: &[u8], attributes: Attributes) -> Result<(), Error> {
        let (dir, real) = self.make_way(path)?;
        let name = spk_files::path::name(path);
        if !self.vacate(&dir, &real, path, true)? {
            dir.create_dir(name, 0o700).map_err(written(path))?;
        }
        self.touch(&real);
        self.directories.insert(real, (attributes.mode & KEPT, Some(attributes.time)));
        Ok(())
    }

    /// A regular file.
    pub fn file(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        contents: &mut tar::Entry<'_, impl Read>,
    ) -> Result<(), Error> {
        let (dir, real) = self.make_way(path)?;
        self.vacate(&dir, &real, path, false)?;
        let name = spk_files::path::name(path);
        let mut file = dir.create_file(name, 0o600).map_err(written(path))?;
        let size = contents.size();
        let count = self.copy(path, contents, &mut file)?;
        if count != size {
            let (layer, name) = (self.layer, printable::line(path));
            return Err(Error::Layer { layer, name, source: io::ErrorKind::UnexpectedEof.into() });
        }
        // Its owner reads it, whatever the image says: it is to be packed.
        let mode = attributes.mode & KEPT | 0o600;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
            .and_then(|()| rustix::fs::futimens(file.as_fd(), &attributes.time.stamps()))
            .map_err(|error| written(path)(error.into()))?;
        self.say(real);
        Ok(())
    }

    fn copy(&mut self, path: &[u8], from: &mut impl Read, to: &mut File) -> Result<u64, Error> {
        let (layer, mut count, mut buffer) = (self.layer, 0, vec![0; BUFFER]);
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::Layer { layer, name: printable::line(path), source });
                }
            };
            to.write_all(&buffer[..read]).map_err(written(path))?;
            count += read as u64;
        }
        self.bytes += count;
        Ok(count)
    }

    /// A symbolic link, with any target.
    pub fn symlink(
        &mut self,
        path: &[u8],
        target: &[u8],
        attributes: Attributes,
    ) -> Result<(), Error> {
        if target.is_empty() || target.contains(&0) || target.len() > limits::PATH {
            return Err(Error::BadLink { layer: self.layer, name: printable::line(path) });
        }
        let (dir, real) = self.make_way(path)?;
        self.vacate(&dir, &real, path, false)?;
        let name = spk_files::path::name(path);
        dir.create_link(name, target).map_err(written(path))?;
        dir.set_time(name, attributes.time).map_err(written(path))?;
        self.say(real);
        Ok(())
    }

    /// Another name of what is at `target`, of this layer or a lower one.
    pub fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let shown = (printable::line(path), printable::line(target));
        let layer = self.layer;
        let failed = |what| {
            let (name, target) = shown.clone();
            Error::HardLink { layer, name, target, what }
        };
        // Some writers begin it with a slash, which means the same.
        let slashes = target.iter().take_while(|&&byte| byte == b'/').count();
        let target = name::plain(layer, &target[slashes..])?;
        let missing = "which is not there";
        let Some((from, real_target)) = self.find_way(&target)? else {
            return Err(failed(missing));
        };
        if self.special.contains(&real_target) {
            return self.special(path);
        }
        let last = spk_files::path::name(&target);
        match from.stat(last) {
            Ok(found) if is_directory(found.st_mode) => return Err(failed("which is a directory")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(failed(missing)),
            Err(error) => return Err(written(&target)(error)),
        }
        let (dir, real) = self.make_way(path)?;
        if real == real_target {
            return Err(failed("which is itself"));
        }
        self.vacate(&dir, &real, path, false)?;
        from.hard_link(last, &dir, spk_files::path::name(path)).map_err(written(path))?;
        self.say(real);
        Ok(())
    }

    /// A device or a FIFO, which is left out; what lower layers have in its place is gone.
    pub fn special(&mut self, path: &[u8]) -> Result<(), Error> {
        self.notes.add(Unkept::Special, path);
        let (dir, real) = self.make_way(path)?;
        self.vacate(&dir, &real, path, false)?;
        self.special.insert(real.clone());
        self.say(real);
        Ok(())
    }

    /// What lower layers have at `path` is gone.
    pub fn whiteout(&mut self, path: &[u8]) -> Result<(), Error> {
        match self.find_way(path)? {
            Some((_, real)) => self.remove_lower(real),
            None => Ok(()),
        }
    }

    /// What lower layers have in the directory `path` is gone.
    pub fn opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        // As for something in it.
        let Some((dir, within)) = self.find_way(&join(path, b"x"))? else { return Ok(()) };
        let real = parent(&within);
        for name in dir.names().map_err(written(path))? {
            self.remove_lower(join(real, &name))?;
        }
        Ok(())
    }

    /// Removes what is at the real path `path`, but for what this layer has.
    fn remove_lower(&mut self, path: Vec<u8>) -> Result<(), Error> {
        let mut waiting = vec![path];
        while let Some(path) = waiting.pop() {
            let (above, name) = split(&path);
            let dir = self.top.open_dir(above).map_err(written(&path))?;
            if !self.touched.contains(&path) {
                self.forget(&path);
                dir.remove_tree(name).map_err(written(&path))?;
                continue;
            }
            match dir.stat(name) {
                Ok(found) if is_directory(found.st_mode) => {
                    let within = dir.open_dir(name).and_then(|dir| dir.names());
                    let within = within.map_err(written(&path))?;
                    waiting.extend(within.iter().map(|name| join(&path, name)));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(written(&path)(error)),
            }
        }
        Ok(())
    }

    /// Makes room for an entry at `real`, which is in `dir`. Whether a directory is there that stays.
    fn vacate(
        &mut self,
        dir: &Dir,
        real: &[u8],
        path: &[u8],
        keep_directory: bool,
    ) -> Result<bool, Error> {
        let duplicate = || Error::Duplicate { layer: self.layer, name: printable::line(path) };
        if self.said.contains(real) {
            return Err(duplicate());
        }
        let name = spk_files::path::name(real);
        let mode = match dir.stat(name) {
            Ok(found) => found.st_mode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(written(path)(error)),
        };
        if is_directory(mode) {
            if keep_directory {
                return Ok(true);
            }
            if self.touched.contains(real) {
                return Err(duplicate());
            }
            self.forget(real);
            dir.remove_tree(name).map_err(written(path))?;
        } else {
            self.last = None;
            dir.remove_file(name).map_err(written(path))?;
        }
        Ok(false)
    }

    /// The tree at `real` is about to be removed.
    fn forget(&mut self, real: &[u8]) {
        self.last = None;
        let below: Vec<Vec<u8>> = self
            .directories
            .range(real.to_vec()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(real))
            .filter(|path| spk_files::path::is_prefix(real, path))
            .cloned()
            .collect();
        for path in below {
            self.directories.remove(&path);
        }
    }

    /// An entry of this layer that is no directory.
    fn say(&mut self, real: Vec<u8>) {
        self.touch(&real);
        self.said.insert(real);
    }

    fn touch(&mut self, real: &[u8]) {
        let mut path = real;
        while !path.is_empty() && self.touched.insert(path.to_vec()) {
            path = parent(path);
        }
    }

    /// The directory that `path` goes into, made where it is not there, and where `path` really is.
    fn make_way(&mut self, path: &[u8]) -> Result<(Dir, Vec<u8>), Error> {
        match self.way(path, true)? {
            Some(way) => Ok(way),
            None => Err(written(path)(io::ErrorKind::NotFound.into())),
        }
    }

    /// The directory that `path` is in, if it is there, and where `path` really is.
    fn find_way(&mut self, path: &[u8]) -> Result<Option<(Dir, Vec<u8>)>, Error> {
        self.way(path, false)
    }

    fn way(&mut self, path: &[u8], make: bool) -> Result<Option<(Dir, Vec<u8>)>, Error> {
        let (wanted, name) = split(path);
        if self.last.as_ref().is_none_or(|(last, _, _)| last != wanted) {
            self.last = None;
            let Some((real, dir)) = self.walk(path, wanted, make)? else { return Ok(None) };
            self.last = Some((wanted.to_vec(), real, dir));
        }
        let Some((_, real, dir)) = &self.last else { return Ok(None) };
        let real = join(real, name);
        if real.len() > limits::PATH {
            let (layer, name) = (self.layer, printable::line(&path[..path.len().min(200)]));
            let what = "through links it has more than 4095 bytes";
            return Err(Error::BadName { layer, name, what });
        }
        Ok(Some((dir.try_clone().map_err(written(path))?, real)))
    }

    /// From the root to the directory `wanted`, for the entry `path`.
    fn walk(
        &mut self,
        path: &[u8],
        wanted: &[u8],
        make: bool,
    ) -> Result<Option<(Vec<u8>, Dir)>, Error> {
        // Mostly all of it is there, and without links.
        if let Ok(dir) = self.top.open_dir(wanted) {
            return Ok(Some((wanted.to_vec(), dir)));
        }
        let (layer, entry) = (self.layer, printable::line(path));
        let mut waiting: VecDeque<Vec<u8>> = components(wanted).map(<[u8]>::to_vec).collect();
        let (mut real, mut dir) = (Vec::new(), self.top.try_clone().map_err(written(path))?);
        let mut links = 0;
        while let Some(name) = waiting.pop_front() {
            if name.is_empty() || name == b"." {
                continue;
            }
            if name == b".." {
                real = parent(&real).to_vec();
                dir = self.top.open_dir(&real).map_err(written(path))?;
                continue;
            }
            if !is_name(&name) {
                return Err(written(path)(io::ErrorKind::InvalidInput.into()));
            }
            let here = join(&real, &name);
            let mode = match dir.stat(&name) {
                Ok(found) => found.st_mode,
                Err(error) if error.kind() == io::ErrorKind::NotFound && !make => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    dir.create_dir(&name, 0o700).map_err(written(path))?;
                    self.directories.insert(here.clone(), (DIRECTORY_MODE, None));
                    FileType::Directory.as_raw_mode()
                }
                Err(error) => return Err(written(path)(error)),
            };
            match FileType::from_raw_mode(mode) {
                FileType::Directory => {
                    dir = dir.open_dir(&name).map_err(written(path))?;
                    real = here;
                }
                FileType::Symlink => {
                    links += 1;
                    let refused = |what| {
                        let (name, link) = (entry.clone(), printable::line(&here));
                        Err(Error::ThroughLink { layer, name, link, what })
                    };
                    if self.touched.contains(&here) {
                        return refused("is of the same layer");
                    }
                    if links > LINKS {
                        return refused("leads in circles");
                    }
                    let target = dir.read_link(&name).map_err(written(path))?;
                    // What only looks stops at the root, as a process would.
                    if make && climbs(&real, &target) {
                        return refused("leads out of the image");
                    }
                    for name in components(&target).rev() {
                        waiting.push_front(name.to_vec());
                    }
                    if target.starts_with(b"/") {
                        real.clear();
                        dir = self.top.try_clone().map_err(written(path))?;
                    }
                }
                _ if !make => return Ok(None),
                _ => {
                    let file = printable::line(&here);
                    return Err(Error::BelowFile { layer, name: entry, file });
                }
            }
        }
        Ok(Some((real, dir)))
    }

    /// Gives all directories their modes and times, and counts what there is.
    pub fn finish(self) -> Result<(Counts, Notes), Error> {
        let mut counts = Counts { layers: self.layer, ..Counts::default() };
        let mut waiting = vec![Vec::new()];
        while let Some(path) = waiting.pop() {
            let dir = self.top.open_dir(&path).map_err(written(&path))?;
            for name in dir.names().map_err(written(&path))? {
                let found = dir.stat(&name).map_err(written(&path))?;
                match FileType::from_raw_mode(found.st_mode) {
                    FileType::Directory => {
                        counts.directories += 1;
                        waiting.push(join(&path, &name));
                    }
                    FileType::Symlink => counts.links += 1,
                    _ => {
                        counts.files += 1;
                        counts.bytes += u64::try_from(found.st_size).unwrap_or_default();
                    }
                }
            }
        }
        // What is inside comes first.
        for (path, (mode, time)) in self.directories.iter().rev() {
            let dir = self.top.open_dir(path).map_err(written(path))?;
            dir.set_mode_and_time(mode | 0o700, *time).map_err(written(path))?;
        }
        Ok((counts, self.notes))
    }
}

/// Whether a link in the directory `real` leads above the root.
fn climbs(real: &[u8], target: &[u8]) -> bool {
    let mut depth = match (target.starts_with(b"/"), real.is_empty()) {
        (true, _) | (_, true) => 0,
        _ => above(real).count() as i64 + 1,
    };
    components(target).any(|name| {
        match name {
            b".." => depth -= 1,
            b"" | b"." => {}
            _ => depth += 1,
        }
        depth < 0
    })
}

fn is_directory(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

fn written(path: &[u8]) -> impl Fn(io::Error) -> Error + use<> {
    let path = PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()));
    move |source| Error::Write { path: path.clone(), source }
}
