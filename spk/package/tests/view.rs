//! The union view, what is packed from it, and the file list: the rules one by one.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode};
use spk_package::file_list::{self, Dropped};
use spk_package::selection::{self, Reason, Selection};
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::{Content, Generated, Node, NodeKind, View};
use tempfile::TempDir;

/// Makes a tree from lines: `path` a file holding its path, `path/` a directory, `path -> text`.
fn tree(root: &Path, entries: &[&str]) {
    for entry in entries {
        if let Some((link, text)) = entry.split_once(" -> ") {
            let link = root.join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(text, link).unwrap();
        } else if entry.ends_with('/') {
            fs::create_dir_all(root.join(entry)).unwrap();
        } else {
            let file = root.join(entry);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, file.to_str().unwrap()).unwrap();
        }
    }
}

fn mapping(package_path: &str, source_path: PathBuf, hides: &[&str]) -> Mapping {
    Mapping {
        package_path: package_path.into(),
        source_path,
        hide_paths: hides.iter().map(|hide| hide.as_bytes().to_vec()).collect(),
    }
}

fn generated() -> Generated {
    Generated { manifest: b"manifest".to_vec(), bridge_config: b"config".to_vec(), bridge: None }
}

fn view(mappings: Vec<Mapping>) -> View {
    View::new(SourceMap::new(mappings).unwrap(), generated())
}

fn names(view: &View, path: &str) -> Vec<String> {
    let listing = view.list(path.as_bytes()).unwrap().expect("a directory");
    listing.into_keys().map(|name| String::from_utf8(name).unwrap()).collect()
}

/// The path of the source that shows at `path`.
fn source(view: &View, path: &str) -> PathBuf {
    let node = view.lookup(path.as_bytes()).unwrap().expect(path);
    node.source_file().expect("a source").path()
}

fn absent(view: &View, path: &str) -> bool {
    view.lookup(path.as_bytes()).unwrap().is_none()
}

#[test]
fn a_mapping_to_nothing_hides_nothing() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["two/file", "two/link -> file", "two/dir/x", "two/deep/file"]);
    let nothing = || dir.path().join("nothing");
    let view = view(vec![
        mapping("file/below", nothing(), &[]),
        mapping("link/below", nothing(), &[]),
        mapping("dir/below", nothing(), &[]),
        mapping("deep/file/a/b", nothing(), &[]),
        mapping("alone/below", nothing(), &[]),
        mapping("", dir.path().join("two"), &[]),
    ]);
    assert_eq!(source(&view, "file"), dir.path().join("two/file"));
    assert_eq!(source(&view, "link"), dir.path().join("two/link"));
    assert_eq!(source(&view, "dir/x"), dir.path().join("two/dir/x"));
    assert_eq!(source(&view, "deep/file"), dir.path().join("two/deep/file"));
    assert!(absent(&view, "file/below") && absent(&view, "dir/below"));
    // Where there is nothing else the directories on the way are there.
    assert_eq!(view.lookup(b"alone").unwrap().unwrap().kind(), NodeKind::Directory);
    let root = view.list(b"").unwrap().unwrap();
    for (name, kind) in [
        ("file", NodeKind::File),
        ("link", NodeKind::Symlink),
        ("dir", NodeKind::Directory),
        ("alone", NodeKind::Directory),
    ] {
        assert_eq!(root[name.as_bytes()], kind, "{name}");
    }
    assert_eq!(view.list(b"deep").unwrap().unwrap()[&b"file"[..]], NodeKind::File);
    // As soon as the source is there, it wins.
    fs::create_dir(nothing()).unwrap();
    assert_eq!(view.lookup(b"file").unwrap().unwrap().kind(), NodeKind::Directory);
}

#[test]
fn first_mapping_wins_and_only_directories_merge() {
    let dir = TempDir::new().unwrap();
    tree(
        dir.path(),
        &[
            "one/both",
            "one/d/a",
            "one/file",
            "one/link -> d",
            "one/dir/x", //
            "two/both",
            "two/d/b",
            "two/file/below",
            "two/link/below",
            "two/dir",
            "two/only",
        ],
    );
    let view = view(vec![
        mapping("", dir.path().join("one"), &[]),
        mapping("", dir.path().join("two"), &[]),
    ]);
    assert_eq!(source(&view, "both"), dir.path().join("one/both"));
    assert_eq!(source(&view, "only"), dir.path().join("two/only"));
    assert_eq!(names(&view, "d"), ["a", "b"]);
    assert_eq!(source(&view, "file"), dir.path().join("one/file"));
    assert!(absent(&view, "file/below"));
    assert_eq!(view.lookup(b"link").unwrap().unwrap().kind(), NodeKind::Symlink);
    assert!(absent(&view, "link/below"));
    assert!(absent(&view, "link/a"), "nothing is found beneath a link");
    assert_eq!(names(&view, "dir"), ["x"]);
    assert_eq!(
        names(&view, ""),
        [
            "both",
            "d",
            "dev",
            "dir",
            "file",
            "link",
            "only",
            "proc",
            "sandstorm-http-bridge-config",
            "sandstorm-manifest",
            "tmp",
            "var"
        ]
    );
}

#[test]
fn hidden_paths_are_hidden_in_lookup_and_listing_of_their_mapping_only() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["one/a", "one/d/e/f", "one/d/e2", "one/d/g", "two/d/e/h", "two/a2"]);
    let view = view(vec![
        mapping("", dir.path().join("one"), &["a", "d/e"]),
        mapping("", dir.path().join("two"), &[]),
    ]);
    assert!(absent(&view, "a"));
    assert!(!names(&view, "").contains(&"a".to_owned()));
    assert_eq!(names(&view, "d"), ["e", "e2", "g"]);
    assert_eq!(names(&view, "d/e"), ["h"]);
    assert!(absent(&view, "d/e/f"));
}

#[test]
fn the_empty_hide_hides_all_but_the_root() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["one/a"]);
    let view = view(vec![mapping("x", dir.path().join("one"), &[""])]);
    assert_eq!(names(&view, "x"), Vec::<String>::new());
    assert!(absent(&view, "x/a"));
}

#[test]
fn mappings_below_the_root_have_virtual_parents_and_may_be_files() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["app/main", "conf", "root/opt/other", "root/etc -> elsewhere"]);
    let view = view(vec![
        mapping("opt/app", dir.path().join("app"), &[]),
        mapping("etc/conf.d/conf", dir.path().join("conf"), &[]),
        mapping("gone/away", dir.path().join("missing"), &[]),
        mapping("", dir.path().join("root"), &[]),
    ]);
    assert_eq!(names(&view, "opt"), ["app", "other"]);
    assert_eq!(names(&view, "opt/app"), ["main"]);
    assert_eq!(view.list(b"etc/conf.d").unwrap().unwrap()[&b"conf".to_vec()], NodeKind::File);
    assert_eq!(source(&view, "etc/conf.d/conf"), dir.path().join("conf"));
    assert_eq!(names(&view, "gone"), Vec::<String>::new(), "its source is missing");
    assert!(absent(&view, "gone/away"));
    // the link comes after the virtual directory of that name
    assert_eq!(view.lookup(b"etc").unwrap().unwrap().kind(), NodeKind::Directory);
    // real parents lend their attributes
    assert!(view.lookup(b"opt").unwrap().unwrap().metadata().is_some());
    assert!(view.lookup(b"gone").unwrap().unwrap().metadata().is_none());
}

#[test]
fn a_symlinked_root_stands_for_its_target_another_link_for_itself() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["real/a", "link -> real"]);
    let view = view(vec![
        mapping("", dir.path().join("link"), &[]),
        mapping("x", dir.path().join("link"), &[]),
    ]);
    assert!(!absent(&view, "a"));
    assert_eq!(view.lookup(b"x").unwrap().unwrap().kind(), NodeKind::Symlink);
    assert!(absent(&view, "x/a"));
}

#[test]
fn generated_names_always_win_and_mount_points_are_directories() {
    let dir = TempDir::new().unwrap();
    tree(
        dir.path(),
        &[
            "sandstorm-manifest",
            "sandstorm-http-bridge",
            "sandstorm-http-bridge-config",
            "bridge",
            "proc/cpuinfo",
            "proc/self",
            "dev",
            "tmp -> x",
            "var/lib/a",
        ],
    );
    let mut with = generated();
    with.bridge = Some(dir.path().join("bridge"));
    let map = || SourceMap::new(vec![mapping("", dir.path().to_owned(), &[])]).unwrap();
    let view = View::new(map(), with);
    let content = |path: &str| match view.lookup(path.as_bytes()).unwrap().unwrap().content() {
        Some(Content::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("{path}: {other:?}"),
    };
    assert_eq!(content("sandstorm-manifest"), b"manifest");
    assert_eq!(content("sandstorm-http-bridge-config"), b"config");
    assert_eq!(content("proc/cpuinfo"), b"");
    assert_eq!(source(&view, "sandstorm-http-bridge"), dir.path().join("bridge"));
    assert_eq!(names(&view, "proc"), ["cpuinfo", "self"]);
    for path in ["dev", "tmp"] {
        assert_eq!(names(&view, path), Vec::<String>::new(), "{path}");
    }
    assert_eq!(names(&view, "var/lib"), ["a"]);
    // who has no bridge to offer lets a mapped one show
    let view = View::new(map(), generated());
    assert_eq!(source(&view, "sandstorm-http-bridge"), dir.path().join("sandstorm-http-bridge"));
}

#[test]
fn impossible_names_are_absent() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["a/b"]);
    let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
    let long = "x".repeat(300);
    for path in ["a/", "a//b", "a/.", "a/..", "../etc", "/etc", "a\0", &long, "a/b/c"] {
        assert!(absent(&view, path), "{path}");
    }
}

#[test]
fn an_unreadable_source_is_an_error_not_an_absence() {
    if rustix::process::geteuid().is_root() {
        // root reads everything: take a source that fails for root too
        let dir = TempDir::new().unwrap();
        tree(dir.path(), &["loop -> loop"]);
        let view = view(vec![mapping("x", dir.path().join("loop/below"), &[])]);
        assert!(view.lookup(b"x").is_err());
        return;
    }
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["d/a"]);
    fs::set_permissions(dir.path().join("d"), fs::Permissions::from_mode(0o000)).unwrap();
    let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
    let error = view.lookup(b"d/a").unwrap_err();
    assert_eq!(error.io().kind(), std::io::ErrorKind::PermissionDenied);
    assert!(view.list(b"d").is_err());
    fs::set_permissions(dir.path().join("d"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn opening_follows_no_link_and_waits_for_no_fifo() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["d/a", "d/b", "elsewhere/a"]);
    let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
    let open =
        |path: &str| view.lookup(path.as_bytes()).unwrap().unwrap().source_file().unwrap().open();
    let (a, b) = (view.lookup(b"d/a").unwrap().unwrap(), view.lookup(b"d/b").unwrap().unwrap());
    assert!(open("d/a").is_ok());
    // the tree changes between look-up and open
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    symlink("elsewhere", dir.path().join("d")).unwrap();
    assert!(a.source_file().unwrap().open().is_err(), "d is a link now");
    fs::remove_file(dir.path().join("d")).unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    let fifo = dir.path().join("d/b");
    rustix::fs::mknodat(rustix::fs::CWD, fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert!(b.source_file().unwrap().open().is_err(), "a FIFO now");
}

fn select(list: &[&str], include: &[&str]) -> Selection {
    let bytes = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    Selection { file_list: bytes(list), always_include: bytes(include), uses_bridge: false }
}

fn packed(view: &View, selection: &Selection) -> Vec<String> {
    let expanded = selection::expand(view, selection).unwrap();
    let show = |(path, _): (Vec<u8>, _)| String::from_utf8(path).unwrap();
    expanded.root.paths().into_iter().map(show).collect()
}

const ALWAYS: [&str; 6] = ["dev", "proc", "proc/cpuinfo", "sandstorm-manifest", "tmp", "var"];

fn with_always(more: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = ALWAYS.iter().chain(more).map(|path| path.to_string()).collect();
    all.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    all
}

#[test]
fn listed_directories_are_taken_alone_and_included_ones_whole() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["d/a", "d/e/b", "d/hidden", "f/", "g/x"]);
    let view = view(vec![mapping("", dir.path().to_owned(), &["d/hidden"])]);
    assert_eq!(packed(&view, &select(&["d", "g/x/"], &[])), with_always(&["d", "g", "g/x"]));
    assert_eq!(
        packed(&view, &select(&[], &["d"])),
        with_always(&["d", "d/a", "d/e", "d/e/b"]),
        "what is hidden is left out, not packed as an empty directory"
    );
    assert_eq!(
        packed(&view, &select(&["."], &["."])),
        with_always(&["d", "d/a", "d/e", "d/e/b", "f", "g", "g/x"])
    );
    let expanded = selection::expand(&view, &select(&["g/x"], &[])).unwrap();
    assert!(!expanded.root.get(b"g").unwrap().listed);
    assert!(expanded.root.get(b"g/x").unwrap().listed);
}

#[test]
fn the_bridge_is_for_those_who_use_it_or_map_it() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["root/a", "bridge", "own/sandstorm-http-bridge"]);
    let at = |name: &str, bridge: bool| {
        let mut generated = generated();
        generated.bridge = bridge.then(|| dir.path().join("bridge"));
        let map = SourceMap::new(vec![mapping("", dir.path().join(name), &[])]).unwrap();
        View::new(map, generated)
    };
    let both = ["sandstorm-http-bridge", "sandstorm-http-bridge-config"];
    assert_eq!(packed(&at("root", true), &select(&[], &["."])), with_always(&["a"]));
    assert_eq!(packed(&at("own", true), &select(&[], &["."])), with_always(&both[..1]));
    let used = Selection { uses_bridge: true, ..select(&[], &[]) };
    assert_eq!(packed(&at("root", true), &used), with_always(&both));
    let error = selection::expand(&at("root", false), &used).unwrap_err();
    assert!(matches!(error.problems[..], [selection::Problem { reason: Reason::NoBridge, .. }]));
}

#[test]
fn paths_through_links_become_the_link_and_its_target() {
    let dir = TempDir::new().unwrap();
    tree(
        dir.path(),
        &[
            "lib -> usr/lib",
            "lib64 -> /lib",
            "usr/lib/x/libc.so",
            "usr/up -> ../../usr/lib/x",
            "loop -> loop/a",
            "dangling -> nowhere",
        ],
    );
    let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
    assert_eq!(
        packed(&view, &select(&["lib64/x/libc.so"], &[])),
        with_always(&["lib", "lib64", "usr", "usr/lib", "usr/lib/x", "usr/lib/x/libc.so"])
    );
    let expanded = selection::expand(&view, &select(&["usr/up/libc.so", "lib"], &[])).unwrap();
    let show = |path: &Vec<u8>| String::from_utf8(path.clone()).unwrap();
    let taken: Vec<_> = expanded.rewritten[0].taken.iter().map(show).collect();
    assert_eq!(taken, ["usr/up", "usr/lib/x/libc.so"]);
    assert_eq!(expanded.rewritten.len(), 1, "a link that is listed itself is not rewritten");
    let error =
        selection::expand(&view, &select(&["dangling/x", "loop/b", "lib/y"], &[])).unwrap_err();
    insta::assert_snapshot!(error, @r"
    3 listed paths cannot be packed:
      dangling/x: not found: the link dangling leads to nowhere/x
      loop/b: too many links on the way
      lib/y: not found: the link lib leads to usr/lib/y
    ");
}

#[test]
fn all_missing_paths_are_told_of_at_once_with_the_reason() {
    let dir = TempDir::new().unwrap();
    tree(dir.path(), &["a", "secret/key"]);
    let view = view(vec![mapping("", dir.path().to_owned(), &["secret"])]);
    let error = selection::expand(
        &view,
        &select(&["a", "gone", "secret/key", "gone"], &["/abs", "a/../b", "a/x"]),
    )
    .unwrap_err();
    let message = error.to_string().replace(dir.path().to_str().unwrap(), "DIR");
    insta::assert_snapshot!(message, @r"
    5 listed paths cannot be packed:
      gone: not found in the source map
      secret/key: hidden by hidePaths (DIR/secret/key)
      /abs: package paths have no slash at their begin
      a/../b: has an empty, '.' or '..' component
      a/x: not found in the source map
    ");
    let many: Vec<String> = (0..25).map(|n| format!("gone{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let error = selection::expand(&view, &select(&many, &[])).unwrap_err();
    assert!(error.to_string().ends_with("… and 5 more"), "{error}");
}

#[test]
fn lists_are_read_as_the_original_read_them() {
    let dir = TempDir::new().unwrap();
    let list = dir.path().join("list");
    fs::write(&list, "# a\n\n  b/c \t\r\nd#e\nd/ \n.\nlast").unwrap();
    let read = file_list::read(&list).unwrap();
    assert_eq!(read, [&b"b/c"[..], b"d", b"d", b".", b"last"]);
    for (text, message) in [
        ("a\n/b\n", "list:2: not a package path: '/b' (it begins with a slash)"),
        ("a/.#x", "list:1: not a package path: 'a/.' (it has an empty, '.' or '..' component)"),
    ] {
        fs::write(&list, text).unwrap();
        let error = file_list::read(&list).unwrap_err().to_string();
        assert!(error.ends_with(message), "{error}");
    }
    fs::remove_file(&list).unwrap();
    assert!(matches!(file_list::read(&list), Err(file_list::Error::NotFound(_))));
}

fn used(paths: &[&str]) -> BTreeSet<Vec<u8>> {
    paths.iter().map(|path| path.as_bytes().to_vec()).collect()
}

#[test]
fn lists_are_merged_pruned_and_sorted_by_bytes() {
    let dir = TempDir::new().unwrap();
    tree(
        dir.path(),
        &["src/a", "src/B", "src/z", "src/usr/lib/x", "src/lib -> usr/lib", "src/not/checked"],
    );
    let view = view(vec![mapping("", dir.path().join("src"), &["z"])]);
    let list = dir.path().join("list");
    let paths = used(&["a", "a#b", " c", "not/checked", "used/and/gone"]);
    let first = file_list::update(&list, &paths, &view, false).unwrap();
    assert_eq!(first.unlistable, [b" c".to_vec(), b"a#b".to_vec()]);
    assert_eq!(first.added, [b"a".to_vec(), b"not/checked".to_vec()]);
    let text = fs::read_to_string(&list).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with('#')).count(), 4);
    assert!(text.ends_with("\na\nnot/checked\n"), "{text}");

    fs::write(&list, "# mine\nz\na\ngone\nlib/x\nd/.\n# lost\n").unwrap();
    let second = file_list::update(&list, &used(&["B"]), &view, false).unwrap();
    assert_eq!(fs::read_to_string(&list).unwrap(), "# mine\nB\na\nlib\nusr/lib/x\n");
    let dropped: Vec<_> = second
        .dropped
        .iter()
        .map(|(path, why)| (String::from_utf8_lossy(path).into_owned(), format!("{why:?}")))
        .collect();
    assert_eq!(dropped.len(), 3, "{dropped:?}");
    assert!(
        matches!(&second.dropped[0], (path, Dropped::Unusable(Reason::NotPlain)) if path == b"d/.")
    );
    assert!(
        matches!(&second.dropped[1], (path, Dropped::Unusable(Reason::Vanished)) if path == b"gone")
    );
    assert!(
        matches!(&second.dropped[2], (path, Dropped::Unusable(Reason::Hidden(_))) if path == b"z")
    );
    assert_eq!(second.rewritten[0].listed, b"lib/x");

    let unchanged = file_list::update(&list, &used(&["B"]), &view, false).unwrap();
    assert!(!unchanged.written);
    let pruned = file_list::update(&list, &used(&["B"]), &view, true).unwrap();
    assert_eq!(pruned.dropped.len(), 3);
    assert_eq!(fs::read_to_string(&list).unwrap(), "# mine\nB\n");
}

#[test]
fn a_rewritten_list_keeps_its_mode_and_its_link() {
    let dir = TempDir::new().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::write(&real, "").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real", &link).unwrap();
    let source = TempDir::new().unwrap();
    tree(source.path(), &["a"]);
    let view = view(vec![mapping("", source.path().to_owned(), &[])]);
    file_list::update(&link, &used(&["a"]), &view, false).unwrap();
    assert!(link.is_symlink());
    assert!(fs::read_to_string(&real).unwrap().ends_with("\na\n"));
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
}

#[test]
fn a_list_that_cannot_be_written_stays_as_it_was() {
    let dir = TempDir::new().unwrap();
    let list = dir.path().join("missing/list");
    let error = file_list::update(&list, &used(&["a"]), &view(vec![]), false).unwrap_err();
    assert!(matches!(error, file_list::Error::Write { .. }), "{error:?}");
}

// ---- property tests against a model ----------------------------------------------------------

mod property {
    use super::*;
    use proptest::prelude::*;

    /// A file system of few names, so that mappings collide.
    #[derive(Clone, Debug)]
    enum Entry {
        File,
        Link,
        Dir(BTreeMap<&'static str, Entry>),
    }

    const NAMES: [&str; 6] = ["a", "b", "dev", "proc", "cpuinfo", "sandstorm-manifest"];

    fn entry() -> impl Strategy<Value = Entry> {
        let leaf = prop_oneof![2 => Just(Entry::File), 1 => Just(Entry::Link)];
        leaf.prop_recursive(3, 24, 4, |inner| {
            proptest::collection::btree_map(proptest::sample::select(&NAMES[..]), inner, 0..5)
                .prop_map(Entry::Dir)
        })
    }

    fn path() -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..4)
            .prop_map(|names| names.join("/"))
    }

    type Map = Vec<(String, Entry, Vec<String>)>;

    fn map() -> impl Strategy<Value = Map> {
        let package_path = prop_oneof![2 => Just(String::new()), 1 => path()];
        let hides = proptest::collection::vec(path(), 0..3);
        proptest::collection::vec((package_path, entry(), hides), 1..4)
    }

    fn write(path: &Path, entry: &Entry) {
        match entry {
            Entry::File => fs::write(path, path.to_str().unwrap()).unwrap(),
            Entry::Link => symlink("a", path).unwrap(),
            Entry::Dir(children) => {
                fs::create_dir(path).unwrap();
                children.iter().for_each(|(name, child)| write(&path.join(name), child));
            }
        }
    }

    /// What a package path is, said anew and differently: the whole layers as lists of paths,
    /// merged path by path from the root downwards.
    #[derive(Clone, Debug, PartialEq)]
    enum Shown {
        Dir,
        Link,
        Generated,
        From(PathBuf),
    }

    fn flatten(at: &str, source: &Path, entry: &Entry, into: &mut Vec<(String, Shown)>) {
        match entry {
            Entry::File => into.push((at.to_owned(), Shown::From(source.to_owned()))),
            Entry::Link => into.push((at.to_owned(), Shown::Link)),
            Entry::Dir(children) => {
                into.push((at.to_owned(), Shown::Dir));
                for (name, child) in children {
                    let at = if at.is_empty() { name.to_string() } else { format!("{at}/{name}") };
                    flatten(&at, &source.join(name), child, into);
                }
            }
        }
    }

    fn model(map: &Map, dir: &Path) -> BTreeMap<String, Shown> {
        let mut layers: Vec<Vec<(String, Shown)>> =
            vec![["dev", "tmp", "var", "proc"].map(|name| (name.to_owned(), Shown::Dir)).to_vec()];
        for name in ["sandstorm-manifest", "sandstorm-http-bridge-config", "proc/cpuinfo"] {
            layers[0].push((name.to_owned(), Shown::Generated));
        }
        for (index, (package_path, entry, hides)) in map.iter().enumerate() {
            let mut layer = Vec::new();
            let source = dir.join(index.to_string());
            if package_path.is_empty() && !matches!(entry, Entry::Dir(_)) {
                layers.push(layer);
                continue;
            }
            let mut own = Vec::new();
            flatten("", &source, entry, &mut own);
            own.retain(|(path, _)| {
                !hides.iter().any(|hide| path == hide || path.starts_with(&format!("{hide}/")))
            });
            for (end, _) in package_path.match_indices('/') {
                layer.push((package_path[..end].to_owned(), Shown::Dir));
            }
            for (path, shown) in own {
                let full = [package_path.as_str(), &path]
                    .iter()
                    .filter(|part| !part.is_empty())
                    .copied()
                    .collect::<Vec<_>>()
                    .join("/");
                layer.push((full, shown));
            }
            layers.push(layer);
        }
        let mut result: BTreeMap<String, Shown> = BTreeMap::new();
        for layer in &layers {
            let mut layer = layer.clone();
            layer.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
            let mut cut: Vec<String> = Vec::new();
            for (path, shown) in layer {
                if path.is_empty() || cut.iter().any(|cut| path.starts_with(cut)) {
                    continue;
                }
                match result.get(&path) {
                    None => {
                        result.insert(path, shown);
                    }
                    Some(Shown::Dir) if shown == Shown::Dir => {}
                    Some(_) => cut.push(format!("{path}/")),
                }
            }
        }
        result
    }

    fn show(node: &Node) -> Shown {
        match (node.kind(), node.content()) {
            (NodeKind::Directory, None) => Shown::Dir,
            (NodeKind::Symlink, Some(_)) => Shown::Link,
            (NodeKind::File, Some(Content::Bytes(_))) => Shown::Generated,
            (NodeKind::File, Some(Content::Source(source))) => Shown::From(source.path()),
            other => panic!("{other:?}"),
        }
    }

    fn walked(view: &View, path: &str, into: &mut BTreeMap<String, Shown>) {
        for (name, kind) in view.list(path.as_bytes()).unwrap().unwrap() {
            let name = String::from_utf8(name).unwrap();
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            let node = view.lookup(path.as_bytes()).unwrap().expect("listed, so it is there");
            assert_eq!(node.kind(), kind, "{path}");
            into.insert(path.clone(), show(&node));
            if kind == NodeKind::Directory {
                walked(view, &path, into);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn listing_lookup_and_packing_agree_with_the_model(map in map(), probe in path()) {
            let dir = TempDir::new().unwrap();
            let mut mappings = Vec::new();
            for (index, (package_path, entry, hides)) in map.iter().enumerate() {
                let source = dir.path().join(index.to_string());
                write(&source, entry);
                let hides: Vec<&str> = hides.iter().map(String::as_str).collect();
                mappings.push(mapping(package_path, source, &hides));
            }
            let view = view(mappings);
            let model = model(&map, dir.path());

            let mut listed = BTreeMap::new();
            walked(&view, "", &mut listed);
            prop_assert_eq!(&listed, &model);

            // a path taken at random is found exactly if it is listed
            let found = view.lookup(probe.as_bytes()).unwrap().map(|node| show(&node));
            prop_assert_eq!(found.as_ref(), model.get(&probe));

            // packing everything packs what is listed
            let all = Selection { always_include: vec![b".".to_vec()], ..Selection::default() };
            let mut expected = model.clone();
            expected.remove("sandstorm-http-bridge-config");
            let tree = selection::expand(&view, &all).unwrap().root;
            let packed: BTreeMap<String, Shown> = tree.paths().into_iter()
                .map(|(path, tree)| (String::from_utf8(path).unwrap(), show(&tree.node))).collect();
            prop_assert_eq!(packed, expected);
        }

        #[test]
        fn a_written_list_reads_back(paths in proptest::collection::btree_set(
            proptest::collection::vec(any::<u8>(), 1..12), 0..20))
        {
            let dir = TempDir::new().unwrap();
            let list = dir.path().join("list");
            let source = dir.path().join("source");
            fs::create_dir(&source).unwrap();
            // what is not there is not listed
            let paths: BTreeSet<_> = paths
                .into_iter()
                .filter(|path| !path.contains(&b'/') && !path.contains(&0))
                .filter(|path| fs::write(source.join(OsStr::from_bytes(path)), "").is_ok())
                .collect();
            let view = view(vec![mapping("", source, &[])]);
            let update = file_list::update(&list, &paths, &view, false).unwrap();
            let written: BTreeSet<_> =
                file_list::parse(&fs::read(&list).unwrap()).into_iter().map(|entry| entry.path).collect();
            let expected: BTreeSet<_> =
                paths.iter().filter(|path| file_list::is_listable(path)).cloned().collect();
            prop_assert_eq!(written, expected);
            prop_assert!(update.unlistable.iter().all(|path| !file_list::is_listable(path)));
        }

        #[test]
        fn no_list_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            for entry in file_list::parse(&text) {
                prop_assert!(file_list::is_listable(&entry.path));
            }
        }
    }

    #[test]
    fn names_are_bytes() {
        let dir = TempDir::new().unwrap();
        let name = std::ffi::OsStr::from_bytes(b"\xff\n#");
        fs::write(dir.path().join(name), "x").unwrap();
        let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
        assert!(view.list(b"").unwrap().unwrap().contains_key(name.as_bytes()));
        assert!(view.lookup(name.as_bytes()).unwrap().is_some());
    }
}
