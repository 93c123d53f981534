//! An open directory, and what can be done with the names in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use crate::Time;
use crate::path::is_name;

/// How directories are opened: the last component, too, must not be a link.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Room for the entries that the kernel gives at once.
const NAMES_AT_ONCE: usize = 32 << 10;

/// An open directory. All methods take a single name, except [`Dir::open_dir`].
#[derive(Debug)]
pub struct Dir(pub(crate) OwnedFd);

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

    /// Opens a regular file for reading. Anything else under that name is an error, and opening
    /// it neither blocks nor has an effect.
    pub fn open_file(&self, name: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let regular = |stat: Stat| match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(()),
            _ => Err(another_type("not a regular file")),
        };
        match rustix::fs::openat(&self.0, single(name)?, flags, Mode::empty()) {
            Ok(fd) => {
                regular(rustix::fs::fstat(&fd)?)?;
                Ok(File::from(fd))
            }
            // A socket; or a device that is not there, which a file can be on.
            Err(Errno::NXIO) => Err(regular(self.stat(name)?).err().unwrap_or(Errno::NXIO.into())),
            Err(error) => Err(error.into()),
        }
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

    /// Gives the file or link `name` another name, `new_name` in `to`, which must be free. A symbolic
    /// link is not followed.
    pub fn hard_link(&self, name: &[u8], to: &Dir, new_name: &[u8]) -> io::Result<()> {
        let flags = AtFlags::empty();
        Ok(rustix::fs::linkat(&self.0, single(name)?, &to.0, single(new_name)?, flags)?)
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
        match rustix::fs::readlinkat(&self.0, single(name)?, Vec::new()) {
            Ok(target) => Ok(target.into_bytes()),
            Err(Errno::INVAL) => Err(another_type("not a symbolic link")),
            Err(error) => Err(error.into()),
        }
    }

    /// All names in this directory except `.` and `..`, in byte order, each once.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        // A description of its own, which begins at the first name.
        let again = rustix::fs::openat(&self.0, c".", DIRECTORY, Mode::empty())?;
        let mut buffer = Vec::with_capacity(NAMES_AT_ONCE);
        let mut entries = RawDir::new(&again, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        names.push(name.to_vec());
                    }
                }
                Err(Errno::INTR) => {}
                // Removed since it was opened: then there is nothing in it. From any other
                // directory this is an error, with names missing.
                Err(Errno::NOENT) if self.stat_self()?.st_nlink == 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names)
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
        // A directory that can be read needs no /proc, which not every sandbox has.
        if let Ok(dir) = rustix::fs::openat(&self.0, single(name)?, DIRECTORY, Mode::empty()) {
            return Ok(rustix::fs::fchmod(dir, Mode::from_raw_mode(mode))?);
        }
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

/// Whether an error of [`Dir`] says that what was found under a name before is gone, or of another
/// type now: what a running app may do at any time. All other errors are about something that is
/// there.
pub fn is_gone(error: &io::Error) -> bool {
    const GONE: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    match error.raw_os_error() {
        Some(errno) => GONE.iter().any(|gone| gone.raw_os_error() == errno),
        None => error.kind() == io::ErrorKind::InvalidInput,
    }
}

/// For [`is_gone`]: not of the type that was asked for.
fn another_type(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Refuses what is not one plain name: the kernel would look elsewhere for it.
pub(crate) fn single(name: &[u8]) -> io::Result<&[u8]> {
    if is_name(name) { Ok(name) } else { Err(Errno::INVAL.into()) }
}
