//! The directories of the store, and what is unfinished in them.
//!
//! ```text
//! STATE/
//!   lock                      held shared while something unfinished is being set up
//!   packages/<package-id>/    unpacked packages, read-only by agreement
//!   grains/<grain-id>/        sandbox/ (the app's /var), log, log.1, grain.json, lock, control
//!   backups/<grain-id>/       backups taken before an upgrade or a deletion
//!   tmp/<kind>.<random>/      unfinished or half-removed things; locked while somebody works there
//! ```
//!
//! Whatever takes more than one step happens below `tmp` and becomes visible, or disappears, by
//! one `rename`. A killed process leaves its directory in `tmp` unlocked; the next
//! [`Staging::clean`] removes it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::error::{Error, IoContext};
use super::id::random_name;
use spk_files::{Dir, atomic, is_gone, printable};

/// Mode of every directory of the store: files in it may carry any bits the app gave them.
const PRIVATE: u32 = 0o700;

/// Opens, making them where needed, the directories of a store.
#[derive(Debug)]
pub(crate) struct Layout {
    /// `STATE`, absolute.
    pub root: PathBuf,
    pub packages: Dir,
    pub grains: Dir,
    pub backups: Dir,
    pub tmp: Dir,
}

impl Layout {
    pub fn open(root: &Path) -> Result<Layout, Error> {
        let root = std::path::absolute(root).at("find", root)?;
        make_private(&root)?;
        let open = |name: &str| {
            let path = root.join(name);
            make_private(&path)?;
            Dir::open_trusted(&path).at("open", path)
        };
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = root.join("lock");
        rustix::fs::open(&lock, flags, Mode::from_raw_mode(0o600))
            .map_err(io::Error::from)
            .at("open", lock)?;
        Ok(Layout {
            packages: open("packages")?,
            grains: open("grains")?,
            backups: open("backups")?,
            tmp: open("tmp")?,
            root,
        })
    }

    pub fn path(&self, parts: &[&str]) -> PathBuf {
        self.root.join(parts.iter().collect::<PathBuf>())
    }

    /// Makes `tmp/<kind>.<random>/` and locks it.
    pub fn stage(&self, kind: &str) -> Result<Staging, Error> {
        let name = format!("{kind}.{}", random_name(12)?);
        let path = self.path(&["tmp", &name]);
        // Shared with others who stage, exclusive against the cleaner, who must not see the
        // directory before it is locked.
        let _setting_up = self.setting_up(FlockOperation::LockShared)?;
        let staged = spk_files::Staging::create_named(&self.tmp, name.as_bytes(), PRIVATE)
            .at("create", &path)?;
        let dir = staged.dir().try_clone().at("open", &path)?;
        flock(&dir, FlockOperation::LockExclusive).map_err(io::Error::from).at("lock", &path)?;
        Ok(Staging { dir, path, staged })
    }

    /// Removes what killed processes have left in `tmp`; one line about each.
    pub fn clean(&self) -> Result<Vec<String>, Error> {
        let tmp = self.path(&["tmp"]);
        let mut left = Vec::new();
        {
            // Somebody is setting something up: cleaning can wait for another time.
            let Some(_alone) = self.try_alone()? else { return Ok(Vec::new()) };
            for name in self.tmp.names().at("list", &tmp)? {
                let shown = String::from_utf8_lossy(&name).into_owned();
                match self.tmp.open_dir(&name) {
                    Ok(dir) => {
                        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_ok() {
                            left.push((name, shown, dir));
                        }
                    }
                    // Not a directory, or gone: nobody works there.
                    Err(error) if is_gone(&error) => {
                        self.tmp.remove_tree(&name).at("remove", tmp.join(&shown))?;
                    }
                    // Somebody may.
                    Err(error) => Err(error).at("open", tmp.join(&shown))?,
                }
            }
        }
        let mut told = Vec::new();
        for (name, shown, _locked) in left {
            self.tmp.remove_tree(&name).at("remove", tmp.join(&shown))?;
            told.push(match shown.split('.').next() {
                Some("deleting") => format!("finished an interrupted deletion (tmp/{shown})"),
                Some(kind) => format!("removed an interrupted {kind} (tmp/{shown})"),
                None => format!("removed tmp/{shown}"),
            });
        }
        told.extend(self.clean_backups()?);
        Ok(told)
    }

    /// Removes backups below `backups` that nobody is writing any more.
    fn clean_backups(&self) -> Result<Vec<String>, Error> {
        let mut told = Vec::new();
        for grain in self.backups.names().at("list", self.path(&["backups"]))? {
            // Removed just now by another process, or nothing of ours.
            let Ok(dir) = self.backups.open_dir(&grain) else { continue };
            let path = self.path(&["backups", &String::from_utf8_lossy(&grain)]);
            told.extend(clean_partial(&dir, None).at("clean", path)?);
        }
        Ok(told)
    }

    fn setting_up(&self, operation: FlockOperation) -> Result<File, Error> {
        // A description of its own: locks on a shared one would be one lock.
        let path = self.path(&["lock"]);
        let file = File::open(&path).at("open", &path)?;
        flock(&file, operation).map_err(io::Error::from).at("lock", &path)?;
        Ok(file)
    }

    fn try_alone(&self) -> Result<Option<File>, Error> {
        match self.setting_up(FlockOperation::NonBlockingLockExclusive) {
            Ok(file) => Ok(Some(file)),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A directory below `tmp` that only we work in, and that is locked for as long; removed when
/// dropped, unless it was moved away.
#[derive(Debug)]
pub struct Staging {
    /// The directory.
    pub dir: Dir,
    /// Where it is.
    pub path: PathBuf,
    staged: spk_files::Staging,
}

impl Staging {
    /// Moves the whole directory to its final place, which must be free.
    pub(crate) fn publish(self, to: &Dir, name: &str, path: PathBuf) -> Result<Dir, Error> {
        self.staged.commit_to(to, name.as_bytes()).at("create", &path)?;
        to.sync().at("sync", &path)?;
        Ok(self.dir)
    }

    /// Takes the directory `name` out of `from` into this one, as `new`, for good. When it does not
    /// last, it is put back.
    pub(crate) fn take(&self, from: &Dir, name: &[u8], new: &[u8]) -> io::Result<()> {
        from.rename(name, &self.dir, new)?;
        from.sync().inspect_err(|_| {
            // If that fails as well it goes with this directory, as it should have.
            let _ = self.dir.rename(new, from, name);
        })
    }

    /// Removes it now, telling when that fails.
    ///
    /// # Errors
    /// When something of it stays.
    pub fn discard(self) -> Result<(), Error> {
        self.staged.discard().at("remove", &self.path)
    }
}

/// Removes unfinished backups with this final name, or any, that nobody is writing; one line about
/// each.
pub(crate) fn clean_partial(dir: &Dir, name: Option<&[u8]>) -> io::Result<Vec<String>> {
    let removed = atomic::remove_left_overs(dir, name)?;
    let told = |left| format!("removed an interrupted export ({})", printable::line(left));
    Ok(removed.into_iter().map(told).collect())
}

fn make_private(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(PRIVATE).create(path).at("create", path)
}
