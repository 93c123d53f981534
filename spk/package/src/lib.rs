//! What an `.spk` is: app IDs, keyring, package definition, source map, file list, archive and
//! signature. See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod file_list;
pub mod manifest;
pub mod selection;
pub mod source_map;
pub mod view;
mod view_node;
