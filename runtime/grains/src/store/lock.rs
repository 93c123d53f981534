//! One writer per grain: a lock that the kernel releases however its holder dies.
//!
//! Open-file-description locks rather than `flock`, because they can be asked about without being
//! taken: listing grains must not make a start that happens at the same moment fail.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use spk_files::Dir;

/// Name of the lock in a grain's directory.
const LOCK: &str = "lock";

/// Longest description of a holder that is read back.
const HOLDER_LIMIT: u64 = 4096;

/// Who holds a grain; written into the lock file for people, proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process ID.
    pub pid: u32,
    /// What it does with the grain: "run", "export", "delete", ….
    pub what: String,
}

impl Holder {
    /// Whether it runs the grain (or prepares to, having just made it).
    pub fn runs(&self) -> bool {
        matches!(self.what.as_str(), "run" | "new")
    }
}

/// The lock, held until dropped. Close-on-exec: no child inherits it.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// What trying to lock gave.
pub(crate) enum Attempt {
    /// It is ours now.
    Locked(Lock),
    /// Somebody else has it.
    Held(Option<Holder>),
}

/// Tries to lock the grain in `dir`.
pub(crate) fn try_lock(dir: &Dir, what: &str) -> io::Result<Attempt> {
    let mut file = open(dir)?;
    if !set(&file, libc::F_WRLCK)? {
        return Ok(Attempt::Held(read_holder(&mut file)));
    }
    let lock = Lock { file };
    lock.describe(what);
    Ok(Attempt::Locked(lock))
}

/// Who holds the grain in `dir`, without touching the lock; `None` when it is free.
pub(crate) fn holder(dir: &Dir) -> io::Result<Option<Option<Holder>>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = match rustix::fs::openat(dir, LOCK, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut query = whole_file(libc::F_WRLCK);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut query))?;
    if i32::from(query.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    Ok(Some(read_holder(&mut file)))
}

impl Lock {
    /// Whether `dir` still holds the very file that is locked.
    pub(crate) fn is_in(&self, dir: &Dir) -> io::Result<bool> {
        let there = match dir.stat(LOCK.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            there => there?,
        };
        let ours = self.file.metadata()?;
        Ok(there.st_ino == ours.ino() && there.st_dev == ours.dev())
    }

    /// Says in the file who holds it. Only talk: failing to write it (a full disk) is no failure.
    pub(crate) fn describe(&self, what: &str) {
        let holder = Holder { pid: std::process::id(), what: what.to_owned() };
        let mut file = &self.file;
        let _ = serde_json::to_vec(&holder).map_err(io::Error::from).and_then(|text| {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&text)
        });
    }
}

fn open(dir: &Dir) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(dir, LOCK, flags, Mode::from_raw_mode(0o600))?))
}

fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn set(file: &File, kind: i32) -> io::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(kind))) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.take(HOLDER_LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
