//! The record of past sessions, in a file beside the file list that is no part of the package:
//! what `spk files` and `spk check` know.
//!
//! JSON, paths in it percent-encoded as far as they are not UTF-8 (and `%` itself), so that it can
//! be read with other tools.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use spk_files::{atomic, hex};

use crate::record::{Record, Usage, Use};

/// Version of the format; others are not read.
const VERSION: u32 = 1;
/// Traces larger than this are not read: 100,000 paths take about 20 MB.
const MAX_LEN: u64 = 512 << 20;

/// Nobody else needs to know what was used.
const OPTIONS: atomic::Options = atomic::Options::mode(0o600);

/// What went wrong with a trace file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the trace {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no trace, or of another version of this tool.
    #[error("not a trace this version of spk can read: {} (delete it to begin anew)", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It cannot be written; the old one is unchanged.
    #[error("cannot write the trace {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct File {
    version: u32,
    paths: BTreeMap<String, BTreeMap<Use, Usage>>,
}

/// Where the trace of a file list is: `.NAME.trace` beside `NAME`.
pub fn beside(list: &Path) -> PathBuf {
    let name = list.file_name().unwrap_or_default().to_string_lossy();
    list.with_file_name(format!(".{name}.trace"))
}

/// The record in the file; an empty one if there is no file.
pub fn load(path: &Path) -> Result<Record, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
        Err(error) => return Err(read(error)),
        Ok(metadata) if metadata.len() > MAX_LEN => {
            return Err(read(io::Error::other("too large for a trace")));
        }
        Ok(_) => {}
    }
    let text = std::fs::read(path).map_err(read)?;
    let format = |source| Error::Format { path: path.to_owned(), source };
    let file: File = serde_json::from_slice(&text).map_err(format)?;
    if file.version != VERSION {
        let other = format!("version {}", file.version);
        return Err(format(serde::de::Error::custom(other)));
    }
    let paths = file.paths.into_iter().map(|(path, uses)| (decode(&path), uses)).collect();
    Ok(Record { paths, ..Record::default() })
}

/// The trace file of a session that goes on: what past sessions used, to which this one's record is
/// added as often as one likes.
pub struct Growing {
    path: PathBuf,
    /// Without what this session has added.
    before: Record,
    /// What the file was when it was last read or written here.
    known: Option<Identity>,
}

/// What changes when somebody else writes the file anew.
type Identity = (u64, i64, i64);

impl Growing {
    /// Begins with what is in the file at `path`, if there is one.
    ///
    /// # Errors
    /// As [`load`].
    pub fn open(path: &Path) -> Result<Growing, Error> {
        let before = load(path)?;
        Ok(Growing { path: path.to_owned(), before, known: identity(path) })
    }

    /// Writes the file anew, in one step: what it had before, and all that `session` used so far.
    /// Paths that are not there any more are forgotten.
    ///
    /// # Errors
    /// When the file cannot be written, or was replaced by one that cannot be read.
    pub fn save(
        &mut self,
        session: &Record,
        is_there: impl Fn(&[u8]) -> bool,
    ) -> Result<(), Error> {
        if identity(&self.path) != self.known {
            // Of another session. What this one had added may be in there, and is counted again.
            self.before = load(&self.path)?;
        }
        let mut all = self.before.clone();
        all.merge(session.clone());
        all.forget_gone(is_there);
        save(&self.path, &all)?;
        self.known = identity(&self.path);
        Ok(())
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// Whether [`save`] can write the file at `path`, which need not be there yet.
///
/// # Errors
/// The same as it would give.
pub fn can_save(path: &Path) -> Result<(), Error> {
    let write = |source| Error::Write { path: path.to_owned(), source };
    OPTIONS.create(path).map(drop).map_err(write)
}

/// Writes the file anew, in one step.
pub fn save(path: &Path, record: &Record) -> Result<(), Error> {
    let write = |source| Error::Write { path: path.to_owned(), source };
    let paths = record.paths.iter().map(|(path, uses)| (encode(path), uses.clone())).collect();
    let text = serde_json::to_vec_pretty(&File { version: VERSION, paths })
        .map_err(|error| write(error.into()))?;
    OPTIONS.write(path, &text).map_err(write)
}

fn encode(path: &[u8]) -> String {
    let mut text = String::new();
    for chunk in path.utf8_chunks() {
        text.push_str(&chunk.valid().replace('%', "%25"));
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let byte = match after {
            [high, low, ..] if first == b'%' => hex::byte(*high, *low),
            _ => None,
        };
        match byte {
            Some(byte) => {
                path.push(byte);
                rest = &after[2..];
            }
            None => {
                path.push(first);
                rest = after;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_path_comes_back(path in proptest::collection::vec(any::<u8>(), 0..30)) {
            prop_assert_eq!(decode(&encode(&path)), path);
        }
    }

    #[test]
    fn sessions_add_up_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = beside(&dir.path().join("sandstorm-files.list"));
        assert!(path.ends_with(".sandstorm-files.list.trace"));
        assert_eq!(load(&path).unwrap(), Record::default());
        let mut record = Record::default();
        record.note(b"a\xff%", Use::Exec);
        record.note_caller(b"a\xff%", Use::Exec, "/bin/sh".into());
        let mut first = Growing::open(&path).unwrap();
        // However often a session is saved, its uses count once.
        for _ in 0..3 {
            first.save(&record, |_| true).unwrap();
        }
        Growing::open(&path).unwrap().save(&record, |_| true).unwrap();
        let count = || load(&path).unwrap().paths[&b"a\xff%"[..]][&Use::Exec].count;
        assert_eq!(count(), 2);
        // What another session has added meanwhile stays.
        first.save(&record, |_| true).unwrap();
        assert_eq!(count(), 3);
        // What is gone is forgotten; that something was looked for in vain is not.
        record.note(b"gone", Use::Read);
        record.note(b"gone", Use::Miss);
        record.note(b"stale", Use::Stat);
        first.save(&record, |path| path == b"a\xff%").unwrap();
        let paths = load(&path).unwrap().paths;
        assert_eq!(paths[&b"gone"[..]].keys().collect::<Vec<_>>(), [&Use::Miss]);
        assert!(!paths.contains_key(&b"stale"[..]));
        std::fs::write(&path, "{\"version\":2,\"paths\":{}}").unwrap();
        assert!(matches!(load(&path), Err(Error::Format { .. })));
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(Growing::open(&path), Err(Error::Format { .. })));
        assert!(matches!(first.save(&record, |_| true), Err(Error::Format { .. })));
    }
}
