//! Backups that nobody asked for: taken before an upgrade and before a deletion, kept for a
//! while below `backups/<grain-id>/` in the store.

use std::path::PathBuf;

use spk_package::progress::Progress;

use super::{Error, ExportOptions, Exported, Target, export_grain};
use crate::store::{Grain, GrainId, IoContext, Store, now};
use spk_files::Dir;

/// How long automatic backups are kept, in seconds: 30 days, time enough to notice a loss. They
/// are removed when one is taken, and by garbage collection.
pub const KEPT: u64 = 30 * 24 * 3600;

/// An automatic backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Automatic {
    /// The grain it was made from.
    pub grain: GrainId,
    /// Where it is; any `restore` takes it.
    pub path: PathBuf,
    /// When it was made, Unix time in seconds.
    pub made: u64,
    /// What came after it: "upgrade" or "delete".
    pub before: String,
}

/// Takes a backup of a grain because of what is done to it next ("upgrade", "delete").
///
/// # Errors
/// When it cannot be made; the caller should then not go on.
pub fn before(
    store: &Store,
    grain: &Grain,
    what: &str,
    progress: &mut dyn Progress,
) -> Result<(Automatic, Exported), Error> {
    expire(store)?;
    let id = grain.id();
    let dir = store.layout.path(&["backups", id.as_str()]);
    let backups = &store.layout.backups;
    match backups.create_dir(id.as_str().as_bytes(), 0o700) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        made => {
            made.at("create", &dir)?;
            // What comes next removes data: a backup in a directory that is lost is none.
            backups.sync().at("sync", store.layout.path(&["backups"]))?;
        }
    }
    let taken = Dir::open_trusted(&dir).and_then(|dir| dir.names()).at("list", &dir)?;
    let mut made = now();
    // Names are the order of the backups; two in one second get two seconds.
    while taken.iter().any(|name| parse(name).is_some_and(|(other, _)| other == made)) {
        made += 1;
    }
    let path = dir.join(format!("{made}-{what}.zip"));
    let target = Target::File(path.clone());
    let exported = export_grain(grain, target, &ExportOptions::default(), progress);
    // The directory too, if there is no other backup in it.
    let exported = exported.inspect_err(|_| drop(backups.remove_dir(id.as_str().as_bytes())))?;
    Ok((Automatic { grain: id.clone(), path, made, before: what.to_owned() }, exported))
}

/// All automatic backups, by grain and age.
///
/// # Errors
/// When the store cannot be read.
pub fn list(store: &Store) -> Result<Vec<Automatic>, Error> {
    let mut found = Vec::new();
    let backups = &store.layout.backups;
    for name in backups.names().at("list", store.layout.path(&["backups"]))? {
        let Some(grain) = std::str::from_utf8(&name).ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let path = store.layout.path(&["backups", GrainId::as_str(&grain)]);
        let dir = match backups.open_dir(&name) {
            // Removed just now by another process.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.at("open", &path)?,
        };
        for file in dir.names().at("list", &path)? {
            if let Some((made, before)) = parse(&file) {
                let path = path.join(String::from_utf8_lossy(&file).as_ref());
                found.push(Automatic { grain: grain.clone(), path, made, before });
            }
        }
    }
    Ok(found)
}

/// Automatic backups older than [`KEPT`], which [`expire`] removes.
///
/// # Errors
/// When the store cannot be read.
pub fn expired(store: &Store) -> Result<Vec<Automatic>, Error> {
    let oldest = now().saturating_sub(KEPT);
    Ok(list(store)?.into_iter().filter(|backup| backup.made < oldest).collect())
}

/// Removes automatic backups older than [`KEPT`]; which those were.
///
/// # Errors
/// When one cannot be removed.
pub fn expire(store: &Store) -> Result<Vec<Automatic>, Error> {
    let mut removed = Vec::new();
    for backup in expired(store)? {
        match std::fs::remove_file(&backup.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            removed => removed.at("remove", &backup.path)?,
        }
        // The directory too, if that was the last one in it.
        let _ = store.layout.backups.remove_dir(backup.grain.as_str().as_bytes());
        removed.push(backup);
    }
    Ok(removed)
}

/// Time and occasion in a file name.
fn parse(name: &[u8]) -> Option<(u64, String)> {
    let name = std::str::from_utf8(name).ok()?.strip_suffix(".zip")?;
    let (made, before) = name.split_once('-')?;
    Some((made.parse().ok()?, before.to_owned()))
}
