//! What an `.spk` is: app IDs, keyring, package definition, source map, file list, archive and
//! signature. See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod manifest;
