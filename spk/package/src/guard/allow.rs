//! What the packager has allowed by name.

use spk_files::path::{self, is_prefix};

use crate::source_map::SourceMap;

/// Package paths that may be packed although they look as if they should not be.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// With everything below them.
    named: Vec<Vec<u8>>,
    /// Just these.
    listed: Vec<Vec<u8>>,
}

impl Allowed {
    /// `named`: given on the command line, a directory with all that is below it.
    pub fn new(named: impl IntoIterator<Item = Vec<u8>>) -> Allowed {
        // As a shell's completion writes them: `./opt//app/`.
        let plain = |path: Vec<u8>| {
            let names = path::components(&path).filter(|name| !name.is_empty() && *name != b".");
            names.collect::<Vec<_>>().join(&b'/')
        };
        let named = named.into_iter().map(plain).filter(|path| !path.is_empty()).collect();
        Allowed { named, listed: Vec::new() }
    }

    /// Also what a definition names one by one: entries of its `alwaysInclude`, and mappings of
    /// single files. (Its file list does not count: that is written by a program.)
    #[must_use]
    pub fn with_definition(mut self, always_include: &[String], map: &SourceMap) -> Allowed {
        self.listed.extend(always_include.iter().map(|path| path.clone().into_bytes()));
        let files = map.mappings().iter().filter(|mapping| mapping.source_path.is_file());
        self.listed.extend(files.map(|mapping| mapping.package_path.clone()));
        self
    }

    /// Whether `path` is one of them.
    pub fn has(&self, path: &[u8]) -> bool {
        self.named.iter().any(|named| is_prefix(named, path))
            || self.listed.iter().any(|listed| listed == path)
    }

    /// Those of the command line that nothing in `paths` needed, to be told of.
    pub fn unused<'a>(&'a self, paths: &[&[u8]]) -> impl Iterator<Item = &'a [u8]> {
        let used = |named: &[u8]| paths.iter().any(|path| is_prefix(named, path));
        let unused: Vec<&[u8]> =
            self.named.iter().map(Vec::as_slice).filter(|named| !used(named)).collect();
        unused.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_the_command_line_allow_what_is_below() {
        let allowed = Allowed::new([b"./opt/app/./.git/".to_vec(), b"key".to_vec(), b"/".to_vec()]);
        for (path, is) in [
            ("opt/app/.git", true),
            ("opt/app/.git/config", true),
            ("opt/app/.gitx", false),
            ("key", true),
            ("a/key", false),
            ("opt", false),
        ] {
            assert_eq!(allowed.has(path.as_bytes()), is, "{path}");
        }
        let unused: Vec<&[u8]> = allowed.unused(&[b"key"]).collect();
        assert_eq!(unused, [b"opt/app/.git"]);
    }

    #[test]
    fn a_directory_in_the_definition_allows_only_itself() {
        let allowed = Allowed::default()
            .with_definition(&["opt/app".into(), "opt/app/.env".into()], &SourceMap::default());
        assert!(allowed.has(b"opt/app/.env"));
        assert!(!allowed.has(b"opt/app/id_rsa"));
    }
}
