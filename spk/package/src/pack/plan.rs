//! In which order contents lie in the archive, where blocks end, and how each is compressed.
//! Depends on the tree alone: not on the machine, its load or its number of processors.

use crate::archive::layout::{File, Layout};
use crate::xz::encode::Settings;

/// Bytes of a block at most.
const BLOCK: u64 = 24 << 20;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// `xz`'s preset.
    pub preset: u32,
}

impl Level {
    /// `xz`'s preset, 0 to 9.
    pub fn preset(preset: u32) -> Level {
        Level { preset }
    }
}

impl Default for Level {
    fn default() -> Level {
        Level { preset: 6 }
    }
}

/// A block: where it ends in the archive, and how it is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Offset in the archive.
    pub end: u64,
    /// For the encoder.
    pub settings: Settings,
}

/// Puts files in the order in which their contents are stored.
pub fn arrange(_files: &mut Vec<File<'_>>) {}

/// Cuts the archive into blocks.
pub fn blocks(layout: &Layout<'_>, level: &Level) -> Vec<Block> {
    let settings = Settings::preset(level.preset);
    let mut blocks = Vec::new();
    let mut end = 0;
    while end < layout.total {
        end = (end + BLOCK).min(layout.total);
        blocks.push(Block { end, settings });
    }
    blocks
}
