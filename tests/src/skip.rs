//! Tests that cannot run here say so.

pub use spk_skip::{needs_root, skip};
