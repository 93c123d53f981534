//! Removing a whole tree that an app made: any depth, any modes, never through a link.

use std::io;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::Dir;

impl Dir {
    /// Removes `name` and all below it. What is missing already is fine.
    ///
    /// Memory and descriptors do not grow with the depth: a directory found inside another is
    /// moved up beside the first one and removed from there.
    pub fn remove_tree(&self, name: &[u8]) -> io::Result<()> {
        match self.stat(name) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
                return ignore_missing(self.remove_file(name));
            }
            Ok(_) => {}
            Err(error) => return ignore_missing(Err(error)),
        }
        let mut lifted = 0u64;
        let top = self.open_for_removal(name)?;
        top.remove_contents(&top, &mut lifted)?;
        // What was lifted has been put directly into `top`, under names of ours.
        loop {
            let rest = top.names()?;
            if rest.is_empty() {
                break;
            }
            for name in rest {
                let dir = top.open_for_removal(&name)?;
                dir.remove_contents(&top, &mut lifted)?;
                ignore_missing(top.remove_dir(&name))?;
            }
        }
        ignore_missing(self.remove_dir(name))
    }

    /// Empties this directory: files are removed, non-empty directories are moved into `top`.
    fn remove_contents(&self, top: &Dir, lifted: &mut u64) -> io::Result<()> {
        let here = self.stat_self()?;
        let same = top.stat_self()?.st_ino == here.st_ino;
        for name in self.names()? {
            match self.remove_file(&name) {
                Ok(()) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // A directory: Linux says EISDIR, POSIX EPERM.
                Err(error) if is(&error, Errno::ISDIR) || is(&error, Errno::PERM) => {}
                Err(error) => return Err(error),
            }
            match self.remove_dir(&name) {
                Ok(()) => continue,
                Err(error) if is(&error, Errno::NOTEMPTY) || is(&error, Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            if same {
                continue;
            }
            // A directory can only be moved when it is writable itself (its `..` changes).
            self.set_mode(&name, 0o700)?;
            loop {
                *lifted += 1;
                let new_name = format!("{lifted:x}").into_bytes();
                match top.stat(&new_name) {
                    Ok(_) => continue,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                self.rename(&name, top, &new_name)?;
                break;
            }
        }
        Ok(())
    }

    /// Opens a directory that is going to be emptied, after making it readable and writable.
    fn open_for_removal(&self, name: &[u8]) -> io::Result<Dir> {
        self.set_mode(name, 0o700)?;
        self.open_dir(name)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
