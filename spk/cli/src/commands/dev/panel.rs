//! What the page in the browser shows of a development session while it goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fuse_tracer::Use;
use spk_host::shell::developer::{About, Developer, Path};
use spk_package::file_list;

use super::recording::Shared;
use crate::error::{Result, ResultExt};

/// Used files whose sources changed, and when, in milliseconds since 1970.
#[derive(Clone, Default)]
pub struct Changed(Arc<Mutex<BTreeMap<Vec<u8>, u64>>>);

impl Changed {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, u64>> {
        // An entry is inserted or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes note of changes, and passes them on to `next`, if there is one.
pub fn changes(next: Option<Sender<Vec<u8>>>) -> Result<(Changed, Sender<Vec<u8>>)> {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let changed = Changed::default();
    let noted = changed.clone();
    std::thread::Builder::new()
        .name("changed-files".into())
        .spawn(move || {
            while let Ok(path) = receiver.recv() {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                noted.locked().insert(path.clone(), now.as_millis() as u64);
                // Whoever starts the app again may have ended before us.
                let _ = next.as_ref().map(|next| next.send(path));
            }
        })
        .context("cannot start the thread that notes changed files")?;
    Ok((changed, sender))
}

/// See the module's description.
pub struct Panel {
    shared: Arc<Shared>,
    changed: Changed,
    /// What was in the list when the session began.
    before: BTreeSet<Vec<u8>>,
    watch: bool,
}

impl Panel {
    /// For a session that begins now.
    pub fn new(shared: Arc<Shared>, changed: Changed, watch: bool) -> Panel {
        // Without a list, or with one that cannot be read, everything is new.
        let before = shared.list().and_then(|list| file_list::read(list).ok()).unwrap_or_default();
        Panel { shared, changed, before: before.into_iter().collect(), watch }
    }

    fn list(&self) -> Option<PathBuf> {
        self.shared.list().map(PathBuf::from)
    }
}

/// What the page calls a use.
fn why(kind: Use) -> &'static str {
    match kind {
        Use::Exec => "exec",
        Use::Read => "read",
        Use::List => "list",
        Use::Link => "link",
        Use::Empty => "empty",
        Use::Stat => "stat",
        Use::Miss => "miss",
        Use::Withheld => "withheld",
        Use::Write => "write",
    }
}

impl Developer for Panel {
    fn version(&self) -> u64 {
        // Both only grow; a change of a file that changed before shows no difference.
        (self.shared.uses() + self.changed.locked().len()) as u64
    }

    fn paths(&self) -> Vec<Path> {
        let record = self.shared.record();
        let changed = self.changed.locked().clone();
        let mut paths = Vec::new();
        for (path, uses) in &record.paths {
            let interesting = uses.keys().any(|kind| *kind != Use::Stat);
            if path.is_empty() || !interesting {
                continue;
            }
            let mut known: Vec<String> = uses.keys().map(|kind| why(*kind).to_owned()).collect();
            if changed.contains_key(path) {
                known.push("changed".to_owned());
            }
            let by: BTreeSet<&String> = uses.values().flat_map(|usage| &usage.by).collect();
            paths.push(Path {
                path: String::from_utf8_lossy(path).into_owned(),
                why: known,
                by: by.into_iter().cloned().collect(),
                first: uses.values().map(|usage| usage.first).min().unwrap_or(0),
                new: uses.keys().any(|kind| kind.is_listed()) && !self.before.contains(path),
            });
        }
        paths
    }

    fn about(&self) -> About {
        let list = self.list().map(|list| list.display().to_string());
        About { list, watch: self.watch }
    }

    fn summary(&self) -> Vec<String> {
        let used = self.shared.used();
        let new = used.iter().filter(|path| !self.before.contains(*path)).count();
        let place = self.list().map_or_else(
            || "the file list is not written".to_owned(),
            |list| format!("{} is being written", list.display()),
        );
        let paths =
            |count: usize| if count == 1 { "1 path".into() } else { format!("{count} paths") };
        let were = if used.len() == 1 { "was" } else { "were" };
        let mut lines =
            vec![format!("{} {were} used, {new} of them new; {place}", paths(used.len()))];
        let record = self.shared.record();
        for (kind, text) in [
            (Use::Withheld, "here would be missing in the package"),
            (Use::Write, "could not be written: only /var and /tmp can be"),
        ] {
            let found = record.paths.values().filter(|uses| uses.contains_key(&kind)).count();
            if found > 0 {
                lines.push(format!("{} {text}", paths(found)));
            }
        }
        lines
    }
}
