use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use capnp::message::Builder;
use spk_package::package_id::PackageId;
use spk_schema::package_capnp::manifest;

/// Puts a package into a store as unpacking would, with any version.
pub fn fake_package(store: &Store, app_id: &AppId, version: u32, minimum: u32) -> Package {
    let mut message = Builder::new_default();
    let mut manifest = message.init_root::<manifest::Builder<'_>>();
    manifest.set_app_version(version);
    manifest.set_min_upgradable_app_version(minimum);
    manifest.init_app_title().set_default_text("Test App");
    let bytes = capnp::serialize::write_message_to_words(&message);
    let id = PackageId::of(&[&bytes[..], app_id.as_bytes()].concat());
    let dir = store.layout.path(&["packages", &id.to_string()]);
    std::fs::create_dir_all(dir.join("root")).unwrap();
    std::fs::write(dir.join("appid"), format!("{app_id}\n")).unwrap();
    std::fs::write(dir.join("root/sandstorm-manifest"), bytes).unwrap();
    store.package(&id).unwrap()
}

fn scratch() -> (tempfile::TempDir, Store) {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("state")).unwrap();
    (temp, store)
}

const APP: AppId = AppId([7; 32]);

fn package_data(name: &str) -> PathBuf {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../../spk/package/tests/data");
    PathBuf::from(data).join(name)
}

#[test]
fn a_package_is_added_once_and_collected_when_unused() {
    let (_temp, store) = scratch();
    let spk = package_data("packages/depth62.spk");
    let package = store.add_package(&spk).unwrap();
    assert_eq!(package.id.to_string(), "c15940eb1e813e48644649f4f752225c");
    assert_eq!(package.manifest.app_title, "Depth 62");
    assert!(package.dir.join("sandstorm-manifest").is_file());
    let inode = std::fs::metadata(&package.dir).unwrap().ino();
    let again = store.add_package(&spk).unwrap();
    assert_eq!(std::fs::metadata(&again.dir).unwrap().ino(), inode);
    assert_eq!(store.collect_packages().unwrap(), []);
    drop(again);
    let grain = store.create_grain(&package, NewGrain::default()).unwrap();
    let id = package.id;
    drop(package);
    assert_eq!(store.collect_packages().unwrap(), []);
    store.delete(grain).unwrap();
    assert_eq!(store.collect_packages().unwrap(), [id]);
    assert!(matches!(store.package(&id), Err(Error::NoPackage(_))));
    assert_eq!(store.packages().unwrap(), []);
}

#[test]
fn bad_packages_leave_nothing() {
    let (_temp, store) = scratch();
    for name in ["corrupt/text.spk", "corrupt/c-dotdot.spk", "corrupt/c-no-manifest.spk"] {
        let error = store.add_package(&package_data(name)).unwrap_err();
        assert!(matches!(error, Error::BadPackage { .. }), "{name}: {error:?}");
    }
    assert!(matches!(store.add_package(&package_data("none")), Err(Error::Io { .. })));
    for part in ["packages", "tmp"] {
        assert_eq!(std::fs::read_dir(store.path().join(part)).unwrap().count(), 0);
    }
}

#[test]
fn a_grain_lives() {
    let (_temp, store) = scratch();
    let package = fake_package(&store, &APP, 5, 0);
    let mut grain = store.create_grain(&package, NewGrain::default()).unwrap();
    let id = grain.id().clone();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(grain.path()), 0o700);
    assert_eq!(mode(&grain.var_path()), 0o770);
    assert_eq!(mode(&grain.log_path()), 0o600);
    assert_eq!(mode(store.path()), 0o700);
    assert_eq!((grain.meta().title.as_str(), grain.meta().started), ("Test App", false));
    grain.touch().unwrap();

    // One writer; lists and renames do not need to be it.
    let error = store.open_grain(&id).unwrap_err();
    assert!(matches!(error, Error::Busy { holder: Some(ref h), .. } if h.what == "run"));
    assert!(store.grains().unwrap()[0].busy.is_some());
    store.rename_grain(&id, "Other\u{1b}[31m").unwrap();
    grain.touch().unwrap();
    assert_eq!(grain.meta().title, "Other\u{1b}[31m");
    drop(grain);

    assert!(store.grains().unwrap()[0].busy.is_none());
    assert_eq!(store.resolve(&id.as_str()[..6]).unwrap(), id);
    assert!(matches!(store.resolve("../x"), Err(Error::NotAnId(_))));
    assert!(matches!(store.resolve(""), Err(Error::NotAnId(_))));
    let grain = store.open_grain(&id).unwrap();
    assert!(grain.meta().started);
    store.delete(grain).unwrap();
    assert!(matches!(store.open_grain(&id), Err(Error::NoGrain(_))));
    assert!(store.grains().unwrap().is_empty());
}

#[test]
fn a_grain_keeps_to_its_app_and_never_goes_back() {
    let (_temp, store) = scratch();
    let mut grain = store.create_dev_grain(&APP, 3, "dev").unwrap();
    assert_eq!(grain.meta().package_id, None);
    let other = fake_package(&store, &AppId([8; 32]), 3, 0);
    assert!(matches!(grain.set_package(&other, true), Err(Error::OtherApp { .. })));
    let older = fake_package(&store, &APP, 2, 0);
    assert!(matches!(grain.set_package(&older, true), Err(Error::OlderApp { .. })));
    let much_newer = fake_package(&store, &APP, 9, 4);
    assert!(matches!(grain.set_package(&much_newer, false), Err(Error::TooOld { minimum: 4, .. })));
    assert_eq!(grain.meta().package_id, None);
    grain.set_package(&much_newer, true).unwrap();
    assert_eq!(grain.meta().package_id, Some(much_newer.id));
    assert_eq!(grain.meta().app_version, 9);
    assert_eq!(store.newest_package(&APP).unwrap().unwrap().id, much_newer.id);
}

#[test]
fn identities_last() {
    let (_temp, store) = scratch();
    let mut grain = store.create_dev_grain(&APP, 3, "dev").unwrap();
    let alice = grain.identity("alice").unwrap();
    let bob = grain.identity("bob").unwrap();
    assert_ne!(alice, bob);
    let id = grain.id().clone();
    drop(grain);
    let mut grain = store.open_grain(&id).unwrap();
    assert_eq!(grain.identity("alice").unwrap(), alice);
    assert_eq!(grain.identity("bob").unwrap(), bob);
    assert_eq!(grain.meta().owner.as_deref(), Some("alice"));
    assert_eq!(grain.meta().users.len(), 2);
}

#[test]
fn what_killed_runs_left_is_removed_and_told() {
    let (_temp, store) = scratch();
    let busy = store.layout.stage("restore").unwrap();
    std::fs::create_dir_all(store.path().join("tmp/restore.dead/sandbox/d")).unwrap();
    std::fs::create_dir_all(store.path().join("tmp/deleting.dead/grain")).unwrap();
    let again = Store::open(store.path()).unwrap();
    let told = again.recovered().join("\n");
    assert!(told.contains("removed an interrupted restore"), "{told}");
    assert!(told.contains("finished an interrupted deletion"), "{told}");
    assert_eq!(again.recovered().len(), 2);
    assert!(busy.path.is_dir());
    drop(busy);
    assert_eq!(std::fs::read_dir(store.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn damaged_and_newer_metadata_are_told_apart_and_hide_no_other_grain() {
    let (_temp, store) = scratch();
    let paths: Vec<_> =
        (0..3).map(|_| store.create_dev_grain(&APP, 1, "g").unwrap().path().to_owned()).collect();
    std::fs::write(paths[0].join("grain.json"), "{\"format\":1,").unwrap();
    std::fs::write(paths[1].join("grain.json"), "{\"format\":99,\"later\":true}").unwrap();
    std::fs::write(store.path().join("grains/..."), "").unwrap();
    let all = store.grains().unwrap();
    assert_eq!(all.len(), 3);
    let of = |path: &Path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        &all.iter().find(|grain| grain.id.as_str() == name).unwrap().meta
    };
    assert!(matches!(of(&paths[0]), Err(Error::Metadata { .. })));
    assert!(matches!(of(&paths[1]), Err(Error::NewerFormat { found: 99, .. })));
    assert_eq!(of(&paths[2]).as_ref().unwrap().title, "g");
}
