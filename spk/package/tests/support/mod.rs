//! Shared by the tests of this crate.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use spk_package::archive::tree::{Contents, Entries, Kind, Node, Tree};

/// A file made by the original tools.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A directory as `*.tree.tsv` files list it: type, executable, size, mtime, hash or target, path.
pub fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    visit(root, &mut Vec::new(), &mut lines);
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

fn visit(dir: &Path, prefix: &mut Vec<u8>, lines: &mut Vec<(Vec<u8>, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let path = entry.path();
        let metadata = path.symlink_metadata().unwrap();
        let length = prefix.len();
        spk_files::path::push(prefix, entry.file_name().as_bytes());
        let mtime = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
        let kind = if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            format!("l\t-\t0\t{mtime}\t{}", encode(target.as_os_str().as_bytes()))
        } else if metadata.is_dir() {
            format!("d\t-\t0\t{mtime}\t-")
        } else {
            let executable = if metadata.mode() & 0o100 != 0 { "x" } else { "-" };
            let hash = spk_files::hex::encode(Sha256::digest(fs::read(&path).unwrap()));
            format!("f\t{executable}\t{}\t{mtime}\t{hash}", metadata.len())
        };
        lines.push((prefix.clone(), format!("{kind}\t{}", encode(prefix))));
        if metadata.is_dir() {
            visit(&path, prefix, lines);
        }
        prefix.truncate(length);
    }
}

/// As Python's `urllib.parse.quote_from_bytes(…, safe="/")`.
fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                (byte as char).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// What a directory holds, as a tree to pack.
pub fn tree(root: &Path) -> Tree {
    Tree { root: entries(root), implied_mtime: 0 }
}

fn entries(dir: &Path) -> Entries {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path();
            let metadata = path.symlink_metadata().unwrap();
            let kind = if metadata.is_symlink() {
                Kind::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
            } else if metadata.is_dir() {
                Kind::Directory(entries(&path))
            } else {
                Kind::File {
                    executable: metadata.mode() & 0o100 != 0,
                    size: metadata.len(),
                    source: Contents::Path(path),
                }
            };
            let mtime = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
            (entry.file_name().as_bytes().to_vec(), Node { mtime, kind })
        })
        .collect()
}
