//! The grain's records ([`crate::store::capabilities`]) while it is served: in memory, and on disk
//! before anybody is told that something was kept.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::store::CapabilityFile;
use crate::store::capabilities::{Object, Records};

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

/// Random bytes of a token; 43 characters as text (http-bridge §7.9).
const TOKEN_BYTES: usize = 32;

/// The records of the grain that is served.
pub(crate) struct Keeper {
    records: RefCell<Records>,
    /// None: they live as long as this value.
    file: Option<Arc<CapabilityFile>>,
    /// Counts changes, and how many of them are on disk.
    changes: Cell<u64>,
    written: Cell<u64>,
    turn: tokio::sync::Mutex<()>,
}

impl Keeper {
    /// Reads what there is.
    pub fn open(file: Option<CapabilityFile>) -> Result<Keeper, crate::store::Error> {
        let records = file.as_ref().map(CapabilityFile::read).transpose()?.unwrap_or_default();
        Ok(Keeper {
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
    pub fn saved(&self, token: &[u8]) -> Option<Object> {
        self.read(|records| records.saved.get(&hash(token)).map(|saved| saved.object.clone()))
    }
}

/// A new secret: 43 characters of the base64url alphabet.
pub(crate) fn new_token() -> Result<String, capnp::Error> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| capnp::Error::failed(format!("cannot get random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Under what a token is kept (http-bridge §7.9).
pub(crate) fn hash(token: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(token))
}

/// Text of an app's as it is kept: printable, and not too long.
pub(crate) fn label(text: &str) -> String {
    let mut label: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LABEL).collect();
    if text.chars().nth(LABEL).is_some() {
        label.push('…');
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_original_s_form() {
        let token = new_token().unwrap();
        assert_eq!(token.len(), 43);
        assert!(token.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
        assert_ne!(token, new_token().unwrap());
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64.
        assert_eq!(hash(b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    #[test]
    fn labels_are_short_and_printable() {
        assert_eq!(label("a\x1b[31m\nb"), "a [31m b");
        assert_eq!(label(&"x".repeat(1000)).chars().count(), LABEL + 1);
    }
}
