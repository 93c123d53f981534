//! The zip container, written and read by ourselves.
//!
//! A general zip library reads what it can and writes text names; a backup must keep names that
//! are any bytes, deflate one large file on all cores, stream to a pipe, and refuse an archive
//! whose two directories disagree. What is left of the format after that is small: `record` has
//! the fixed records, `write`, `read` (of which `member` is a part) and `verify` the two directions,
//! `deflate` the parallel compressor.
//! Source of the record layouts: PKWARE's APPNOTE 6.3, sections 4.3 to 4.5.

pub mod deflate;
pub mod member;
pub mod read;
pub mod record;
pub mod verify;
pub mod write;
