//! From what a definition selects to the tree that is packed.

use std::io;

use crate::archive::tree::{Contents, Entries, Kind, Node, Tree};
use crate::selection;
use crate::view::{Content, NodeKind};

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
/// is for directories without a source: a fixed time keeps packages reproducible.
pub fn tree(selected: &selection::Tree, implied_mtime: i64) -> Result<(Tree, Vec<String>), Error> {
    let mut special = Vec::new();
    let root = entries(selected, implied_mtime, &mut Vec::new(), &mut special)?;
    Ok((Tree { root, implied_mtime }, special))
}

fn entries(
    directory: &selection::Tree,
    implied_mtime: i64,
    path: &mut Vec<u8>,
    special: &mut Vec<String>,
) -> Result<Entries, Error> {
    let mut entries = Entries::new();
    for (name, child) in &directory.children {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend(name);
        let node = &child.node;
        let shown = || String::from_utf8_lossy(path).into_owned();
        let kind = match node.kind() {
            NodeKind::Directory => {
                Kind::Directory(self::entries(child, implied_mtime, path, special)?)
            }
            NodeKind::Symlink => {
                Kind::Symlink(node.read_link().map_err(|source| Error { path: shown(), source })?)
            }
            NodeKind::File => {
                let source = match node.content() {
                    Some(Content::Bytes(bytes)) => Contents::Bytes(bytes.clone()),
                    Some(Content::Source(source)) => Contents::Source(source.clone()),
                    None => Contents::Bytes([].into()),
                };
                Kind::File { executable: node.is_executable(), size: node.size(), source }
            }
            _ => {
                special.push(shown());
                let source = Contents::Bytes([].into());
                Kind::File { executable: false, size: 0, source }
            }
        };
        // Beyond the years 1677 to 2262 the format cannot say when.
        let mtime = match (node.mtime_ns(), &kind) {
            (Some(time), _) => time.clamp(i64::MIN.into(), i64::MAX.into()) as i64,
            (None, Kind::Directory(_)) => implied_mtime,
            (None, _) => 0,
        };
        entries.insert(name.clone(), Node { mtime, kind });
        path.truncate(length);
    }
    Ok(entries)
}
