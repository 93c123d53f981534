//! In which order contents lie in the archive, where blocks end, and how each is compressed.
//!
//! The plan depends on the tree alone: not on the machine, its load or its number of processors.
//! It aims at three things: similar contents within one block (see [`similar`]), blocks that stay as
//! they are when a file elsewhere changes, and blocks that a decoder with the memory of `xz -9` can
//! read.

use std::collections::HashMap;

use spk_files::path;

use super::similar;
use super::survey::{self, Survey};
use crate::archive::class::{BYTE_CODE, Class};
use crate::archive::layout::{File, Layout};
use crate::xz::container::Filter;
use crate::xz::encode::Settings;

/// Sizes of dictionaries, in bytes, that are chosen from: all of them the format can express. Smaller
/// ones make packages larger; more than 24 MiB takes an encoder more than 300 MB a thread.
const WINDOWS: [u64; 3] = [12 << 20, 16 << 20, 24 << 20];

/// A dictionary has at most this part of the archive's size, so that packing again after a small
/// change compresses little, and several processors have something to do.
const PARTS: u64 = 12;

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

/// A block: where it ends in the archive, and how it is compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Offset in the archive.
    pub end: u64,
    /// For the encoder.
    pub settings: Settings,
}

/// Puts files in the order in which their contents are stored: by class, and by what has most in
/// common. `threads` read them for that; the order does not depend on how many.
pub fn arrange(files: &mut Vec<File<'_>>, level: &Level, threads: usize) {
    let window = window(files.iter().map(File::padded).sum(), level);
    arrange_within(limit(window), files, threads);
}

fn arrange_within(limit: u64, files: &mut Vec<File<'_>>, threads: usize) {
    let Survey { classes, features } = survey::of(files, threads);
    files.iter_mut().zip(classes).for_each(|(file, class)| file.class = class);
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_cached_key(|&index| key(&files[index]));
    let mut arranged = Vec::with_capacity(files.len());
    for class in order.chunk_by(|&a, &b| files[a].class == files[b].class) {
        let units = units(class, files, limit);
        let sizes: Vec<u64> =
            units.iter().map(|unit| unit.iter().map(|&file| files[file].padded()).sum()).collect();
        let mut unit_of = vec![None; files.len()];
        for (number, unit) in units.iter().enumerate() {
            unit.iter().for_each(|&file| unit_of[file] = Some(number));
        }
        let features =
            features.iter().filter_map(|feature| Some(feature.of(unit_of[feature.owner()]?)));
        let groups = similar::group(&sizes, features.collect(), limit);
        for (number, group) in groups.into_iter().enumerate() {
            let group = group.into_iter().flat_map(|unit| &units[unit]);
            arranged.extend(group.map(|&file| files[file].clone().in_group(number)));
        }
    }
    *files = arranged;
}

/// Before what is similar comes together: by class, then by path, as what lies together belongs
/// together. Only images and fonts of one directory have less in common than those of two.
fn key(file: &File<'_>) -> (Class, Vec<u8>, Vec<u8>) {
    let name = path::name(&file.path);
    let extension = match (file.class, name.iter().rposition(|&byte| byte == b'.')) {
        (Class::Binary, Some(dot)) if dot > 0 => name[dot..].to_vec(),
        _ => Vec::new(),
    };
    (file.class, extension, beside_source(&file.path).unwrap_or_else(|| file.path.clone()))
}

/// What is kept together of one class: single files, but the text of a directory as a whole, unless
/// it would take half a block. Gives the files of each unit, in order.
fn units(class: &[usize], files: &[File<'_>], limit: u64) -> Vec<Vec<usize>> {
    let mut sizes: HashMap<&[u8], u64> = HashMap::new();
    for file in class.iter().map(|&file| &files[file]) {
        *sizes.entry(directory(&file.path)).or_default() += file.padded();
    }
    let mut numbers: HashMap<&[u8], usize> = HashMap::new();
    let mut units: Vec<Vec<usize>> = Vec::new();
    for &index in class {
        let file = &files[index];
        let directory = directory(&file.path);
        let whole = file.class == Class::Text && sizes[directory] <= limit / 2;
        match numbers.get(directory) {
            Some(&unit) if whole => units[unit].push(index),
            _ => {
                numbers.insert(directory, units.len());
                units.push(vec![index]);
            }
        }
    }
    units
}

/// Python's directory of byte code.
const CACHE: &[u8] = b"__pycache__";

/// Where byte code has most in common with what is around it: right after its source, whose names
/// and texts it repeats. `a/__pycache__/b.cpython-311.pyc` belongs to `a/b.py` (PEP 3147).
fn beside_source(path: &[u8]) -> Option<Vec<u8>> {
    let (dir, name) = path::split(path);
    let (above, CACHE) = path::split(dir) else { return None };
    let module = name.strip_suffix(BYTE_CODE)?;
    let module = &module[..module.iter().position(|&byte| byte == b'.')?];
    Some([&path::join(above, module), &b".py"[..], name].concat())
}

/// The directory whose files it belongs to: for byte code, its source's.
fn directory(path: &[u8]) -> &[u8] {
    let dir = path::parent(path);
    match path::split(dir) {
        (above, CACHE) => above,
        _ => dir,
    }
}

/// Bytes of the dictionaries for an archive with so many bytes of contents.
fn window(contents: u64, level: &Level) -> u64 {
    let fitting = WINDOWS.into_iter().rfind(|&size| size <= contents / PARTS);
    fitting.unwrap_or(WINDOWS[0]).min(largest(level))
}

/// Bytes of the largest block: somewhat more than the dictionary, as what the beginning has said is
/// mostly within reach even of the end, and of fewer blocks fewer begin with nothing. Each mebibyte
/// more takes two more of an encoder's memory.
fn limit(window: u64) -> u64 {
    window / 12 * 13
}

/// Cuts the archive into blocks: one for each group.
pub fn blocks(layout: &Layout<'_>, level: &Level) -> Vec<Block> {
    let window = window(layout.files.iter().map(File::padded).sum(), level);
    let mut cutter = Cutter { limit: limit(window), start: 0, end: 0, blocks: Vec::new() };
    let tables = settings(None, level, window);
    cutter.extend(layout.tables.len() as u64, tables);
    cutter.cut(tables);
    let same = |a: &File<'_>, b: &File<'_>| (a.class, a.group) == (b.class, b.group);
    for group in layout.files.chunk_by(same) {
        let settings = settings(Some(group[0].class), level, window);
        cutter.extend(group.iter().map(File::padded).sum(), settings);
        cutter.cut(settings);
    }
    cutter.blocks
}

/// Presets below the default have small dictionaries: larger blocks would bring them nothing.
fn largest(level: &Level) -> u64 {
    if level.preset < 4 { 8 << 20 } else { 24 << 20 }
}

fn settings(class: Option<Class>, level: &Level, window: u64) -> Settings {
    let mut settings = Settings::preset(level.preset);
    if level.preset >= 6 {
        settings.dictionary = window.max(u64::from(settings.dictionary)) as u32;
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::tree::{Contents, Kind, Node, Tree};
    use sha2::{Digest, Sha256};
    use std::sync::Arc;

    fn layout<'a>(tree: &'a Tree, level: &Level) -> Layout<'a> {
        Layout::new(tree, |files| arrange(files, level, 2)).unwrap()
    }

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
        let layout = layout(&tree, &Level::default());
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

    /// So many bytes of a text that is a family's own.
    fn text(family: usize, length: usize) -> Vec<u8> {
        (0..).flat_map(|n: u32| Sha256::digest(format!("{family} {n}"))).take(length).collect()
    }

    /// Forty directories, of which each fourth says much the same.
    fn families() -> Vec<(String, Vec<u8>)> {
        let files = (0..40).flat_map(|dir| {
            ["a", "b"].map(|name| {
                let own = text(100 + 2 * dir + usize::from(name == "b"), 500);
                let contents = [text(dir % 4, 2000), own].concat();
                (format!("{dir:02}/{name}.txt"), contents.iter().map(|byte| byte | 1).collect())
            })
        });
        files.collect()
    }

    /// The paths of each group.
    fn groups(files: &[(String, Vec<u8>)], threads: usize) -> Vec<Vec<String>> {
        let files: Vec<_> = files.iter().map(|(path, text)| (&path[..], &text[..])).collect();
        let tree = tree(&files);
        let layout = Layout::new(&tree, |files| arrange_within(56_000, files, threads)).unwrap();
        let path = |file: &File<'_>| String::from_utf8(file.path.clone()).unwrap();
        let groups = layout.files.chunk_by(|a, b| a.group == b.group);
        groups.map(|group| group.iter().map(path).collect()).collect()
    }

    #[test]
    fn what_says_the_same_comes_into_one_block() {
        let found = groups(&families(), 1);
        assert_eq!(found.len(), 4);
        for (number, group) in found.iter().enumerate() {
            assert_eq!(group.len(), 20, "{group:?}");
            assert!(group.iter().all(|path| path[..2].parse::<usize>().unwrap() % 4 == number));
        }
        for threads in [2, 7] {
            assert_eq!(groups(&families(), threads), found, "{threads}");
        }
    }

    #[test]
    fn a_small_change_moves_nothing() {
        let before = groups(&families(), 1);
        for changed in 0..80 {
            let mut files = families();
            files[changed].1.extend(b"one more line");
            assert_eq!(groups(&files, 1), before, "{changed}");
        }
    }

    #[test]
    fn blocks_cover_the_archive() {
        let big = vec![7u8; 9 << 20];
        let small = vec![7u8; 3_000_000];
        let files: Vec<String> = (0..9).map(|n| format!("file{n}.txt")).collect();
        let mut files: Vec<(&str, &[u8])> =
            files.iter().map(|name| (&name[..], &small[..])).collect();
        files.push(("big", &big));
        let tree = tree(&files);
        let level = Level::preset(1);
        let layout = layout(&tree, &level);
        let blocks = blocks(&layout, &level);
        assert_eq!(blocks.last().unwrap().end, layout.total);
        let starts = std::iter::once(0).chain(blocks.iter().map(|block| block.end));
        let sizes: Vec<u64> = starts.zip(&blocks).map(|(start, block)| block.end - start).collect();
        assert!(sizes.iter().all(|&size| size > 0 && size <= limit(largest(&level))), "{sizes:?}");
    }
}
