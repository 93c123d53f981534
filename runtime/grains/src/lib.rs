//! Packages and grains on this machine: where they are kept, what is remembered for a grain, who
//! works with it, and how it is backed up and restored. See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod backup;
pub mod store;
