//! Tells the kernel when a source changes, so that it may keep everything else (dev-mode §19.7).
//!
//! Never from a thread that answers requests: the kernel may have to wait for one
//! ([`notifier`](crate::notifier)).
//!
//! * Changed in place: its attributes and pages are dropped.
//! * Made, deleted, renamed: the name is dropped (also a name known not to be there), unless it
//!   still stands for the same file, and the directory's attributes and listing. A directory:
//!   everything below it too.
//! * Events lost: everything.

use std::sync::Arc;
use std::thread::JoinHandle;

use spk_files::path::{join, split};
use spk_package::view::NodeKind;

use crate::nodes::{Identity, ROOT};
use crate::shared::Shared;
use crate::watch::{Change, News, Stop};

/// Starts the watcher's thread, if there is a watcher.
pub fn spawn(shared: &Arc<Shared>) -> std::io::Result<Option<(Stop, JoinHandle<()>)>> {
    let Some(watch) = &shared.watch else { return Ok(None) };
    let stop = watch.stop();
    shared.watch_roots();
    let shared = shared.clone();
    let thread =
        std::thread::Builder::new().name("fuse-watch".into()).spawn(move || run(&shared))?;
    Ok(Some((stop, thread)))
}

fn run(shared: &Shared) {
    let Some(watch) = &shared.watch else { return };
    loop {
        match watch.wait() {
            News::Stopped => return,
            News::Changes(changes) => {
                for change in changes {
                    tracing::debug!(%change, "source changed");
                    apply(shared, &change);
                    shared.tell_change(&change.path());
                }
            }
            News::Lost => {
                tracing::warn!("changes were lost: all is dropped");
                shared.remark("changes came faster than they could be followed; all was reread");
                invalidate_below(shared, b"");
            }
        }
    }
}

fn apply(shared: &Shared, change: &Change) {
    match change {
        Change::Below(path) => invalidate_below(shared, path),
        Change::Name(dir, name) => name_changed(shared, dir, name),
        Change::InPlace(dir, name) => in_place(shared, dir, name),
        Change::Root(path) if path.is_empty() => {
            let _ = changed(shared, ROOT);
        }
        Change::Root(path) => {
            let (dir, name) = split(path);
            in_place(shared, dir, name);
        }
    }
}

/// Drops the name, and what is kept of its directory.
fn name_changed(shared: &Shared, dir: &[u8], name: &[u8]) {
    // a directory the kernel does not know has no names it knows
    let Some(parent) = shared.nodes().ino(dir) else { return };
    let _ = changed(shared, parent);
    in_place(shared, dir, name);
}

/// Drops attributes and pages of a file that changed, and its name unless it stands for the same
/// file as before.
fn in_place(shared: &Shared, dir: &[u8], name: &[u8]) {
    let (parent, ino) = {
        let nodes = shared.nodes();
        (nodes.ino(dir), nodes.ino(&join(dir, name)))
    };
    let name_is_good = ino.is_some_and(|ino| changed(shared, ino) == NameIs::Good);
    if let (Some(parent), false) = (parent, name_is_good) {
        drop_name(shared, parent, name);
    }
}

/// What the kernel has under a node's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameIs {
    /// What is there.
    Good,
    /// Something else.
    Stale,
}

/// Drops what the kernel keeps of a node, but for its name, and says what that is.
///
/// A name is not dropped without need: with a directory's name go the working directories of
/// processes in it, and what is mounted on it or below. So the names of `var` and `tmp`, where a
/// sandbox mounts, are always good.
fn changed(shared: &Shared, ino: u64) -> NameIs {
    let name_is = refresh(shared, ino);
    if let Some(notifier) = shared.notifier.get() {
        notifier.drop_inode(ino);
    }
    name_is
}

fn drop_name(shared: &Shared, parent: u64, name: &[u8]) {
    if let Some(notifier) = shared.notifier.get() {
        notifier.drop_name(parent, name);
    }
}

/// Looks at a node's source again.
fn refresh(shared: &Shared, ino: u64) -> NameIs {
    let Some(entry) = shared.nodes().get(ino).cloned() else { return NameIs::Stale };
    let view = shared.view();
    let node = if ino == ROOT { Ok(Some(view.root())) } else { view.lookup(&entry.path) };
    let mut nodes = shared.nodes();
    let Some(known) = nodes.get_mut(ino) else { return NameIs::Stale };
    known.stamp = None;
    match node {
        Ok(Some(node)) if Identity::of(&node) == Identity::of(&known.node) => {
            known.node = Arc::new(node);
            match Identity::of(&known.node) {
                // A look-up that found the old attributes may be on its way to the kernel, which
                // locks the directory until it has the answer: dropping the name waits for it.
                Identity::Source(..) if !known.is_known => NameIs::Stale,
                _ => NameIs::Good,
            }
        }
        // gone or another: it stays what it was for those who have it open
        _ => {
            drop(nodes);
            shared.files.close(ino);
            NameIs::Stale
        }
    }
}

/// Drops everything at and below a package path.
pub fn invalidate_below(shared: &Shared, path: &[u8]) {
    let known = shared.nodes().below(path);
    if let Some(watch) = &shared.watch {
        let dirs = known.iter().filter(|(_, entry)| entry.node.kind() == NodeKind::Directory);
        watch.uncover(dirs.map(|(_, entry)| &entry.path[..]));
    }
    for (ino, entry) in &known {
        if changed(shared, *ino) == NameIs::Stale && *ino != ROOT {
            drop_name(shared, entry.parent, entry.name());
        }
    }
    let misses = shared.watch.as_ref().map(|watch| watch.take_misses(path));
    for missed in misses.unwrap_or_default() {
        let (dir, name) = split(&missed);
        let parent = shared.nodes().ino(dir);
        if let Some(parent) = parent {
            drop_name(shared, parent, name);
        }
    }
    if !path.is_empty() {
        // the name itself, whether or not there was something
        let (dir, name) = split(path);
        name_changed(shared, dir, name);
    }
}
