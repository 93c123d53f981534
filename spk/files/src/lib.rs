//! What every crate does with files, names and bytes, once.
//!
//! Trees that an app, an archive or another user controls are walked by [`Dir`] only: everything is
//! named relative to an open directory, and no name is ever resolved through a symbolic link or
//! upwards. A running app may rename, replace and link files while the host reads them; a hostile
//! archive may contain a link first and a path through it later. Neither can matter, because the
//! kernel is asked for "beneath this descriptor, without links" and the answer is a descriptor.
//!
//! This crate knows nothing of packages, grains or HTTP.

#![forbid(unsafe_code)]

pub mod atomic;
mod dir;
pub mod elf;
pub mod hex;
pub mod holes;
pub mod lend;
pub mod path;
pub mod printable;
pub mod program;
pub mod random;
mod remove;
mod staging;
mod time;
mod usage;
mod walk;

#[cfg(test)]
mod tests;

pub use atomic::AtomicFile;
pub use dir::{Dir, is_gone};
pub use staging::Staging;
pub use time::Time;
pub use walk::{find_in_root, open_regular};
