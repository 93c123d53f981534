//! A directory that is filled in beside its place, and appears there by one rename.

use std::io;

use crate::atomic::rename_exclusive;
use crate::{Dir, random};

/// What is kept of the final name meanwhile: with what is added, names stay within 255 bytes.
const LONGEST_KEPT: usize = 200;

/// A directory being filled. Unless it is [committed](Staging::commit), nothing of it stays.
#[derive(Debug)]
pub struct Staging {
    parent: Dir,
    name: Vec<u8>,
    dir: Dir,
    armed: bool,
}

impl Staging {
    /// Makes a directory in `parent` that is going to be called `target`; the umask applies to
    /// `mode`.
    ///
    /// # Errors
    /// When nothing can be made there.
    pub fn create(parent: &Dir, target: &[u8], mode: u32) -> io::Result<Staging> {
        let kept = &target[..target.len().min(LONGEST_KEPT)];
        let name = [b".", kept, b".spk-partial-", random::name(8)?.as_bytes()].concat();
        Staging::create_named(parent, &name, mode)
    }

    /// Makes a directory that is called `name` meanwhile.
    ///
    /// # Errors
    /// When it cannot be made, or the name is taken.
    pub fn create_named(parent: &Dir, name: &[u8], mode: u32) -> io::Result<Staging> {
        let parent = parent.try_clone()?;
        parent.create_dir(name, mode)?;
        match parent.open_dir(name) {
            Ok(dir) => Ok(Staging { parent, name: name.to_vec(), dir, armed: true }),
            Err(error) => {
                // On the way out with an error already.
                let _ = parent.remove_dir(name);
                Err(error)
            }
        }
    }

    /// The directory, wherever it is.
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Moves it to `name` in its parent; nothing must have that name.
    ///
    /// # Errors
    /// When it cannot be moved; it is removed then.
    pub fn commit(mut self, name: &[u8]) -> io::Result<()> {
        rename_exclusive(&self.parent, &self.name, &self.parent, name)?;
        self.armed = false;
        Ok(())
    }

    /// Moves it to `name` in another directory of the file system; nothing must have that name.
    ///
    /// # Errors
    /// When it cannot be moved; it is removed then.
    pub fn commit_to(mut self, to: &Dir, name: &[u8]) -> io::Result<Dir> {
        let dir = self.dir.try_clone()?;
        rename_exclusive(&self.parent, &self.name, to, name)?;
        self.armed = false;
        Ok(dir)
    }

    /// Removes it now, telling when that fails.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn discard(mut self) -> io::Result<()> {
        self.armed = false;
        self.parent.remove_tree(&self.name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.armed {
            // On the way out with an error already: nothing more can be done about another.
            let _ = self.parent.remove_tree(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn scratch() -> (tempfile::TempDir, Dir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = Dir::open_trusted(temp.path()).unwrap();
        (temp, dir)
    }

    #[test]
    fn appears_whole_or_not_at_all() {
        let (temp, dir) = scratch();
        let long = vec![b'x'; 255];
        for target in [&b"a"[..], &long] {
            let staging = Staging::create(&dir, target, 0o755).unwrap();
            staging.dir().create_dir(b"closed", 0o000).unwrap();
            drop(staging);
            assert!(dir.names().unwrap().is_empty());
            let staging = Staging::create(&dir, target, 0o755).unwrap();
            staging.dir().create_file(b"f", 0o600).unwrap().write_all(b"x").unwrap();
            staging.commit(target).unwrap();
            assert_eq!(dir.names().unwrap(), [target]);
            dir.remove_tree(target).unwrap();
        }
        let staging = Staging::create(&dir, b"a", 0o755).unwrap();
        staging.dir().create_dir(b"x", 0o700).unwrap();
        staging.discard().unwrap();
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_replaced() {
        let (temp, dir) = scratch();
        dir.create_dir(b"other", 0o700).unwrap();
        let other = dir.open_dir(b"other").unwrap();
        // Not even an empty directory, which a plain rename would.
        dir.create_dir(b"a", 0o700).unwrap();
        other.create_dir(b"a", 0o700).unwrap();
        let exists = io::ErrorKind::AlreadyExists;
        let staging = Staging::create(&dir, b"a", 0o755).unwrap();
        assert_eq!(staging.commit(b"a").unwrap_err().kind(), exists);
        let staging = Staging::create_named(&dir, b"adding.1", 0o700).unwrap();
        assert_eq!(staging.commit_to(&other, b"a").unwrap_err().kind(), exists);
        assert_eq!(Staging::create_named(&dir, b"a", 0o700).unwrap_err().kind(), exists);
        let staging = Staging::create_named(&dir, b"adding.1", 0o700).unwrap();
        let moved = staging.commit_to(&other, b"b").unwrap();
        moved.create_dir(b"in", 0o700).unwrap();
        assert!(temp.path().join("other/b/in").is_dir());
        assert_eq!(dir.names().unwrap(), [b"a".to_vec(), b"other".to_vec()]);
    }
}
