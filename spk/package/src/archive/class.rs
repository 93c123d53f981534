//! Kinds of files, as far as their place in an archive depends on them.

/// What a file is, as far as compression cares. In the order of the archive: what takes longest to
/// compress comes first, so that all processors are done at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Programs and libraries for x86.
    Code,
    /// Everything else.
    #[default]
    Binary,
    /// No NUL near the start; and byte code, for the sake of its source.
    Text,
}

/// What Python's byte code ends with.
pub const BYTE_CODE: &[u8] = b".pyc";
