//! Directories in `/var` that begin with what the package has.
//!
//! `/var` is the app's, which may have put links anywhere: nothing is written through one.

use std::io;

use rustix::fs::{FileType, Mode};
use spk_files::path::{components, join, split};
use spk_files::{Dir, Staging, Time};

/// From where, and to where.
pub struct Filling<'a> {
    /// The grain's data.
    pub var: &'a Dir,
    /// What the package has for it; none if it has nothing.
    pub contents: Option<&'a Dir>,
}

/// What one is called while it is filled, in front of its name.
const PARTIAL: &[u8] = b".spk-filling-";

/// What is kept of the name then: with what is in front, it stays within 255 bytes.
const LONGEST_KEPT: usize = 200;

impl Filling<'_> {
    /// Fills `path`, unless anything is there.
    pub fn once(&self, path: &[u8]) -> io::Result<()> {
        let parent = self.parent(path)?;
        let name = split(path).1;
        // What a start that was killed left.
        let partial = partial(name);
        parent.remove_tree(&partial)?;
        match parent.stat(name) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.fill(&parent, path),
            Err(error) => Err(error),
        }
    }

    /// Fills `path`, after removing what is there.
    pub fn anew(&self, path: &[u8]) -> io::Result<()> {
        let parent = self.parent(path)?;
        parent.remove_tree(&partial(split(path).1))?;
        parent.remove_tree(split(path).1)?;
        self.fill(&parent, path)
    }

    /// The directory that `path` is in, made if it is not there.
    fn parent(&self, path: &[u8]) -> io::Result<Dir> {
        let mut dir = self.var.try_clone()?;
        let above = split(path).0;
        for name in components(above).filter(|name| !name.is_empty()) {
            match dir.create_dir(name, 0o755) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            dir = dir.open_dir(name)?;
        }
        Ok(dir)
    }

    fn fill(&self, parent: &Dir, path: &[u8]) -> io::Result<()> {
        let (above, name) = split(path);
        let partial = partial(name);
        let from = match self.contents.map(|contents| contents.open_dir(above)) {
            Some(Ok(from)) => Some(from),
            Some(Err(error)) if !spk_files::is_gone(&error) => return Err(error),
            _ => None,
        };
        let found = from.as_ref().map(|from| from.stat(name));
        let kind = match &found {
            Some(Ok(found)) => FileType::from_raw_mode(found.st_mode),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io::Error::new(error.kind(), error.to_string()));
            }
            _ => FileType::Directory,
        };
        if kind != FileType::Directory {
            if let Some(from) = &from {
                copy_one(from, name, parent, &partial)?;
            }
            return parent.rename(&partial, parent, name);
        }
        let staging = Staging::create_named(parent, &partial, 0o700)?;
        if let (Some(from), Some(Ok(found))) = (&from, found) {
            copy(&from.open_dir(name)?, staging.dir())?;
            staging.dir().set_mode_and_time(mode(found.st_mode, 0o700), Some(Time::of(&found)))?;
        }
        staging.commit(name)
    }
}

fn partial(name: &[u8]) -> Vec<u8> {
    join(b"", &[PARTIAL, &name[..name.len().min(LONGEST_KEPT)]].concat())
}

/// What is kept of a mode: its owner may do everything, whatever a package says, and nobody gets more by
/// it.
fn mode(of: u32, least: u32) -> u32 {
    of & 0o777 | least
}

/// Copies all that is in `from`.
fn copy(from: &Dir, to: &Dir) -> io::Result<()> {
    for name in from.names()? {
        let found = from.stat(&name)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            copy_one(from, &name, to, &name)?;
            continue;
        }
        to.create_dir(&name, 0o700)?;
        let below = to.open_dir(&name)?;
        copy(&from.open_dir(&name)?, &below)?;
        below.set_mode_and_time(mode(found.st_mode, 0o700), Some(Time::of(&found)))?;
    }
    Ok(())
}

/// Copies a file or a link.
fn copy_one(from: &Dir, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
    let found = from.stat(name)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {
            let mut file = to.create_file(new_name, 0o600)?;
            io::copy(&mut from.open_file(name)?, &mut file)?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(mode(found.st_mode, 0o600)))?;
        }
        FileType::Symlink => to.create_link(new_name, &from.read_link(name)?)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither file nor link")),
    }
    to.set_time(new_name, Time::of(&found))
}
