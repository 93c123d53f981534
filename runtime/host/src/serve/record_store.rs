//! The grain's records ([`spk_grains::store::capabilities`]) while it is served: in memory, and on disk
//! before anybody is told that something was kept.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use spk_files::printable;
use spk_grains::store::CapabilityFile;
use spk_grains::store::capabilities::{Object, Records};

use super::token;

/// Capabilities an app may have saved: each is kept until the app drops its token, and an app that
/// saves without end must not fill the disk outside of its own files.
pub(super) const SAVED: usize = 10_000;

/// Largest object ID of an app's. It is a name, not a place to keep things.
pub(super) const OBJECT_ID: u64 = 4 << 10;

/// Longest label kept, in characters.
pub(super) const LABEL: usize = 200;

/// API tokens of a grain.
pub(super) const TOKENS: usize = 1000;

/// Scheduled jobs of a grain.
pub(super) const JOBS: usize = 1000;

/// The records of the grain that is served.
pub(crate) struct RecordStore {
    records: RefCell<Records>,
    /// None: they live as long as this value.
    file: Option<Arc<CapabilityFile>>,
    /// Counts changes, and how many of them are on disk.
    changes: Cell<u64>,
    written: Cell<u64>,
    turn: tokio::sync::Mutex<()>,
}

impl RecordStore {
    /// Reads what there is.
    pub fn open(file: Option<CapabilityFile>) -> Result<RecordStore, spk_grains::store::Error> {
        let records = file.as_ref().map(CapabilityFile::read).transpose()?.unwrap_or_default();
        Ok(RecordStore {
            records: RefCell::new(records),
            file: file.map(Arc::new),
            changes: Cell::new(0),
            written: Cell::new(0),
            turn: tokio::sync::Mutex::new(()),
        })
    }

    /// Looks something up.
    pub fn read<R>(&self, look: impl FnOnce(&Records) -> R) -> R {
        look(&self.records.borrow())
    }

    /// Changes the records; what changed is on disk when this returns. Several changes at a time
    /// are written together.
    pub async fn change<R>(&self, change: impl FnOnce(&mut Records) -> R) -> std::io::Result<R> {
        let result = change(&mut self.records.borrow_mut());
        let mine = self.changes.get() + 1;
        self.changes.set(mine);
        let Some(file) = self.file.clone() else { return Ok(result) };
        let _turn = self.turn.lock().await;
        if self.written.get() >= mine {
            return Ok(result);
        }
        let (now, records) = (self.changes.get(), self.records.borrow().clone());
        // The event loop goes on while the disk works.
        let written = tokio::task::spawn_blocking(move || file.write(&records)).await;
        match written {
            Ok(Ok(())) => self.written.set(now),
            Ok(Err(error)) => return Err(std::io::Error::other(error)),
            Err(error) => return Err(std::io::Error::other(error)),
        }
        Ok(result)
    }

    /// What a saved token leads to.
    pub fn saved(&self, secret: &[u8]) -> Option<Object> {
        self.read(|records| {
            records.saved.get(&token::hash(secret)).map(|saved| saved.object.clone())
        })
    }
}

/// Text of an app's as it is kept: printable, and not too long.
pub(crate) fn label(text: &str) -> String {
    printable::cut(printable::line(text), LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_printable() {
        assert_eq!(label("a\x1b[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(label(&"x".repeat(1000)).chars().count(), LABEL + 1);
    }
}
