//! The files of a project, and what is to be said of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::PORT;

/// Larger files are not searched for what they listen on.
const LARGEST_SOURCE: u64 = 1 << 20;
/// More sources of a project are not looked at, nor such that lie deeper: for a proposal.
const MOST_SOURCES: usize = 200;
const DEEPEST_SOURCE: usize = 4;

/// Directories whose sources do not say how the app is started.
const NOT_SOURCES: &[&str] = &[
    "node_modules",
    "vendor",
    "venv",
    "env",
    "site-packages",
    "__pycache__",
    "test",
    "tests",
    "spec",
    "__tests__",
    "testdata",
    "examples",
    "docs",
    "dist",
    "build",
    "target",
    "public",
    "static",
];

/// A line of a file of the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: String,
    pub(super) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// What is to be said of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What was found and how it was taken.
    pub notes: Vec<String>,
    /// What was found and not understood.
    pub unclear: Vec<String>,
}

/// The files of a project.
pub(super) struct Project {
    dir: PathBuf,
    /// The port that is asked for.
    wanted: Option<u16>,
    /// What a Dockerfile sets.
    pub(super) variables: BTreeMap<String, String>,
    /// The port that a Dockerfile exposes.
    pub(super) exposed: Option<(u16, Place)>,
    said: RefCell<Said>,
}

impl Project {
    pub(super) fn new(dir: &Path, wanted: Option<u16>) -> Project {
        Project {
            dir: dir.to_owned(),
            wanted,
            variables: BTreeMap::new(),
            exposed: None,
            said: RefCell::default(),
        }
    }

    /// The port that is asked for, if one is.
    pub(super) fn wanted(&self) -> Option<u16> {
        self.wanted
    }

    /// Where an app listens that lets itself be told.
    pub(super) fn port(&self) -> u16 {
        self.wanted.unwrap_or(PORT)
    }

    /// A variable of a command line.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match name {
            "PORT" => Some(self.port().to_string()),
            "HOST" => Some("127.0.0.1".into()),
            "HOME" => Some("/var/home".into()),
            _ => self.variables.get(name).cloned(),
        }
    }

    /// Has something said that was found.
    pub(super) fn note(&self, note: impl Into<String>) {
        let note = note.into();
        let mut said = self.said.borrow_mut();
        if !said.notes.contains(&note) {
            said.notes.push(note);
        }
    }

    /// Has something said that was found, and not understood.
    pub(super) fn unclear(&self, place: &dyn fmt::Display, what: impl fmt::Display) {
        let unclear = format!("{place}: {what}");
        let mut said = self.said.borrow_mut();
        if !said.unclear.contains(&unclear) {
            said.unclear.push(unclear);
        }
    }

    /// All that is to be said.
    pub(super) fn said(self) -> Said {
        self.said.into_inner()
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.dir.join(path).is_file()
    }

    pub(super) fn has_dir(&self, path: &str) -> bool {
        self.dir.join(path).is_dir()
    }

    /// The first of these files that is there.
    pub(super) fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    /// A file's text, or nothing where it is not one of a source's size.
    pub(super) fn text(&self, path: &str) -> String {
        let file = self.dir.join(path);
        match file.metadata() {
            Ok(found) if found.is_file() && found.len() <= LARGEST_SOURCE => {
                fs::read(&file).map(|text| String::from_utf8_lossy(&text).into_owned())
            }
            _ => Ok(String::new()),
        }
        .unwrap_or_default()
    }

    /// Names in a directory of the project, sorted; hidden ones apart.
    pub(super) fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.dir.join(dir)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect();
        names.sort();
        names
    }

    /// Sources with one of these endings, those of upper directories first.
    pub(super) fn sources(&self, endings: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let mut level = vec![String::new()];
        for _ in 0..DEEPEST_SOURCE {
            let mut below = Vec::new();
            for dir in level {
                for name in self.names(&dir) {
                    let path = if dir.is_empty() { name.clone() } else { format!("{dir}/{name}") };
                    if self.has_dir(&path) {
                        if !NOT_SOURCES.contains(&name.as_str()) {
                            below.push(path);
                        }
                    } else if endings.iter().any(|ending| name.ends_with(ending)) {
                        found.push(path);
                    }
                    if found.len() + below.len() >= MOST_SOURCES {
                        return found;
                    }
                }
            }
            level = below;
        }
        found
    }
}

/// Where a program of this machine is: below `/usr`, which the source map shows.
pub(super) fn program(name: &str) -> String {
    let places = ["/usr/bin", "/usr/local/bin"].map(|place| format!("{place}/{name}"));
    places.iter().find(|path| Path::new(path).exists()).unwrap_or(&places[0]).clone()
}

/// Where a program of this machine is, if it is in one of the places that the source map shows.
pub(super) fn installed(name: &str) -> Option<String> {
    let places = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/games"];
    places.map(|place| format!("{place}/{name}")).into_iter().find(|path| Path::new(path).is_file())
}

/// Words as they come from a list of texts.
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
