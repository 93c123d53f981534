//! The one way into trees that an app or an archive controls: everything is named relative to an
//! open directory, and no name is ever resolved through a symbolic link or upwards.
//!
//! A running app may rename, replace and link files while the host reads them; a hostile archive
//! may contain a link first and a path through it later. Neither can matter here, because the
//! kernel is asked for "beneath this descriptor, without links" (`openat2`) and the answer is a
//! descriptor. Kernels before 5.6, and containers that filter `openat2`, get the same by a walk of
//! `O_PATH|O_NOFOLLOW` descriptors, one component at a time.

mod remove;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

/// Longest piece of a path given to the kernel at once; longer ones go in several steps, since an
/// app can make trees deeper than `PATH_MAX` (4096 with the final NUL).
const LONGEST_STEP: usize = 4000;

/// How often `openat2` is asked again when a rename elsewhere on the machine made it give up.
const EAGAIN_RETRIES: u32 = 128;

/// Whether `openat2` turned out to be missing or forbidden.
static NO_OPENAT2: AtomicBool = AtomicBool::new(false);

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory. All methods take a single name, except [`Dir::open_dir`].
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Dir {
    /// Opens a directory of ours by its path; links in that path are the user's own.
    pub fn open_trusted(path: &Path) -> io::Result<Dir> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Dir(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// A second descriptor of the same directory.
    pub fn try_clone(&self) -> io::Result<Dir> {
        Ok(Dir(self.0.try_clone()?))
    }

    /// Opens the directory `path` (components separated by `/`; empty: this one) beneath this
    /// one. A link or `..` anywhere in it is an error, not followed.
    pub fn open_dir(&self, path: &[u8]) -> io::Result<Dir> {
        self.open_dir_by(path, NO_OPENAT2.load(Ordering::Relaxed))
    }

    fn open_dir_by(&self, path: &[u8], mut walk: bool) -> io::Result<Dir> {
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

    /// Opens a regular file for reading. Anything else under that name is an error, and opening
    /// it neither blocks nor has an effect.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, single(name)?, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// Makes a new file and opens it for reading and writing; the name must be free.
    pub fn create_file(&self, name: &[u8], mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::NOCTTY
            | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        Ok(File::from(rustix::fs::openat(&self.0, single(name)?, flags, mode)?))
    }

    /// Makes a directory; the umask applies to `mode`.
    pub fn create_dir(&self, name: &[u8], mode: u32) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(&self.0, single(name)?, Mode::from_raw_mode(mode))?)
    }

    /// Makes a symbolic link with any text as its target.
    pub fn create_link(&self, name: &[u8], target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.0, single(name)?)?)
    }

    /// What is under `name`, without following it.
    pub fn stat(&self, name: &[u8]) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.0, single(name)?, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// What this directory itself is.
    pub fn stat_self(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.0)?)
    }

    /// The target text of the symbolic link `name`.
    pub fn read_link(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.0, single(name)?, Vec::new())?.into_bytes())
    }

    /// All names in this directory except `.` and `..`, in byte order, each once.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Bytes on the disk of this directory and all below it. What cannot be opened, because it
    /// vanished or its owner closed it, counts for itself only.
    pub fn disk_usage(&self) -> io::Result<u64> {
        let blocks = |stat: &Stat| (stat.st_blocks as u64).saturating_mul(512);
        let below = self.sum(|stat, kind| match kind {
            FileType::Directory => blocks(stat),
            _ => blocks(stat) / u64::from(stat.st_nlink as u32).max(1),
        })?;
        Ok(blocks(&self.stat_self()?).saturating_add(below))
    }

    /// Bytes in all regular files below this directory, as far as they can be looked at.
    pub fn file_bytes(&self) -> io::Result<u64> {
        self.sum(|stat, kind| if kind == FileType::RegularFile { stat.st_size as u64 } else { 0 })
    }

    fn sum(&self, of: impl Fn(&Stat, FileType) -> u64) -> io::Result<u64> {
        let mut bytes = 0_u64;
        let mut pending = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let (dir, names) = match self.open_dir(&path).and_then(|d| d.names().map(|n| (d, n))) {
                Ok(opened) => opened,
                Err(error) if path.is_empty() => return Err(error),
                Err(_) => continue,
            };
            for name in names {
                let Ok(stat) = dir.stat(&name) else { continue };
                let kind = FileType::from_raw_mode(stat.st_mode);
                bytes = bytes.saturating_add(of(&stat, kind));
                if kind == FileType::Directory {
                    pending.push(match path.is_empty() {
                        true => name,
                        false => [&path[..], &name].join(&b'/'),
                    });
                }
            }
        }
        Ok(bytes)
    }

    /// Renames within or between directories of ours, replacing an existing file.
    pub fn rename(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.0, single(name)?, &to.0, single(new_name)?)?)
    }

    /// Removes a file, a link or a special file.
    pub fn remove_file(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.0, single(name)?, AtFlags::REMOVEDIR)?)
    }

    /// Sets the mode of what is under `name`, which must not be a link.
    pub fn set_mode(&self, name: &[u8], mode: u32) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.0, single(name)?, flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP.into());
        }
        // A descriptor opened by path only cannot be given to fchmod; its link below /proc can.
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
    }

    /// Sets the modification time of what is under `name`, of a link itself if it is one.
    pub fn set_time(&self, name: &[u8], time: Time) -> io::Result<()> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::utimensat(&self.0, single(name)?, &time.stamps(), flags)?)
    }

    /// Mode and modification time of this directory itself.
    pub fn set_mode_and_time(&self, mode: u32, time: Option<Time>) -> io::Result<()> {
        if let Some(time) = time {
            rustix::fs::futimens(&self.0, &time.stamps())?;
        }
        Ok(rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode))?)
    }

    /// Makes renames, creations and removals in this directory last through a power cut.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Makes everything written to this directory's file system last: for many new files faster
    /// than each on its own.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.0)?)
    }

    /// A path under which other interfaces (socket addresses) reach `name` in this directory,
    /// whatever its length and however often its parents are renamed.
    pub fn proc_path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }
}

/// A modification time: seconds since 1970, which may be negative, and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds, rounded towards the past.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

impl Time {
    /// The modification time in a `Stat`.
    pub fn of(stat: &Stat) -> Time {
        Time { seconds: stat.st_mtime, nanoseconds: stat.st_mtime_nsec as u32 }
    }

    /// As the kernel takes it; the access time stays as it is.
    pub fn stamps(self) -> Timestamps {
        let keep = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT as _ };
        let set = Timespec { tv_sec: self.seconds, tv_nsec: self.nanoseconds as _ };
        Timestamps { last_access: keep, last_modification: set }
    }
}

/// Refuses what is not one plain name: the kernel would look elsewhere for it.
fn single(name: &[u8]) -> io::Result<&[u8]> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return Err(Errno::INVAL.into());
    }
    Ok(name)
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

#[cfg(test)]
mod tests;
