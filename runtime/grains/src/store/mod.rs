//! The store: packages and grains of one user on this machine, safe against crashes, full disks
//! and several processes at once. See [`layout`] for what lies where.

pub mod capabilities;
pub mod control;
mod error;
mod grain;
mod id;
mod identity;
pub(crate) mod layout;
mod lock;
mod meta;
mod packages;

use std::io;
use std::path::{Path, PathBuf};

pub use capabilities::CapabilityFile;
pub use error::Error;
pub use grain::Grain;
pub use id::{GrainId, ID_LENGTH, random_name};
pub use layout::Staging;
pub use lock::Holder;
pub use meta::{GrainMeta, User, now};
pub use packages::Package;

pub(crate) use error::IoContext;
pub(crate) use grain::{LOG, LOG_BEFORE, SANDBOX, change_meta, read_meta};
pub(crate) use layout::Layout;
pub(crate) use lock::Attempt;

use spk_files::Dir;
use spk_package::app_id::AppId;

/// Longest title kept, in characters: more does not fit on any screen.
pub const TITLE_LIMIT: usize = 1000;

/// Grains and packages below one state directory.
#[derive(Debug)]
pub struct Store {
    pub(crate) layout: Layout,
    recovered: Vec<String>,
}

/// What a new grain begins with.
#[derive(Clone, Debug, Default)]
pub struct NewGrain {
    /// Its title; empty: the app's own title.
    pub title: String,
}

/// A grain as a list shows it. Nothing is locked.
#[derive(Debug)]
pub struct GrainInfo {
    /// Its ID.
    pub id: GrainId,
    /// What is known about it, or why that cannot be read.
    pub meta: Result<GrainMeta, Error>,
    /// Whether a process holds it now, and which.
    pub busy: Option<Option<Holder>>,
}

/// A grain that was looked for in order to lock it.
pub(crate) enum Opened<T> {
    /// It is ours.
    Locked(T),
    /// Somebody else has it: its directory, and who, if that is known.
    Held { dir: Dir, path: PathBuf, holder: Option<Holder> },
}

/// A grain's directory with its path and its lock.
type Locked = (Dir, PathBuf, lock::Lock);

impl<T> Opened<T> {
    /// It is an error that somebody else has it.
    fn or_busy(self, id: &GrainId) -> Result<T, Error> {
        match self {
            Opened::Locked(locked) => Ok(locked),
            Opened::Held { holder, .. } => Err(Error::Busy { id: id.clone(), holder }),
        }
    }
}

impl Store {
    /// Opens the store below `dir`, making it if needed, and removes what killed processes have
    /// left unfinished; [`Store::recovered`] tells what that was.
    ///
    /// # Errors
    /// When its directories cannot be made or opened, or left-overs cannot be removed.
    pub fn open(dir: &Path) -> Result<Store, Error> {
        let layout = Layout::open(dir)?;
        let recovered = layout.clean()?;
        Ok(Store { layout, recovered })
    }

    /// One line about each thing that opening the store has cleaned up.
    pub fn recovered(&self) -> &[String] {
        &self.recovered
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.layout.root
    }

    /// Makes a grain that runs `package`; it is locked.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left then.
    pub fn create_grain(&self, package: &Package, new: NewGrain) -> Result<Grain, Error> {
        let title =
            if new.title.is_empty() { package.manifest.app_title.clone() } else { new.title };
        let meta = GrainMeta::new(package.app_id, package.manifest.app_version, &title);
        self.create(GrainMeta { package_id: Some(package.id), ..meta })
    }

    /// Makes a grain for an app that is being developed, which has no package yet; it is locked.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left then.
    pub fn create_dev_grain(
        &self,
        app_id: &AppId,
        app_version: u32,
        title: &str,
    ) -> Result<Grain, Error> {
        self.create(GrainMeta::new(*app_id, app_version, title))
    }

    fn create(&self, meta: GrainMeta) -> Result<Grain, Error> {
        let staging = self.layout.stage("creation")?;
        let sandbox = staging.path.join(SANDBOX);
        staging.dir.create_dir(SANDBOX.as_bytes(), 0o700).at("create", &sandbox)?;
        // Exactly 0770, whatever the umask (grain-runtime §D).
        staging.dir.set_mode(SANDBOX.as_bytes(), 0o770).at("create", &sandbox)?;
        self.adopt(staging, meta)
    }

    /// Turns a staged directory with a `sandbox` into a grain. The rest of it, with the metadata
    /// last, is made here; then it appears among the grains, locked, by one rename.
    pub(crate) fn adopt(&self, staging: Staging, meta: GrainMeta) -> Result<Grain, Error> {
        let id = GrainId::random()?;
        let log = staging.path.join(LOG);
        match staging.dir.create_file(LOG.as_bytes(), 0o600) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => drop(made.at("create", log)?),
        }
        meta::write(&staging.dir, &meta).at("write", staging.path.join(meta::META))?;
        let lock = match lock::try_lock(&staging.dir, "new").at("lock", &staging.path)? {
            Attempt::Locked(lock) => lock,
            Attempt::Held(holder) => return Err(Error::Busy { id, holder }),
        };
        tracing::debug!(what = "new", "lock taken");
        let path = self.layout.path(&["grains", id.as_str()]);
        let dir = staging.publish(&self.layout.grains, id.as_str(), path.clone())?;
        // The staging lock went with the directory; it must not outlive the staging.
        let dir = self.reopen(dir, &path)?;
        Grain::new(id, path, dir, lock)
    }

    /// Opens and locks a grain for `what` ("run", "export", …; others are told).
    ///
    /// # Errors
    /// [`Error::NoGrain`], [`Error::Busy`], or unreadable metadata.
    pub fn open_grain_for(&self, id: &GrainId, what: &str) -> Result<Grain, Error> {
        let (dir, path, lock) = self.lock_grain(id, what)?.or_busy(id)?;
        Grain::new(id.clone(), path, dir, lock)
    }

    /// Opens a grain, and locks it if nobody else has.
    pub(crate) fn open_or_held(&self, id: &GrainId, what: &str) -> Result<Opened<Grain>, Error> {
        match self.lock_grain(id, what)? {
            Opened::Locked((dir, path, lock)) => {
                Ok(Opened::Locked(Grain::new(id.clone(), path, dir, lock)?))
            }
            Opened::Held { dir, path, holder } => Ok(Opened::Held { dir, path, holder }),
        }
    }

    fn lock_grain(&self, id: &GrainId, what: &str) -> Result<Opened<Locked>, Error> {
        let (dir, path) = self.grain_dir(id)?;
        let lock = match lock::try_lock(&dir, what).at("lock", &path)? {
            Attempt::Locked(lock) => lock,
            Attempt::Held(holder) => {
                tracing::debug!(grain = %id, what, ?holder, "lock held by another");
                return Ok(Opened::Held { dir, path, holder });
            }
        };
        tracing::debug!(grain = %id, what, "lock taken");
        // A deletion may have moved the directory away before we had the lock.
        let there = self.grain_dir(id)?.0;
        if !lock.is_in(&there).at("lock", &path)? {
            return Err(Error::NoGrain(id.to_string()));
        }
        Ok(Opened::Locked((dir, path, lock)))
    }

    /// Opens and locks a grain for `what` although its metadata cannot be read: what is left of them
    /// takes their place, in memory only. Its data is whole. `app_id`: the app it belongs to, where
    /// that is known from elsewhere.
    ///
    /// # Errors
    /// As [`Store::open_grain_for`]; also when nobody knows the app.
    pub fn open_damaged(
        &self,
        id: &GrainId,
        what: &str,
        app_id: Option<AppId>,
    ) -> Result<Grain, Error> {
        let (dir, path, lock) = self.lock_grain(id, what)?.or_busy(id)?;
        let meta = match read_meta(&dir, &path) {
            Err(error) if error.is_damaged_grain() => {
                let salvaged = meta::salvage(&dir, app_id).at("read", path.join(meta::META))?;
                salvaged.ok_or(error)?
            }
            read => read?,
        };
        Ok(Grain::with(id.clone(), path, dir, lock, meta))
    }

    /// Opens and locks a grain in order to run it.
    ///
    /// # Errors
    /// As [`Store::open_grain_for`].
    pub fn open_grain(&self, id: &GrainId) -> Result<Grain, Error> {
        self.open_grain_for(id, "run")
    }

    /// All grains, in the order of their IDs.
    ///
    /// # Errors
    /// When the store cannot be read. What is wrong with one grain is in its own entry.
    pub fn grains(&self) -> Result<Vec<GrainInfo>, Error> {
        let info = |id| match self.grain_info(&id) {
            // Deleted while we were looking; then the list has it no more.
            Err(error @ Error::NoGrain(_)) => match self.ids()?.contains(&id) {
                true => Err(error),
                false => Ok(None),
            },
            info => info.map(Some),
        };
        self.ids()?.into_iter().filter_map(|id| info(id).transpose()).collect()
    }

    /// One grain, without locking it.
    ///
    /// # Errors
    /// [`Error::NoGrain`], or the store cannot be read.
    pub fn grain_info(&self, id: &GrainId) -> Result<GrainInfo, Error> {
        let (dir, path) = self.grain_dir(id)?;
        let busy = lock::holder(&dir).at("read", path.join("lock"))?;
        Ok(GrainInfo { id: id.clone(), meta: read_meta(&dir, &path), busy })
    }

    /// The grain whose ID is `text`, or the only one whose ID begins with it.
    ///
    /// # Errors
    /// [`Error::NoGrain`] or [`Error::Ambiguous`].
    pub fn resolve(&self, text: &str) -> Result<GrainId, Error> {
        if let Ok(id) = text.parse::<GrainId>() {
            return self.grain_dir(&id).map(|_| id);
        }
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !plain || text.len() > ID_LENGTH {
            return Err(Error::NotAnId(text.chars().take(80).collect()));
        }
        let mut found: Vec<GrainId> =
            self.ids()?.into_iter().filter(|id| id.as_str().starts_with(text)).collect();
        match (found.pop(), found.len()) {
            (Some(id), 0) => Ok(id),
            (Some(_), others) => Err(Error::Ambiguous { text: text.to_owned(), count: others + 1 }),
            (None, _) => Err(Error::NoGrain(text.to_owned())),
        }
    }

    /// Changes a grain's title, also while another process runs it.
    ///
    /// # Errors
    /// When there is no such grain, or its metadata cannot be replaced.
    pub fn rename_grain(&self, id: &GrainId, title: &str) -> Result<(), Error> {
        let (dir, path) = self.grain_dir(id)?;
        change_meta(&dir, &path, |meta| meta.title = shorten(title)).map(drop)
    }

    /// Connects to the process that runs a grain.
    ///
    /// # Errors
    /// When there is no such grain; the inner error when nobody answers.
    pub fn control(
        &self,
        id: &GrainId,
    ) -> Result<Result<control::Client, control::ControlError>, Error> {
        let (dir, _) = self.grain_dir(id)?;
        Ok(control::Client::connect(&dir))
    }

    /// A directory to work in that goes with the result; `kind` is part of its name.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn stage(&self, kind: &str) -> Result<Staging, Error> {
        self.layout.stage(kind)
    }

    /// A file without a name on the store's disk.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn unnamed_file(&self) -> io::Result<std::fs::File> {
        tempfile::tempfile_in(self.layout.path(&["tmp"]))
    }

    /// The parts of a grain's log that there are, oldest first, opened for reading. Their content
    /// is the app's: any bytes, any length.
    ///
    /// # Errors
    /// When there is no such grain, or a part cannot be opened.
    pub fn logs(&self, id: &GrainId) -> Result<Vec<std::fs::File>, Error> {
        let (dir, path) = self.grain_dir(id)?;
        let mut parts = Vec::new();
        for name in [LOG_BEFORE, LOG] {
            match dir.open_file(name.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => parts.push(opened.at("read", path.join(name))?),
            }
        }
        Ok(parts)
    }

    /// Bytes a grain takes on the disk, with its log and metadata: blocks of all entries, those of
    /// a file with several names divided by their number (grain-runtime §A.15). What an app
    /// changes meanwhile is counted as it is found.
    ///
    /// # Errors
    /// When there is no such grain, or it cannot be read.
    pub fn grain_size(&self, id: &GrainId) -> Result<u64, Error> {
        let (dir, path) = self.grain_dir(id)?;
        dir.disk_usage().at("read", path)
    }

    /// Removes a grain and all its data. It disappears at once, by a rename; when the process is
    /// killed while the data is being removed, the next [`Store::open`] goes on.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn delete(&self, grain: Grain) -> Result<(), Error> {
        let id = grain.id().clone();
        let path = grain.path().to_owned();
        let staging = self.layout.stage("deleting")?;
        let lock = grain.into_lock();
        staging.take(&self.layout.grains, id.as_str().as_bytes(), b"grain").at("remove", &path)?;
        staging.discard()?;
        drop(lock);
        Ok(())
    }

    pub(crate) fn grain_dir(&self, id: &GrainId) -> Result<(Dir, PathBuf), Error> {
        let path = self.layout.path(&["grains", id.as_str()]);
        match self.layout.grains.open_dir(id.as_str().as_bytes()) {
            Ok(dir) => Ok((dir, path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::NoGrain(id.to_string()))
            }
            Err(source) => Err(Error::Io { action: "open", path, source }),
        }
    }

    fn ids(&self) -> Result<Vec<GrainId>, Error> {
        let names = self.layout.grains.names().at("list", self.layout.path(&["grains"]))?;
        Ok(names.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).collect())
    }

    fn reopen(&self, dir: Dir, path: &Path) -> Result<Dir, Error> {
        dir.open_dir(b"").at("open", path)
    }
}

/// A title of bounded length.
pub(crate) fn shorten(title: &str) -> String {
    title.chars().take(TITLE_LIMIT).collect()
}

#[cfg(test)]
pub(crate) mod tests;
