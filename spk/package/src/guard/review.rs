//! Everything in a package that is about to be made, or that was made, looked at once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use spk_files::path::{self, is_prefix};
use walkdir::WalkDir;

use crate::archive::tree::{Contents, Entries, Kind as Entry, Tree};
use crate::contents::{ItemKind, Opened};
use crate::pack::open_contents;

use super::content::{self, HEAD, Sample, TAIL, TEXT};
use super::origin::{is_library_path, is_system_file, is_system_path, of_package_path};
use super::{Allowed, Kind, Origin, Verdict, layout, name};

/// Something that should not be in a package, or should be known to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its package path; of a directory that is suspicious as a whole only the directory's.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Whether it was refused, were it not allowed by name.
    pub allowed: bool,
}

/// What was found, by what becomes of it; each in the order of the package.
#[derive(Debug, Clone, Default)]
pub struct Review {
    /// Taken out of the tree.
    pub left_out: Vec<Finding>,
    /// Not to be packed.
    pub refused: Vec<Finding>,
    /// To be told of.
    pub told: Vec<Finding>,
}

impl Review {
    /// Looks at everything in `tree`, and takes out what never is in a package. What lies in the
    /// directory `project` is the packager's own, wherever that is.
    pub fn of_tree(tree: &mut Tree, allowed: &Allowed, project: &Path) -> Review {
        let mut review = Review::default();
        let project = project.canonicalize().ok().filter(|project| {
            project.as_os_str().as_bytes().strip_prefix(b"/").is_some_and(is_system_path)
        });
        let looked = Looked { allowed, project };
        review.entries(&mut tree.root, &mut Vec::new(), &looked, false);
        review
    }

    /// Looks at everything in a package that was made. Nothing can be left out of it any more: what
    /// never should be in a package is refused, allowed or not.
    ///
    /// # Errors
    /// When its contents cannot be read.
    pub fn of_package(package: &Opened, allowed: &Allowed) -> io::Result<Review> {
        let mut review = Review::default();
        let mut told = None;
        for (path, item) in package.items() {
            match item.kind {
                ItemKind::Directory => {
                    let child = |name: &[u8]| {
                        let child = package.items().get(&path::join(path, name))?;
                        Some(matches!(child.kind, ItemKind::Directory))
                    };
                    review.made_directory(path, allowed, &mut told, child);
                }
                ItemKind::File { size, .. } => {
                    let read = |bytes: &mut [u8], at| package.read_at(item, bytes, at);
                    review.made_file(path, size, read, allowed, told.as_deref())?;
                }
                ItemKind::Symlink(_) => review.made_link(path, allowed, told.as_deref()),
            }
        }
        review.refuse_what_is_never_packed();
        Ok(review)
    }

    /// The same for one that was unpacked to `dir`.
    ///
    /// # Errors
    /// When something there cannot be read.
    pub fn of_unpacked(dir: &Path, allowed: &Allowed) -> io::Result<Review> {
        let mut review = Review::default();
        let mut told = None;
        for entry in WalkDir::new(dir).min_depth(1).sort_by_file_name() {
            let entry = entry.map_err(io::Error::from)?;
            let path = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            let path = path.as_os_str().as_bytes();
            if entry.file_type().is_dir() {
                let child = |name: &[u8]| {
                    let child = entry.path().join(OsStr::from_bytes(name)).symlink_metadata();
                    child.ok().map(|found| found.is_dir())
                };
                review.made_directory(path, allowed, &mut told, child);
            } else if entry.file_type().is_symlink() {
                review.made_link(path, allowed, told.as_deref());
            } else if entry.file_type().is_file() {
                let file = File::open(entry.path())?;
                let size = file.metadata()?.len();
                let read = |bytes: &mut [u8], at| file.read_exact_at(bytes, at);
                review.made_file(path, size, read, allowed, told.as_deref())?;
            }
        }
        review.refuse_what_is_never_packed();
        Ok(review)
    }

    fn made_directory(
        &mut self,
        path: &[u8],
        allowed: &Allowed,
        told: &mut Option<Vec<u8>>,
        child: impl Fn(&[u8]) -> Option<bool>,
    ) {
        let name = path::name(path);
        if is_inside(path, told.as_deref()) {
            return;
        }
        if let Some(kind) = name::directory(name).or_else(|| layout::of(child))
            && self.directory(path, kind, of_package_path(path), allowed)
        {
            *told = Some(path.to_vec());
        }
    }

    fn made_link(&mut self, path: &[u8], allowed: &Allowed, told: Option<&[u8]>) {
        let name = path::name(path);
        if let Some(kind) = name::link(name)
            && !is_inside(path, told)
        {
            self.note(path, kind, of_package_path(path), allowed);
        }
    }

    /// Notes a directory; whether that says all of what is in it.
    fn directory(&mut self, path: &[u8], kind: Kind, origin: Origin, allowed: &Allowed) -> bool {
        self.note(path, kind, origin, allowed);
        kind.verdict(origin) == Verdict::Refused
    }

    fn made_file(
        &mut self,
        path: &[u8],
        size: u64,
        mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>,
        allowed: &Allowed,
        told: Option<&[u8]>,
    ) -> io::Result<()> {
        let name = path::name(path);
        let origin = of_package_path(path);
        let sampled = Sampled::read(size, origin, &mut read)?;
        self.file(path, name, &sampled, origin, allowed, is_inside(path, told));
        Ok(())
    }

    fn refuse_what_is_never_packed(&mut self) {
        self.refused.append(&mut self.left_out);
        self.refused.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// All findings, by path.
    pub fn all(&self) -> BTreeMap<&[u8], &Finding> {
        let all = self.left_out.iter().chain(&self.refused).chain(&self.told);
        all.map(|finding| (finding.path.as_slice(), finding)).collect()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.left_out.is_empty() && self.refused.is_empty() && self.told.is_empty()
    }

    /// `inside`: whether a directory above was refused, or allowed, with all that is in it.
    fn entries(
        &mut self,
        entries: &mut Entries,
        path: &mut Vec<u8>,
        looked: &Looked<'_>,
        inside: bool,
    ) {
        entries.retain(|name, node| {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend(name);
            let keep = match &mut node.kind {
                Entry::Directory(inner) => {
                    let child = |name: &[u8]| {
                        let child = inner.get(name)?;
                        Some(matches!(child.kind, Entry::Directory(_)))
                    };
                    let kind = name::directory(name).or_else(|| layout::of(child));
                    let whole = kind.filter(|_| !inside).is_some_and(|kind| {
                        self.directory(path, kind, of_path(path), looked.allowed)
                    });
                    self.entries(inner, path, looked, inside || whole);
                    true
                }
                Entry::File { size, source, .. } => {
                    // What cannot be read is told of when it is packed.
                    let unknown = (Sampled::default(), Origin::Project);
                    let (sample, origin) = looked.at(source, *size, path).unwrap_or(unknown);
                    self.file(path, name, &sample, origin, looked.allowed, inside)
                }
                Entry::Symlink(_) => {
                    if let Some(kind) = name::link(name).filter(|_| !inside) {
                        self.note(path, kind, of_path(path), looked.allowed);
                    }
                    true
                }
            };
            path.truncate(length);
            keep
        });
    }

    /// Whether the file may stay.
    fn file(
        &mut self,
        path: &[u8],
        name: &[u8],
        sample: &Sampled,
        origin: Origin,
        allowed: &Allowed,
        inside: bool,
    ) -> bool {
        let Some(kind) = content::classify(name, sample.as_sample()) else { return true };
        let never = kind.verdict(origin) == Verdict::Never;
        if never || !inside {
            self.note(path, kind, origin, allowed);
        }
        !never
    }

    fn note(&mut self, path: &[u8], kind: Kind, origin: Origin, allowed: &Allowed) {
        let allowed = allowed.has(path);
        let finding = Finding { path: path.to_vec(), kind, allowed };
        match kind.verdict(origin) {
            Verdict::Never => self.left_out.push(finding),
            Verdict::Refused if !allowed => self.refused.push(finding),
            Verdict::Refused | Verdict::Told => self.told.push(finding),
            Verdict::Quiet => {}
        }
    }
}

/// How a tree that is to be packed is looked at.
struct Looked<'a> {
    allowed: &'a Allowed,
    /// The packager's directory, where it lies among the distribution's.
    project: Option<PathBuf>,
}

impl Looked<'_> {
    /// What a file that is to be packed is like, and whose it is.
    fn at(&self, source: &Contents, size: u64, path: &[u8]) -> io::Result<(Sampled, Origin)> {
        if let Contents::Bytes(bytes) = source {
            return Ok((Sampled { head: bytes.to_vec(), tail: Vec::new() }, of_path(path)));
        }
        let file = open_contents(source)?;
        let own = |path: &Path| self.project.as_ref().is_some_and(|dir| path.starts_with(dir));
        let origin = match (on_machine(source), file.metadata()?) {
            (Some(path), metadata) if is_system_file(&path, &metadata) && !own(&path) => {
                Origin::System
            }
            _ => of_path(path),
        };
        let mut read = |bytes: &mut [u8], at| file.read_exact_at(bytes, at);
        Ok((Sampled::read(size, origin, &mut read)?, origin))
    }
}

/// Whose what goes to a package path is, as far as that says it.
fn of_path(path: &[u8]) -> Origin {
    match is_library_path(path) {
        true => Origin::Library,
        false => Origin::Project,
    }
}

/// Whether a path is below one that was told of as a whole.
fn is_inside(path: &[u8], told: Option<&[u8]>) -> bool {
    told.is_some_and(|dir| is_prefix(dir, path))
}

/// What was read of a file.
#[derive(Debug, Default)]
struct Sampled {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Sampled {
    fn as_sample(&self) -> Sample<'_> {
        Sample { head: &self.head, tail: &self.tail }
    }

    /// Reads as much of a file of `size` bytes as it takes to tell what it is. In the distribution's
    /// own files, which are most, only keyrings and programs are of interest.
    fn read(
        size: u64,
        origin: Origin,
        at: &mut dyn FnMut(&mut [u8], u64) -> io::Result<()>,
    ) -> io::Result<Sampled> {
        let mut sampled = Sampled::default();
        let length = |limit: usize| usize::try_from(size).unwrap_or(limit).min(limit);
        sampled.head.resize(length(HEAD), 0);
        at(&mut sampled.head, 0)?;
        if origin == Origin::System {
            return Ok(sampled);
        }
        if size > HEAD as u64 && !sampled.head.contains(&0) {
            sampled.head.resize(length(TEXT), 0);
            at(&mut sampled.head[HEAD..], HEAD as u64)?;
        }
        if sampled.head.starts_with(b"PK") {
            sampled.tail.resize(length(TAIL), 0);
            let start = size - sampled.tail.len() as u64;
            at(&mut sampled.tail, start)?;
        }
        Ok(sampled)
    }
}

/// Where a file is on this machine, without links on the way if it could be the distribution's.
fn on_machine(contents: &Contents) -> Option<PathBuf> {
    let path = match contents {
        Contents::Path(path) => path.clone(),
        Contents::Source(source) => source.path(),
        Contents::Bytes(_) => return None,
    };
    let below_root = path.as_os_str().as_bytes().strip_prefix(b"/")?;
    is_system_path(below_root).then(|| path.canonicalize().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tree::Node;
    use crate::keyring::Key;
    use std::sync::Arc;

    fn tree(files: &[(&str, &[u8])]) -> Tree {
        let mut tree = Tree::default();
        for (path, contents) in files {
            let source = Contents::Bytes(Arc::from(*contents));
            let kind = Entry::File { executable: false, size: contents.len() as u64, source };
            tree.insert(path.as_bytes(), Node { mtime: 0, kind }).unwrap();
        }
        tree
    }

    fn shown(findings: &[Finding]) -> Vec<(&str, Kind)> {
        let shown = |finding: &Finding| (finding.path.clone(), finding.kind);
        findings
            .iter()
            .map(shown)
            .map(|(path, kind)| (&*String::from_utf8(path).unwrap().leak(), kind))
            .collect()
    }

    const PEM: &[u8] = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n";

    #[test]
    fn all_that_is_suspicious_and_what_becomes_of_it() {
        let key = Key::from_seed([1; 32]).to_message();
        let mut tree = tree(&[
            (".cache/x", b""),
            (".cache/server.pem", PEM),
            ("app/state/grains/a/grain.json", b"{}"),
            ("app/state/grains/a/sandbox/notes", PEM),
            ("app/unzipped/data/notes", b"x"),
            ("app/unzipped/log", b""),
            ("app/unzipped/metadata", b"x"),
            ("app/.git/config", b"[core]"),
            ("app/.git/keys", &key),
            ("app/.git/objects/secret", PEM),
            ("app/copy", &key),
            ("app/main.py", b"print()"),
            ("app/node_modules/tls/.DS_Store", b"x"),
            ("app/node_modules/tls/test.pem", PEM),
            ("app/old.spk", b"x"),
            ("etc/key.pem", PEM),
        ]);
        let review =
            Review::of_tree(&mut tree, &Allowed::new([b"app/old.spk".to_vec()]), Path::new("/"));
        assert_eq!(
            shown(&review.left_out),
            [("app/.git/keys", Kind::Keyring), ("app/copy", Kind::Keyring)]
        );
        assert_eq!(
            shown(&review.refused),
            [
                (".cache/server.pem", Kind::PrivateKey),
                ("app/.git", Kind::VersionControl),
                ("app/state/grains/a", Kind::Grain),
                ("app/unzipped", Kind::Backup),
                ("etc/key.pem", Kind::PrivateKey)
            ]
        );
        assert_eq!(
            shown(&review.told),
            [
                (".cache", Kind::Cache),
                ("app/node_modules/tls/test.pem", Kind::PrivateKey),
                ("app/old.spk", Kind::Package),
            ]
        );
        assert!(review.told[2].allowed && !review.told[1].allowed);
        let Entry::Directory(app) = &tree.root[&b"app"[..]].kind else { panic!() };
        assert!(!app.contains_key(&b"copy"[..]) && app.contains_key(&b"main.py"[..]));
    }

    #[test]
    fn an_unpacked_package_is_judged_by_its_paths() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::from_seed([1; 32]).to_message();
        for (path, bytes) in [
            ("usr/lib/python3/test/key.pem", PEM),
            ("usr/local/key.pem", PEM),
            ("app/node_modules/x/key.pem", PEM),
            ("app/ring", &key),
            ("app/.git/config", b"x"),
            ("usr/share/x/ring", &key),
            ("usr/share/x/.env", b"PASSWORD=hunter2\n"),
            ("srv/x/grain.json", b"{}"),
            ("srv/x/sandbox/note", PEM),
            ("srv/.gradle/key.pem", PEM),
        ] {
            std::fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(path), bytes).unwrap();
        }
        let review = Review::of_unpacked(dir.path(), &Allowed::new([b"app".to_vec()])).unwrap();
        // a keyring cannot be allowed
        assert_eq!(
            shown(&review.refused),
            [
                ("app/ring", Kind::Keyring),
                ("srv/.gradle/key.pem", Kind::PrivateKey),
                ("srv/x", Kind::Grain),
                ("usr/local/key.pem", Kind::PrivateKey),
                ("usr/share/x/ring", Kind::Keyring),
            ]
        );
        assert_eq!(
            shown(&review.told),
            [
                ("app/.git", Kind::VersionControl),
                ("app/node_modules/x/key.pem", Kind::PrivateKey),
                ("srv/.gradle", Kind::Cache),
                ("usr/lib/python3/test/key.pem", Kind::PrivateKey),
                ("usr/share/x/.env", Kind::Credentials),
            ]
        );
        assert!(review.left_out.is_empty());
    }

    #[test]
    fn a_key_after_many_certificates_is_found() {
        let certificate = format!("-----BEGIN CERTIFICATE-----\n{}\n", "A".repeat(64));
        let bundle = [certificate.repeat(400).as_bytes(), PEM].concat();
        assert!(bundle.len() > 2 * HEAD);
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bundle.pem"), &bundle).unwrap();
        let source = Contents::Path(dir.path().join("bundle.pem"));
        let kind = Entry::File { executable: false, size: bundle.len() as u64, source };
        let mut tree = Tree::default();
        tree.insert(b"bundle.pem", Node { mtime: 0, kind }).unwrap();
        let review = Review::of_tree(&mut tree, &Allowed::default(), Path::new("/"));
        assert_eq!(shown(&review.refused), [("bundle.pem", Kind::PrivateKey)]);
    }
}
