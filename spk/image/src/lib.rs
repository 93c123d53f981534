//! Container images as they are passed around: archives of `docker save`, OCI image layouts, their
//! configuration, and what their layers make together.
//!
//! An image is somebody else's: everything in it is checked before it is believed (digests, sizes,
//! names), all that is written goes below one directory descriptor, and [`Limits`] bound what it may
//! take. What packages cannot have (owners, devices, set-id bits, file capabilities) is left out and
//! told in [`Notes`].
//!
//! Sources: the OCI image specification 1.1 (`image-layout.md`, `image-index.md`, `manifest.md`,
//! `config.md`, `layer.md`), and Docker's image specification 1.2 for `manifest.json`.
//!
//! This crate knows nothing of packages, grains or HTTP.

#![forbid(unsafe_code)]

mod blob;
mod config;
mod error;
mod index;
mod input;
mod layer;
mod limits;
mod name;
mod notes;
mod tree;

pub use config::Config;
pub use error::Error;
pub use index::{Image, Platform, Wanted};
pub use input::Input;
pub use limits::Limits;
pub use notes::{Notes, Unkept};
pub use tree::Counts;
