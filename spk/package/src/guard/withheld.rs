//! Files and directories of this machine that no view shows, whatever the source map says.
//!
//! Told by device and inode, so that no other way to them helps, and by their directory's and their
//! name, so that a file that is replaced meanwhile is still the one that was meant. Keyrings are
//! told by what is in them, too: copies of them are as good as they.

use std::collections::{BTreeMap, HashMap};
use std::fs::{Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::keyring::KEY_LENGTH;
use crate::source_map::{SourceMap, source_path};

use super::keys;
use super::origin::is_system_file;

/// What something that is not shown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The keyring in use, or any other.
    Keyring,
    /// The directory of packages and grains.
    State,
    /// The file that is being written.
    Output,
    /// What `spk dev` knows of past sessions.
    Trace,
    /// What `spk dev --record` kept.
    Requests,
    /// Somebody's home directory.
    Home,
    /// A secret of this machine or of somebody's home.
    Secret,
}

impl What {
    /// For messages.
    pub fn text(self) -> &'static str {
        match self {
            What::Keyring => "a keyring",
            What::State => "the directory of packages and grains",
            What::Output => "the package itself",
            What::Trace => "the trace of spk dev",
            What::Requests => "the requests that spk dev recorded",
            What::Home => "a home directory",
            What::Secret => "a secret of this machine",
        }
    }

    /// For JSON.
    pub fn name(self) -> &'static str {
        match self {
            What::Keyring => "keyring",
            What::State => "state",
            What::Output => "output",
            What::Trace => "trace",
            What::Requests => "requests",
            What::Home => "home",
            What::Secret => "secret",
        }
    }
}

/// Device and inode.
type Id = (u64, u64);

/// A file system has no more bytes of a keyring than this at its begin that tell it.
const LOOKED_AT: u64 = 4096;

/// Largest file looked into: as the largest keyring that is read.
const LARGEST: u64 = 64 << 20;

/// What no view shows; see the module's description.
#[derive(Debug, Default)]
pub struct Withheld {
    nodes: HashMap<Id, What>,
    /// By name: the directories in which it is meant.
    names: HashMap<Vec<u8>, Vec<(Id, What)>>,
    /// Beginnings of names, each in one directory.
    prefixes: Vec<(&'static [u8], Id, What)>,
    /// All of them that are there, for messages.
    places: BTreeMap<PathBuf, What>,
    /// What was looked for through a view.
    met: Mutex<BTreeMap<PathBuf, What>>,
}

impl Withheld {
    /// Withholds what is, or will be, at `path`. Of a link also what it leads to.
    pub fn add(&mut self, path: &Path, what: What) {
        let Ok(path) = std::path::absolute(path) else { return };
        if let Ok(metadata) = path.metadata() {
            self.nodes.insert(id(&metadata), what);
        }
        // As long as a directory on the way is missing, the first that is not there stands for all.
        let Some((dir, name)) = path.ancestors().find_map(|at| {
            let (parent, name) = (at.parent()?, at.file_name()?);
            Some((parent.canonicalize().ok()?, name))
        }) else {
            return;
        };
        let Ok(metadata) = dir.metadata() else { return };
        self.names.entry(name.as_bytes().to_vec()).or_default().push((id(&metadata), what));
        if let Ok(found) = path.canonicalize() {
            self.places.entry(found).or_insert(what);
        }
    }

    /// Withholds the open file with this metadata, whatever its name.
    pub fn add_open(&mut self, metadata: &Metadata, what: What) {
        self.nodes.insert(id(metadata), what);
    }

    /// Withholds everything in the directory `dir` whose name begins with `prefix`.
    pub fn add_prefix(&mut self, dir: &Path, prefix: &'static [u8], what: What) {
        let Ok(metadata) = dir.metadata() else { return };
        self.prefixes.push((prefix, id(&metadata), what));
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(prefix) {
                self.places.entry(entry.path()).or_insert(what);
            }
        }
    }

    /// As [`what`](Withheld::what), for something that is being looked for: it is kept for
    /// [`met`](Withheld::met).
    pub fn meet(&self, path: &Path, metadata: &Metadata, is_mapping: bool) -> Option<What> {
        let what = self.what(path, metadata, is_mapping)?;
        let mut met = self.met.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        met.insert(path.to_owned(), what);
        Some(what)
    }

    /// What the file or directory at `path` is, if it is not to be shown; `metadata` is its own.
    /// A mapping that names somebody's home itself means it: then `is_mapping` is true.
    pub fn what(&self, path: &Path, metadata: &Metadata, is_mapping: bool) -> Option<What> {
        if self.nodes.is_empty() && self.names.is_empty() {
            return None;
        }
        self.nodes
            .get(&id(metadata))
            .copied()
            .or_else(|| self.by_name(path))
            .filter(|what| !(is_mapping && *what == What::Home))
            .or_else(|| is_keyring(path, metadata).then_some(What::Keyring))
    }

    /// What a source path is, if it or a directory around it is withheld. In somebody's home it may
    /// be: projects are.
    pub fn around(&self, path: &Path) -> Option<What> {
        let path = source_path(path).canonicalize().ok()?;
        path.ancestors().find_map(|at| {
            let what = *self.nodes.get(&id(&at.metadata().ok()?))?;
            (what != What::Home).then_some(what)
        })
    }

    /// Whether a directory is one in which this tool writes: with what it makes comes another time of
    /// the directory.
    pub fn is_written_in(&self, metadata: &Metadata) -> bool {
        let own = |what: What| !matches!(what, What::Home | What::Secret);
        let mut all = self.names.values().flatten();
        all.any(|(dir, what)| own(*what) && *dir == id(metadata))
    }

    /// Whether something of this name, or with this inode, may be one, so that it has to be looked
    /// at. (File systems give numbers in listings that need not be those of the files themselves.)
    pub fn may_be(&self, name: &[u8], inode: u64) -> bool {
        self.names.contains_key(name)
            || self.prefixes.iter().any(|(prefix, ..)| name.starts_with(prefix))
            || self.nodes.keys().any(|(_, known)| *known == inode)
    }

    /// What was looked for through a view and not shown.
    pub fn met(&self) -> BTreeMap<PathBuf, What> {
        self.met.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// What a map would show, and a view of it does not: without what is inside of something else
    /// that is named.
    pub fn shown_by(&self, map: &SourceMap) -> BTreeMap<PathBuf, What> {
        let mut shown: BTreeMap<PathBuf, What> = BTreeMap::new();
        for mapping in map.mappings() {
            let Ok(root) = source_path(&mapping.source_path).canonicalize() else { continue };
            for (place, what) in &self.places {
                let Ok(rest) = place.strip_prefix(&root) else { continue };
                let rest = rest.as_os_str().as_bytes();
                let meant = rest.is_empty() && *what == What::Home;
                let inside = place.ancestors().skip(1).any(|above| shown.contains_key(above));
                if !meant && !inside && !mapping.hides(rest) && place.exists() {
                    shown.insert(place.clone(), *what);
                }
            }
        }
        shown
    }

    fn by_name(&self, path: &Path) -> Option<What> {
        let name = path.file_name()?.as_bytes();
        let named = self.names.get(name).map(Vec::as_slice).unwrap_or_default();
        let prefixed = || self.prefixes.iter().filter(|(prefix, ..)| name.starts_with(prefix));
        if named.is_empty() && prefixed().next().is_none() {
            return None;
        }
        let dir = id(&source_path(path.parent()?).metadata().ok()?);
        let mut all = named.iter().copied().chain(prefixed().map(|(_, dir, what)| (*dir, *what)));
        all.find(|(of, _)| *of == dir).map(|(_, what)| what)
    }
}

fn id(metadata: &Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// Whether a file is a keyring, or the packager's file with whole keys at its begin. Of the
/// distribution's files, which are most, only those that a keyring's length gives away are opened.
fn is_keyring(path: &Path, metadata: &Metadata) -> bool {
    let length = metadata.len();
    let key = KEY_LENGTH as u64;
    if !metadata.is_file()
        || !(key..=LARGEST).contains(&length)
        || (length % key >= 8 && is_system_file(path, metadata))
    {
        return false;
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let mut head = Vec::new();
    // What cannot be read is not shown by anybody else either.
    opened.is_ok_and(|file| file.take(LOOKED_AT).read_to_end(&mut head).is_ok())
        && keys::is_keyring(&head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::Key;
    use crate::source_map::Mapping;
    use std::fs;

    fn what(withheld: &Withheld, path: &Path) -> Option<What> {
        withheld.what(path, &path.symlink_metadata().unwrap(), false)
    }

    #[test]
    fn whatever_the_name_it_is_the_same_file() {
        let dir = tempfile::tempdir().unwrap();
        let (ring, other) = (dir.path().join("ring"), dir.path().join("other"));
        fs::write(&ring, "x").unwrap();
        fs::write(&other, "x").unwrap();
        fs::hard_link(&ring, dir.path().join("linked")).unwrap();
        let mut withheld = Withheld::default();
        withheld.add(&ring, What::Keyring);
        assert_eq!(what(&withheld, &ring), Some(What::Keyring));
        assert_eq!(what(&withheld, &dir.path().join("linked")), Some(What::Keyring));
        assert_eq!(what(&withheld, &other), None);
        // replaced, as careful programs write
        fs::rename(&other, &ring).unwrap();
        assert_eq!(what(&withheld, &ring), Some(What::Keyring));
        // of that name elsewhere
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/ring"), "x").unwrap();
        assert_eq!(what(&withheld, &dir.path().join("sub/ring")), None);
        assert!(withheld.met().is_empty());
        withheld.meet(&ring, &ring.symlink_metadata().unwrap(), false);
        assert_eq!(withheld.met().into_keys().collect::<Vec<_>>(), [ring]);
    }

    #[test]
    fn what_comes_later_is_withheld_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut withheld = Withheld::default();
        withheld.add(&dir.path().join("state/deep"), What::State);
        withheld.add_prefix(dir.path(), b"shadow", What::Secret);
        fs::create_dir_all(dir.path().join("state/deep")).unwrap();
        fs::write(dir.path().join("shadow-"), "").unwrap();
        assert_eq!(what(&withheld, &dir.path().join("state")), Some(What::State));
        assert_eq!(what(&withheld, &dir.path().join("shadow-")), Some(What::Secret));
    }

    #[test]
    fn copies_of_keyrings_are_keyrings() {
        let dir = tempfile::tempdir().unwrap();
        let mut withheld = Withheld::default();
        withheld.add(&dir.path().join("none"), What::Keyring);
        let key = Key::from_seed([1; 32]).to_message();
        for (name, bytes, is) in [
            ("backup", key.to_vec(), true),
            ("two", [&key[..], &key, b"abc"].concat(), true),
            ("junked", [&key[..], &[1; 50]].concat(), true),
            ("cut", [&key[..], &key, &key[..60]].concat(), true),
            ("zeros", vec![0; 128], false),
            ("text", vec![b'x'; 256], false),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(what(&withheld, &path).is_some(), is, "{name}");
        }
    }

    #[test]
    fn what_a_map_would_show_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap().join("dev");
        fs::create_dir_all(home.join(".ssh")).unwrap();
        let mut withheld = Withheld::default();
        withheld.add(&home, What::Home);
        withheld.add(&home.join(".ssh"), What::Secret);
        let mapping = |source: &Path, hide: &[&str]| {
            let hide_paths = hide.iter().map(|hide| hide.as_bytes().to_vec()).collect();
            let source_path = source.to_owned();
            SourceMap::new(vec![Mapping { package_path: Vec::new(), source_path, hide_paths }])
                .unwrap()
        };
        let shown = |map: &SourceMap| withheld.shown_by(map).into_keys().collect::<Vec<_>>();
        assert_eq!(shown(&mapping(dir.path(), &[])), std::slice::from_ref(&home));
        assert_eq!(shown(&mapping(dir.path(), &["dev"])), Vec::<PathBuf>::new());
        // a home that is mapped itself is meant, what is secret in it is not
        assert_eq!(shown(&mapping(&home, &[])), [home.join(".ssh")]);
        let metadata = home.metadata().unwrap();
        assert_eq!(withheld.what(&home, &metadata, true), None);
        assert_eq!(withheld.what(&home, &metadata, false), Some(What::Home));
    }
}
