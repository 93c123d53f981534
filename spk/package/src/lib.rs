//! What an `.spk` is: app IDs, keyrings, package definitions, source map, archives, signatures;
//! and how packages are packed, verified and unpacked. See `docs/architecture.md`.
#![forbid(unsafe_code)]

pub mod app_id;
pub mod archive;
pub mod author;
pub mod causes;
pub mod closure;
pub mod contents;
pub mod coverage;
pub mod file_list;
pub mod guard;
pub mod info;
pub mod keyring;
pub mod limits;
pub mod manifest;
pub mod pack;
pub mod package_id;
pub mod pkgdef;
pub mod programs;
pub mod progress;
pub mod replacements;
pub mod report;
pub mod selection;
pub mod signature;
pub mod source_map;
pub mod submission;
pub mod suggest;
pub mod unpack;
pub mod verify;
pub mod view;
pub mod xz;

mod library_names;
mod render;
mod spk;
mod view_node;
mod wire;
