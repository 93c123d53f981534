//! Tests of export and restore: the original's files, other zip tools, hostile archives, random
//! trees.

mod hostile;
mod original;
mod roundtrip;

use std::path::{Path, PathBuf};
use std::process::Command;

use spk_package::progress::Silent;

use super::*;
use crate::store::tests::fake_package;
use crate::store::{NewGrain, Store};

/// App of the backups in `tests/data`.
const APP: &str = "e3vedgtpyw8nu64ddew0g368v5mgu9kz0622qqy8yux6my5mawph";

fn data(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/backups")).join(name)
}

/// A store with version 3 of the app.
fn scratch() -> (tempfile::TempDir, Store) {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("state")).unwrap();
    fake_package(&store, &APP.parse().unwrap(), 3, 0);
    (temp, store)
}

fn new_grain(store: &Store) -> Grain {
    let package = store.newest_package(&APP.parse().unwrap()).unwrap().unwrap();
    store.create_grain(&package, NewGrain { title: "My grain".into() }).unwrap()
}

fn restore_file(store: &Store, path: &Path) -> Result<Restored, Error> {
    let restored =
        restore(store, File::open(path).unwrap(), &RestoreOptions::default(), &mut Silent);
    if restored.is_ok() {
        second_opinion(path);
    }
    restored
}

/// The `zip` library reads, too, what we write and what we take.
fn second_opinion(path: &Path) {
    let mut archive = ::zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    for number in 0..archive.len() {
        let mut member = archive.by_index(number).unwrap();
        // It checks the size and the checksum at the end.
        std::io::copy(&mut member, &mut std::io::sink()).unwrap();
    }
}

fn export_to(grain: &Grain, path: &Path) -> Exported {
    let target = Target::File(path.to_owned());
    let exported = export_grain(grain, target, &ExportOptions::default(), &mut Silent).unwrap();
    second_opinion(path);
    exported
}

/// Nothing of a failed restore may be left.
fn assert_empty(store: &Store) {
    assert_eq!(std::fs::read_dir(store.path().join("grains")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
}

/// Runs a program that the tests compare with; its standard output.
fn tool(program: &str, args: &[&str], dir: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(args)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(dir)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {error}");
    output.stdout
}

/// Every entry below a directory: path, type and mode, time in ns, content or target.
///
/// An ordinary user may not look into what is closed, not even its own: it is opened for the while,
/// directories until all below has been read.
fn listing(root: &Path) -> Vec<(Vec<u8>, u32, i128, Vec<u8>)> {
    use std::fs::set_permissions;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mut found = Vec::new();
    let mut opened = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let stat = path.symlink_metadata().unwrap();
        let mode = stat.permissions();
        let content = if stat.is_dir() {
            set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            opened.push((path.clone(), mode));
            Vec::new()
        } else if stat.is_symlink() {
            std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()
        } else if mode.mode() & 0o400 == 0 {
            set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let content = std::fs::read(&path).unwrap();
            set_permissions(&path, mode).unwrap();
            content
        } else {
            std::fs::read(&path).unwrap()
        };
        let time = i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec());
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        found.push((name, stat.mode(), time, content));
    }
    for (path, mode) in opened.into_iter().rev() {
        set_permissions(path, mode).unwrap();
    }
    found.sort();
    found
}
