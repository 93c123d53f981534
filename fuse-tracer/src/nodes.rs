//! The node table: which inode number stands for which package path, and for which file there.
//!
//! One node per package path, not per source inode: it must be known by which name a file was
//! opened (dev-mode §9). When another file takes a path's place (an editor's rename), the path
//! gets a new inode number, as it would anywhere else: who has the old one open keeps its
//! contents, and the kernel's pages of the two never mix. A directory keeps its number as long as
//! its path is a directory, since it is merged from several.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use spk_files::path::join;
use spk_package::view::{Node, NodeKind};

/// The root's inode number, given by the protocol.
pub const ROOT: u64 = 1;

/// What tells one file at a path from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Directory,
    /// Something the tool makes.
    Generated,
    /// Device and inode number of the source.
    Source(u64, u64),
}

impl Identity {
    pub fn of(node: &Node) -> Identity {
        match (node.kind(), node.metadata()) {
            (NodeKind::Directory, _) => Identity::Directory,
            (_, Some(metadata)) => Identity::Source(metadata.dev(), metadata.ino()),
            (_, None) => Identity::Generated,
        }
    }
}

/// What a source's content depends on, as far as `stat` tells: if it is the same, what the kernel
/// keeps is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(pub Vec<(u64, u64, u64, i64, i64, i64, i64)>);

impl Stamp {
    pub fn of<'a>(metadata: impl IntoIterator<Item = &'a std::fs::Metadata>) -> Stamp {
        let stamp = |of: &std::fs::Metadata| {
            (
                of.dev(),
                of.ino(),
                of.size(),
                of.mtime(),
                of.mtime_nsec(),
                of.ctime(),
                of.ctime_nsec(),
            )
        };
        Stamp(metadata.into_iter().map(stamp).collect())
    }

    /// The length, if it is of one source.
    pub fn size(&self) -> Option<u64> {
        match self.0.as_slice() {
            [one] => Some(one.2),
            _ => None,
        }
    }

    /// The newest change, in nanoseconds since 1970.
    pub fn newest(&self) -> i128 {
        let time =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        self.0.iter().map(|of| time(of.3, of.4).max(time(of.5, of.6))).max().unwrap_or(0)
    }
}

/// A node the kernel knows.
#[derive(Clone, Debug)]
pub struct Entry {
    pub path: Arc<[u8]>,
    pub parent: u64,
    pub node: Arc<Node>,
    /// What the pages (or the listing) the kernel has were read from.
    pub stamp: Option<Stamp>,
    /// Whether the kernel may have pages of it: it was opened, or pages were pushed.
    pub has_pages: bool,
    /// Whether the kernel has asked something about this node: until then, the answer that tells
    /// it of the node may still be on its way.
    pub is_known: bool,
    lookups: u64,
}

impl Entry {
    /// The last component of the path.
    pub fn name(&self) -> &[u8] {
        spk_files::path::name(&self.path)
    }
}

/// See the module's description.
#[derive(Debug)]
pub struct Nodes {
    entries: HashMap<u64, Entry>,
    /// The inode number that a path has now; kept when the kernel forgets the node, so that
    /// numbers stay for the session.
    current: BTreeMap<Arc<[u8]>, (u64, Identity)>,
    next: u64,
}

impl Nodes {
    pub fn new(root: Node) -> Nodes {
        let path: Arc<[u8]> = Arc::from(&b""[..]);
        let entry = Entry {
            path: path.clone(),
            parent: ROOT,
            node: Arc::new(root),
            stamp: None,
            has_pages: false,
            is_known: true,
            lookups: 1,
        };
        Nodes {
            entries: HashMap::from([(ROOT, entry)]),
            current: BTreeMap::from([(path, (ROOT, Identity::Directory))]),
            next: ROOT + 1,
        }
    }

    pub fn get(&self, ino: u64) -> Option<&Entry> {
        self.entries.get(&ino)
    }

    pub fn get_mut(&mut self, ino: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&ino)
    }

    /// The inode number that `path` has now, if the kernel knows it.
    pub fn ino(&self, path: &[u8]) -> Option<u64> {
        let (ino, _) = self.current.get(path)?;
        self.entries.contains_key(ino).then_some(*ino)
    }

    /// The number for `name` in `parent`, which is `node` now; `lookups` times more to be
    /// forgotten by the kernel.
    pub fn intern(
        &mut self,
        parent: u64,
        name: &[u8],
        node: Arc<Node>,
        lookups: u64,
    ) -> Option<u64> {
        let path: Arc<[u8]> = join(&self.entries.get(&parent)?.path, name).into();
        let identity = Identity::of(&node);
        let ino = match self.current.get(&path) {
            Some((ino, known)) if *known == identity => *ino,
            _ => {
                let ino = self.next;
                self.next += 1;
                self.current.insert(path.clone(), (ino, identity));
                ino
            }
        };
        let entry = self.entries.entry(ino).or_insert_with(|| Entry {
            path,
            parent,
            node: node.clone(),
            stamp: None,
            has_pages: false,
            is_known: false,
            lookups: 0,
        });
        entry.node = node;
        entry.parent = parent;
        entry.lookups += lookups;
        Some(ino)
    }

    /// The kernel drops `lookups` of its references. Whether it has none any more.
    pub fn forget(&mut self, ino: u64, lookups: u64) -> bool {
        if ino == ROOT {
            return false;
        }
        let Some(entry) = self.entries.get_mut(&ino) else { return false };
        entry.lookups = entry.lookups.saturating_sub(lookups);
        let forgotten = entry.lookups == 0;
        if forgotten {
            self.entries.remove(&ino);
        }
        forgotten
    }

    /// What the kernel knows at `path` or below it, without files replaced since; sorted.
    pub fn below(&self, path: &[u8]) -> Vec<(u64, Entry)> {
        let known = |(_, (ino, _)): (&Arc<[u8]>, &(u64, Identity))| {
            self.entries.get(ino).map(|entry| (*ino, entry.clone()))
        };
        if path.is_empty() {
            return self.current.iter().filter_map(known).collect();
        }
        let (first, after) = ([path, b"/"].concat(), [path, b"0"].concat()); // '0' follows '/'
        let range = (Bound::Included(&first[..]), Bound::Excluded(&after[..]));
        let below = self
            .current
            .get_key_value(path)
            .into_iter()
            .chain(self.current.range::<[u8], _>(range));
        below.filter_map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spk_package::source_map::{Mapping, SourceMap};
    use spk_package::view::{Generated, View};

    #[test]
    fn a_replaced_file_gets_a_new_number_and_a_changed_one_keeps_its() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), "1").unwrap();
        let mapping = Mapping {
            package_path: Vec::new(),
            source_path: dir.path().to_owned(),
            hide_paths: Vec::new(),
        };
        let view = View::new(SourceMap::new(vec![mapping]).unwrap(), Generated::default());
        let mut nodes = Nodes::new(view.root());
        let look = || Arc::new(view.lookup(b"f").unwrap().unwrap());
        let first = nodes.intern(ROOT, b"f", look(), 1).unwrap();
        std::fs::write(dir.path().join("f"), "22").unwrap();
        assert_eq!(nodes.intern(ROOT, b"f", look(), 1), Some(first));
        std::fs::write(dir.path().join("g"), "3").unwrap();
        std::fs::rename(dir.path().join("g"), dir.path().join("f")).unwrap();
        let second = nodes.intern(ROOT, b"f", look(), 1).unwrap();
        assert_ne!(first, second);
        assert_eq!(nodes.ino(b"f"), Some(second));
        assert_eq!(nodes.below(b"").len(), 2, "the root and the new file");
        nodes.forget(first, 2);
        assert!(nodes.get(first).is_none());
        // forgotten, found again: the same number
        nodes.forget(second, 1);
        assert_eq!(nodes.ino(b"f"), None);
        assert_eq!(nodes.intern(ROOT, b"f", look(), 1), Some(second));
    }
}
