//! The tree of files to pack.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use spk_files::path::{components, is_name, push};
use spk_files::printable;

use crate::limits::{MAX_FILE_BYTES, MAX_NAME_BYTES, MAX_PATH_COMPONENTS, MAX_TARGET_BYTES};
use crate::view::SourceFile;

/// A directory's entries. Sorted by byte, as archives list them.
pub type Entries = BTreeMap<Vec<u8>, Node>;

/// What goes into an archive.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The package's root directory.
    pub root: Entries,
    /// Modification time in nanoseconds since 1970 for directories that have no source of their own.
    pub implied_mtime: i64,
}

/// One entry of a directory.
#[derive(Debug, Clone)]
pub struct Node {
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A directory.
    Directory(Entries),
    /// A symbolic link and its target.
    Symlink(Vec<u8>),
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Bytes that are packed.
        size: u64,
        /// Where they come from.
        source: Contents,
    },
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Contents {
    /// Made by the tool.
    Bytes(Arc<[u8]>),
    /// Read from this file when it is packed.
    Path(PathBuf),
    /// Read from this file of the source map when it is packed.
    Source(SourceFile),
}

/// Why something cannot be in an archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that no directory can hold.
    #[error("'{path}' cannot be packed: '{name}' is not a file name")]
    Name {
        /// The package path.
        path: String,
        /// Its offending component.
        name: String,
    },
    /// Too deep for servers to unpack.
    #[error(
        "'{path}' cannot be packed: it is {depth} directories deep, and servers unpack no more \
         than {MAX_PATH_COMPONENTS}"
    )]
    Depth {
        /// The package path.
        path: String,
        /// Its number of components.
        depth: usize,
    },
    /// A file larger than the format can hold.
    #[error("'{path}' cannot be packed: it has {size} bytes, and files must be below 512 MiB")]
    FileSize {
        /// The package path.
        path: String,
        /// In bytes.
        size: u64,
    },
    /// A target that `symlink(2)` would refuse.
    #[error("the symbolic link '{path}' cannot be packed: its target has {length} bytes")]
    Target {
        /// The package path.
        path: String,
        /// Of the target.
        length: usize,
    },
    /// A path that is a file and a directory at once.
    #[error("'{path}' is a directory in one place and something else in another")]
    Conflict {
        /// The package path.
        path: String,
    },
}

impl Tree {
    /// Puts `node` at a package path, making directories on the way. A directory put where one is
    /// keeps the entries of both; anything else replaces what was there.
    pub fn insert(&mut self, path: &[u8], node: Node) -> Result<(), Error> {
        let shown = || printable::line(&*path);
        let components: Vec<&[u8]> = components(path).collect();
        for name in &components {
            if !valid_name(name) {
                let name = printable::line(name);
                return Err(Error::Name { path: shown(), name });
            }
        }
        let Some((last, parents)) = components.split_last() else { return Ok(()) };
        let mut entries = &mut self.root;
        for name in parents {
            let parent = entries.entry(name.to_vec()).or_insert_with(|| Node {
                mtime: self.implied_mtime,
                kind: Kind::Directory(Entries::new()),
            });
            match &mut parent.kind {
                Kind::Directory(inner) => entries = inner,
                _ => return Err(Error::Conflict { path: shown() }),
            }
        }
        match (entries.get_mut(*last), node) {
            (
                Some(Node { mtime, kind: Kind::Directory(inner) }),
                Node { mtime: new, kind: Kind::Directory(added) },
            ) => {
                *mtime = new;
                merge(inner, added);
            }
            (Some(Node { kind: Kind::Directory(inner), .. }), _) if !inner.is_empty() => {
                return Err(Error::Conflict { path: shown() });
            }
            (_, node) => {
                entries.insert(last.to_vec(), node);
            }
        }
        Ok(())
    }

    /// Checks everything that would make servers refuse the archive.
    pub fn check(&self) -> Result<(), Error> {
        check(&self.root, &mut Vec::new(), 1)
    }
}

fn merge(into: &mut Entries, from: Entries) {
    for (name, node) in from {
        match (into.get_mut(&name), node) {
            (
                Some(Node { mtime, kind: Kind::Directory(inner) }),
                Node { mtime: new, kind: Kind::Directory(added) },
            ) => {
                *mtime = new;
                merge(inner, added);
            }
            (_, node) => {
                into.insert(name, node);
            }
        }
    }
}

fn check(entries: &Entries, path: &mut Vec<u8>, depth: usize) -> Result<(), Error> {
    for (name, node) in entries {
        let length = path.len();
        push(path, name);
        let shown = || printable::line(&*path);
        if !valid_name(name) {
            let name = printable::line(name);
            return Err(Error::Name { path: shown(), name });
        }
        if depth > MAX_PATH_COMPONENTS {
            return Err(Error::Depth { path: shown(), depth });
        }
        match &node.kind {
            Kind::Directory(inner) => check(inner, path, depth + 1)?,
            Kind::Symlink(target) => {
                let length = target.len();
                if length == 0 || length > MAX_TARGET_BYTES || target.contains(&0) {
                    return Err(Error::Target { path: shown(), length });
                }
            }
            Kind::File { size, .. } if *size > MAX_FILE_BYTES => {
                return Err(Error::FileSize { path: shown(), size: *size });
            }
            Kind::File { .. } => {}
        }
        path.truncate(length);
    }
    Ok(())
}

/// Whether servers accept this as an entry's name (format, "names").
pub fn valid_name(name: &[u8]) -> bool {
    is_name(name) && name.len() <= MAX_NAME_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Node {
        let source = Contents::Bytes(Arc::from(&b"x"[..]));
        Node { mtime: 1, kind: Kind::File { executable: false, size: 1, source } }
    }

    fn directory(mtime: i64) -> Node {
        Node { mtime, kind: Kind::Directory(Entries::new()) }
    }

    #[test]
    fn parents_are_made_and_directories_merge() {
        let mut tree = Tree { implied_mtime: 9, ..Tree::default() };
        tree.insert(b"a/b/c", file()).unwrap();
        tree.insert(b"a", directory(5)).unwrap();
        assert_eq!(tree.root[&b"a"[..]].mtime, 5);
        let Kind::Directory(a) = &tree.root[&b"a"[..]].kind else { panic!() };
        assert_eq!(a[&b"b"[..]].mtime, 9);
        assert!(matches!(tree.insert(b"a", file()), Err(Error::Conflict { .. })));
        assert!(matches!(tree.insert(b"a/b/c/d", file()), Err(Error::Conflict { .. })));
    }

    #[test]
    fn names_that_servers_refuse_are_refused() {
        for path in ["", "/a", "a/", "a//b", "./a", "a/..", "..", "a\0b"] {
            let refused = Tree::default().insert(path.as_bytes(), file());
            assert!(matches!(refused, Err(Error::Name { .. })), "{path:?}");
        }
        assert!(!valid_name(&[b'n'; 256]));
        assert!(valid_name(&[b'n'; 255]));
        assert!(valid_name(b"\xff\n#"));
    }

    #[test]
    fn depth_size_and_targets_are_checked() {
        let mut tree = Tree::default();
        tree.insert(vec!["d"; 63].join("/").as_bytes(), file()).unwrap();
        tree.check().unwrap();
        tree.insert([vec!["e"; 63].join("/").as_bytes(), b"/f"].concat().as_slice(), file())
            .unwrap();
        assert!(matches!(tree.check(), Err(Error::Depth { depth: 64, .. })));
        let mut tree = Tree::default();
        let source = Contents::Path("big".into());
        let kind = |size| Kind::File { executable: false, size, source: source.clone() };
        tree.insert(b"big", Node { mtime: 0, kind: kind((1 << 29) - 1) }).unwrap();
        tree.check().unwrap();
        tree.insert(b"big", Node { mtime: 0, kind: kind(1 << 29) }).unwrap();
        assert!(matches!(tree.check(), Err(Error::FileSize { .. })));
        for target in [&b""[..], b"a\0", &[b'a'; 4096]] {
            let mut tree = Tree::default();
            tree.insert(b"l", Node { mtime: 0, kind: Kind::Symlink(target.into()) }).unwrap();
            assert!(matches!(tree.check(), Err(Error::Target { .. })));
        }
    }
}
