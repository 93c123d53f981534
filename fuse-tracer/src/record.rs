//! What was used: which paths, how, first when, how often, and by which executables
//! (dev-mode §6 and §23 item 5).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use spk_files::path::components;
use spk_package::view::MANIFEST;

/// Executables remembered for one use of one path; enough to answer "who", and a bound on how
/// often a busy file's users are looked up.
const MAX_CALLERS: usize = 8;

/// How a path was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// Opened to be executed: a program, its interpreter, its loader.
    Exec,
    /// Opened for reading.
    Read,
    /// A directory that was listed.
    List,
    /// A symlink that was followed or read.
    Link,
    /// An empty file that was looked at: such files mean something by being there.
    Empty,
    /// Anything else that was looked at only. Once per path, however often: later looks are
    /// answered by the kernel.
    Stat,
    /// Looked for and not there. Counted as far as the kernel asked.
    Miss,
    /// Looked for, and there in the view, but not in the selection that was served: what works in
    /// `spk dev` and is missing in the package.
    Withheld,
    /// To be written, made, renamed or deleted, and refused. Known only where
    /// [`Options::writes_reach_server`](crate::Options).
    Write,
}

impl Use {
    /// Whether this use puts a path into the file list.
    pub fn is_listed(self) -> bool {
        !matches!(self, Use::Stat | Use::Miss | Use::Withheld | Use::Write)
    }

    /// Whether the path was there to be used so.
    fn is_of_something(self) -> bool {
        self.is_listed() || self == Use::Stat
    }
}

/// Whether a path would be the kernel's, in whose file systems every machine has others.
pub fn is_kernels(path: &[u8]) -> bool {
    matches!(components(path).next(), Some(b"proc" | b"sys"))
}

/// One kind of use of one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Milliseconds since 1970.
    pub first: u64,
    /// How often.
    pub count: u64,
    /// Executables that did it, as their own root shows them; at most eight, may be empty.
    pub by: BTreeSet<String>,
}

/// Everything that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// By package path.
    pub paths: BTreeMap<Vec<u8>, BTreeMap<Use, Usage>>,
    /// Sources that could not be read, and why: the app got this error too.
    pub unreadable: BTreeMap<PathBuf, String>,
    /// Things the developer should know about the session itself, such as a source that cannot be
    /// watched for changes.
    pub notes: BTreeSet<String>,
}

impl Record {
    /// The paths for the file list: what was executed, read, listed or followed, and empty files
    /// that were looked at; never the root. The manifest is always among them, because the
    /// original's `pack` takes it only if it is listed.
    pub fn used(&self) -> BTreeSet<Vec<u8>> {
        let listed = |uses: &BTreeMap<Use, Usage>| uses.keys().any(|kind| kind.is_listed());
        let used = self.paths.iter().filter(|(path, uses)| !path.is_empty() && listed(uses));
        used.map(|(path, _)| path.clone()).chain([MANIFEST.to_vec()]).collect()
    }

    /// Paths of which nothing but `kind` is known, such as those that were only missed.
    pub fn only(&self, kind: Use) -> impl Iterator<Item = (&[u8], &Usage)> {
        self.paths.iter().filter_map(move |(path, uses)| match uses.first_key_value() {
            Some((found, usage)) if *found == kind && uses.len() == 1 => {
                Some((path.as_slice(), usage))
            }
            _ => None,
        })
    }

    /// The first path at or below `path` that is for the file list.
    pub(crate) fn first_used(&self, path: &[u8]) -> Option<Vec<u8>> {
        let listed = |uses: &BTreeMap<Use, Usage>| {
            uses.keys().any(|kind| kind.is_listed() && *kind != Use::List)
        };
        let inside = |other: &[u8]| {
            other
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || path.is_empty() || rest.starts_with(b"/"))
        };
        let from = self.paths.range(path.to_vec()..);
        let mut below = from.take_while(|(other, _)| other.starts_with(path));
        below.find(|(other, uses)| inside(other) && listed(uses)).map(|(path, _)| path.clone())
    }

    /// Takes in another session's record.
    pub fn merge(&mut self, other: Record) {
        for (path, uses) in other.paths {
            let own = self.paths.entry(path).or_default();
            for (kind, usage) in uses {
                match own.get_mut(&kind) {
                    Some(known) => known.merge(usage),
                    None => {
                        own.insert(kind, usage);
                    }
                }
            }
        }
        self.unreadable.extend(other.unreadable);
        self.notes.extend(other.notes);
    }

    /// Forgets how paths were used that are not there any more; that they were missed, or to be
    /// written, stays known.
    pub fn forget_gone(&mut self, is_there: impl Fn(&[u8]) -> bool) {
        self.paths.retain(|path, uses| {
            let used = uses.keys().any(|kind| kind.is_of_something());
            if used && !is_there(path) {
                uses.retain(|kind, _| !kind.is_of_something());
            }
            !uses.is_empty()
        });
    }

    /// Notes one use.
    pub(crate) fn note(&mut self, path: &[u8], kind: Use) -> Noted {
        if !self.paths.contains_key(path) {
            self.paths.insert(path.to_vec(), BTreeMap::new());
        }
        let Some(uses) = self.paths.get_mut(path) else { return Noted::default() };
        let newly_listed = kind.is_listed() && !uses.keys().any(|kind| kind.is_listed());
        let usage = uses.entry(kind).or_insert_with(|| Usage {
            first: now_ms(),
            count: 0,
            by: BTreeSet::new(),
        });
        usage.count += 1;
        // asked for the first uses only, not until there are as many different ones
        Noted { newly_listed, wants_caller: usage.count <= MAX_CALLERS as u64 }
    }

    /// Notes who it was.
    pub(crate) fn note_caller(&mut self, path: &[u8], kind: Use, caller: String) {
        let usage = self.paths.get_mut(path).and_then(|uses| uses.get_mut(&kind));
        // taken out meanwhile: the next use begins anew
        if let Some(usage) = usage.filter(|usage| usage.by.len() < MAX_CALLERS) {
            usage.by.insert(caller);
        }
    }

    /// Notes a source that could not be read.
    pub(crate) fn note_unreadable(&mut self, path: &Path, error: &std::io::Error) {
        if !self.unreadable.contains_key(path) {
            self.unreadable.insert(path.to_owned(), error.to_string());
        }
    }
}

/// What noting a use brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Whether the path was not yet in the file list and now is.
    pub newly_listed: bool,
    /// Whether it is to be found out who it was.
    pub wants_caller: bool,
}

impl Usage {
    fn merge(&mut self, other: Usage) {
        self.first = self.first.min(other.first);
        self.count = self.count.saturating_add(other.count);
        self.by.extend(other.by);
        while self.by.len() > MAX_CALLERS {
            self.by.pop_last();
        }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uses_that_matter_are_listed() {
        let mut record = Record::default();
        assert!(record.note(b"a", Use::Read).newly_listed);
        assert!(!record.note(b"a", Use::Exec).newly_listed);
        assert!(!record.note(b"b", Use::Stat).newly_listed);
        assert!(!record.note(b"c", Use::Miss).newly_listed);
        assert!(record.note(b"b", Use::List).newly_listed);
        record.note(b"", Use::List);
        let used: Vec<_> = record.used().into_iter().collect();
        assert_eq!(used, [&b"a"[..], b"b", MANIFEST]);
        let missed: Vec<_> = record.only(Use::Miss).map(|(path, _)| path).collect();
        assert_eq!(missed, [b"c"]);
    }

    #[test]
    fn records_of_sessions_add_up() {
        let mut one = Record::default();
        one.note(b"a", Use::Read);
        one.note_caller(b"a", Use::Read, "/x".into());
        let mut two = Record::default();
        two.note(b"a", Use::Read);
        two.note_caller(b"a", Use::Read, "/y".into());
        two.note(b"a", Use::Link);
        one.merge(two);
        let uses = &one.paths[&b"a"[..]];
        assert_eq!(uses[&Use::Read].count, 2);
        assert_eq!(uses[&Use::Read].by.len(), 2);
        assert!(uses.contains_key(&Use::Link));
    }

    #[test]
    fn callers_are_asked_for_and_remembered_a_few_times_only() {
        let mut record = Record::default();
        for number in 0..3 * MAX_CALLERS {
            let noted = record.note(b"a", Use::Read);
            assert_eq!(noted.wants_caller, number < MAX_CALLERS);
            record.note_caller(b"a", Use::Read, format!("/{number}"));
        }
        let usage = &record.paths[&b"a"[..]][&Use::Read];
        assert_eq!((usage.count, usage.by.len()), (3 * MAX_CALLERS as u64, MAX_CALLERS));
    }
}
