//! A bounded reader of Cap'n Proto messages (format, "framing of messages").
//!
//! Made for untrusted archives of up to 1 GiB: it reads through positioned reads and a small
//! cache, so that its memory does not depend on the message; follows only pointers whose target
//! lies within its segment; and charges every object against a budget, so that a message cannot
//! be larger when read than it is on disk.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a message is read from.
pub(crate) trait Source {
    /// Fills `buffer` from `offset` on, or fails.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .map(|bytes| buffer.copy_from_slice(bytes))
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading failed.
    #[error("cannot read the message")]
    Read(#[from] io::Error),
    /// The segments are longer than the message.
    #[error("the message is cut off: its {0} bytes do not hold what its segment table announces")]
    Truncated(u64),
    /// More segments than allowed.
    #[error("the message has {count} segments, more than the limit of {limit}")]
    Segments {
        /// In the message.
        count: u64,
        /// Allowed.
        limit: u32,
    },
    /// A pointer leads out of its segment, or to one that does not exist.
    #[error("a pointer of the message leads out of bounds")]
    Bounds,
    /// A pointer is of another kind than its place calls for.
    #[error("the message has something else where {0} should be")]
    Kind(&'static str),
    /// A text lacks its final NUL.
    #[error("a text of the message does not end in NUL")]
    Unterminated,
    /// More bytes than allowed.
    #[error("a text of the message is too long ({0} bytes)")]
    TooLong(u64),
    /// Objects overlap so much that together they are larger than the message.
    #[error("the message points at the same data again and again")]
    Traversal,
}

type Result<T> = std::result::Result<T, Error>;

const WORD: u64 = 8;
const CHUNK: usize = 16 << 10;
/// Cached chunks: half a MiB, enough for the few places a walk reads alternately.
const CHUNKS: usize = 32;

struct Cache {
    chunks: Vec<Option<(u64, Box<[u8]>)>>,
}

#[derive(Clone, Copy)]
struct Segment {
    /// Where it starts, in bytes from the start of the source.
    start: u64,
    words: u64,
}

/// A message with its segment table read.
pub(crate) struct Message<S> {
    source: S,
    length: u64,
    segments: Vec<Segment>,
    budget: Cell<u64>,
    cache: RefCell<Cache>,
}

/// A place of a pointer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    segment: u32,
    word: u64,
}

/// A struct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Struct {
    segment: u32,
    word: u64,
    data: u16,
    pointers: u16,
}

/// A list of structs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StructList {
    segment: u32,
    word: u64,
    /// Number of elements.
    pub(crate) count: u64,
    data: u16,
    pointers: u16,
}

/// A list of bytes, as a range of the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes {
    /// Offset in the source.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) length: u64,
}

/// A pointer followed.
enum Target {
    Null,
    Struct { segment: u32, word: u64, tag: u64 },
    List { segment: u32, word: u64, tag: u64 },
}

impl<S: Source> Message<S> {
    /// Reads the segment table of the message in the first `length` bytes of `source`. What follows
    /// the last segment is ignored, as in the original's flat reader. `words` bounds the objects
    /// that may be read, in words.
    pub(crate) fn open(source: S, length: u64, max_segments: u32, words: u64) -> Result<Self> {
        let mut head = [0u8; 4];
        if length < WORD {
            return Err(Error::Truncated(length));
        }
        source.read_at(&mut head, 0)?;
        let count = u64::from(u32::from_le_bytes(head)) + 1;
        if count > u64::from(max_segments) {
            return Err(Error::Segments { count, limit: max_segments });
        }
        let mut start = table_bytes(count);
        if start > length {
            return Err(Error::Truncated(length));
        }
        let mut table = vec![0u8; count as usize * 4];
        source.read_at(&mut table, 4)?;
        let mut segments = Vec::with_capacity(count as usize);
        for size in table.chunks_exact(4) {
            let words = u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]]));
            segments.push(Segment { start, words });
            start += words * WORD;
        }
        if start > length {
            return Err(Error::Truncated(length));
        }
        let cache = RefCell::new(Cache { chunks: vec![None; CHUNKS] });
        Ok(Message { source, length, segments, budget: Cell::new(words), cache })
    }

    /// The source, for reading what [`Bytes`] name.
    pub(crate) fn source(&self) -> &S {
        &self.source
    }

    /// Gives back the source.
    pub(crate) fn into_source(self) -> S {
        self.source
    }

    /// Allows a further `words` to be read.
    pub(crate) fn reset_budget(&self, words: u64) {
        self.budget.set(words);
    }

    /// The root struct; `None` if it is null.
    pub(crate) fn root(&self) -> Result<Option<Struct>> {
        self.structure(Slot { segment: 0, word: 0 }, "the root struct")
    }

    /// The struct that `slot` points at.
    pub(crate) fn structure(&self, slot: Slot, what: &'static str) -> Result<Option<Struct>> {
        match self.follow(slot)? {
            Target::Null => Ok(None),
            Target::Struct { segment, word, tag } => {
                let (data, pointers) = (struct_data(tag), struct_pointers(tag));
                self.claim(segment, word, u64::from(data) + u64::from(pointers))?;
                Ok(Some(Struct { segment, word, data, pointers }))
            }
            Target::List { .. } => Err(Error::Kind(what)),
        }
    }

    /// The list of structs that `slot` points at. A list of pointers counts as one of structs with
    /// one pointer each, as the encoding's upgrade rule has it.
    pub(crate) fn list(&self, slot: Slot, what: &'static str) -> Result<Option<StructList>> {
        let (segment, word, tag) = match self.follow(slot)? {
            Target::Null => return Ok(None),
            Target::Struct { .. } => return Err(Error::Kind(what)),
            Target::List { segment, word, tag } => (segment, word, tag),
        };
        let count = tag >> 35;
        match tag >> 32 & 7 {
            7 => {
                self.claim(segment, word, count + 1)?;
                let element = self.word(segment, word)?;
                if element & 3 != 0 {
                    return Err(Error::Kind(what));
                }
                let (data, pointers) = (struct_data(element), struct_pointers(element));
                let step = u64::from(data) + u64::from(pointers);
                let elements = (element as u32 >> 2).into();
                if step * elements > count {
                    return Err(Error::Bounds);
                }
                if step == 0 {
                    self.charge(elements)?;
                }
                Ok(Some(StructList { segment, word: word + 1, count: elements, data, pointers }))
            }
            6 => {
                self.claim(segment, word, count)?;
                Ok(Some(StructList { segment, word, count, data: 0, pointers: 1 }))
            }
            _ => Err(Error::Kind(what)),
        }
    }

    /// The bytes that `slot` points at.
    pub(crate) fn bytes(&self, slot: Slot, what: &'static str) -> Result<Option<Bytes>> {
        match self.follow(slot)? {
            Target::Null => Ok(None),
            Target::List { segment, word, tag } if tag >> 32 & 7 == 2 => {
                let length = tag >> 35;
                self.claim(segment, word, length.div_ceil(WORD))?;
                let start = self.segment(segment)?.start;
                Ok(Some(Bytes { offset: start + word * WORD, length }))
            }
            _ => Err(Error::Kind(what)),
        }
    }

    /// The text that `slot` points at, without its NUL; null is empty. Not longer than `limit`.
    pub(crate) fn text(&self, slot: Slot, limit: usize, what: &'static str) -> Result<Vec<u8>> {
        let Some(bytes) = self.bytes(slot, what)? else { return Ok(Vec::new()) };
        if bytes.length > limit as u64 + 1 {
            return Err(Error::TooLong(bytes.length - 1));
        }
        let mut text = vec![0; bytes.length as usize];
        self.read(bytes.offset, &mut text)?;
        match text.pop() {
            Some(0) => Ok(text),
            _ => Err(Error::Unterminated),
        }
    }

    /// A word of a struct's data section; zero if the section is shorter.
    pub(crate) fn data_word(&self, of: &Struct, index: u16) -> Result<u64> {
        if index < of.data { self.word(of.segment, of.word + u64::from(index)) } else { Ok(0) }
    }

    fn follow(&self, slot: Slot) -> Result<Target> {
        let pointer = self.word(slot.segment, slot.word)?;
        if pointer == 0 {
            return Ok(Target::Null);
        }
        if pointer & 3 != 2 {
            return near(slot, pointer);
        }
        let pad = Slot { segment: (pointer >> 32) as u32, word: pointer as u32 as u64 >> 3 };
        let first = self.word(pad.segment, pad.word)?;
        if pointer & 4 == 0 {
            return if first == 0 { Ok(Target::Null) } else { near(pad, first) };
        }
        // A double-far pointer: the pad says where the object starts, and then what it is.
        let tag = self.word(pad.segment, pad.word + 1)?;
        if first & 7 != 2 {
            return Err(Error::Kind("a far pointer"));
        }
        object((first >> 32) as u32, first as u32 as u64 >> 3, tag)
    }

    /// Checks that the object lies within its segment and charges it.
    fn claim(&self, segment: u32, word: u64, words: u64) -> Result<()> {
        if word.checked_add(words).is_none_or(|end| {
            self.segments.get(segment as usize).is_none_or(|segment| end > segment.words)
        }) {
            return Err(Error::Bounds);
        }
        self.charge(words)
    }

    fn charge(&self, words: u64) -> Result<()> {
        self.budget.set(self.budget.get().checked_sub(words).ok_or(Error::Traversal)?);
        Ok(())
    }

    fn segment(&self, number: u32) -> Result<Segment> {
        self.segments.get(number as usize).copied().ok_or(Error::Bounds)
    }

    fn word(&self, segment: u32, word: u64) -> Result<u64> {
        let segment = self.segment(segment)?;
        if word >= segment.words {
            return Err(Error::Bounds);
        }
        let mut bytes = [0; 8];
        self.read(segment.start + word * WORD, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads small things through the cache.
    fn read(&self, mut offset: u64, mut buffer: &mut [u8]) -> Result<()> {
        let mut cache = self.cache.borrow_mut();
        while !buffer.is_empty() {
            let number = offset / CHUNK as u64;
            let within = (offset % CHUNK as u64) as usize;
            let place = &mut cache.chunks[number as usize % CHUNKS];
            if place.as_ref().is_none_or(|(cached, _)| *cached != number) {
                let start = number * CHUNK as u64;
                let length = self.length.saturating_sub(start).min(CHUNK as u64) as usize;
                let mut chunk = vec![0; length].into_boxed_slice();
                self.source.read_at(&mut chunk, start)?;
                *place = Some((number, chunk));
            }
            let chunk = place.as_ref().map_or(&[][..], |(_, chunk)| chunk);
            let available =
                chunk.get(within..).filter(|rest| !rest.is_empty()).ok_or(Error::Bounds)?;
            let taken = available.len().min(buffer.len());
            let (filled, rest) = buffer.split_at_mut(taken);
            filled.copy_from_slice(&available[..taken]);
            buffer = rest;
            offset += taken as u64;
        }
        Ok(())
    }
}

impl Struct {
    /// The place of a pointer; `None` if the pointer section is shorter.
    pub(crate) fn slot(&self, index: u16) -> Option<Slot> {
        (index < self.pointers).then(|| Slot {
            segment: self.segment,
            word: self.word + u64::from(self.data) + u64::from(index),
        })
    }
}

impl StructList {
    /// Element `index`, which must be less than [`StructList::count`].
    pub(crate) fn element(&self, index: u64) -> Struct {
        let step = u64::from(self.data) + u64::from(self.pointers);
        Struct {
            segment: self.segment,
            word: self.word + index * step,
            data: self.data,
            pointers: self.pointers,
        }
    }
}

/// Bytes of a segment table for `count` segments.
pub(crate) fn table_bytes(count: u64) -> u64 {
    (4 + count * 4).next_multiple_of(WORD)
}

fn struct_data(tag: u64) -> u16 {
    (tag >> 32) as u16
}

fn struct_pointers(tag: u64) -> u16 {
    (tag >> 48) as u16
}

/// A struct or list pointer at `slot`, whose offset counts from the word after it.
fn near(slot: Slot, pointer: u64) -> Result<Target> {
    let offset = i64::from(pointer as u32 as i32 >> 2);
    let word = slot.word.checked_add(1).and_then(|word| word.checked_add_signed(offset));
    object(slot.segment, word.ok_or(Error::Bounds)?, pointer)
}

fn object(segment: u32, word: u64, tag: u64) -> Result<Target> {
    match tag & 3 {
        0 => Ok(Target::Struct { segment, word, tag }),
        1 => Ok(Target::List { segment, word, tag }),
        _ => Err(Error::Kind("a struct or a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(words: &[u64]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0];
        bytes.extend((words.len() as u32).to_le_bytes());
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Message<&[u8]>> {
        Message::open(bytes, bytes.len() as u64, 4, bytes.len() as u64 / 8)
    }

    #[test]
    fn tables_that_lie_are_refused() {
        assert!(matches!(open(&[]), Err(Error::Truncated(0))));
        assert!(matches!(open(&[0; 7]), Err(Error::Truncated(7))));
        assert!(matches!(open(&[255; 16]), Err(Error::Segments { .. })));
        assert!(matches!(open(&[0, 0, 0, 0, 1, 0, 0, 0]), Err(Error::Truncated(8))));
        // no words at all: no root pointer
        assert!(matches!(open(&[0; 8]).unwrap().root(), Err(Error::Bounds)));
    }

    #[test]
    fn pointers_out_of_bounds_are_refused() {
        let forward = message(&[0x0000_0001_0000_0004]);
        assert!(matches!(open(&forward).unwrap().root(), Err(Error::Bounds)));
        let backward = message(&[0x0000_0001_ffff_fff0]);
        assert!(matches!(open(&backward).unwrap().root(), Err(Error::Bounds)));
        let far = message(&[0x0000_0009_0000_0002]);
        assert!(matches!(open(&far).unwrap().root(), Err(Error::Bounds)));
        let far_to_far = message(&[0x0000_0000_0000_0002]);
        assert!(matches!(open(&far_to_far).unwrap().root(), Err(Error::Kind(_))));
    }

    #[test]
    fn the_same_object_cannot_be_read_for_ever() {
        let words = [0x0000_0003_0000_0000, 1, 2, 3];
        let bytes = message(&words);
        let message = open(&bytes).unwrap();
        assert!(message.root().unwrap().is_some());
        assert!(matches!(message.root(), Err(Error::Traversal)));
    }

    proptest::proptest! {
        #[test]
        fn no_message_panics(words: Vec<u64>) {
            let bytes = message(&words);
            let message = open(&bytes).unwrap();
            if let Ok(Some(root)) = message.root() {
                for slot in (0..3).filter_map(|index| root.slot(index)) {
                    let _ = message.list(slot, "a list");
                    let _ = message.bytes(slot, "bytes");
                    let _ = message.text(slot, 255, "text");
                }
            }
        }
    }
}
