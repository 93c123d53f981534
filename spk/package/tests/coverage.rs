//! How much of an app a trace has seen.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use spk_package::coverage::Coverage;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::{Generated, View};

fn mapping(package: &str, source: PathBuf, hide: &[&str]) -> Mapping {
    let hide_paths = hide.iter().map(|path| path.as_bytes().to_vec()).collect();
    Mapping { package_path: package.into(), source_path: source, hide_paths }
}

/// Touched files, percent, and directories: path, whether whole, files, bytes.
type Covered = (usize, usize, Vec<(String, bool, usize, u64)>);

fn covered(dir: &Path, listed: &[&str]) -> Covered {
    let own = mapping("opt/app", dir.to_owned(), &["hidden"]);
    let machine = mapping("", PathBuf::from("/"), &["home"]);
    // As in the templates: files of one's own in the machine's directories.
    let rootfs = mapping("", dir.join("hidden/rootfs"), &[]);
    let map = SourceMap::new(vec![own, rootfs, machine]).unwrap();
    let listed: BTreeSet<Vec<u8>> = listed.iter().map(|path| path.as_bytes().to_vec()).collect();
    let coverage = Coverage::of(&View::new(map, Generated::default()), &listed);
    let dirs = coverage
        .untouched
        .iter()
        .map(|dir| (String::from_utf8(dir.path.clone()).unwrap(), dir.whole, dir.files, dir.bytes));
    (coverage.touched, coverage.percent(), dirs.collect())
}

#[test]
fn directories_are_named_at_the_top_of_what_was_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "app.py",
        "README.md",
        "lang/de/a.po",
        "lang/de/b.po",
        "lang/fr/a.po",
        "lang/en/a.po",
        "docs/a/b/c",
        "docs/d",
        "hidden/x",
        "hidden/rootfs/etc/passwd",
    ] {
        fs::create_dir_all(dir.path().join(file).parent().unwrap()).unwrap();
        fs::write(dir.path().join(file), "12345").unwrap();
    }
    let listed = ["opt/app", "opt/app/app.py", "opt/app/lang", "opt/app/lang/en/a.po"];
    let dirs = [
        ("opt/app/docs", true, 2, 10),
        ("opt/app/lang/de", true, 2, 10),
        ("etc", true, 1, 5),
        ("opt/app", false, 1, 5),
        ("opt/app/lang/fr", true, 1, 5),
    ];
    let dirs =
        dirs.map(|(path, whole, files, bytes)| (path.to_owned(), whole, files, bytes)).to_vec();
    assert_eq!(covered(dir.path(), &listed), (2, 22, dirs));
}

#[test]
fn nothing_of_the_machine_counts_but_what_belongs_to_used_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "1").unwrap();
    assert_eq!(covered(dir.path(), &["opt/app/x", "etc/hostname", "etc"]), (2, 100, Vec::new()));
    assert_eq!(covered(dir.path(), &[]).1, 0);
    let package = dir.path().join("node_modules/express");
    fs::create_dir_all(package.join("lib")).unwrap();
    fs::write(package.join("package.json"), "{}").unwrap();
    fs::write(package.join("lib/view.js"), "123").unwrap();
    let listed = ["opt/app/x", "opt/app/node_modules/express/package.json"];
    let view = ("opt/app/node_modules/express/lib".to_owned(), true, 1, 3);
    assert_eq!(covered(dir.path(), &listed), (2, 66, vec![view]));
}
