//! Backups of grains: the original's zip layout (grain-runtime §E), written so that nothing is
//! lost and read as if an enemy had written it.

pub mod automatic;
mod error;
mod export;
mod info;
mod limits;
mod names;
mod restore;
mod snapshot;
mod target;
mod zip;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use spk_package::app_id::AppId;
use spk_package::package_id::PackageId;
use spk_package::progress::{Progress, Stage};

pub use error::Error;
pub use export::{Contents, Skipped};
pub use info::METADATA_LIMIT;
pub use limits::Limits;
pub use restore::Counts;

use crate::store;
use crate::store::{Grain, GrainId, GrainMeta, Opened, Package, Store};
use export::{Data, Exporter};
use info::Info;
use restore::Plan;
use spk_files::Dir;
use target::Beside;
use zip::verify::verify;
use zip::write::{Output, Writer};

/// Where a backup goes.
pub enum Target {
    /// A file; it appears, or is replaced, when the backup is complete and reads back.
    File(PathBuf),
    /// A pipe. What is written there cannot be read back.
    Pipe(Box<dyn Write + Send>),
}

/// How a backup is made.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Do not compress.
    pub store: bool,
    /// Read a running grain's data while the app goes on changing it.
    pub live: bool,
    /// How long a running grain may be frozen.
    pub freeze_limit: Duration,
}

/// How long a running grain is frozen unless told otherwise: people wait so long for a page.
pub const FREEZE_LIMIT: Duration = Duration::from_secs(20);

impl Default for ExportOptions {
    fn default() -> Self {
        ExportOptions { store: false, live: false, freeze_limit: FREEZE_LIMIT }
    }
}

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What is in it.
    pub contents: Contents,
    /// The grain's title.
    pub title: String,
    /// Its length in bytes.
    pub size: u64,
    /// How long the running grain was frozen for it.
    pub frozen: Option<Duration>,
    /// What was cleaned up beside it.
    pub notes: Vec<String>,
}

/// Makes a backup of a grain. One that is stopped cannot be started meanwhile; one that runs is
/// frozen while its data is copied (or not at all, with `live`).
///
/// # Errors
/// [`crate::store::Error::Busy`] when something else is done with it; when something cannot be read or written. Nothing
/// is left then.
pub fn export(
    store: &Store,
    id: &GrainId,
    target: Target,
    options: &ExportOptions,
    progress: &mut dyn Progress,
) -> Result<Exported, Error> {
    match store.open_or_held(id, "export")? {
        Opened::Locked(grain) => export_grain(&grain, target, options, progress),
        Opened::Held { dir, path, holder: Some(holder) } if holder.runs() => {
            let meta = store::read_meta(&dir, &path)?;
            match options.live {
                true => export_dir(&dir, &meta, Data::Changing, target, options, progress),
                false => export_running(store, id, &dir, &meta, target, options, progress),
            }
        }
        Opened::Held { holder, .. } => Err(store::Error::Busy { id: id.clone(), holder }.into()),
    }
}

/// Makes a backup of a running grain, frozen while its data is copied; `dir` is its directory.
fn export_running(
    store: &Store,
    id: &GrainId,
    dir: &Dir,
    meta: &GrainMeta,
    target: Target,
    options: &ExportOptions,
    progress: &mut dyn Progress,
) -> Result<Exported, Error> {
    let frozen = |error: store::control::ControlError| {
        let reason = match std::error::Error::source(&error) {
            Some(source) => format!("{error} ({source})"),
            None => error.to_string(),
        };
        Error::Frozen { id: id.clone(), reason }
    };
    let staging = store.layout.stage("copy")?;
    let mut client = store::control::Client::connect(dir).map_err(frozen)?;
    let begin = Instant::now();
    client.freeze(options.freeze_limit).map_err(frozen)?;
    let copied = snapshot::copy(dir, &staging.dir, begin + options.freeze_limit);
    let thawed = client.thaw();
    let duration = begin.elapsed();
    // The app went on before the copy was complete: it may be torn, or have failed for that.
    if thawed.is_err() || (copied.is_err() && duration > options.freeze_limit) {
        return Err(Error::TooSlow);
    }
    let skipped = copied?;
    copy_log(dir, &staging.dir)?;
    let mut exported = export_dir(&staging.dir, meta, Data::Still, target, options, progress)?;
    exported.contents.skipped.splice(0..0, skipped);
    exported.frozen = Some(duration);
    Ok(exported)
}

/// The log as it is now, if there is one.
fn copy_log(from: &Dir, to: &Dir) -> Result<(), Error> {
    let copy = || {
        let Some(log) = export::open_log(from)? else { return Ok(()) };
        let mut copy = to.create_file(store::LOG.as_bytes(), 0o600)?;
        io::copy(&mut log.take(export::LOG_LIMIT), &mut copy).map(drop)
    };
    copy().map_err(|source| Error::Io { action: "copy", path: store::LOG.into(), source })
}

/// Makes a backup of a grain that the caller holds.
///
/// # Errors
/// As [`export`].
pub fn export_grain(
    grain: &Grain,
    target: Target,
    options: &ExportOptions,
    progress: &mut dyn Progress,
) -> Result<Exported, Error> {
    export_dir(grain.dir(), grain.meta(), Data::Still, target, options, progress)
}

fn export_dir(
    grain: &Dir,
    meta: &GrainMeta,
    data: Data,
    target: Target,
    options: &ExportOptions,
    progress: &mut dyn Progress,
) -> Result<Exported, Error> {
    let writing = |error| Error::Archive("write", error);
    let metadata = info::write(meta);
    let mut notes = Vec::new();
    match target {
        Target::Pipe(pipe) => {
            let writer = Writer::new(Output::pipe(pipe));
            let exporter = Exporter::new(writer, data, options.store, progress).map_err(writing)?;
            let (writer, contents, _) = exporter.run(grain, metadata)?;
            let (_, size, _) = writer.finish().map_err(writing)?;
            Ok(Exported { contents, title: meta.title.clone(), size, frozen: None, notes })
        }
        Target::File(path) => {
            let beside = Beside::create(&path, &mut notes)?;
            let writer = Writer::new(Output::file(beside.file()?));
            let exporter = Exporter::new(writer, data, options.store, progress).map_err(writing)?;
            let (writer, contents, bytes) = exporter.run(grain, metadata)?;
            let (_, size, members) = writer.finish().map_err(writing)?;
            let file = beside.file()?;
            progress.stage(Stage::ReadBack, Some(bytes));
            // What is written goes to the disk while it is read back.
            let (synced, verified) = std::thread::scope(|scope| {
                let syncing = std::thread::Builder::new().spawn_scoped(scope, || file.sync_all());
                let verified = verify(&file, members, progress);
                let synced = syncing.and_then(|syncing| {
                    syncing.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
                });
                (synced, verified)
            });
            synced.map_err(writing)?;
            verified.map_err(|e| Error::Unverified(Box::new(e)))?;
            beside.publish()?;
            Ok(Exported { contents, title: meta.title.clone(), size, frozen: None, notes })
        }
    }
}

/// How a backup is restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions<'a> {
    /// What is accepted.
    pub limits: Limits,
    /// The package to use, instead of the newest of the app in the store.
    pub package: Option<&'a Package>,
    /// Accept data that is older than what the package says it upgrades.
    pub force: bool,
    /// Restore without a package of the app in the store, for `spk dev` to run.
    pub without_package: bool,
    /// Write everything to the disk before the grain appears: after a power cut it is there as a
    /// whole, or not at all. Waits for what others write to the same file system, too.
    pub sync: bool,
    /// Take every backslash for a letter.
    pub literal_backslashes: bool,
}

/// A backup that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The new grain, locked.
    pub grain: Grain,
    /// What is in it.
    pub counts: Counts,
    /// What was not restored, or not as it was.
    pub notes: Vec<Skipped>,
}

/// What restoring a backup would give.
#[derive(Debug)]
pub struct Examined {
    /// The app it belongs to.
    pub app_id: AppId,
    /// The package that the grain would run with.
    pub package_id: Option<PackageId>,
    /// The grain's title.
    pub title: String,
    /// What would be in it.
    pub counts: Counts,
    /// What would not be restored, or not as it was.
    pub notes: Vec<Skipped>,
}

/// Looks at all of a backup, and whether there is a package for it, as [`restore`] would.
///
/// # Errors
/// As [`restore`].
pub fn examine(
    store: &Store,
    file: File,
    options: &RestoreOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<Examined, Error> {
    let mut plan = Plan::new(file, options.limits, options.literal_backslashes)?;
    let info = info::read(&plan.metadata()?)?;
    let newest = newest(store, &info, options)?;
    let package = choose(&newest, &info, options)?;
    let counts = plan.examine(progress)?;
    Ok(Examined {
        package_id: package.map(|package| package.id),
        title: title(&info, package).to_owned(),
        app_id: info.app_id,
        counts,
        notes: std::mem::take(&mut plan.notes),
    })
}

/// Restores a backup from a file into a new grain.
///
/// # Errors
/// Everything that is wrong with the file, or with the package. Nothing is left then.
pub fn restore(
    store: &Store,
    file: File,
    options: &RestoreOptions<'_>,
    progress: &mut dyn Progress,
) -> Result<Restored, Error> {
    let mut plan = Plan::new(file, options.limits, options.literal_backslashes)?;
    let info = info::read(&plan.metadata()?)?;
    let newest = newest(store, &info, options)?;
    let package = choose(&newest, &info, options)?;
    let staging = store.layout.stage("restore")?;
    let counts = plan.extract(&staging.dir, progress)?;
    if options.sync {
        staging.dir.sync_file_system().map_err(|source| Error::Io {
            action: "write",
            path: staging.path.clone(),
            source,
        })?;
    }
    let title = title(&info, package).to_owned();
    let app_version = package.map_or(info.app_version, |p| p.manifest.app_version);
    let meta = GrainMeta {
        package_id: package.map(|package| package.id),
        started: true,
        owner_identity_id: info.owner_identity_id,
        users: info.users,
        original_grain_id: info.original_grain_id,
        ..GrainMeta::new(info.app_id, app_version, &title)
    };
    let grain = store.adopt(staging, meta)?;
    Ok(Restored { grain, counts, notes: std::mem::take(&mut plan.notes) })
}

/// The newest package of the backup's app, where no other was asked for.
fn newest(
    store: &Store,
    info: &Info,
    options: &RestoreOptions<'_>,
) -> Result<Option<Package>, Error> {
    match options.package.is_some() || options.without_package {
        true => Ok(None),
        false => Ok(store.newest_package(&info.app_id)?),
    }
}

/// The package to run the grain with; it fits.
fn choose<'a>(
    newest: &'a Option<Package>,
    info: &Info,
    options: &RestoreOptions<'a>,
) -> Result<Option<&'a Package>, Error> {
    let package = options.package.or(newest.as_ref());
    match package {
        Some(package) => check_package(package, &info.app_id, info.app_version, options.force)?,
        None if options.without_package => {}
        None => return Err(Error::NoApp { app_id: info.app_id.to_string() }),
    }
    Ok(package)
}

fn title<'a>(info: &'a Info, package: Option<&'a Package>) -> &'a str {
    match (&*info.title, package) {
        ("", Some(package)) => &package.manifest.app_title,
        (title, _) => title,
    }
}

/// Collects a backup that comes through a pipe, in a file without a name in the store.
///
/// # Errors
/// When it cannot be read or written.
pub fn spool(
    store: &Store,
    mut from: impl Read,
    progress: &mut dyn Progress,
) -> Result<File, Error> {
    progress.stage(Stage::Receive, None);
    let spooling = |error| Error::Archive("collect", error);
    let mut file = tempfile::tempfile_in(store.layout.path(&["tmp"])).map_err(spooling)?;
    let mut piece = vec![0; SPOOLED];
    loop {
        match from.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => {
                file.write_all(&piece[..count]).map_err(spooling)?;
                progress.advance(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(spooling(error)),
        }
    }
    file.rewind().map_err(spooling)?;
    Ok(file)
}

/// Bytes taken from a pipe at once.
const SPOOLED: usize = 256 << 10;

/// The rules of grain-runtime §E.6 and §E.7.
fn check_package(
    package: &Package,
    app_id: &AppId,
    version: u32,
    force: bool,
) -> Result<(), Error> {
    let manifest = &package.manifest;
    if package.app_id != *app_id {
        let (backup, package) = (app_id.to_string(), package.app_id.to_string());
        return Err(Error::OtherApp { backup, package });
    }
    if manifest.app_version < version {
        return Err(Error::OlderApp { needed: version, newest: manifest.app_version });
    }
    if version < manifest.min_upgradable_app_version && !force {
        let minimum = manifest.min_upgradable_app_version;
        return Err(Error::TooOld { found: version, minimum });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
