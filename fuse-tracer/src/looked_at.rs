//! What was only looked at: tested for, and never opened, in the sessions that were recorded.
//!
//! A program that tests whether a file is there goes another way without it, and often that is its
//! end (`test -f app.conf || exit 1`, the helpers of a mail server). So what was looked up *by name*
//! comes into the file list where it is small, and what is large is told of. What a walk over a
//! directory happened to look at is neither.
//!
//! Figures, of one page each in `spk dev` (beside what comes with what was used, such as the sources
//! of Python's byte code): servers in Python, Node, Perl, Ruby and busybox, nginx and PostgreSQL with
//! its `initdb` look at nothing that they do not open; PHP looks at 448 time zones, 0.6 MB; MariaDB's
//! `mariadb-install-db` at nine files, of which its server takes 26 MB, a script that it needs later
//! 2.5 MB, and all others 0.7 MB. Hence the limits.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use spk_files::path::{components, is_prefix, join, parent};
use spk_files::printable;
use spk_package::guard::content::{self, HEAD, Sample};
use spk_package::guard::{Verdict, name, origin};
use spk_package::selection::{self, Reason};
use spk_package::view::{Content, MOUNT_POINTS, Node, NodeKind, View};

use crate::implied::with_implied;
use crate::record::{Record, Use};

/// The largest file that comes into the list for having been looked at.
pub const SMALL: u64 = 8 << 20;
/// The size of all of them at which none does: then it is no matter of a few files.
pub const SMALL_IN_ALL: u64 = 32 << 20;
/// Fewer entries of a directory that were looked at are no walk over it.
const WALKED: usize = 8;
/// Directories of which anything may be asked for by name, by whoever walks over them: PHP knows of
/// time zones what is there.
const WHOLE: [&[u8]; 1] = [b"usr/share/zoneinfo"];
/// Directories of a running system, into which no package leads.
const OF_THE_SYSTEM: [&[u8]; 6] = [b"proc", b"sys", b"dev", b"tmp", b"var", b"run"];

/// A path that was only looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// Package path.
    pub path: Vec<u8>,
    /// Size of a file; 0 for anything else.
    pub bytes: u64,
    /// Whether it may come into the file list unasked, as far as it is small.
    pub is_harmless: bool,
    /// Executables that looked at it; may be empty.
    pub by: BTreeSet<String>,
}

/// All that was looked up by name and not used in any other way: files, links, and directories of
/// which nothing else is known. In the order of their paths.
pub fn looked_at(view: &View, record: &Record) -> Vec<LookedAt> {
    let mut walked = Walked { view, record, known: BTreeMap::new() };
    let targets = targets(view, record);
    let mut found = Vec::new();
    for (path, uses) in &record.paths {
        let Some(usage) = uses.get(&Use::Stat) else { continue };
        let only = uses.keys().all(|kind| !kind.is_listed());
        if path.is_empty() || !only || is_of_the_system(path) {
            continue;
        }
        let Ok(Some(node)) = view.lookup(path) else { continue };
        if node.kind() == NodeKind::Directory && is_passed_through(record, path) {
            continue;
        }
        let is_whole = WHOLE.iter().any(|dir| is_prefix(dir, path));
        if !is_whole && !targets.contains(path) && walked.is(parent(path)) {
            continue;
        }
        found.push(LookedAt {
            path: path.clone(),
            bytes: if node.kind() == NodeKind::File { node.size() } else { 0 },
            is_harmless: is_harmless(path, &node),
            by: usage.by.clone(),
        });
    }
    found
}

/// Those of `found` that come into the file list unasked.
pub fn small(found: &[LookedAt]) -> impl Iterator<Item = &LookedAt> {
    let is_small = |one: &&LookedAt| one.is_harmless && one.bytes <= SMALL;
    let in_all: u64 = found.iter().filter(is_small).map(|one| one.bytes).sum();
    found.iter().filter(move |one| in_all <= SMALL_IN_ALL && is_small(one))
}

/// The paths for the file list: what was used, what that is useless without, and what was only
/// looked at, where that is small.
pub fn for_list(view: &View, record: &Record) -> BTreeSet<Vec<u8>> {
    let looked_at = looked_at(view, record);
    let small = small(&looked_at).map(|one| one.path.clone());
    with_implied(view, record.used().into_iter().chain(small).collect())
}

/// A link that was followed to something that this machine has, and the view has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// Package path of the link.
    pub link: Vec<u8>,
    /// What it leads to on this machine.
    pub source: PathBuf,
    /// Executables that followed it; may be empty.
    pub by: BTreeSet<String>,
}

impl Dangling {
    /// In words.
    pub fn text(&self) -> String {
        let (link, source) = (printable::line(&self.link), self.source.display());
        let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
        let by = if by.is_empty() { String::new() } else { format!(" (by {})", by.join(", ")) };
        format!("{link} leads to {source}, which the definition's source map does not show{by}")
    }
}

/// Links that lead to what is hidden or mapped by nothing.
pub fn dangling(view: &View, record: &Record) -> Vec<Dangling> {
    let mut found = Vec::new();
    for (path, uses) in &record.paths {
        let Some(usage) = uses.get(&Use::Link) else { continue };
        let text = view.lookup(path).ok().flatten().and_then(|node| node.read_link().ok());
        if text.is_none_or(|text| text.strip_prefix(b"/").is_some_and(is_of_the_system)) {
            continue;
        }
        let source = match selection::follow(view, path) {
            Err(Reason::Hidden(source) | Reason::Withheld(source, _)) => source,
            Err(Reason::BeyondLink { target, .. }) if !is_of_the_system(&target) => {
                Path::new("/").join(printable::line(&target))
            }
            _ => continue,
        };
        let is_kernels =
            ["/proc", "/sys", "/dev", "/run"].iter().any(|dir| source.starts_with(dir));
        if !is_kernels && source.exists() {
            found.push(Dangling { link: path.clone(), source, by: usage.by.clone() });
        }
    }
    found
}

/// What the links lead to that were followed: without it they would lead nowhere.
fn targets(view: &View, record: &Record) -> BTreeSet<Vec<u8>> {
    let links = record.paths.iter().filter(|(_, uses)| uses.contains_key(&Use::Link));
    links.filter_map(|(link, _)| selection::follow(view, link).ok()?.pop()).collect()
}

fn is_of_the_system(path: &[u8]) -> bool {
    let first = components(path).next().unwrap_or_default();
    OF_THE_SYSTEM.contains(&first) || MOUNT_POINTS.contains(&path)
}

/// Whether something below a directory is known: then the directory comes with that, or was looked
/// at on the way to what is not there.
fn is_passed_through(record: &Record, dir: &[u8]) -> bool {
    let first = [dir, b"/"].concat();
    record.paths.range(first.clone()..).next().is_some_and(|(path, _)| path.starts_with(&first))
}

/// Whether nobody minds that it gets into a package, as far as can be told: no secret, no history.
fn is_harmless(path: &[u8], node: &Node) -> bool {
    let own = origin::of_package_path(path);
    let is_refused = |kind: spk_package::guard::Kind| {
        matches!(kind.verdict(own), Verdict::Never | Verdict::Refused)
    };
    if components(path).filter_map(name::directory).any(is_refused) {
        return false;
    }
    let file = spk_files::path::name(path);
    if node.kind() == NodeKind::Symlink {
        return !name::link(file).is_some_and(is_refused);
    }
    let Some(Content::Source(source)) = node.content() else { return true };
    let mut head = Vec::new();
    let read = source.open().and_then(|file| file.take(HEAD as u64).read_to_end(&mut head));
    // What cannot be read cannot be packed.
    read.is_ok()
        && !content::classify(file, Sample { head: &head, tail: &[] }).is_some_and(is_refused)
}

/// Which directories were walked over: listed, and all that is in them looked at or used.
struct Walked<'a> {
    view: &'a View,
    record: &'a Record,
    known: BTreeMap<Vec<u8>, bool>,
}

impl Walked<'_> {
    fn is(&mut self, dir: &[u8]) -> bool {
        if let Some(known) = self.known.get(dir) {
            return *known;
        }
        let walked = self.look(dir);
        self.known.insert(dir.to_vec(), walked);
        walked
    }

    fn look(&self, dir: &[u8]) -> bool {
        let uses = self.record.paths.get(dir);
        if !uses.is_some_and(|uses| uses.contains_key(&Use::List)) {
            return false;
        }
        let Ok(Some(node)) = self.view.lookup(dir) else { return false };
        let Ok(names) = self.view.children(&node) else { return false };
        let mut only_looked_at = 0;
        for name in names.keys() {
            match self.record.paths.get(&join(dir, name)) {
                None => return false,
                Some(uses) => {
                    only_looked_at += usize::from(uses.keys().all(|kind| !kind.is_listed()));
                }
            }
        }
        only_looked_at >= WALKED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spk_package::source_map::{Mapping, SourceMap};
    use std::fs;

    fn view(dir: &Path, hidden: &[&str]) -> View {
        let mapping = Mapping {
            package_path: b"app".to_vec(),
            source_path: dir.to_owned(),
            hide_paths: hidden.iter().map(|path| path.as_bytes().to_vec()).collect(),
        };
        View::plain(SourceMap::new(vec![mapping]).unwrap())
    }

    fn paths(found: &[LookedAt]) -> Vec<&str> {
        found.iter().map(|one| std::str::from_utf8(&one.path).unwrap()).collect()
    }

    #[test]
    fn what_was_looked_up_by_name_is_told_from_a_walk() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["read", "seen", "unseen", "plugins/x"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        for number in 0..WALKED {
            fs::create_dir_all(dir.path().join("walked")).unwrap();
            fs::write(dir.path().join(format!("walked/{number}")), "x").unwrap();
        }
        let view = view(dir.path(), &[]);
        let mut record = Record::default();
        for path in ["app", "app/seen", "app/empty", "app/plugins", "app/walked", "gone"] {
            record.note(path.as_bytes(), Use::Stat);
        }
        record.note(b"app", Use::List);
        record.note(b"app/read", Use::Stat);
        record.note(b"app/read", Use::Read);
        record.note(b"app/plugins/none", Use::Miss);
        record.note(b"app/walked", Use::List);
        for number in 0..WALKED {
            record.note(format!("app/walked/{number}").as_bytes(), Use::Stat);
        }
        let found = looked_at(&view, &record);
        assert_eq!(paths(&found), ["app/empty", "app/seen"]);
        let list = for_list(&view, &record);
        assert!(list.contains(&b"app/seen"[..]) && list.contains(&b"app/empty"[..]), "{list:?}");
        assert!(!list.contains(&b"app/walked/1"[..]));
        // What a link leads to is asked for with the link.
        std::os::unix::fs::symlink("walked/3", dir.path().join("link")).unwrap();
        record.note(b"app/link", Use::Link);
        assert!(for_list(&view, &record).contains(&b"app/walked/3"[..]));
        record.paths.remove(&b"app/link"[..]);
        // One of them was not: somebody asked for the others by name.
        fs::write(dir.path().join("walked/other"), "x").unwrap();
        assert_eq!(looked_at(&view, &record).len(), 2 + WALKED);
    }

    #[test]
    fn what_is_large_or_secret_waits_for_somebody_to_ask() {
        let dir = tempfile::tempdir().unwrap();
        let large = fs::File::create(dir.path().join("large")).unwrap();
        large.set_len(SMALL + 1).unwrap();
        fs::write(dir.path().join("id_rsa"), "x").unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/config"), "x").unwrap();
        fs::write(dir.path().join("small"), "x").unwrap();
        let view = view(dir.path(), &[]);
        let mut record = Record::default();
        for path in ["app/large", "app/id_rsa", "app/small", "app/.git/config"] {
            record.note(path.as_bytes(), Use::Stat);
        }
        let found = looked_at(&view, &record);
        assert_eq!(paths(&found), ["app/.git/config", "app/id_rsa", "app/large", "app/small"]);
        let taken: Vec<_> = small(&found).map(|one| one.path.as_slice()).collect();
        assert_eq!(taken, [b"app/small"]);
        // Many small ones are large.
        let count = SMALL_IN_ALL / SMALL + 1;
        for number in 0..count {
            let file = fs::File::create(dir.path().join(number.to_string())).unwrap();
            file.set_len(SMALL).unwrap();
            record.note(format!("app/{number}").as_bytes(), Use::Stat);
        }
        assert_eq!(small(&looked_at(&view, &record)).count(), 0);
    }

    #[test]
    fn links_to_what_is_hidden_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("hidden")).unwrap();
        fs::write(dir.path().join("hidden/data"), "x").unwrap();
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        };
        link("hidden/data", "to-hidden");
        link("/bin/sh", "to-unmapped");
        link("/proc/mounts", "to-proc");
        link("nowhere", "to-nothing");
        let view = view(dir.path(), &["hidden"]);
        let mut record = Record::default();
        for name in ["to-hidden", "to-unmapped", "to-proc", "to-nothing"] {
            record.note(&join(b"app", name.as_bytes()), Use::Link);
        }
        let found = dangling(&view, &record);
        let links: Vec<_> = found.iter().map(|one| one.link.as_slice()).collect();
        assert_eq!(links, [&b"app/to-hidden"[..], b"app/to-unmapped"]);
        assert_eq!(found[0].source, dir.path().join("hidden/data"));
        assert_eq!(found[1].source, Path::new("/bin/sh"));
    }
}
