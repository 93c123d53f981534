//! A grain's life on this machine: where packages and grains are kept, how the app is started and
//! served to a browser, how a grain is backed up and restored. See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod backup;
pub mod serve;
pub mod shell;
pub mod signals;
pub mod store;
