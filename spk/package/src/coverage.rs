//! How much of an app a trace has seen: of its own files, and of the packages of which it used some.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use spk_files::path::{above, join, parent};

use crate::closure;
use crate::source_map::SourceMap;
use crate::view::{NodeKind, View};

/// Sources that are the machine's, of which an app uses what it needs.
const SYSTEM: [&str; 8] = ["/bin", "/etc", "/lib", "/lib32", "/lib64", "/sbin", "/usr", "/var"];
/// Files of the app's own that are looked at; of more, coverage says nothing a person could use.
const MOST: usize = 500_000;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Listed files.
    pub touched: usize,
    /// Where files are that were never touched, those with the most files first.
    pub untouched: Vec<Untouched>,
}

/// A directory with files that were never touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untouched {
    /// Package path.
    pub path: Vec<u8>,
    /// Whether nothing below it was touched: then all that is below it counts, else what is directly in it.
    pub whole: bool,
    /// How many files.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

impl Coverage {
    /// Of the paths that were `listed`: the app's own files are those of sources that are not the
    /// machine's; what belongs to used ones elsewhere is as in [`closure::suggest`].
    pub fn of(view: &View, listed: &BTreeSet<Vec<u8>>) -> Coverage {
        let mappings = view.source_map().mappings().iter();
        let own = mappings.filter(|mapping| !is_system(&mapping.source_path)).cloned().collect();
        // Its mappings are in order already, so that there is no error.
        let own = SourceMap::new(own)
            .map_or_else(|_| BTreeSet::new(), |own| files(&view.with_map(own).sources_only()));
        let is_file = |path: &&Vec<u8>| {
            let node = view.lookup(path).ok().flatten();
            node.is_some_and(|node| node.kind() != NodeKind::Directory)
        };
        let touched: Vec<&Vec<u8>> = listed.iter().filter(is_file).collect();
        let mut untouched: BTreeSet<Vec<u8>> =
            own.into_iter().filter(|path| !listed.contains(path)).collect();
        let suggested = closure::suggest(view, listed).into_iter();
        untouched.extend(suggested.flat_map(|suggestion| suggestion.paths));
        // Directories below which something was touched.
        let mut known = BTreeSet::from([Vec::new()]);
        for path in &touched {
            known.extend(above(path).map(<[u8]>::to_vec));
        }
        let mut dirs: BTreeMap<Vec<u8>, (bool, usize, u64)> = BTreeMap::new();
        for path in &untouched {
            let unknown = above(path).find(|dir| !known.contains(*dir));
            let dir = unknown.unwrap_or_else(|| parent(path));
            let entry = dirs.entry(dir.to_vec()).or_insert((unknown.is_some(), 0, 0));
            entry.1 += 1;
            entry.2 += view.lookup(path).ok().flatten().map_or(0, |node| node.size());
        }
        let mut untouched: Vec<Untouched> = dirs
            .into_iter()
            .map(|(path, (whole, files, bytes))| Untouched { path, whole, files, bytes })
            .collect();
        untouched.sort_by(|a, b| b.files.cmp(&a.files).then_with(|| a.path.cmp(&b.path)));
        Coverage { touched: touched.len(), untouched }
    }

    /// All files: touched or not.
    pub fn files(&self) -> usize {
        self.touched + self.untouched.iter().map(|dir| dir.files).sum::<usize>()
    }

    /// How much was touched, in percent, rounded down.
    pub fn percent(&self) -> usize {
        (self.touched * 100).checked_div(self.files()).unwrap_or(100)
    }
}

fn is_system(source: &Path) -> bool {
    source == Path::new("/") || SYSTEM.iter().any(|system| source.starts_with(system))
}

fn files(view: &View) -> BTreeSet<Vec<u8>> {
    let (mut found, mut dirs) = (BTreeSet::new(), vec![Vec::new()]);
    while let Some(dir) = dirs.pop() {
        let Ok(Some(children)) = view.list(&dir) else { continue };
        for (name, kind) in children {
            let path = join(&dir, &name);
            match kind {
                NodeKind::Directory => dirs.push(path),
                _ if found.len() < MOST => {
                    found.insert(path);
                }
                _ => return found,
            }
        }
    }
    found
}
