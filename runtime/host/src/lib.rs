//! See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod backup;
pub mod store;
