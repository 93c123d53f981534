//! What a package definition may be at most. A definition is written by hand and is small; the
//! limits are far above what anybody writes and keep a hostile one from exhausting memory, the
//! stack or patience.

/// Bytes of one schema file. The largest of the platform's own has 30 kB.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Bytes of all schema files together, imports included.
pub const MAX_TOTAL_BYTES: u64 = 32 << 20;

/// Schema files read, imports included.
pub const MAX_FILES: usize = 1000;

/// How deep brackets, blocks, member names (`a.b.c`), imports and references may nest, together.
/// Readers of the result accept 64 levels of pointers; the recursion stays within any stack.
pub const MAX_NESTING: usize = 128;

/// Bytes of all embedded files together. What is embedded ends in the manifest, which may have
/// 8 MiB (format, "limits"); the rest is room for constants that are not part of it.
pub const MAX_EMBED_BYTES: u64 = 64 << 20;

/// Words of eight bytes that all values together may take, before and after constants are copied
/// to where they are used: twice the above.
pub const MAX_VALUE_WORDS: u64 = 16 << 20;

/// Levels of pointers in a value: what every reader of Cap'n Proto accepts by default.
pub const MAX_VALUE_DEPTH: usize = 64;

/// Words of the manifest, without the root pointer (`Manifest.sizeLimitInWords`).
pub const MAX_MANIFEST_WORDS: u64 = 1_048_576;

/// Data words, and pointers, of a struct: what a struct pointer can say.
pub const MAX_STRUCT_WORDS: u32 = 65_535;
