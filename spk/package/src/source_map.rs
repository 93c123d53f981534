//! The source map of a package definition: which directories of the developer's machine make up
//! the package, and where in it.
//!
//! This is only the data and its checks; [`crate::view`] says what is where.

use std::path::{Path, PathBuf};

use spk_files::path::{is_prefix, normal_form};
use spk_files::printable;

/// One `sourceMap.searchPath` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Where in the package it appears, without a leading slash; empty: the package's root.
    pub package_path: Vec<u8>,
    /// The file or directory shown there, already joined to the definition's directory.
    pub source_path: PathBuf,
    /// Paths below `source_path` that are left out, with everything below them.
    pub hide_paths: Vec<Vec<u8>>,
}

impl Mapping {
    /// Whether this mapping leaves out `rest`, a path below its own root, because of an entry
    /// equal to it or above it. The root itself is never hidden. The empty entry hides all the
    /// rest; an entry with a trailing slash hides nothing, as in the original tool (dev-mode §4,
    /// package-format §9.4); [`SourceMap::warnings`] tells of both.
    pub fn hides(&self, rest: &[u8]) -> bool {
        !rest.is_empty() && self.hide_paths.iter().any(|hide| is_prefix(hide, rest))
    }
}

/// The search path of a package definition: earlier mappings win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceMap {
    mappings: Vec<Mapping>,
}

/// What is wrong with a source map.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Package paths are relative to the package's root.
    #[error("packagePath begins with a slash: {}", printable::line(.0))]
    AbsolutePackagePath(Vec<u8>),
    /// `.`, `..`, an empty component or a NUL.
    #[error("packagePath is not in plain form (no '.', '..', '//' or NUL): {}", printable::line(.0))]
    PackagePathForm(Vec<u8>),
}

impl SourceMap {
    /// Checks the package paths and drops their trailing slashes.
    pub fn new(mut mappings: Vec<Mapping>) -> Result<SourceMap, Error> {
        for mapping in &mut mappings {
            if mapping.package_path.starts_with(b"/") {
                return Err(Error::AbsolutePackagePath(mapping.package_path.clone()));
            }
            // "." names the root in the same way as in a file list
            if mapping.package_path == b"." {
                mapping.package_path.clear();
            }
            match normal_form(&mapping.package_path) {
                Some(path) => mapping.package_path = path.to_vec(),
                None => return Err(Error::PackagePathForm(mapping.package_path.clone())),
            }
        }
        Ok(SourceMap { mappings })
    }

    /// The mappings, in order of precedence.
    pub fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    /// Sentences about entries that surely do not do what was meant: hide entries that hide
    /// nothing or everything, and sources that do not exist.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for mapping in &self.mappings {
            let source = mapping.source_path.display();
            if std::fs::symlink_metadata(source_path(&mapping.source_path)).is_err() {
                warnings
                    .push(format!("source path does not exist, nothing comes from it: {source}"));
            }
            for hide in &mapping.hide_paths {
                let name = printable::line(hide);
                if hide.is_empty() {
                    warnings
                        .push(format!("an empty hidePaths entry hides everything below {source}"));
                } else if hide.ends_with(b"/") || hide.starts_with(b"/") {
                    warnings.push(format!(
                        "hidePaths entry '{name}' for {source} hides nothing: \
                         write it without a slash at its begin or end"
                    ));
                } else if normal_form(hide).is_none() {
                    warnings.push(format!(
                        "hidePaths entry '{name}' for {source} hides nothing: \
                         it has an empty, '.' or '..' component"
                    ));
                }
            }
        }
        warnings
    }
}

/// The path to give to the system for `path`: an empty one means the current directory.
pub(crate) fn source_path(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(package_path: &str, hides: &[&str]) -> Mapping {
        Mapping {
            package_path: package_path.into(),
            source_path: PathBuf::from("/"),
            hide_paths: hides.iter().map(|hide| hide.as_bytes().to_vec()).collect(),
        }
    }

    #[test]
    fn hides_by_whole_components_and_never_its_own_root() {
        let hiding = mapping("", &["a/b", "c"]);
        for (rest, hidden) in [
            ("a", false),
            ("a/b", true),
            ("a/b/c", true),
            ("a/bc", false),
            ("c", true),
            ("cc", false),
            ("", false),
        ] {
            assert_eq!(hiding.hides(rest.as_bytes()), hidden, "{rest}");
        }
        assert!(mapping("", &[""]).hides(b"anything"));
        assert!(!mapping("", &[""]).hides(b""));
        assert!(!mapping("", &["c/"]).hides(b"c"));
    }

    #[test]
    fn package_paths_are_checked_and_normalised() {
        let ok = SourceMap::new(vec![mapping("opt/app/", &[]), mapping(".", &[])]).unwrap();
        assert_eq!(ok.mappings()[0].package_path, b"opt/app");
        assert_eq!(ok.mappings()[1].package_path, b"");
        assert_eq!(
            SourceMap::new(vec![mapping("/opt", &[])]),
            Err(Error::AbsolutePackagePath(b"/opt".to_vec()))
        );
        for bad in ["a//b", "a/../b", "./a", "a/.", "..", "a\0b"] {
            assert_eq!(
                SourceMap::new(vec![mapping(bad, &[])]),
                Err(Error::PackagePathForm(bad.into())),
                "{bad}"
            );
        }
    }

    #[test]
    fn useless_hides_are_told_of() {
        let map = SourceMap::new(vec![mapping("", &["ok", "home/", "/proc", "", "a//b"])]).unwrap();
        let warnings = map.warnings();
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert!(warnings[0].contains("'home/' for / hides nothing"), "{warnings:?}");
    }
}
