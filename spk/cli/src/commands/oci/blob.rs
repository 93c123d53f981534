//! A piece of an image, which is named by its digest.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

/// A blob's digest and size.
#[derive(Clone)]
pub(super) struct Blob {
    pub digest: String,
    pub size: u64,
}

/// Counts and hashes what passes.
pub(super) struct Hashing<W> {
    pub out: W,
    pub hash: Sha256,
    pub size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
