//! Backups of grains: the original's zip layout (grain-runtime, E), written so that nothing is
//! lost and read as if an enemy had written it.

pub mod error;
pub mod info;
pub mod zip;

pub use error::Error;
