//! What a package about to be made consists of, and what probably should not be in it.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

use crate::archive::tree::{Contents, Entries, Kind, Tree};
use crate::pack::open_contents;

/// Bytes looked at of every file: enough for the line that marks a private key.
const HEAD: usize = 4096;

/// Something that probably should not be packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspicion {
    /// A private key, or a file that holds passwords.
    Secret,
    /// A program or library for another machine than x86-64.
    ForeignCode,
    /// A version control directory.
    VersionControl,
    /// A package in the package.
    Package,
    /// A directory that programs fill for themselves.
    Cache,
}

impl Suspicion {
    /// For messages and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Suspicion::Secret => "secret",
            Suspicion::ForeignCode => "foreign-code",
            Suspicion::VersionControl => "version-control",
            Suspicion::Package => "package",
            Suspicion::Cache => "cache",
        }
    }
}

/// What is in a tree.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of all files in and below each directory; the root is empty.
    pub directories: BTreeMap<Vec<u8>, u64>,
    /// What should be looked at, by path. Of a directory only the directory itself.
    pub suspicions: BTreeMap<Vec<u8>, Suspicion>,
}

impl Report {
    /// Looks at everything in `tree`.
    pub fn of(tree: &Tree) -> Report {
        let mut report = Report::default();
        let bytes = report.visit(&tree.root, &mut Vec::new(), false);
        report.bytes = bytes;
        report.directories.insert(Vec::new(), bytes);
        report
    }

    /// The directories with most in them, largest first.
    pub fn largest(&self, count: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> =
            self.directories.iter().map(|(path, bytes)| (&path[..], *bytes)).collect();
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        all.truncate(count);
        all
    }

    /// `told`: whether a directory above was already suspicious as a whole.
    fn visit(&mut self, entries: &Entries, path: &mut Vec<u8>, told: bool) -> u64 {
        let mut total = 0;
        for (name, node) in entries {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend(name);
            match &node.kind {
                Kind::Directory(inner) => {
                    let suspicion = directory(name);
                    if let (Some(suspicion), false) = (suspicion, told) {
                        self.suspicions.insert(path.clone(), suspicion);
                    }
                    let bytes = self.visit(inner, path, told || suspicion.is_some());
                    self.directories.insert(path.clone(), bytes);
                    total += bytes;
                }
                Kind::File { size, source, .. } => {
                    self.files += 1;
                    total += size;
                    if let Some(suspicion) = file(name, &head(source, *size)) {
                        self.suspicions.insert(path.clone(), suspicion);
                    }
                }
                Kind::Symlink(_) => {}
            }
            path.truncate(length);
        }
        total
    }
}

/// What cannot be read is told of when it is packed.
fn head(source: &Contents, size: u64) -> Vec<u8> {
    let mut head = vec![0; HEAD.min(size as usize)];
    let read = match source {
        Contents::Bytes(bytes) => {
            let length = head.len();
            head.copy_from_slice(&bytes[..length]);
            Ok(())
        }
        other => open_contents(other).and_then(|file| file.read_exact_at(&mut head, 0)),
    };
    if read.is_err() { Vec::new() } else { head }
}

fn directory(name: &[u8]) -> Option<Suspicion> {
    match name {
        b".git" | b".hg" | b".svn" | b".bzr" => Some(Suspicion::VersionControl),
        b".cache" | b".npm" | b".mypy_cache" | b".pytest_cache" | b".ruff_cache" | b".tox"
        | b".parcel-cache" | b".gradle" => Some(Suspicion::Cache),
        b".ssh" | b".gnupg" | b".aws" => Some(Suspicion::Secret),
        _ => None,
    }
}

/// Names under which secrets are kept.
const SECRET_NAMES: [&[u8]; 13] = [
    b".sandstorm-keyring",
    b"sandstorm-keyring",
    b".netrc",
    b".pgpass",
    b".env",
    b".htpasswd",
    b".git-credentials",
    b"id_rsa",
    b"id_dsa",
    b"id_ecdsa",
    b"id_ed25519",
    b"shadow",
    b"gshadow",
];

/// `e_machine` of x86-64.
const X86_64: [u8; 2] = [62, 0];

fn file(name: &[u8], head: &[u8]) -> Option<Suspicion> {
    let contains = |needle: &[u8]| head.windows(needle.len()).any(|window| window == needle);
    if SECRET_NAMES.contains(&name) || (contains(b"-----BEGIN ") && contains(b"PRIVATE KEY-----\n"))
    {
        Some(Suspicion::Secret)
    } else if head.starts_with(b"\x7fELF") && head.get(18..20).is_some_and(|m| m != X86_64) {
        Some(Suspicion::ForeignCode)
    } else if head.starts_with(&crate::limits::MAGIC) || name.ends_with(b".spk") {
        Some(Suspicion::Package)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tree::Node;
    use std::sync::Arc;

    #[test]
    fn sizes_and_suspicions() {
        let mut tree = Tree::default();
        let mut put = |path: &str, contents: &[u8]| {
            let source = Contents::Bytes(Arc::from(contents));
            let kind = Kind::File { executable: false, size: contents.len() as u64, source };
            tree.insert(path.as_bytes(), Node { mtime: 0, kind }).unwrap();
        };
        put("app/main.py", b"print()");
        put("app/.git/config", b"[core]");
        put("app/.git/objects/pack", b"12345");
        put("app/old.spk", b"x");
        put("app/data", &crate::limits::MAGIC);
        put("etc/key.pem", b"-----BEGIN RSA PRIVATE KEY-----\nabc");
        put("etc/cert.pem", b"-----BEGIN CERTIFICATE-----\nabc");
        put("lib/arm.so", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0");
        put("lib/x86.so", b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0");
        put(".cache/x", b"");
        let report = Report::of(&tree);
        let found: Vec<(String, Suspicion)> = report
            .suspicions
            .iter()
            .map(|(path, what)| (String::from_utf8_lossy(path).into_owned(), *what))
            .collect();
        assert_eq!(
            found,
            [
                (".cache".into(), Suspicion::Cache),
                ("app/.git".into(), Suspicion::VersionControl),
                ("app/data".into(), Suspicion::Package),
                ("app/old.spk".into(), Suspicion::Package),
                ("etc/key.pem".into(), Suspicion::Secret),
                ("lib/arm.so".into(), Suspicion::ForeignCode),
            ]
        );
        assert_eq!(report.files, 10);
        assert_eq!(report.directories[&b"app/.git"[..]], 11);
        assert_eq!(report.largest(2)[0], (&b""[..], report.bytes));
        assert!(report.largest(2).len() == 2);
    }
}
