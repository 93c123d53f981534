//! In which order contents lie in the archive, where blocks end, and how each is compressed.
//!
//! The plan depends on the tree alone: not on the machine, its load or its number of processors.
//! It aims at three things: similar contents within one block (files are sorted by what they are,
//! then by path: what lies together belongs together), blocks that stay as they are when a file elsewhere changes (most
//! of them end before a file whose path says so), and blocks that a decoder with the memory of
//! `xz -9` can read.

use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::source;
use crate::archive::layout::{File, Layout};
use crate::archive::tree::Contents;
use crate::xz::container::Filter;
use crate::xz::encode::Settings;

/// Bytes looked at to see what a file is.
const HEAD: usize = 1024;

/// Sizes of blocks and dictionaries, in bytes, that are chosen from: all of them the format can
/// express. Smaller ones make packages larger; more than 24 MiB takes an encoder more than 300 MB a
/// thread.
const BLOCKS: [u64; 3] = [12 << 20, 16 << 20, 24 << 20];

/// A block has at most this part of the archive, so that packing again after a small change
/// compresses little, and several processors have something to do.
const PARTS: u64 = 12;

/// Matches up to this long are searched for in text and code: longer than preset 6's 64, smaller,
/// and no slower.
const NICE_LENGTH: u32 = 128;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// `xz`'s preset.
    preset: u32,
}

impl Level {
    /// As `xz`'s preset, 0 to 9.
    pub fn preset(preset: u32) -> Level {
        Level { preset: preset.min(9) }
    }
}

impl Default for Level {
    fn default() -> Level {
        Level { preset: 6 }
    }
}

/// What a file is, as far as compression cares. In the order of the archive: what takes longest to
/// compress comes first, so that all processors are done at about the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Class {
    /// Programs and libraries for x86.
    Code,
    /// Everything else.
    #[default]
    Binary,
    /// No NUL near the start; and byte code, for the sake of its source.
    Text,
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
pub fn arrange(files: &mut Vec<File<'_>>) {
    for file in files.iter_mut() {
        file.class = class(file);
    }
    files.sort_by_cached_key(|file| {
        let name = file.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        // Images and fonts of one directory have less in common than those of two.
        let extension = match (file.class, name.iter().rposition(|&byte| byte == b'.')) {
            (Class::Binary, Some(dot)) if dot > 0 => name[dot..].to_vec(),
            _ => Vec::new(),
        };
        (file.class, extension, beside_source(&file.path).unwrap_or_else(|| file.path.clone()))
    });
}

/// What Python's byte code ends with.
const BYTE_CODE: &[u8] = b".pyc";

/// Where byte code has most in common with what is around it: right after its source, whose names
/// and texts it repeats. `a/__pycache__/b.cpython-311.pyc` belongs to `a/b.py` (PEP 3147).
fn beside_source(path: &[u8]) -> Option<Vec<u8>> {
    const CACHE: &[u8] = b"__pycache__/";
    let name = path.iter().rposition(|&byte| byte == b'/')? + 1;
    let dir = path[..name].strip_suffix(CACHE)?;
    let module = path[name..].strip_suffix(BYTE_CODE)?;
    let module = &module[..module.iter().position(|&byte| byte == b'.')?];
    Some([dir, module, b".py", &path[name..]].concat())
}

fn class(file: &File<'_>) -> Class {
    let mut head = [0; HEAD];
    let length = (file.size as usize).min(HEAD);
    let head = &mut head[..length];
    if file.path.ends_with(BYTE_CODE) {
        return Class::Text;
    }
    let read = match file.source {
        Contents::Bytes(bytes) => {
            head.copy_from_slice(&bytes[..length]);
            Ok(())
        }
        other => source::open(other).and_then(|opened| opened.read_exact_at(head, 0)),
    };
    // What cannot be read now is told of when it is packed.
    if read.is_err() { Class::default() } else { class_of(head) }
}

/// `e_machine` of ELF files: i386 and x86-64.
const X86: [[u8; 2]; 2] = [[3, 0], [62, 0]];

fn class_of(head: &[u8]) -> Class {
    let machine = head.get(18..20);
    if head.starts_with(b"\x7fELF") && X86.iter().any(|x86| machine == Some(x86)) {
        Class::Code
    } else if head.contains(&0) {
        Class::Binary
    } else {
        Class::Text
    }
}

/// Cuts the archive into blocks.
pub fn blocks(layout: &Layout<'_>, level: &Level) -> Vec<Block> {
    let limit = BLOCKS
        .into_iter()
        .rfind(|&size| size <= layout.total / PARTS)
        .unwrap_or(BLOCKS[0])
        .min(largest(level));
    let mut cutter = Cutter { limit, start: 0, end: 0, blocks: Vec::new() };
    let tables = settings(None, level, limit);
    cutter.extend(layout.tables.len() as u64, tables);
    cutter.cut(tables);
    let mut class = None;
    for file in &layout.files {
        let size = file.padded();
        if class != Some(file.class) || cutter.should_cut_before(&file.path, size) {
            cutter.cut(settings(class, level, limit));
        }
        class = Some(file.class);
        cutter.extend(size, settings(class, level, limit));
    }
    cutter.cut(settings(class, level, limit));
    cutter.blocks
}

/// Presets below the default have small dictionaries: large blocks would bring them nothing.
fn largest(level: &Level) -> u64 {
    if level.preset < 4 { 8 << 20 } else { 24 << 20 }
}

fn settings(class: Option<Class>, level: &Level, limit: u64) -> Settings {
    let mut settings = Settings::preset(level.preset);
    if level.preset >= 6 {
        settings.dictionary = limit.max(u64::from(settings.dictionary)) as u32;
    }
    match class {
        Some(Class::Text) => {
            settings.literal_context = 4;
            settings.position_bits = 0;
        }
        Some(Class::Code) => {
            settings.filter = Filter::X86;
            settings.literal_context = 4;
        }
        // Words of eight bytes.
        None => settings.position_bits = 3,
        Some(Class::Binary) => {}
    }
    if matches!(class, Some(Class::Text | Class::Code)) && level.preset >= 4 {
        settings.nice_length = Some(NICE_LENGTH);
    }
    settings
}

struct Cutter {
    limit: u64,
    start: u64,
    end: u64,
    blocks: Vec<Block>,
}

impl Cutter {
    /// Ends the block here, if it is not empty.
    fn cut(&mut self, settings: Settings) {
        if self.end > self.start {
            self.start = self.end;
            self.blocks.push(Block { end: self.end, settings });
        }
    }

    /// Adds bytes to the block, and ends it as often as it is full.
    fn extend(&mut self, bytes: u64, settings: Settings) {
        let end = self.end + bytes;
        while end - self.start > self.limit {
            self.end = self.start + self.limit;
            self.cut(settings);
        }
        self.end = end;
    }

    /// Whether a block ends before this file: when it would be too large, or when it is two thirds
    /// full and the path says so. As paths, not sizes, decide, blocks behind a changed file soon end
    /// where they ended before.
    fn should_cut_before(&self, path: &[u8], size: u64) -> bool {
        let filled = self.end - self.start;
        if filled < self.limit / 3 * 2 {
            return false;
        }
        let digest = Sha256::digest(path);
        let chance = u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]);
        // On average once in a sixth of the largest block.
        let threshold = (size.saturating_mul(6) << 32) / self.limit;
        filled + size > self.limit || u64::from(chance) < threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tree::{Kind, Node, Tree};
    use std::sync::Arc;

    fn tree(files: &[(&str, &[u8])]) -> Tree {
        let mut tree = Tree::default();
        for (path, contents) in files {
            let source = Contents::Bytes(Arc::from(*contents));
            let kind = Kind::File { executable: false, size: contents.len() as u64, source };
            tree.insert(path.as_bytes(), Node { mtime: 0, kind }).unwrap();
        }
        tree
    }

    #[test]
    fn classes_are_told_by_content() {
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0".to_vec();
        assert_eq!(class_of(&elf), Class::Code);
        elf[18] = 0xb7; // aarch64
        assert_eq!(class_of(&elf), Class::Binary);
        assert_eq!(class_of(b"\x7fELF"), Class::Text);
        assert_eq!(class_of(b"text"), Class::Text);
        assert_eq!(class_of(b"a\0b"), Class::Binary);
    }

    #[test]
    fn similar_files_lie_together_and_listings_stay_sorted() {
        let tree = tree(&[
            ("a/x.py", b"1"),
            ("a/y.png", b"\x89PNG\0"),
            ("b/__pycache__/w.cpython-311.pyc", b"\0"),
            ("b/w.py", b"3"),
            ("b/x.so", b"\0"),
            ("b/y.png", b"\x89PNG\0"),
            ("b/z.txt", b"2"),
        ]);
        let layout = Layout::new(&tree, arrange).unwrap();
        let order: Vec<&[u8]> = layout.files.iter().map(|file| &file.path[..]).collect();
        let expected: [&[u8]; 7] = [
            b"a/y.png",
            b"b/y.png",
            b"b/x.so",
            b"a/x.py",
            b"b/w.py",
            b"b/__pycache__/w.cpython-311.pyc",
            b"b/z.txt",
        ];
        assert_eq!(order, expected);
    }

    #[test]
    fn blocks_cover_the_archive_and_stay_where_they_are() {
        let big = vec![7u8; 300_000];
        let names: Vec<String> = (0..200).map(|n| format!("file{n:03}.txt")).collect();
        let cut = |changed: usize, size: usize| {
            let files: Vec<(&str, &[u8])> = names
                .iter()
                .enumerate()
                .map(|(n, name)| (&name[..], if n == changed { &big[..size] } else { &big[..] }))
                .collect();
            let tree = tree(&files);
            let layout = Layout::new(&tree, arrange).unwrap();
            let blocks = blocks(&layout, &Level::default());
            assert_eq!(blocks.last().unwrap().end, layout.total);
            assert!(blocks.windows(2).all(|pair| pair[0].end < pair[1].end));
            blocks.iter().map(|block| layout.total - block.end).collect::<Vec<u64>>()
        };
        // Seen from the end, nothing moves behind the changed file for long.
        let (before, after) = (cut(20, 300_000), cut(20, 100));
        let same = before.iter().rev().zip(after.iter().rev()).take_while(|(a, b)| a == b).count();
        assert!(same >= before.len() / 2, "{before:?} {after:?}");
    }
}
