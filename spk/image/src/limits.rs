//! What an image may take unless told otherwise.

/// The limits of reading one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all layers together, uncompressed, also of what later layers replace: 64 GiB.
    pub total: u64,
    /// Entries of all layers together. Each takes about 200 bytes of memory while its layer is
    /// applied.
    pub entries: u64,
    /// How many times larger than its compressed form a layer may be. Layers of text reach 20;
    /// DEFLATE ends at 1032.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { total: 64 << 30, entries: 4_000_000, ratio: 200 }
    }
}

/// What may be written whatever the ratio: no disk is endangered by it.
pub const RATIO_FREE: u64 = 256 << 20;

/// Bytes of an index, a manifest or a configuration: the least that registries have to take.
pub const DOCUMENT: u64 = 4 << 20;

/// Layers of one image. Engines stop at 127; the format has no limit.
pub const LAYERS: usize = 4096;

/// Indexes within indexes.
pub const NESTED: usize = 8;

/// Parts of an archive: blobs, and what else there is. More than any image has.
pub const PARTS: usize = 100_000;

/// Bytes of a path: what the kernel accepts at once.
pub const PATH: usize = 4095;

/// Bytes of one name: what Linux file systems accept.
pub const NAME: usize = 255;

/// Directories within directories.
pub const DEPTH: usize = 1024;
