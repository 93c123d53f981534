//! One grain, locked: whoever has a [`Grain`] is its only writer.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::capabilities::CapabilityFile;
use super::error::{Error, IoContext};
use super::id::GrainId;
use super::lock::Lock;
use super::meta::{self, FORMAT, GrainMeta, META, ReadError};
use super::packages::Package;
use spk_files::Dir;

/// Directory that the app sees as `/var` (grain-runtime §D).
pub(crate) const SANDBOX: &str = "sandbox";

/// What the app prints (grain-runtime §A.14).
pub(crate) const LOG: &str = "log";

/// What it printed before the log was cut.
pub(crate) const LOG_BEFORE: &str = "log.1";

/// A grain that nobody else can start, change or delete until this value is dropped.
#[derive(Debug)]
pub struct Grain {
    id: GrainId,
    path: PathBuf,
    dir: Dir,
    meta: GrainMeta,
    lock: Lock,
}

impl Grain {
    pub(crate) fn new(id: GrainId, path: PathBuf, dir: Dir, lock: Lock) -> Result<Grain, Error> {
        let meta = read_meta(&dir, &path)?;
        Ok(Grain::with(id, path, dir, lock, meta))
    }

    pub(crate) fn with(id: GrainId, path: PathBuf, dir: Dir, lock: Lock, meta: GrainMeta) -> Grain {
        Grain { id, path, dir, meta, lock }
    }

    /// Its ID.
    pub fn id(&self) -> &GrainId {
        &self.id
    }

    /// What is known about it, as of the last reading or change through this value.
    pub fn meta(&self) -> &GrainMeta {
        &self.meta
    }

    /// The grain's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The app's `/var`.
    pub fn var_path(&self) -> PathBuf {
        self.path.join(SANDBOX)
    }

    /// What the app prints; the part before it is in `log.1`.
    pub fn log_path(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Where what the host remembers for the grain is kept: saved capabilities, API tokens.
    ///
    /// # Errors
    /// When no descriptor is to be had.
    pub fn capabilities(&self) -> Result<CapabilityFile, Error> {
        CapabilityFile::new(&self.dir, &self.path)
    }

    /// The grain's directory, opened.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Notes that the grain is being used now, and has been started.
    ///
    /// # Errors
    /// When the metadata cannot be written; the old ones stay.
    pub fn touch(&mut self) -> Result<(), Error> {
        self.lock.describe("run");
        self.change(|meta| {
            meta.last_used = meta::now();
            meta.started = true;
        })
    }

    /// Notes that `spk dev` runs the project whose definition is at `project` in this grain, and
    /// whether it was made `for_one_session` only.
    ///
    /// # Errors
    /// When the metadata cannot be written; the old ones stay.
    pub fn set_project(&mut self, project: &str, for_one_session: bool) -> Result<(), Error> {
        self.change(|meta| {
            meta.project = Some(project.to_owned());
            meta.for_one_session = for_one_session;
        })
    }

    /// The identity of a local user in this grain: 32 bytes, made on first use and kept in the
    /// metadata, so that it is the same after backup and restore. The first user to ask is the
    /// owner. Not for anonymous users, who have none.
    ///
    /// # Errors
    /// When the metadata cannot be written.
    pub fn identity(&mut self, user: &str) -> Result<[u8; 32], Error> {
        let (known, changed) = super::identity::identity(&mut self.meta.clone(), &self.id, user);
        if !changed {
            return Ok(known);
        }
        let id = self.id.clone();
        let mut identity = known;
        self.change(|meta| (identity, _) = super::identity::identity(meta, &id, user))?;
        Ok(identity)
    }

    /// Lets the grain run with `package` from now on: another build, an upgrade, or the first
    /// package of a grain that `spk dev` made.
    ///
    /// # Errors
    /// [`Error::OtherApp`], [`Error::OlderApp`]; [`Error::TooOld`] unless `force`; or the
    /// metadata cannot be written.
    pub fn set_package(&mut self, package: &Package, force: bool) -> Result<(), Error> {
        self.check_package(package, force)?;
        self.change(|meta| {
            meta.package_id = Some(package.id);
            meta.app_version = package.manifest.app_version;
        })
    }

    /// Whether [`Grain::set_package`] would agree.
    ///
    /// # Errors
    /// As there.
    pub fn check_package(&self, package: &Package, force: bool) -> Result<(), Error> {
        let id = self.id.clone();
        let (grain, manifest) = (self.meta.app_version, &package.manifest);
        if package.app_id != self.meta.app_id {
            return Err(Error::OtherApp { id, grain: self.meta.app_id, package: package.app_id });
        }
        if manifest.app_version < grain {
            return Err(Error::OlderApp { id, grain, package: manifest.app_version });
        }
        if grain < manifest.min_upgradable_app_version && !force {
            return Err(Error::TooOld { id, grain, minimum: manifest.min_upgradable_app_version });
        }
        Ok(())
    }

    /// Changes the metadata; see [`change_meta`].
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut GrainMeta)) -> Result<(), Error> {
        self.meta = change_meta(&self.dir, &self.path, change)?;
        Ok(())
    }

    /// Gives up the parts; the lock is still held by the value returned.
    pub(crate) fn into_lock(self) -> Lock {
        self.lock
    }
}

/// Reads, changes and replaces the metadata of a grain, one process at a time: a grain can be
/// renamed while another process runs it and notes that it was used.
pub(crate) fn change_meta(
    dir: &Dir,
    path: &Path,
    change: impl FnOnce(&mut GrainMeta),
) -> Result<GrainMeta, Error> {
    // A description of its own, closed (and thus unlocked) at the end.
    let turn = dir.open_dir(b"").at("open", path)?;
    flock(&turn, FlockOperation::LockExclusive).map_err(io::Error::from).at("lock", path)?;
    let before = read_meta(dir, path)?;
    let mut after = before.clone();
    change(&mut after);
    if after != before {
        after.format = FORMAT;
        meta::write(dir, &after).at("write", path.join(META))?;
    }
    Ok(after)
}

/// Reads the metadata of the grain in `dir`.
pub(crate) fn read_meta(dir: &Dir, path: &Path) -> Result<GrainMeta, Error> {
    let path = path.join(META);
    meta::read(dir).map_err(|error| match error {
        ReadError::Io(source) => Error::Io { action: "read", path, source },
        ReadError::Json(source) => Error::Metadata { path, source },
        ReadError::Newer(found) => Error::NewerFormat { path, found, known: FORMAT },
    })
}
