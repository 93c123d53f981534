//! Files of others that are looked into: programs, traces; and text on its way to a terminal.

use std::path::PathBuf;

use fuse_tracer::trace_file;
use spk_files::elf::{Elf, Kind};
use spk_files::printable;
use tempfile::TempDir;

use crate::grains::file_of;

/// Programs and libraries.
pub fn elf(bytes: &[u8]) {
    let _ = Kind::of(bytes).map(|kind| (kind.is_x86_64(), kind.is_x86(), kind.is_linked()));
    let Some(file) = file_of(bytes) else { return };
    if let Ok(Some(elf)) = Elf::open(&file) {
        let _ = elf.interpreter();
        let _ = elf.libraries();
    }
}

/// Whether a character acts on a terminal instead of being seen, but for the line's end.
fn acts(text: &str, lines: bool) -> bool {
    text.chars().any(|c| printable::acts(c) && !(lines && c == '\n'))
}

/// Text as people see it: nothing in it acts.
pub fn printable(bytes: &[u8]) {
    assert!(!acts(&printable::line(bytes), false));
    let _ = acts(&printable::text(bytes), true);
    let _ = printable::cut(printable::line(bytes), 20);
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = printable::json(text);
    }
}

thread_local! {
    static PLACE: (TempDir, PathBuf) = {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let path = dir.path().join(".list.trace");
        (dir, path)
    };
}

/// Traces of past sessions beside a file list: what was read comes back as it was written.
pub fn trace(bytes: &[u8]) {
    PLACE.with(|(_, path)| {
        if std::fs::write(path, bytes).is_err() {
            return;
        }
        let Ok(record) = trace_file::load(path) else { return };
        let mut twice = record.clone();
        twice.merge(record.clone());
        twice.forget_gone(|path| path.len() % 2 == 0);
        if trace_file::save(path, &record).is_ok() {
            assert_eq!(trace_file::load(path).ok(), Some(record));
        }
    });
}
