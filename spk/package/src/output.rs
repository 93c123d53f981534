//! A file that appears under its name only when it is complete.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

/// A file being written beside its later place. Unless it is finished, nothing of it stays, even
/// if the process is killed (where the file system has unnamed files).
pub(crate) struct Output {
    directory: OwnedFd,
    file: File,
    /// Its name for now, if it has one.
    name: Option<String>,
}

impl Output {
    /// Starts a file in `directory`.
    pub(crate) fn create(directory: &Path) -> io::Result<Output> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty())?;
        let mode = Mode::from_raw_mode(0o666);
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(&directory, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Output { directory, file: file.into(), name: None }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
                let name = random_name()?;
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let file = rustix::fs::openat(&directory, &name, flags, mode)?;
                Ok(Output { directory, file: file.into(), name: Some(name) })
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of what has that name now.
    pub(crate) fn finish(mut self, name: &[u8]) -> io::Result<()> {
        self.file.sync_all()?;
        if self.name.is_none() {
            let temporary = random_name()?;
            let source = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            let flags = AtFlags::SYMLINK_FOLLOW;
            rustix::fs::linkat(CWD, &source, &self.directory, &temporary, flags)?;
            self.name = Some(temporary);
        }
        if let Some(temporary) = &self.name {
            rustix::fs::renameat(&self.directory, temporary, &self.directory, name)?;
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // On the way out with an error already.
            let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }
}

fn random_name() -> io::Result<String> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let suffix: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(".spk-{suffix}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn appears_complete_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "old").unwrap();
        let output = Output::create(dir.path()).unwrap();
        output.file().write_all(b"half").unwrap();
        drop(output);
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"old");
        let output = Output::create(dir.path()).unwrap();
        output.file().write_all(b"new").unwrap();
        output.finish(b"a").unwrap();
        assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
