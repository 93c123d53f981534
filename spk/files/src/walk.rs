//! Opening what is somewhere below a directory.
//!
//! [`Dir::open_dir`] and [`open_regular`] follow no link and no `..` on the way; [`find_in_root`]
//! follows links to where they lead for a process whose root the directory is. The kernel does either
//! in one step (`openat2`). Kernels before 5.6, and containers that filter `openat2`, get the same by
//! a walk of `O_PATH|O_NOFOLLOW` descriptors, one component at a time.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, single};
use crate::path::{components, is_name, split};

/// Longest piece of a path given to the kernel at once; longer ones go in several steps, since an
/// app can make trees deeper than `PATH_MAX` (4096 with the final NUL).
const LONGEST_STEP: usize = 4000;

/// How often `openat2` is asked again when a rename elsewhere on the machine made it give up.
const EAGAIN_RETRIES: u32 = 128;

/// Links followed in all, as by the kernel (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// A directory as a place to walk from.
const PLACE: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Nothing but down, on one file system.
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Whether `openat2` turned out to be missing or forbidden.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

impl Dir {
    /// Opens the directory `path` (components separated by `/`; empty: this one) beneath this
    /// one. A link or `..` anywhere in it is an error, not followed.
    pub fn open_dir(&self, path: &[u8]) -> io::Result<Dir> {
        self.open_dir_by(path, NO_OPENAT2.load(Ordering::Relaxed))
    }

    pub(crate) fn open_dir_by(&self, path: &[u8], mut walk: bool) -> io::Result<Dir> {
        if path.is_empty() {
            return Ok(Dir(rustix::fs::openat(&self.0, c".", DIRECTORY, Mode::empty())?));
        }
        let mut at: Option<Dir> = None;
        for step in steps(path) {
            let from = at.as_ref().unwrap_or(self);
            let asked = if walk { None } else { ask(from.as_fd(), step, DIRECTORY, BENEATH)? };
            at = Some(Dir(match asked {
                Some(fd) => fd,
                None => {
                    walk = true;
                    let place = walk_beneath(from.as_fd(), step, Mounts::Refused)?;
                    let place = place.as_ref().map_or(from.as_fd(), |fd| fd.as_fd());
                    rustix::fs::openat(place, c".", DIRECTORY, Mode::empty())?
                }
            }));
        }
        at.ok_or_else(|| Errno::INVAL.into())
    }
}

/// Cuts a path at component boundaries into pieces the kernel accepts.
fn steps(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let cut = if rest.len() <= LONGEST_STEP {
            rest.len()
        } else {
            // A component has at most 255 bytes, so there is a slash; if not, the kernel says so.
            rest[..LONGEST_STEP].iter().rposition(|&b| b == b'/').unwrap_or(rest.len())
        };
        let (step, tail) = rest.split_at(cut);
        rest = tail.strip_prefix(b"/").unwrap_or(tail);
        Some(step)
    })
}

/// Opens the regular file at `path` below `root`, which may itself be reached through links; an empty
/// `path` is `root`. A FIFO or device that took the file's place is refused without being waited for.
/// With it comes what the open file is.
///
/// # Errors
/// When it is not there, or no regular file, or a link is on the way.
pub fn open_regular(root: &Path, path: &[u8]) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fd = if path.is_empty() {
        rustix::fs::open(root, flags, Mode::empty())?
    } else {
        let root = rustix::fs::open(root, PLACE.difference(OFlags::NOFOLLOW), Mode::empty())?;
        open_below(root.as_fd(), path, flags, NO_OPENAT2.load(Ordering::Relaxed))?
    };
    let file = File::from(fd);
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

pub(crate) fn open_below(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    walk: bool,
) -> io::Result<OwnedFd> {
    if !components(path).all(is_name) {
        return Err(Errno::INVAL.into());
    }
    let resolve = BENEATH.difference(ResolveFlags::NO_XDEV);
    let asked = if walk { None } else { ask(root, path, flags, resolve)? };
    match asked {
        Some(fd) => Ok(fd),
        None => {
            let (parent, name) = split(path);
            let parent = walk_beneath(root, parent, Mounts::Crossed)?;
            let parent = parent.as_ref().map_or(root, |fd| fd.as_fd());
            Ok(rustix::fs::openat(parent, single(name)?, flags, Mode::empty())?)
        }
    }
}

/// Finds what is at `path` for a process whose root is `root`: links lead to where they would there,
/// and never out. The descriptor is of the place only (`O_PATH`).
///
/// # Errors
/// When nothing is there.
pub fn find_in_root(root: &Path, path: &[u8]) -> io::Result<OwnedFd> {
    find_by(root, path, NO_OPENAT2.load(Ordering::Relaxed))
}

pub(crate) fn find_by(root: &Path, path: &[u8], walk: bool) -> io::Result<OwnedFd> {
    let root = rustix::fs::open(root, PLACE.difference(OFlags::NOFOLLOW), Mode::empty())?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let asked = if walk { None } else { ask(root.as_fd(), path, flags, resolve)? };
    asked.map_or_else(|| walk_in_root(root, path), Ok)
}

/// By hand: links are read, and their components walked instead.
fn walk_in_root(root: OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    let mut above = vec![root];
    let mut pending: VecDeque<Vec<u8>> = components(path).map(<[u8]>::to_vec).collect();
    let mut links = 0;
    while let Some(name) = pending.pop_front() {
        let Some(here) = above.last() else { return Err(Errno::NOENT.into()) };
        match &name[..] {
            b"" | b"." => continue,
            b".." if above.len() == 1 => continue,
            b".." => {
                above.pop();
                continue;
            }
            _ => {}
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = rustix::fs::openat(here, &name[..], flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&next)?.st_mode) != FileType::Symlink {
            above.push(next);
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        let goal = rustix::fs::readlinkat(&next, c"", Vec::new())?.into_bytes();
        if goal.starts_with(b"/") {
            above.truncate(1);
        }
        for component in components(&goal).rev() {
            pending.push_front(component.to_vec());
        }
    }
    above.pop().ok_or_else(|| Errno::NOENT.into())
}

/// Asks the kernel; `None` when it does not know the question.
fn ask(
    from: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    resolve: ResolveFlags,
) -> io::Result<Option<OwnedFd>> {
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(from, path, flags, Mode::empty(), resolve) {
            Ok(fd) => return Ok(Some(fd)),
            Err(Errno::AGAIN) if tries < EAGAIN_RETRIES => tries += 1,
            // Old kernel, or a container's filter that answers EPERM for what it does not know.
            Err(Errno::NOSYS | Errno::PERM) => {
                NO_OPENAT2.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether a walk may come to another file system.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounts {
    Refused,
    Crossed,
}

/// Walks down by hand: each component is opened in its parent's descriptor and must be a directory.
/// `None`: there was none to walk.
fn walk_beneath(from: BorrowedFd<'_>, path: &[u8], mounts: Mounts) -> io::Result<Option<OwnedFd>> {
    let device = rustix::fs::fstat(from)?.st_dev;
    let mut at: Option<OwnedFd> = None;
    for name in components(path).filter(|name| !name.is_empty()) {
        let parent = at.as_ref().map_or(from, |fd| fd.as_fd());
        let next = rustix::fs::openat(parent, single(name)?, PLACE, Mode::empty())?;
        if mounts == Mounts::Refused && rustix::fs::fstat(&next)?.st_dev != device {
            return Err(Errno::XDEV.into());
        }
        at = Some(next);
    }
    Ok(at)
}
