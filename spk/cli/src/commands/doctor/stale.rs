//! What crashes leave behind: mounts nobody serves, and half-made things in the store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use spk_grains::store::Store;

use super::Check;
use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::mounts;
use crate::ui::Ui;

const REMEDY: &str = "spk doctor --clean";

/// Mounts of `spk dev -m` whose server is gone, and an app's mounts that came to light here.
pub fn mounts() -> Check {
    let name = "stale mounts";
    let joined = |places: &[PathBuf]| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        places.join(", ")
    };
    let (dead, left) = (dead_mounts(), mounts::left_in_packages());
    let mut found = Vec::new();
    if !dead.is_empty() {
        found.push(format!("nobody serves {} any more", joined(&dead)));
    }
    if !left.is_empty() {
        found.push(format!("an earlier spk left {} of apps that it started", joined(&left)));
    }
    if found.is_empty() {
        return Check::ok(name, "none");
    }
    Check::warning(name, found.join("; "), REMEDY)
}

/// What was being made below the state directory by processes that are gone.
pub fn state(global: &Global) -> Check {
    let name = "stale state";
    let Ok(dir) = global.state_dir() else { return Check::ok(name, "none") };
    match leftovers(&dir).len() {
        0 => Check::ok(name, "none"),
        count => Check::warning(
            name,
            format!("{count} half-made or half-removed things in {}", dir.join("tmp").display()),
            REMEDY,
        ),
    }
}

/// Removes all of it, after asking; says what it did, one line for each.
pub fn clean(global: &Global, dry_run: bool, yes: bool, ui: &Ui) -> Result<()> {
    let mut dead = dead_mounts();
    dead.extend(mounts::left_in_packages());
    let state = global.state_dir()?;
    let left = leftovers(&state);
    let all: Vec<String> =
        dead.iter().chain(&left).map(|path| path.display().to_string()).collect();
    if all.is_empty() {
        ui.note("nothing stale here");
        return Ok(());
    }
    if dry_run {
        dead.iter().try_for_each(|at| ui.line(format!("would unmount: {}", at.display())))?;
        left.iter().try_for_each(|at| ui.line(format!("would remove: {}", at.display())))?;
        return Ok(());
    }
    if !ui.confirm(yes, &format!("unmount or remove {}?", all.join(", ")))? {
        return Ok(());
    }
    for place in &dead {
        mounts::unmount(place).hint("sudo umount -l unmounts it in any case")?;
        ui.line(format!("unmounted: {}", place.display()))?;
    }
    if !left.is_empty() {
        // Opening the store does that: it knows how to remove what an app may have made.
        for line in Store::open(&state)?.recovered() {
            ui.note(line);
        }
        for path in left.iter().filter(|path| path.symlink_metadata().is_err()) {
            ui.line(format!("removed: {}", path.display()))?;
        }
    }
    Ok(())
}

fn dead_mounts() -> Vec<PathBuf> {
    mounts::ours().into_iter().filter(|place| mounts::is_dead(place)).collect()
}

/// Whoever makes something there holds a lock on its directory.
fn leftovers(state: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(state.join("tmp")) else { return Vec::new() };
    let abandoned = |path: &PathBuf| {
        File::open(path).is_ok_and(|dir| flock(&dir, FlockOperation::NonBlockingLockShared).is_ok())
    };
    entries.flatten().map(|entry| entry.path()).filter(abandoned).collect()
}
