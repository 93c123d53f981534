//! Out and back, and through other people's tools.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::backup::error::shown;

fn set_time(path: &Path, seconds: i64, nanoseconds: u32) {
    let dir = Dir::open_trusted(path.parent().unwrap()).unwrap();
    let time = spk_files::Time { seconds, nanoseconds };
    dir.set_time(path.file_name().unwrap().as_bytes(), time).unwrap();
}

/// A grain with something of everything.
fn fill(var: &Path) {
    let name = |bytes: &'static [u8]| var.join(OsStr::from_bytes(bytes));
    std::fs::create_dir_all(var.join("dir/empty")).unwrap();
    std::fs::create_dir_all(var.join("closed/inner")).unwrap();
    std::fs::write(var.join("closed/inner/f"), "inside").unwrap();
    for bytes in [
        &b"new\nline"[..],
        b"carriage\rreturn",
        b"\xff\xfe",
        b"back\\slash",
        b"-dash",
        b"quote'\"*[",
        b" space ",
        "日本ü".as_bytes(),
    ] {
        std::fs::write(name(bytes), bytes).unwrap();
    }
    std::fs::write(var.join("OTHER CASE"), "1").unwrap();
    std::fs::write(var.join("other case"), "2").unwrap();
    std::fs::write(var.join("empty"), "").unwrap();
    let noise: Vec<u8> =
        (0..700_001u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    std::fs::write(var.join("large"), &noise).unwrap();
    std::fs::write(var.join("text"), "all work and no play ".repeat(40_000)).unwrap();
    symlink("/etc/passwd", var.join("absolute")).unwrap();
    symlink("../../..", var.join("dir/up")).unwrap();
    symlink("loop", var.join("loop")).unwrap();
    let modes = [("empty", 0o000), ("text", 0o641), ("dir/empty", 0o000), ("closed/inner", 0o500)];
    for (path, mode) in modes {
        let mode = PermissionsExt::from_mode(mode);
        std::fs::set_permissions(var.join(path), mode).unwrap();
    }
    set_time(&var.join("text"), -5, 0);
    set_time(&var.join("large"), 981_173_106, 123_456_700);
    set_time(&var.join("absolute"), 5_000_000_000, 0);
    set_time(&var.join("dir"), 1_000_000_001, 999_999_900);
    std::fs::set_permissions(var.join("closed"), PermissionsExt::from_mode(0o000)).unwrap();
}

/// To the precision of the format.
fn rounded(path: &Path) -> Vec<(Vec<u8>, u32, i128, Vec<u8>)> {
    let list = listing(path).into_iter();
    list.map(|(name, mode, time, content)| (name, mode, time.div_euclid(100), content)).collect()
}

#[test]
fn a_grain_comes_back_as_it_was() {
    let (temp, store) = scratch();
    let mut grain = new_grain(&store);
    fill(&grain.var_path());
    let alice = grain.identity("alice").unwrap();
    let zip = temp.path().join("out.zip");
    let exported = export_to(&grain, &zip);
    assert_eq!(exported.size, std::fs::metadata(&zip).unwrap().len());
    assert_eq!(std::fs::metadata(&zip).unwrap().mode() & 0o777, 0o600);
    assert!(exported.contents.skipped.is_empty(), "{:?}", exported.contents.skipped);
    let mut restored = restore_file(&store, &zip).unwrap();
    assert!(restored.notes.is_empty());
    assert_eq!(restored.counts.files, exported.contents.files);
    assert_eq!(rounded(&restored.grain.var_path()), rounded(&grain.var_path()));
    assert_eq!(restored.grain.meta().title, "My grain");
    assert_eq!(restored.grain.identity("alice").unwrap(), alice);
    // The same through a pipe, with descriptors behind the data.
    let piped = temp.path().join("piped.zip");
    let pipe = Target::Pipe(Box::new(File::create(&piped).unwrap()));
    export_grain(&grain, pipe, &ExportOptions::default(), &mut Silent).unwrap();
    let restored = restore_file(&store, &piped).unwrap();
    assert_eq!(rounded(&restored.grain.var_path()), rounded(&grain.var_path()));
    // And uncompressed.
    let stored = Target::File(temp.path().join("stored.zip"));
    export_grain(
        &grain,
        stored,
        &ExportOptions { store: true, ..ExportOptions::default() },
        &mut Silent,
    )
    .unwrap();
    let restored = restore_file(&store, &temp.path().join("stored.zip")).unwrap();
    assert_eq!(rounded(&restored.grain.var_path()), rounded(&grain.var_path()));
    for grain in store.grains().unwrap() {
        if let Ok(grain) = store.open_grain(&grain.id) {
            store.delete(grain).unwrap();
        }
    }
}

#[test]
fn what_cannot_be_packed_is_listed() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    let var = grain.var_path();
    let dir = Dir::open_trusted(&var).unwrap();
    rustix::fs::mkfifoat(&dir, "fifo", rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(var.join("so\ncket")).unwrap();
    std::fs::write(var.join("..\\up"), "").unwrap();
    std::fs::write(var.join("setuid"), "").unwrap();
    std::fs::set_permissions(var.join("setuid"), PermissionsExt::from_mode(0o4755)).unwrap();
    let zip = temp.path().join("out.zip");
    let contents = export_to(&grain, &zip).contents;
    let listed = |list: &[Skipped]| -> BTreeMap<String, String> {
        let text = |s: &Skipped| (String::from_utf8_lossy(&s.path).into_owned(), s.reason.clone());
        list.iter().map(text).collect()
    };
    let skipped = listed(&contents.skipped);
    assert_eq!(skipped["fifo"], "pipe");
    assert_eq!(skipped["so\ncket"], "socket");
    assert_eq!(skipped.len(), 2);
    assert!(listed(&contents.warnings)["..\\up"].contains("--literal-backslashes"));
    assert!(matches!(restore_file(&store, &zip), Err(Error::Backslash(_))));
    let options = RestoreOptions { literal_backslashes: true, ..RestoreOptions::default() };
    let restored = restore(&store, File::open(&zip).unwrap(), &options, &mut Silent).unwrap();
    let new = restored.grain.var_path();
    assert!(new.join("..\\up").is_file() && !new.join("fifo").exists());
    assert_eq!(new.join("setuid").metadata().unwrap().mode() & 0o7777, 0o755);
    assert!(listed(&restored.notes)["data/setuid"].contains("set-id"));
}

#[test]
fn a_path_that_zip_files_cannot_hold_is_no_backup() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    let name = [b'd'; 255];
    let mut dir = Dir::open_trusted(&grain.var_path()).unwrap();
    // 256 bytes each, with the slash.
    for _ in 0..256 {
        dir.create_dir(&name, 0o700).unwrap();
        dir = dir.open_dir(&name).unwrap();
    }
    let zip = temp.path().join("out.zip");
    let export = |options: &ExportOptions| {
        export_grain(&grain, Target::File(zip.clone()), options, &mut Silent).unwrap_err()
    };
    // Nobody changes it, so that --live makes no difference.
    for live in [false, true] {
        let error = export(&ExportOptions { live, ..ExportOptions::default() });
        assert!(matches!(error, Error::LongPath { length: 65_541, .. }), "{error:?}");
        assert!(!zip.exists());
    }
    let error = automatic::before(&store, &grain, "delete", &mut Silent).unwrap_err();
    assert!(matches!(error, Error::LongPath { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(store.path().join("backups")).unwrap().count(), 0);
    store.delete(grain).unwrap();
}

#[test]
fn other_tools_read_ours() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    fill(&grain.var_path());
    std::fs::write(grain.log_path(), "line\n").unwrap();
    let var = grain.var_path();
    let zip = temp.path().join("out.zip");
    export_to(&grain, &zip);
    // Info-ZIP, as the original calls it; patterns as there (grain-runtime §E.3).
    let out = temp.path().join("unzip");
    std::fs::create_dir(&out).unwrap();
    tool("unzip", &["-q", "../out.zip", "data/*", "metadata"], &out);
    tool("unzip", &["-tq", "out.zip"], temp.path());
    let ours: BTreeMap<_, _> = listing(&var).into_iter().map(|e| (e.0.clone(), e)).collect();
    let unzipped = listing(&out.join("data"));
    // Its own trouble with names that are not text is known (grain-runtime §E.3).
    let awkward = |name: &[u8]| {
        std::str::from_utf8(name).is_err() || name.contains(&b'\n') || name.contains(&b'\r')
    };
    let mut compared = 0;
    for (name, mode, time, content) in &unzipped {
        let Some(entry) = ours.get(name) else { continue };
        assert_eq!((mode, content), (&entry.1, &entry.3), "{}", shown(name));
        let in_range = (0..4_000_000_000).contains(&(entry.2 / 1_000_000_000));
        if mode & 0o170_000 == 0o100_000 && in_range {
            assert_eq!(time / 1_000_000_000, entry.2 / 1_000_000_000, "{}", shown(name));
        }
        compared += 1;
    }
    assert!(compared >= ours.keys().filter(|name| !awkward(name)).count());
    let info = info::read(&std::fs::read(out.join("metadata")).unwrap()).unwrap();
    assert_eq!(info.title, "My grain");
    // Python's zipfile.
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        assert z.testzip() is None\n\
        print(len(z.namelist()), len(set(z.namelist())))\n\
        print(z.read('data/日本ü') == '日本ü'.encode(), z.read('log'))\n\
        assert all(i.create_system == 3 for i in z.infolist())";
    let printed = tool("python3", &["-c", script, "out.zip"], temp.path());
    let expected = ours.len() + 2;
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        format!("{expected} {expected}\nTrue b'line\\n'\n")
    );
    // And a Rust one.
    let mut archive = ::zip::ZipArchive::new(File::open(&zip).unwrap()).unwrap();
    assert_eq!(archive.len(), expected);
    let mut text = String::new();
    archive.by_name("data/text").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 840_000);
}

#[test]
fn zips_made_by_hand_restore() {
    let (temp, store) = scratch();
    let src = temp.path().join("src");
    std::fs::create_dir_all(src.join("data/d")).unwrap();
    std::fs::write(src.join("data/d/f"), "content ".repeat(100)).unwrap();
    std::fs::write(src.join("data/x"), "x").unwrap();
    symlink("x", src.join("data/l")).unwrap();
    std::fs::copy(data("metadata.bin"), src.join("metadata")).unwrap();
    let py = "import zipfile, os\n\
        z = zipfile.ZipFile('../py.zip', 'w', zipfile.ZIP_DEFLATED)\n\
        [z.write(n) for n in ('metadata', 'data/d/f', 'data/x')]\n\
        z.close()";
    tool("python3", &["-c", py], &src);
    tool("zip", &["-qyr", "../zip.zip", "metadata", "data"], &src);
    // Without the link: some builds of zip cannot store one to a pipe.
    tool("sh", &["-c", "zip -qr - metadata data/d data/x | cat > ../zip-pipe.zip"], &src);
    tool("bsdtar", &["-c", "--format", "zip", "-f", "../bsdtar.zip", "metadata", "data"], &src);
    let py_pipe = "import zipfile, sys\n\
        class P:\n  \
          def __init__(s, f): s.f = f\n  \
          def write(s, b): return s.f.write(b)\n  \
          def flush(s): s.f.flush()\n\
        z = zipfile.ZipFile(P(open('../py-pipe.zip', 'wb')), 'w', zipfile.ZIP_DEFLATED)\n\
        [z.write(n) for n in ('metadata', 'data/d/f', 'data/x')]\n\
        z.close()";
    tool("python3", &["-c", py_pipe], &src);
    for name in ["py.zip", "py-pipe.zip", "zip.zip", "zip-pipe.zip", "bsdtar.zip"] {
        let restored =
            restore_file(&store, &temp.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let var = restored.grain.var_path();
        assert_eq!(std::fs::read(var.join("d/f")).unwrap().len(), 800, "{name}");
        if ["zip.zip", "bsdtar.zip"].contains(&name) {
            assert_eq!(std::fs::read_link(var.join("l")).unwrap(), Path::new("x"), "{name}");
        }
    }
}

#[test]
fn sparse_files_beyond_4_gib_stay_sparse() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    let path = grain.var_path().join("sparse");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"begin").unwrap();
    let end = (5u64 << 30) + 12_345;
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 3 << 30).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", end - 3).unwrap();
    drop(file);
    for (number, piped) in [(0, false), (1, true)] {
        let zip = temp.path().join(format!("{number}.zip"));
        let target = match piped {
            true => Target::Pipe(Box::new(File::create(&zip).unwrap())),
            false => Target::File(zip.clone()),
        };
        let exported =
            export_grain(&grain, target, &ExportOptions::default(), &mut Silent).unwrap();
        assert_eq!(exported.contents.bytes, end);
        assert!(exported.size < 16 << 20, "{}", exported.size);
        if !piped {
            tool("zipinfo", &["-t", zip.to_str().unwrap()], temp.path());
        }
        let restored = restore_file(&store, &zip).unwrap();
        let new = File::open(restored.grain.var_path().join("sparse")).unwrap();
        let stat = new.metadata().unwrap();
        assert_eq!(stat.len(), end);
        assert!(stat.blocks() * 512 < 1 << 20, "{}", stat.blocks());
        for (at, text) in [(0, &b"begin"[..]), (3 << 30, b"middle"), (end - 3, b"end")] {
            let mut read = vec![0; text.len()];
            std::os::unix::fs::FileExt::read_exact_at(&new, &mut read, at).unwrap();
            assert_eq!(read, text);
        }
    }
}

#[test]
fn more_members_than_the_old_format_counts() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    let dir = Dir::open_trusted(&grain.var_path()).unwrap();
    const FILES: u64 = 100_000;
    for number in 0..FILES {
        let mut file = dir.create_file(format!("{number}").as_bytes(), 0o600).unwrap();
        write!(file, "small {number}").unwrap();
    }
    let zip = temp.path().join("out.zip");
    export_to(&grain, &zip);
    tool("unzip", &["-tqq", "out.zip"], temp.path());
    let restored = restore_file(&store, &zip).unwrap();
    assert_eq!(restored.counts.files, FILES);
    for number in [0, 65_535, FILES - 1] {
        let path = restored.grain.var_path().join(number.to_string());
        assert_eq!(std::fs::read_to_string(path).unwrap(), format!("small {number}"));
    }
    let limits = Limits { members: 1000, ..Limits::default() };
    let options = RestoreOptions { limits, ..RestoreOptions::default() };
    let error = restore(&store, File::open(&zip).unwrap(), &options, &mut Silent).unwrap_err();
    assert!(matches!(error, Error::Limit { flag: "--max-entries", .. }));
}

#[test]
fn a_failed_export_leaves_the_old_file_and_nothing_else() {
    let (temp, store) = scratch();
    let grain = new_grain(&store);
    let out = temp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let zip = out.join("b.zip");
    std::fs::write(&zip, "old").unwrap();
    std::fs::write(out.join(".b.zip.spk-partial-killed"), "half").unwrap();
    let sandbox = grain.var_path();
    std::fs::rename(&sandbox, grain.path().join("gone")).unwrap();
    assert!(
        export_grain(&grain, Target::File(zip.clone()), &ExportOptions::default(), &mut Silent)
            .is_err()
    );
    assert_eq!(std::fs::read(&zip).unwrap(), b"old");
    std::fs::rename(grain.path().join("gone"), sandbox).unwrap();
    export_to(&grain, &zip);
    let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["b.zip"]);
    assert!(std::fs::read(&zip).unwrap().starts_with(b"PK"));
}

#[derive(Debug, Clone)]
enum Node {
    File(Vec<u8>, u32),
    Link(Vec<u8>),
    Directory(BTreeMap<Vec<u8>, Node>, u32),
}

fn names() -> impl Strategy<Value = Vec<u8>> {
    // Any bytes that a file system allows, with a liking for awkward ones.
    let byte = prop_oneof![Just(b'\n'), Just(b'\\'), Just(0xff), 1u8..=255];
    proptest::collection::vec(byte, 1..12).prop_map(|mut name| {
        name.iter_mut().filter(|byte| **byte == b'/').for_each(|byte| *byte = b'_');
        if name == b"." || name == b".." { b"dots".to_vec() } else { name }
    })
}

fn trees() -> impl Strategy<Value = BTreeMap<Vec<u8>, Node>> {
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0usize..600_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    let leaf = prop_oneof![
        (content, 0u32..0o1000).prop_map(|(content, mode)| Node::File(content, mode)),
        proptest::collection::vec(1u8..=255, 1..40).prop_map(Node::Link),
    ];
    let node = leaf.prop_recursive(4, 40, 6, |inner| {
        (proptest::collection::btree_map(names(), inner, 0..6), 0u32..0o1000)
            .prop_map(|(children, mode)| Node::Directory(children, mode))
    });
    proptest::collection::btree_map(names(), node, 0..8)
}

fn plant(path: &Path, children: &BTreeMap<Vec<u8>, Node>, clock: &mut i64) {
    for (name, node) in children {
        let path = path.join(OsStr::from_bytes(name));
        *clock = clock.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let time = (*clock >> 30, (*clock & 0xff) as u32 * 100);
        match node {
            Node::File(content, mode) => {
                std::fs::write(&path, content).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
            }
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::Directory(children, mode) => {
                std::fs::create_dir(&path).unwrap();
                plant(&path, children, clock);
                std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
            }
        }
        set_time(&path, time.0.clamp(-11_000_000_000, 15_000_000_000), time.1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn random_trees_come_back(tree in trees()) {
        let (temp, store) = scratch();
        let grain = new_grain(&store);
        plant(&grain.var_path(), &tree, &mut 42);
        let zip = temp.path().join("out.zip");
        let exported = export_to(&grain, &zip);
        prop_assert!(exported.contents.skipped.is_empty());
        let options = RestoreOptions { literal_backslashes: true, ..RestoreOptions::default() };
        let restored = restore(&store, File::open(&zip).unwrap(), &options, &mut Silent).unwrap();
        prop_assert_eq!(rounded(&restored.grain.var_path()), rounded(&grain.var_path()));
        store.delete(grain).unwrap();
        store.delete(restored.grain).unwrap();
    }
}
