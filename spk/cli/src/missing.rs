//! "Works in dev, missing in the package": what a packed app looked for and did not find although
//! the developer's view has it.

use std::collections::{BTreeMap, BTreeSet};

use fuse_tracer::looked_at::{self, LookedAt};
use fuse_tracer::{Record, Use, with_implied};
use spk_files::path::{is_prefix, join};
use spk_package::view::{NodeKind, View};

use crate::developer::Developer;
use crate::ui::Ui;

/// Where programs look whether there is something, and go on without: what an app needs of it, it
/// opens in `spk dev`.
const PROBED: [&[u8]; 4] =
    [b"usr/share/zoneinfo", b"usr/lib/locale", b"usr/share/locale", b"usr/share/i18n"];

/// A path, and the executables that looked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Package path.
    pub path: Vec<u8>,
    /// Who; may be empty.
    pub by: BTreeSet<String>,
}

/// What is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Looked for, and used in `spk dev`: the app needs it.
    pub needed: Vec<Path>,
    /// Looked for, and there in the view, but never opened in `spk dev`: perhaps not needed.
    pub looked_for: Vec<Path>,
    /// Where the app failed: what was only looked at in `spk dev`, by name, and is not in the
    /// package. What the app would have looked at next, had it not failed. Those first that a
    /// program looked at which missed something.
    pub looked_at: Vec<Path>,
    /// There, and executed in `spk dev`, but not executable in the package.
    pub not_executable: Vec<Path>,
    /// Where the app failed: links that led to what the definition does not show, in words.
    pub dangling: Vec<String>,
}

/// What the packed app failed at.
#[derive(Clone, Debug, Default)]
pub struct Failed {
    /// Whether it failed at anything.
    pub anything: bool,
    /// Words that its answers had in `spk dev` and have no more.
    pub gone: BTreeSet<String>,
    /// How to find words in a name.
    pub words: Option<fn(&str) -> BTreeSet<String>>,
}

impl Failed {
    /// Whether its answers had this name in them, and have it no more.
    fn at(&self, name: &[u8]) -> bool {
        let words = self.words.map(|words| words(&String::from_utf8_lossy(name)));
        words.is_some_and(|words| !words.is_disjoint(&self.gone))
    }
}

/// Compares what the packed app did with what the developer has.
///
/// Some programs list a directory and do not even look for what is not in it (Python's imports):
/// what was used in `spk dev`, is not in the package, and stood in a directory that was listed, is
/// needed if the app `failed` at something, and perhaps otherwise. What stood there and was not used
/// is needed if answers had its name.
pub fn find(record: &Record, package: &View, developer: &Developer, failed: &Failed) -> Missing {
    let used = match developer.trace.paths.is_empty() {
        true => BTreeSet::new(),
        false => with_implied(&developer.view, developer.trace.used()),
    };
    let packed = |path: &[u8]| matches!(package.lookup(path), Ok(Some(_)));
    let unpacked: BTreeSet<&[u8]> =
        used.iter().map(Vec::as_slice).filter(|path| !packed(path)).collect();
    let mut needed: BTreeMap<&[u8], BTreeSet<String>> = BTreeMap::new();
    let mut looked_for = needed.clone();
    for (path, uses) in &record.paths {
        let Some(missed) = uses.get(&Use::Miss) else { continue };
        if packed(path) {
            continue;
        }
        let Ok(Some(node)) = developer.view.lookup(path) else { continue };
        let below: Vec<&[u8]> = match node.kind() {
            NodeKind::Directory => {
                let below = |other: &&[u8]| other.starts_with(&[path, &b"/"[..]].concat());
                unpacked.iter().copied().filter(below).collect()
            }
            _ => Vec::new(),
        };
        // The directory itself, if only that was used, and what was used below it.
        if used.contains(path) || used.is_empty() {
            needed.entry(path).or_default().extend(missed.by.iter().cloned());
        } else if below.is_empty() && !is_noise(developer, path) {
            looked_for.entry(path).or_default().extend(missed.by.iter().cloned());
        }
        for path in below {
            needed.entry(path).or_default().extend(missed.by.iter().cloned());
        }
    }
    for path in unpacked {
        let parent = spk_files::path::parent(path);
        let listed = record.paths.get(parent).and_then(|uses| uses.get(&Use::List));
        let (Some(listed), false) = (listed, needed.contains_key(path)) else { continue };
        let group = if failed.anything { &mut needed } else { &mut looked_for };
        group.entry(path).or_default().extend(listed.by.iter().cloned());
    }
    let mut of_listings = Vec::new();
    for (dir, uses) in record.paths.iter().filter(|_| !failed.gone.is_empty()) {
        let Some(listed) = uses.get(&Use::List) else { continue };
        let Ok(Some(node)) = developer.view.lookup(dir) else { continue };
        let names = developer.view.children(&node).unwrap_or_default().into_keys();
        let gone = names.filter(|name| failed.at(name)).map(|name| join(dir, &name));
        of_listings.extend(gone.filter(|path| !packed(path)).map(|path| (path, listed.by.clone())));
    }
    for (path, by) in &of_listings {
        needed.entry(path).or_default().extend(by.iter().cloned());
    }
    let not_executable = |(path, uses): (&Vec<u8>, &BTreeMap<Use, fuse_tracer::Usage>)| {
        let by = uses.get(&Use::Exec)?.by.clone();
        let node = package.lookup(path).ok().flatten()?;
        let lost = node.kind() == NodeKind::File && !node.is_executable();
        lost.then(|| Path { path: path.clone(), by })
    };
    let told = |path: &[u8]| needed.contains_key(path) || looked_for.contains_key(path);
    let mut missing = Missing {
        not_executable: developer.trace.paths.iter().filter_map(not_executable).collect(),
        ..Missing::default()
    };
    if failed.anything {
        let found = looked_at::looked_at(&developer.view, &developer.trace).into_iter();
        let untold = found.filter(|one| !packed(&one.path) && !told(&one.path));
        missing.looked_at = those_of_failed_first(untold.collect(), record);
        let dangling = looked_at::dangling(&developer.view, &developer.trace);
        missing.dangling = dangling.iter().map(looked_at::Dangling::text).collect();
    }
    let paths = |group: BTreeMap<&[u8], BTreeSet<String>>| {
        group.into_iter().map(|(path, by)| Path { path: path.to_vec(), by }).collect()
    };
    (missing.needed, missing.looked_for) = (paths(needed), paths(looked_for));
    missing
}

/// The programs whose last miss was the latest come first: what ended the app was looked for last.
fn those_of_failed_first(found: Vec<LookedAt>, record: &Record) -> Vec<Path> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for missed in record.paths.values().filter_map(|uses| uses.get(&Use::Miss)) {
        for by in &missed.by {
            let known = last.entry(by).or_default();
            *known = missed.first.max(*known);
        }
    }
    let of = |path: &Path| path.by.iter().filter_map(|by| last.get(by.as_str())).max().copied();
    let mut paths: Vec<Path> =
        found.into_iter().map(|one| Path { path: one.path, by: one.by }).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(of(path)));
    paths
}

/// Whether it makes no difference that a path is not there that was looked for: one by which programs
/// try whether something is there that nobody has to have.
fn is_noise(developer: &Developer, path: &[u8]) -> bool {
    only_passed_through(developer, path) || PROBED.iter().any(|dir| is_prefix(dir, path))
}

/// Whether all that `spk dev` knows of a directory is that names below it were looked for and not
/// found, in directories of which the same is true: then it makes no difference that the directory
/// itself is not there, as of most on the path on which a language looks for its modules.
fn only_passed_through(developer: &Developer, dir: &[u8]) -> bool {
    let trace = &developer.trace.paths;
    let is_dir = |path: &[u8]| {
        let node = developer.view.lookup(path).ok().flatten();
        node.is_some_and(|node| node.kind() == NodeKind::Directory)
    };
    let nothing = |uses: &BTreeMap<Use, fuse_tracer::Usage>, path: &[u8]| {
        let misses = uses.keys().all(|kind| *kind == Use::Miss);
        misses || (uses.keys().all(|kind| matches!(kind, Use::Miss | Use::Stat)) && is_dir(path))
    };
    let first = [dir, b"/"].concat();
    let mut below =
        trace.range(first.clone()..).take_while(|(p, _)| p.starts_with(&first)).peekable();
    below.peek().is_some()
        && below.all(|(path, uses)| nothing(uses, path))
        && trace.get(dir).is_none_or(|uses| nothing(uses, dir))
}

impl Path {
    /// In words.
    pub fn text(&self) -> String {
        let path = String::from_utf8_lossy(&self.path).into_owned();
        match self.by.is_empty() {
            true => path,
            false => {
                let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
                format!("{path} (by {})", by.join(", "))
            }
        }
    }
}

/// Tells it all, as warnings.
pub fn warn(missing: &Missing, ui: &Ui) {
    for (what, paths) in [
        ("works in dev, missing in the package", &missing.needed),
        ("looked for and missing in the package, though not used in dev", &missing.looked_for),
        ("executed in dev, not executable in the package", &missing.not_executable),
        ("looked at in dev, not in the package", &missing.looked_at),
    ] {
        if !paths.is_empty() {
            ui.warn(format!("{what} ({}):", paths.len()));
            paths.iter().for_each(|path| ui.warn(format!("  {}", path.text())));
        }
    }
    missing.dangling.iter().for_each(|text| ui.warn(text));
}
