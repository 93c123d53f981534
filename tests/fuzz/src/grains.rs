//! Grains on the disk and their backups.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::PathBuf;

use spk_grains::backup::{Limits, RestoreOptions, restore};
use spk_grains::store::{GrainId, Store};
use spk_package::app_id::AppId;
use spk_package::progress::Silent;
use tempfile::TempDir;

/// A store of one grain.
struct Place {
    store: Store,
    id: GrainId,
    grain: PathBuf,
    _dir: TempDir,
}

thread_local! {
    static PLACE: Place = Place::new().expect("there is a place for temporary files");
}

impl Place {
    fn new() -> Option<Place> {
        let dir = tempfile::tempdir().ok()?;
        let store = Store::open(&dir.path().join("state")).ok()?;
        let grain = store.create_dev_grain(&AppId([7; 32]), 1, "title").ok()?;
        let (id, path) = (grain.id().clone(), grain.path().to_owned());
        drop(grain);
        Some(Place { store, id, grain: path, _dir: dir })
    }
}

/// A file with these bytes, to be read from its begin.
pub fn file_of(bytes: &[u8]) -> Option<File> {
    let mut file = tempfile::tempfile().ok()?;
    file.write_all(bytes).ok()?;
    file.rewind().ok()?;
    Some(file)
}

/// What a backup may have here: bombs must not take all the time.
const LIMITS: Limits = Limits { members: 200, total: 1 << 20, ratio: 200, name_length: 4096 };

/// Backups: zip archives that become grains.
///
/// # Panics
/// When something of a restore that failed is left.
pub fn backup(bytes: &[u8]) {
    let Some(file) = file_of(bytes) else { return };
    PLACE.with(|Place { store, .. }| {
        let options =
            RestoreOptions { limits: LIMITS, without_package: true, ..RestoreOptions::default() };
        match restore(store, file, &options, &mut Silent) {
            Ok(restored) => store.delete(restored.grain).expect("what was restored can be deleted"),
            Err(error) => drop(error.to_string()),
        }
        let count = |name: &str| fs::read_dir(store.path().join(name)).map_or(0, Iterator::count);
        assert_eq!((count("grains"), count("tmp")), (1, 0), "something is left");
    });
}

/// What is known about a grain (`grain.json`): read, repaired, and written again.
///
/// # Panics
/// When what was written cannot be read.
pub fn meta(bytes: &[u8]) {
    PLACE.with(|Place { store, id, grain, .. }| {
        if fs::write(grain.join("grain.json"), bytes).is_err() {
            return;
        }
        let _ = store.grain_info(id).map(|info| info.meta.map_err(|error| error.to_string()));
        let opened = store.open_grain_for(id, "run");
        let opened = opened.or_else(|_| store.open_damaged(id, "run", None));
        let Ok(mut grain) = opened else { return };
        // Who is asked about keeps the identity.
        if let Ok(identity) = grain.identity("alice") {
            assert_eq!(grain.identity("alice").ok(), Some(identity));
            drop(grain);
            let again = store.open_grain_for(id, "run").map(|mut grain| grain.identity("alice"));
            assert_eq!(again.ok().and_then(Result::ok), Some(identity));
        }
    });
}
