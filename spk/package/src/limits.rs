//! Every limit of the package format in one place, each with its reason.

/// First bytes of every package, before the xz data.
pub const MAGIC: [u8; 8] = [0x8f, 0xc6, 0xcd, 0xef, 0x45, 0x1a, 0xea, 0x96];

/// Largest archive message in bytes; servers refuse more (format, "limits").
pub const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// Largest file in bytes: a Cap'n Proto byte list counts in 29 bits.
pub const MAX_FILE_BYTES: u64 = (1 << 29) - 1;

/// Most components a path may have. Servers read archives with a nesting limit of 128, and every
/// directory costs two levels.
pub const MAX_PATH_COMPONENTS: usize = 63;

/// Longest entry name in bytes: `NAME_MAX` of every file system packages are unpacked on.
pub const MAX_NAME_BYTES: usize = 255;

/// Longest symlink target in bytes: Linux's `PATH_MAX` less the terminating NUL.
pub const MAX_TARGET_BYTES: usize = 4095;

/// Most entries in one archive. The format has no such limit; ours bounds the time and the memory
/// a hostile package can cost. Ten times the largest package known.
pub const MAX_ENTRIES: u64 = 1 << 20;

/// Most segments of the archive message. Packages by the original tool have one for each file
/// above 128 KiB, so 1 GiB gives at most 8,192 of those; the rest is room. The table of this many
/// is 2 MiB.
pub const MAX_ARCHIVE_SEGMENTS: u32 = 1 << 18;

/// Most segments of the signature message, as in the original (fewer than 512).
pub const MAX_SIGNATURE_SEGMENTS: u32 = 511;

/// Largest signature message in bytes. It holds 160 bytes; the original lets 64 MiB through, which
/// only helps an attacker.
pub const MAX_SIGNATURE_BYTES: u64 = 1 << 20;

/// Nesting limit for the signature message, as in the original.
pub const SIGNATURE_NESTING: u32 = 64;

/// Words of the manifest that servers read at most (`Manifest.sizeLimitInWords`).
pub const MANIFEST_WORDS: usize = 1 << 20;

/// Largest `sandstorm-manifest` file read: [`MANIFEST_WORDS`] and a segment table of 511.
pub const MAX_MANIFEST_BYTES: u64 = (MANIFEST_WORDS as u64) * 8 + 2048;

/// Memory an xz decoder may take in bytes, before we refuse the package: four times what
/// `xz -9` needs. An archive has at most 1 GiB, and nobody packs with a larger dictionary.
pub const XZ_DECODER_MEMORY: u64 = 260 << 20;

/// Memory in bytes within which blocks are decoded side by side; beyond it, one at a time.
pub const XZ_PARALLEL_MEMORY: u64 = 320 << 20;

/// Most output of `gpg` read, in bytes. The signed text has 124.
pub const MAX_GPG_OUTPUT: u64 = 64 << 10;
