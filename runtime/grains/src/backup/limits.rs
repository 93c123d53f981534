//! What a restore accepts unless told otherwise. A backup is somebody else's file until it has
//! been restored (grain-runtime §E.7).

/// Members of the archive. A grain with more files than this is possible; it takes about 150
/// bytes of memory each while it is restored.
pub const MEMBERS: u64 = 1_000_000;

/// Bytes of central directory for each member that is accepted: its fixed part, a long name, and
/// extra fields.
pub const DIRECTORY_PER_MEMBER: u64 = 300;

/// All files together, with their holes: 1 TiB.
pub const TOTAL: u64 = 1 << 40;

/// Bytes of a member's whole name: what `open` accepts at once.
pub const NAME_LENGTH: usize = 4096;

/// Bytes of one component: what Linux file systems accept.
pub const COMPONENT_LENGTH: usize = 255;

/// How many times larger than the backup the restored data may be, not counting runs of zeros,
/// which become holes. Deflate reaches 1032; logs and databases stay below 100.
pub const RATIO: u64 = 200;

/// What may be restored whatever the ratio: no disk is endangered by it.
pub const RATIO_FREE: u64 = 256 << 20;

/// Target of a symbolic link: what the kernel accepts.
pub const LINK_LENGTH: u64 = 4095;

/// The limits of one restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MEMBERS`].
    pub members: u64,
    /// See [`TOTAL`], in bytes.
    pub total: u64,
    /// See [`RATIO`].
    pub ratio: u64,
    /// See [`NAME_LENGTH`], in bytes.
    pub name_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { members: MEMBERS, total: TOTAL, ratio: RATIO, name_length: NAME_LENGTH }
    }
}
