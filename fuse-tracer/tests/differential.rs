//! The mount and the packer agree: on random source maps, every path, type, mode, time and content
//! that a process finds through the mount is what would be packed, and nothing else.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use fuse_tracer::Options;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use spk_package::selection::{self, Selection};
use spk_package::view::{Content, NodeKind};
use support::{Mount, as_everyone, mapping, scratch, view};

#[derive(Clone, Debug)]
enum Entry {
    File(bool, u16),
    Link(String),
    Fifo,
    Dir(BTreeMap<&'static str, Entry>),
}

const NAMES: [&str; 8] = ["a", "b", "c d", "é", "dev", "proc", "cpuinfo", "sandstorm-manifest"];

fn entry() -> impl Strategy<Value = Entry> {
    let leaf = prop_oneof![
        4 => (any::<bool>(), 0..3000u16).prop_map(|(executable, size)| Entry::File(executable, size)),
        1 => "[ab/.]{1,6}".prop_map(Entry::Link),
        1 => Just(Entry::Fifo),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        proptest::collection::btree_map(proptest::sample::select(&NAMES[..]), inner, 0..6)
            .prop_map(Entry::Dir)
    })
}

/// What a mapping's source is. The view follows a source that is a link; one that leads out of the
/// test's own directory would map this machine's files, which are not this test's.
fn source() -> impl Strategy<Value = Entry> {
    entry().prop_filter(
        "the source is a link with an absolute target",
        |entry| !matches!(entry, Entry::Link(target) if target.starts_with('/')),
    )
}

/// Where the sources lie, below the test's directory: deeper than a link's text has room for `..`.
const SOURCES: &str = "1/2/3";

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&NAMES[..]), 1..4)
        .prop_map(|names| names.join("/"))
}

fn write(path: &Path, entry: &Entry) {
    match entry {
        Entry::File(executable, size) => {
            fs::write(path, vec![b'x'; usize::from(*size)]).unwrap();
            let mode = if *executable { 0o700 } else { 0o604 };
            // the other user reads it too
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Entry::Link(text) => symlink(text, path).unwrap(),
        Entry::Fifo => nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        Entry::Dir(children) => {
            fs::create_dir(path).unwrap();
            children.iter().for_each(|(name, child)| write(&path.join(name), child));
        }
    }
}

/// Lines `path|kind|executable|mtime|size or link text|checksum`, sorted.
const WALK: &str = r"
import stat, zlib
lines = []
def show(path):
    for name in os.listdir(path or '.'):
        p = (path + '/' if path else '') + name
        s = os.lstat(p)
        kind = {stat.S_IFDIR: 'd', stat.S_IFREG: 'f', stat.S_IFLNK: 'l'}[stat.S_IFMT(s.st_mode)]
        if kind == 'd': what = ''; show(p)
        elif kind == 'l': what = os.readlink(p)
        else:
            data = open(p, 'rb').read()
            assert len(data) == s.st_size
            what = '%d' % len(data) if data.strip(b'x') == b'' else repr(data)
        x = kind == 'f' and s.st_mode & 0o100 != 0
        lines.append('%s|%s|%s|%d|%s' % (p, kind, x, s.st_mtime_ns if kind != 'd' else 0, what))
show('')
print('\n'.join(sorted(lines)))
";

#[test]
fn the_mount_and_the_packer_agree_on_random_maps() {
    as_everyone("the_mount_and_the_packer_agree", |who| {
        let package_path = prop_oneof![2 => Just(String::new()), 1 => path()];
        let hides = proptest::collection::vec(path(), 0..3);
        let map = proptest::collection::vec((package_path, source(), hides), 1..5);
        let mut runner =
            TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&map, |map| {
            let dir = scratch();
            let sources = dir.path().join(SOURCES);
            fs::create_dir_all(&sources).unwrap();
            let mut mappings = Vec::new();
            for (index, (package_path, entry, hides)) in map.iter().enumerate() {
                let source = sources.join(index.to_string());
                write(&source, entry);
                let hides: Vec<&str> = hides.iter().map(String::as_str).collect();
                mappings.push(mapping(package_path, source, &hides));
            }
            let view = view(mappings);
            let all = Selection {
                file_list: vec![b"sandstorm-http-bridge-config".to_vec()],
                always_include: vec![b".".to_vec()],
                uses_bridge: false,
            };
            let packed = selection::expand(&view, &all).unwrap().root;
            let mut expected: Vec<String> = packed
                .paths()
                .into_iter()
                .map(|(path, tree)| {
                    let node = &tree.node;
                    let (kind, mtime) = match node.kind() {
                        NodeKind::Directory => ("d", 0),
                        NodeKind::Symlink => ("l", node.mtime_ns().unwrap()),
                        // special files are packed as empty ones
                        _ => ("f", node.mtime_ns().unwrap_or(0)),
                    };
                    let what = match (node.kind(), node.content()) {
                        (NodeKind::Directory, _) => String::new(),
                        (NodeKind::Symlink, _) => {
                            String::from_utf8(node.read_link().unwrap()).unwrap()
                        }
                        (_, Some(Content::Bytes(bytes))) if !bytes.is_empty() => {
                            format!("b'{}'", String::from_utf8_lossy(bytes))
                        }
                        _ => node.size().to_string(),
                    };
                    let executable = if node.is_executable() { "True" } else { "False" };
                    let path = String::from_utf8(path).unwrap();
                    format!("{path}|{kind}|{executable}|{mtime}|{what}")
                })
                .collect();
            expected.sort_by(|a, b| a.chars().cmp(b.chars()));
            let mut mount = Mount::new(who, view, Options::default());
            for _ in 0..2 {
                let seen = mount.python(WALK);
                prop_assert_eq!(seen.lines().collect::<Vec<_>>(), expected.clone());
            }
            let record = mount.finish();
            prop_assert!(record.unreadable.is_empty(), "{:?}", record.unreadable);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{who:?}: {error}"));
    });
}
