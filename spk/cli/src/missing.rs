//! "Works in dev, missing in the package": what a packed app looked for and did not find although
//! the developer's view has it.

use std::collections::{BTreeMap, BTreeSet};

use fuse_tracer::{Record, Use, with_implied};
use spk_package::view::{NodeKind, View};

use crate::developer::Developer;
use crate::ui::Ui;

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
}

/// Compares what the packed app did with what the developer has.
///
/// Some programs list a directory and do not even look for what is not in it (Python's imports):
/// what was used in `spk dev`, is not in the package, and stood in a directory that was listed, is
/// needed if the app `failed` at something, and perhaps otherwise.
pub fn find(record: &Record, package: &View, developer: &Developer, failed: bool) -> Missing {
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
        } else if below.is_empty() && !only_passed_through(&developer.trace, path) {
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
        let group = if failed { &mut needed } else { &mut looked_for };
        group.entry(path).or_default().extend(listed.by.iter().cloned());
    }
    let paths = |group: BTreeMap<&[u8], BTreeSet<String>>| {
        group.into_iter().map(|(path, by)| Path { path: path.to_vec(), by }).collect()
    };
    Missing { needed: paths(needed), looked_for: paths(looked_for) }
}

/// Whether all that `spk dev` knows of a directory is that names below it were looked for and not
/// found: then it makes no difference that the directory itself is not there.
fn only_passed_through(trace: &Record, dir: &[u8]) -> bool {
    let first = [dir, b"/"].concat();
    let mut below = trace.paths.range(first.clone()..).take_while(|(p, _)| p.starts_with(&first));
    let listed = trace.paths.get(dir).is_some_and(|uses| uses.contains_key(&Use::List));
    let mut any = false;
    let missed = below.all(|(_, uses)| {
        any = true;
        uses.keys().all(|kind| *kind == Use::Miss)
    });
    any && missed && !listed
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
    ] {
        if !paths.is_empty() {
            ui.warn(format!("{what} ({}):", paths.len()));
            paths.iter().for_each(|path| ui.warn(format!("  {}", path.text())));
        }
    }
}
