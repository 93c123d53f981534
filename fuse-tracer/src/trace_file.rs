//! The record of past sessions, in a file beside the file list that is no part of the package:
//! what `spk files` and `spk check` know.
//!
//! JSON, paths in it percent-encoded as far as they are not UTF-8 (and `%` itself), so that it can
//! be read with other tools.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::record::{Record, Usage, Use};

/// Version of the format; others are not read.
const VERSION: u32 = 1;
/// Traces larger than this are not read: 100,000 paths take about 20 MB.
const MAX_LEN: u64 = 512 << 20;

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

/// Adds a session's record to the file, in one step.
pub fn add(path: &Path, record: &Record) -> Result<(), Error> {
    let mut all = load(path)?;
    all.merge(record.clone());
    save(path, &all)
}

/// Writes the file anew, in one step.
pub fn save(path: &Path, record: &Record) -> Result<(), Error> {
    let write = |source| Error::Write { path: path.to_owned(), source };
    let paths = record.paths.iter().map(|(path, uses)| (encode(path), uses.clone())).collect();
    let text = serde_json::to_vec_pretty(&File { version: VERSION, paths })
        .map_err(|error| write(error.into()))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(write)?;
    file.write_all(&text).map_err(write)?;
    file.persist(path).map_err(|error| write(error.error))?;
    Ok(())
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
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                path.push(byte);
                rest = &after[2..];
            }
            _ => {
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
        add(&path, &record).unwrap();
        add(&path, &record).unwrap();
        let all = load(&path).unwrap();
        assert_eq!(all.paths[&b"a\xff%"[..]][&Use::Exec].count, 2);
        std::fs::write(&path, "{\"version\":2,\"paths\":{}}").unwrap();
        assert!(matches!(load(&path), Err(Error::Format { .. })));
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(add(&path, &record), Err(Error::Format { .. })));
    }
}
