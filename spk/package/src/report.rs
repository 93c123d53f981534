//! What a package about to be made consists of. What should not be in it: see [`crate::guard`].

use std::collections::BTreeMap;

use spk_files::path::push;

use crate::archive::tree::{Entries, Kind, Tree};

/// What is in a tree.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of all files in and below each directory; the root is empty.
    pub directories: BTreeMap<Vec<u8>, u64>,
}

impl Report {
    /// Looks at everything in `tree`.
    pub fn of(tree: &Tree) -> Report {
        let mut report = Report::default();
        let bytes = report.visit(&tree.root, &mut Vec::new());
        report.bytes = bytes;
        report.directories.insert(Vec::new(), bytes);
        report
    }

    /// The directories with most in them, largest first.
    pub fn largest(&self, count: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> =
            self.directories.iter().map(|(path, bytes)| (&path[..], *bytes)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(count);
        all
    }

    fn visit(&mut self, entries: &Entries, path: &mut Vec<u8>) -> u64 {
        let mut total = 0;
        for (name, node) in entries {
            let length = path.len();
            push(path, name);
            match &node.kind {
                Kind::Directory(inner) => {
                    let bytes = self.visit(inner, path);
                    self.directories.insert(path.clone(), bytes);
                    total += bytes;
                }
                Kind::File { size, .. } => {
                    self.files += 1;
                    total += size;
                }
                Kind::Symlink(_) => {}
            }
            path.truncate(length);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tree::{Contents, Node};
    use std::sync::Arc;

    #[test]
    fn sizes_of_all_that_is_below() {
        let mut tree = Tree::default();
        let mut put = |path: &str, contents: &[u8]| {
            let source = Contents::Bytes(Arc::from(contents));
            let kind = Kind::File { executable: false, size: contents.len() as u64, source };
            tree.insert(path.as_bytes(), Node { mtime: 0, kind }).unwrap();
        };
        put("app/main.py", b"print()");
        put("app/sub/config", b"[core]");
        put("app/sub/objects/pack", b"12345");
        put("lib/x", b"");
        let report = Report::of(&tree);
        assert_eq!(report.files, 4);
        assert_eq!(report.bytes, 18);
        assert_eq!(report.directories[&b"app/sub"[..]], 11);
        assert_eq!(report.largest(2)[0], (&b""[..], report.bytes));
        assert!(report.largest(2).len() == 2);
    }
}
