//! Reading what its owner may not: the app took a permission from a file or directory of its own,
//! and it is lent to us for as long as we read.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::Stat;

use crate::Dir;
use crate::path::split;

/// Opens directories below one, lending the owner the permission where it is missing, until all are
/// given back.
#[derive(Debug)]
pub struct Lender<'a> {
    top: &'a Dir,
    /// Directories that were lent a permission, outer ones first, and their real mode.
    lent: Vec<(Vec<u8>, u32)>,
}

impl<'a> Lender<'a> {
    /// For directories below `top`, to which nothing is lent itself.
    pub fn new(top: &'a Dir) -> Lender<'a> {
        Lender { top, lent: Vec::new() }
    }

    /// Opens the directory `path` below the top one, and says what it is, with its real mode.
    ///
    /// # Errors
    /// When it cannot be opened all the same.
    pub fn open_dir(&mut self, path: &[u8]) -> io::Result<(Dir, Stat)> {
        let opened = self.top.open_dir(path).and_then(|dir| {
            let stat = dir.stat_self()?;
            match rustix::process::geteuid().is_root() || stat.st_mode & 0o100 != 0 {
                true => Ok((dir, stat)),
                false => Err(rustix::io::Errno::ACCESS.into()),
            }
        });
        match opened {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !path.is_empty() => {
                let (parent, name) = split(path);
                let parent = self.top.open_dir(parent)?;
                let mode = parent.stat(name)?.st_mode;
                parent.set_mode(name, mode & 0o7777 | 0o700)?;
                self.lent.push((path.to_vec(), mode & 0o7777));
                let dir = parent.open_dir(name)?;
                let mut stat = dir.stat_self()?;
                stat.st_mode = stat.st_mode & !0o7777 | mode & 0o7777;
                Ok((dir, stat))
            }
            opened => opened,
        }
    }
}

impl Lender<'_> {
    /// Gives all directories their mode back, inner ones first: until then they are needed, since
    /// what is below them is opened through them. Gives those that have the permission still, or
    /// have vanished meanwhile, with the error.
    pub fn give_back(mut self) -> Vec<(Vec<u8>, io::Error)> {
        self.restore()
    }

    fn restore(&mut self) -> Vec<(Vec<u8>, io::Error)> {
        let mut failed = Vec::new();
        for (path, mode) in self.lent.drain(..).rev() {
            let (parent, name) = split(&path);
            let given = self.top.open_dir(parent).and_then(|parent| parent.set_mode(name, mode));
            failed.extend(given.err().map(|error| (path, error)));
        }
        failed
    }
}

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        // On the way out with an error already.
        self.restore();
    }
}

/// Opens the regular file `name` in `dir`, of which `stat` was told; one that its owner may not
/// read is lent the permission for that moment. With it comes what the open file is.
///
/// # Errors
/// When it cannot be opened all the same.
pub fn open_file(dir: &Dir, name: &[u8], stat: &Stat) -> io::Result<(File, Stat)> {
    let file = match dir.open_file(name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let mode = stat.st_mode & 0o7777;
            dir.set_mode(name, mode | 0o400)?;
            let opened = dir.open_file(name);
            dir.set_mode(name, mode)?;
            opened?
        }
        opened => opened?,
    };
    let stat = rustix::fs::fstat(file.as_fd())?;
    Ok((file, stat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// Set for the copy of this test that runs as an ordinary user.
    const AS_USER: &str = "SPK_FILES_TEST_AS_USER";

    #[test]
    fn what_the_owner_closed_is_read_and_closed_again() {
        if !rustix::process::geteuid().is_root() || std::env::var_os(AS_USER).is_some() {
            return closed_tree();
        }
        // Root needs nothing lent: once more as somebody else, who can reach the program.
        let temp = tempfile::tempdir().unwrap();
        std::fs::set_permissions(temp.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let program = temp.path().join("test");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let ran = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&program)
            .args(["--exact", "lend::tests::what_the_owner_closed_is_read_and_closed_again"])
            .env(AS_USER, "1")
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
    }

    fn closed_tree() {
        assert!(!rustix::process::geteuid().is_root());
        let temp = tempfile::tempdir().unwrap();
        let top = Dir::open_trusted(temp.path()).unwrap();
        let make = |at: &[u8], name: &[u8]| top.open_dir(at).unwrap().create_dir(name, 0o700);
        make(b"", b"a").unwrap();
        make(b"a", b"b").unwrap();
        top.open_dir(b"a/b").unwrap().create_file(b"f", 0o000).unwrap();
        top.open_dir(b"a").unwrap().set_mode(b"b", 0o400).unwrap();
        top.set_mode(b"a", 0o000).unwrap();
        assert!(top.open_dir(b"a").is_err());
        {
            let mut lender = Lender::new(&top);
            let (_, stat) = lender.open_dir(b"a").unwrap();
            assert_eq!(stat.st_mode & 0o7777, 0o000, "the real mode is told");
            let (dir, stat) = lender.open_dir(b"a/b").unwrap();
            assert_eq!(stat.st_mode & 0o7777, 0o400);
            let stat = dir.stat(b"f").unwrap();
            let (mut file, stat) = open_file(&dir, b"f", &stat).unwrap();
            assert_eq!(file.read(&mut [0]).unwrap(), 0);
            assert_eq!(stat.st_mode & 0o7777, 0o000);
            assert_eq!(dir.stat(b"f").unwrap().st_mode & 0o7777, 0o000);
            assert_eq!(lender.open_dir(b"none").unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(top.stat(b"a").unwrap().st_mode & 0o7777, 0o000);
        top.set_mode(b"a", 0o700).unwrap();
        assert_eq!(top.open_dir(b"a").unwrap().stat(b"b").unwrap().st_mode & 0o7777, 0o400);
    }
}
