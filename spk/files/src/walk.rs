//! Opening a directory somewhere below another: no link and no `..` on the way is followed.
//!
//! The kernel does it in one step (`openat2`). Kernels before 5.6, and containers that filter
//! `openat2`, get the same by a walk of `O_PATH|O_NOFOLLOW` descriptors, one component at a time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::dir::{DIRECTORY, Dir, single};

/// Longest piece of a path given to the kernel at once; longer ones go in several steps, since an
/// app can make trees deeper than `PATH_MAX` (4096 with the final NUL).
const LONGEST_STEP: usize = 4000;

/// How often `openat2` is asked again when a rename elsewhere on the machine made it give up.
const EAGAIN_RETRIES: u32 = 128;

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
            let next = if walk { None } else { open_beneath(from.as_fd(), step)? };
            at = Some(match next {
                Some(fd) => Dir(fd),
                None => {
                    walk = true;
                    walk_beneath(from.as_fd(), step)?
                }
            });
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

/// Asks the kernel; `None` when it does not know the question.
fn open_beneath(from: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(from, path, DIRECTORY, Mode::empty(), resolve) {
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

/// The same by hand: each component is opened in its parent's descriptor and must be a directory.
fn walk_beneath(from: BorrowedFd<'_>, path: &[u8]) -> io::Result<Dir> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = rustix::fs::fstat(from)?.st_dev;
    let mut at: Option<OwnedFd> = None;
    for name in path.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
        let parent = at.as_ref().map_or(from, |fd| fd.as_fd());
        let next = rustix::fs::openat(parent, single(name)?, flags, Mode::empty())?;
        if rustix::fs::fstat(&next)?.st_dev != device {
            return Err(Errno::XDEV.into());
        }
        at = Some(next);
    }
    let parent = at.as_ref().map_or(from, |fd| fd.as_fd());
    Ok(Dir(rustix::fs::openat(parent, c".", DIRECTORY, Mode::empty())?))
}
