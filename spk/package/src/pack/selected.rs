//! From what a definition selects to the tree that is packed.

use std::io;

use spk_files::path::push;
use spk_files::printable;

use crate::archive::tree::{Contents, Entries, Kind, Node, Tree};
use crate::guard::Withheld;
use crate::selection;
use crate::view::{self, Content, NodeKind};

/// A source that could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the symbolic link '{path}'")]
pub struct Error {
    /// Its path in the package.
    pub path: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The tree to pack, and the paths of what is no file, directory or link: those become empty
/// files, as in the original, and should be warned of. `implied_mtime` (in nanoseconds since 1970)
/// is for directories without a source: a fixed time keeps packages reproducible. So does that a
/// directory in which this tool writes itself (`own`) gets the time of the newest thing packed in it:
/// else the package that was made would make the next one another.
pub fn tree(
    selected: &selection::Tree,
    implied_mtime: i64,
    own: &Withheld,
) -> Result<(Tree, Vec<String>), Error> {
    let mut building = Building { implied_mtime, own, path: Vec::new(), special: Vec::new() };
    let root = building.entries(selected)?;
    Ok((Tree { root, implied_mtime }, building.special))
}

struct Building<'a> {
    implied_mtime: i64,
    own: &'a Withheld,
    path: Vec<u8>,
    special: Vec<String>,
}

impl Building<'_> {
    fn entries(&mut self, directory: &selection::Tree) -> Result<Entries, Error> {
        let mut entries = Entries::new();
        for (name, child) in &directory.children {
            let length = self.path.len();
            push(&mut self.path, name);
            let kind = self.kind(child)?;
            let mtime = self.mtime(&child.node, &kind);
            entries.insert(name.clone(), Node { mtime, kind });
            self.path.truncate(length);
        }
        Ok(entries)
    }

    fn kind(&mut self, child: &selection::Tree) -> Result<Kind, Error> {
        let node = &child.node;
        Ok(match node.kind() {
            NodeKind::Directory => Kind::Directory(self.entries(child)?),
            NodeKind::Symlink => Kind::Symlink(
                node.read_link()
                    .map_err(|source| Error { path: printable::line(&self.path), source })?,
            ),
            NodeKind::File => {
                let source = match node.content() {
                    Some(Content::Bytes(bytes)) => Contents::Bytes(bytes.clone()),
                    Some(Content::Source(source)) => Contents::Source(source.clone()),
                    None => Contents::Bytes([].into()),
                };
                Kind::File { executable: node.is_executable(), size: node.size(), source }
            }
            _ => {
                self.special.push(printable::line(&self.path));
                let source = Contents::Bytes([].into());
                Kind::File { executable: false, size: 0, source }
            }
        })
    }

    fn mtime(&self, node: &view::Node, kind: &Kind) -> i64 {
        let ours = node.metadata().is_some_and(|metadata| self.own.is_written_in(metadata));
        match (node.mtime_ns(), kind) {
            (Some(_), Kind::Directory(inner)) if ours => {
                inner.values().map(|child| child.mtime).max().unwrap_or(self.implied_mtime)
            }
            // Beyond the years 1677 to 2262 the format cannot say when.
            (Some(time), _) => time.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            (None, Kind::Directory(_)) => self.implied_mtime,
            (None, _) => 0,
        }
    }
}
