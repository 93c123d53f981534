//! Looking a name up, and looking at a node again.

use std::sync::Arc;
use std::time::Duration;

use fuser::{Errno, FileAttr};
use spk_files::path::join;
use spk_package::view::{Node, NodeKind};

use crate::nodes::{Entry, Identity, ROOT};
use crate::record::{Use, is_kernels};
use crate::shared::Shared;
use crate::{attr, kept};

/// What a look-up found, and for how long the kernel may keep it.
pub struct Found {
    pub ttl: Duration,
    pub node: Option<(u64, Arc<Node>)>,
}

/// Looks a name up in a directory, and records that.
pub fn look_up(shared: &Shared, pid: u32, parent: u64, name: &[u8]) -> Result<Found, Errno> {
    let dir = shared.nodes().get(parent).cloned().ok_or(Errno::ESTALE)?;
    // watch first, look then: a change in between is told of
    let ttl = kept::ttl(shared, &dir.path, &dir.node);
    let found = shared.view().child(&dir.node, name);
    let path = join(&dir.path, name);
    let shown = shared.is_shown(&path);
    match found.map_err(|error| shared.failed(&error))?.ok_or(Use::Miss) {
        Ok(_) if !shown => {
            shared.note(&path, Use::Withheld, pid);
            Ok(Found { ttl, node: None })
        }
        Err(_) if is_kernels(&path) => {
            shared.note_kernels(&path, pid);
            // Asked for each time, so that it is known what for.
            Ok(Found { ttl: Duration::ZERO, node: None })
        }
        Err(missed) => {
            shared.note(&path, missed, pid);
            let remembered = shared.watch.as_ref().is_none_or(|watch| watch.missed(path));
            Ok(Found { ttl: if remembered { ttl } else { Duration::ZERO }, node: None })
        }
        Ok(node) => {
            let node = Arc::new(node);
            let interned = shared.nodes().intern(parent, name, node.clone(), 1);
            let ino = interned.ok_or(Errno::ESTALE)?;
            shared.note(&path, looked_at(&node), pid);
            Ok(Found { ttl, node: Some((ino, node)) })
        }
    }
}

/// The node as it is now, if it is still the same file.
pub fn fresh(shared: &Shared, ino: u64) -> Result<Entry, Errno> {
    let (mut entry, parent) = {
        let nodes = shared.nodes();
        let entry = nodes.get(ino).cloned().ok_or(Errno::ESTALE)?;
        let parent = nodes.get(entry.parent).map(|parent| parent.node.clone());
        (entry, parent)
    };
    let view = shared.view();
    let found = match parent {
        _ if ino == ROOT => Ok(Some(view.root())),
        Some(parent) => view.child(&parent, entry.name()),
        None => view.lookup(&entry.path),
    };
    match found {
        Ok(Some(node)) if Identity::of(&node) == Identity::of(&entry.node) => {
            entry.node = Arc::new(node);
            if let Some(known) = shared.nodes().get_mut(ino) {
                known.node = entry.node.clone();
                known.is_known = true;
            }
            Ok(entry)
        }
        Ok(_) => Err(Errno::ESTALE),
        Err(error) => Err(shared.failed(&error)),
    }
}

/// Attributes of a node, as they are shown.
pub fn attributes(shared: &Shared, ino: u64, node: &Node) -> FileAttr {
    attr::attributes(ino, node, shared.ownership())
}

/// What looking at a node's attributes is recorded as.
pub fn looked_at(node: &Node) -> Use {
    if node.kind() == NodeKind::File && node.size() == 0 { Use::Empty } else { Use::Stat }
}
