//! How long work tells how far it is, without printing anything itself.

/// Told how far something is. Called often and from one thread at a time; must return quickly.
pub trait Progress {
    /// What is being done now, and how many bytes it will be in all, if that is known.
    fn stage(&mut self, _what: Stage, _total: Option<u64>) {}
    /// This many more bytes are done.
    fn advance(&mut self, _bytes: u64) {}
    /// Whether anybody looks: only then is it worth finding out what is only told.
    fn watched(&self) -> bool {
        false
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Compressing files into a package.
    Pack,
    /// Decompressing a package and checking its hash; counts compressed bytes.
    Verify,
    /// Writing files.
    Unpack,
    /// Writing a grain's data into a backup.
    Export,
    /// Reading back what was written.
    ReadBack,
    /// Collecting what comes through a pipe.
    Receive,
    /// Writing a backup's data into a grain.
    Restore,
    /// Reading a backup as for restoring it.
    Examine,
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
