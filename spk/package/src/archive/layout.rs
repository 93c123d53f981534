//! Where everything lies in an archive: a single segment whose tables (directory lists, names,
//! symlink targets) come first and whose file contents follow in any order the caller likes
//! (format, "what a writer should emit").

use super::class::Class;
use super::tree::{Contents, Entries, Kind, Tree};
use crate::limits::MAX_ARCHIVE_BYTES;

const WORD: u64 = 8;

/// Words of an entry: tag, time, name, content.
const ENTRY_WORDS: u64 = 4;

/// An archive planned: all that is missing is the files' contents.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The message up to the first file's contents.
    pub tables: Vec<u8>,
    /// The files that have contents, in the order in which these follow.
    pub files: Vec<File<'a>>,
    /// Bytes of the whole message.
    pub total: u64,
}

/// A file and where it goes.
#[derive(Debug, Clone)]
pub struct File<'a> {
    /// Path in the package.
    pub path: Vec<u8>,
    /// Where the contents come from.
    pub source: &'a Contents,
    /// Bytes of contents; never zero.
    pub size: u64,
    /// What it is, for whoever arranges the files.
    pub class: Class,
    /// Which files of its class it shares blocks with, likewise.
    pub group: usize,
    /// Byte offset of the content pointer in the tables.
    pointer: usize,
}

impl File<'_> {
    /// Bytes the contents take in the archive: padded to words.
    pub fn padded(&self) -> u64 {
        self.size.next_multiple_of(WORD)
    }

    /// The file, in this group.
    pub fn in_group(self, group: usize) -> Self {
        File { group, ..self }
    }
}

/// The archive would be larger than servers accept.
#[derive(Debug, thiserror::Error)]
#[error("the package would have {0} bytes unpacked; servers accept at most 1 GiB (1073741824)")]
pub struct TooLarge(pub u64);

impl<'a> Layout<'a> {
    /// Plans the archive of `tree`, with contents in the order that `arrange` leaves them in.
    pub fn new(tree: &'a Tree, arrange: impl FnOnce(&mut Vec<File<'a>>)) -> Result<Self, TooLarge> {
        // Framing (one segment, its size set below), root pointer, and the root struct's pointer.
        let mut writer = Writer { out: vec![0; 24], files: Vec::new(), path: Vec::new() };
        writer.put(8, 0x0001_0000_0000_0000);
        writer.directory(&tree.root, 16);
        let Writer { out: mut tables, mut files, .. } = writer;
        let contents: u64 = files.iter().map(File::padded).sum();
        let total = tables.len() as u64 + contents;
        if total > MAX_ARCHIVE_BYTES {
            return Err(TooLarge(total));
        }
        arrange(&mut files);
        debug_assert_eq!(contents, files.iter().map(File::padded).sum::<u64>());
        let mut offset = tables.len() as u64;
        for file in &files {
            // A byte list of `size` elements, `offset` counted from the word after the pointer.
            let distance = offset / WORD - (file.pointer as u64 / WORD + 1);
            let pointer = 1 | distance << 2 | 2 << 32 | file.size << 35;
            tables[file.pointer..file.pointer + 8].copy_from_slice(&pointer.to_le_bytes());
            offset += file.padded();
        }
        let words = (total / WORD - 1) as u32;
        tables[4..8].copy_from_slice(&words.to_le_bytes());
        Ok(Layout { tables, files, total })
    }
}

struct Writer<'a> {
    out: Vec<u8>,
    files: Vec<File<'a>>,
    path: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn put(&mut self, at: usize, word: u64) {
        self.out[at..at + 8].copy_from_slice(&word.to_le_bytes());
    }

    /// Appends a directory's list and all below it, and points the word at `pointer` to it.
    fn directory(&mut self, entries: &'a Entries, pointer: usize) {
        let list = self.out.len();
        let count = entries.len() as u64;
        let distance = ((list - pointer) as u64 / WORD - 1) << 2;
        self.put(pointer, 1 | distance | 7 << 32 | (count * ENTRY_WORDS) << 35);
        // The tag: that many structs of two data words and two pointers.
        self.out.extend((count << 2 | 2 << 32 | 2 << 48).to_le_bytes());
        self.out.resize(self.out.len() + entries.len() * (ENTRY_WORDS * WORD) as usize, 0);
        for (index, (name, node)) in entries.iter().enumerate() {
            let entry = list + 8 + index * (ENTRY_WORDS * WORD) as usize;
            let tag = match &node.kind {
                Kind::File { executable, .. } => u64::from(*executable),
                Kind::Symlink(_) => 2,
                Kind::Directory(_) => 3,
            };
            self.put(entry, tag);
            self.put(entry + 8, node.mtime as u64);
            self.text(name, entry + 16);
            match &node.kind {
                Kind::Symlink(target) => self.text(target, entry + 24),
                Kind::File { size, source, .. } if *size > 0 => {
                    let mut path = self.path.clone();
                    path.extend(name);
                    self.files.push(File {
                        path,
                        source,
                        size: *size,
                        class: Class::default(),
                        group: 0,
                        pointer: entry + 24,
                    });
                }
                _ => {}
            }
        }
        for (index, (name, node)) in entries.iter().enumerate() {
            if let Kind::Directory(inner) = &node.kind {
                let length = self.path.len();
                self.path.extend(name);
                self.path.push(b'/');
                self.directory(inner, list + 8 + index * (ENTRY_WORDS * WORD) as usize + 24);
                self.path.truncate(length);
            }
        }
    }

    /// Appends a text with its NUL and points the word at `pointer` to it.
    fn text(&mut self, text: &[u8], pointer: usize) {
        let distance = ((self.out.len() - pointer) as u64 / WORD - 1) << 2;
        self.put(pointer, 1 | distance | 2 << 32 | (text.len() as u64 + 1) << 35);
        self.out.extend(text);
        self.out.push(0);
        self.out.resize(self.out.len().next_multiple_of(WORD as usize), 0);
    }
}
