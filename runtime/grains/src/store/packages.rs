//! Packages in the store: verified once, unpacked once, named by the hash of their file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use spk_package::app_id::AppId;
use spk_package::manifest::Manifest;
use spk_package::package_id::PackageId;
use spk_package::progress::Silent;
use spk_package::unpack::{Options, Strictness, unpack_from};

use super::Store;
use super::error::{Error, IoContext};
use spk_files::{Dir, is_gone};

/// The package's file tree, within its directory in the store.
const ROOT: &str = "root";

/// The app ID, as text, beside it; the original keeps it in `apps/<package-id>.appid`.
const APP_ID: &str = "appid";

/// The manifest in the package's tree.
const MANIFEST: &str = "sandstorm-manifest";

/// Longest manifest read: servers read 8 MiB, plus its frame.
const MANIFEST_LIMIT: u64 = (8 << 20) + 4096;

/// A package ready to run. While the value lives, garbage collection leaves the package alone.
#[derive(Debug)]
pub struct Package {
    /// Its ID.
    pub id: PackageId,
    /// The app it belongs to.
    pub app_id: AppId,
    /// Its files: the root of the sandbox.
    pub dir: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// Keeps the shared lock.
    _in_use: Dir,
}

impl Package {
    /// The manifest as the package has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn manifest_bytes(&self) -> Result<Vec<u8>, Error> {
        let root = self._in_use.open_dir(ROOT.as_bytes());
        root.and_then(|root| read(&root, MANIFEST, MANIFEST_LIMIT))
            .at("read", self.dir.join(MANIFEST))
    }

    /// Bytes the package takes on the disk, unpacked.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn disk_usage(&self) -> Result<u64, Error> {
        self._in_use.disk_usage().at("read", &self.dir)
    }
}

impl Store {
    /// Verifies a package file and unpacks it into the store, unless it is there already.
    ///
    /// # Errors
    /// When the file is not a good package, or the store cannot be written.
    pub fn add_package(&self, spk: &Path) -> Result<Package, Error> {
        let id = hash(spk)?;
        match self.package(&id) {
            Err(Error::NoPackage(_)) => {}
            found => {
                tracing::debug!(package = %id, "package is in the store");
                return found;
            }
        }
        tracing::info!(package = %id, file = %spk.display(), "unpacking into the store");
        let staging = self.layout.stage("package")?;
        let root = staging.path.join(ROOT);
        let (app_id, unpacked) = unpack(spk, &root)
            .map_err(|source| Error::BadPackage { path: spk.to_owned(), source })?;
        let app_id_file = staging.path.join(APP_ID);
        std::fs::write(&app_id_file, format!("{app_id}\n")).at("write", app_id_file)?;
        let path = self.layout.path(&["packages", &unpacked.to_string()]);
        match staging.publish(&self.layout.packages, &unpacked.to_string(), path) {
            // Another process added the same package meanwhile: as good as ours.
            Err(Error::Io { source, .. }) if is_taken(&source) => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        self.package(&unpacked)
    }

    /// A package that is in the store.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    pub fn package(&self, id: &PackageId) -> Result<Package, Error> {
        let name = id.to_string();
        let path = self.layout.path(&["packages", &name]);
        let dir = loop {
            let dir = match self.layout.packages.open_dir(name.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::NoPackage(*id));
                }
                opened => opened.at("open", &path)?,
            };
            flock(&dir, FlockOperation::LockShared).map_err(io::Error::from).at("lock", &path)?;
            // Garbage collection may have moved it away just before we had the lock.
            let there = match self.layout.packages.stat(name.as_bytes()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                there => there.at("read", &path)?,
            };
            if there.st_ino == dir.stat_self().at("read", &path)?.st_ino {
                break dir;
            }
        };
        let damaged = |source| Error::DamagedPackage { id: *id, source };
        // What is not as it was put there is damaged; what cannot be read may be whole.
        let unreadable = |error: io::Error| match is_gone(&error) || is_too_long(&error) {
            true => damaged(error.into()),
            false => Error::Io { action: "read", path: path.clone(), source: error },
        };
        let app_id = read(&dir, APP_ID, 256).map_err(unreadable)?;
        let app_id = AppId::parse(app_id.trim_ascii()).map_err(|error| damaged(error.into()))?;
        let manifest = dir
            .open_dir(ROOT.as_bytes())
            .and_then(|root| read(&root, MANIFEST, MANIFEST_LIMIT))
            .map_err(unreadable)?;
        let manifest = Manifest::from_bytes(&manifest).map_err(|error| damaged(error.into()))?;
        Ok(Package { id: *id, app_id, dir: path.join(ROOT), manifest, _in_use: dir })
    }

    /// The IDs of all packages in the store, in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn packages(&self) -> Result<Vec<PackageId>, Error> {
        let names = self.layout.packages.names().at("list", self.layout.path(&["packages"]))?;
        Ok(names.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).collect())
    }

    /// The package of an app with the highest `appVersion`; among equals, the last one added.
    ///
    /// # Errors
    /// When the store cannot be read. Damaged packages are passed over.
    pub fn newest_package(&self, app_id: &AppId) -> Result<Option<Package>, Error> {
        let mut newest: Option<((u32, i64, u64), Package)> = None;
        for id in self.packages()? {
            let package = match self.package(&id) {
                Ok(package) if package.app_id == *app_id => package,
                Ok(_) | Err(Error::NoPackage(_) | Error::DamagedPackage { .. }) => continue,
                Err(error) => return Err(error),
            };
            let added = package._in_use.stat_self().at("read", &package.dir)?;
            let rank = (package.manifest.app_version, added.st_ctime, added.st_ctime_nsec);
            if newest.as_ref().is_none_or(|(best, _)| *best < rank) {
                newest = Some((rank, package));
            }
        }
        Ok(newest.map(|(_, package)| package))
    }

    /// The packages that [`Store::collect_packages`] would remove.
    ///
    /// # Errors
    /// When a grain's metadata cannot be read.
    pub fn unused_packages(&self) -> Result<Vec<PackageId>, Error> {
        let mut unused = Vec::new();
        for id in self.packages()? {
            if self.hold_unused(&id)?.is_some() {
                unused.push(id);
            }
        }
        Ok(unused)
    }

    /// The directory of a package that no grain runs with and nobody holds, held so that nobody
    /// begins to.
    fn hold_unused(&self, id: &PackageId) -> Result<Option<Dir>, Error> {
        let dir = match self.layout.packages.open_dir(id.to_string().as_bytes()) {
            Err(error) if is_gone(&error) => return Ok(None),
            opened => opened.at("open", self.layout.path(&["packages", &id.to_string()]))?,
        };
        // Whoever starts or makes a grain holds the package until the grain's metadata name
        // it, so that the order "lock, then look at the grains" misses none.
        if flock(&dir, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        for grain in self.grains()? {
            if grain.meta?.package_id == Some(*id) {
                return Ok(None);
            }
        }
        Ok(Some(dir))
    }

    /// Removes the packages that no grain runs with and nobody holds; the IDs of those removed.
    /// Damaged ones go too.
    ///
    /// # Errors
    /// When a grain's metadata cannot be read (its package is then not known, so nothing is
    /// removed), or a package cannot be removed.
    pub fn collect_packages(&self) -> Result<Vec<PackageId>, Error> {
        let mut removed = Vec::new();
        for id in self.packages()? {
            let name = id.to_string();
            let path = self.layout.path(&["packages", &name]);
            let Some(_held) = self.hold_unused(&id)? else { continue };
            let staging = self.layout.stage("deleting")?;
            staging.take(&self.layout.packages, name.as_bytes(), b"package").at("remove", path)?;
            staging.discard()?;
            removed.push(id);
        }
        Ok(removed)
    }
}

/// The seam to the package library.
fn unpack(
    spk: &Path,
    root: &Path,
) -> Result<(AppId, PackageId), Box<dyn std::error::Error + Send + Sync>> {
    let mut file = File::open(spk)?;
    let size = file.metadata().ok().map(|metadata| metadata.len());
    let options = Options { strictness: Strictness::Verified, ..Options::default() };
    let (unpacked, verified) = unpack_from(&mut file, size, root, &options, &mut Silent)?;
    verified?;
    Ok((unpacked.app_id, unpacked.package_id))
}

/// The ID of a package file: what the store calls it.
fn hash(spk: &Path) -> Result<PackageId, Error> {
    let mut file = File::open(spk).at("open", spk)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer).at("read", spk)? {
            0 => return Ok(PackageId::from_hash(hash)),
            count => hash.update(&buffer[..count]),
        }
    }
}

fn read(dir: &Dir, name: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    dir.open_file(name.as_bytes())?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{name} is too long")));
    }
    Ok(bytes)
}

/// What [`read`] says of such a file.
fn is_too_long(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::InvalidData
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty)
}
