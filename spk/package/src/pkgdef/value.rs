//! Values as trees of objects, and their encoding as one segment.

use std::rc::Rc;

/// What a pointer points to, with what it costs.
#[derive(Debug)]
pub struct Node {
    pub object: Object,
    /// Words it takes, all it points to included.
    pub words: u64,
    /// Levels of pointers, itself included.
    pub depth: usize,
}

/// A pointer; `None` is null.
pub type Pointer = Option<Rc<Node>>;

#[derive(Debug)]
pub enum Object {
    Struct(Struct),
    Voids(usize),
    Bits(Vec<bool>),
    /// Text (with its NUL), data, and lists of single bytes.
    Bytes(Vec<u8>),
    /// Scalars of two, four or eight bytes.
    Scalars {
        bytes: u32,
        values: Vec<u64>,
    },
    Pointers(Vec<Pointer>),
    Structs {
        data_words: u32,
        pointers: u32,
        elements: Vec<Struct>,
    },
}

/// A struct's two sections.
#[derive(Debug, Clone, Default)]
pub struct Struct {
    pub data: Vec<u64>,
    pub pointers: Vec<Pointer>,
}

impl Struct {
    /// All zero and null.
    pub fn new(data_words: u32, pointers: u32) -> Struct {
        Struct { data: vec![0; data_words as usize], pointers: vec![None; pointers as usize] }
    }

    /// Puts `value` of 2^`size` bits at `offset` in that unit.
    pub fn set(&mut self, size: u32, offset: u32, value: u64) {
        let bit = u64::from(offset) << size;
        let mask = if size == 6 { u64::MAX } else { (1 << (1 << size)) - 1 };
        let shift = bit % 64;
        if let Some(word) = self.data.get_mut((bit / 64) as usize) {
            *word = *word & !(mask << shift) | (value & mask) << shift;
        }
    }

    fn words(&self) -> u64 {
        self.data.len() as u64 + self.pointers.len() as u64
    }
}

impl Node {
    pub fn new(object: Object) -> Node {
        let own = object.own_words();
        let (mut words, mut depth) = (own, 1);
        object.visit(&mut |child: &Pointer| {
            if let Some(child) = child {
                words = words.saturating_add(child.words);
                depth = depth.max(child.depth + 1);
            }
        });
        Node { object, words, depth }
    }
}

impl Object {
    /// Words of the object without what it points to.
    fn own_words(&self) -> u64 {
        let bytes = |count: usize, each: u64| (count as u64 * each).div_ceil(8);
        match self {
            Object::Struct(value) => value.words(),
            Object::Voids(_) => 0,
            Object::Bits(bits) => (bits.len() as u64).div_ceil(64),
            Object::Bytes(all) => bytes(all.len(), 1),
            Object::Scalars { bytes: each, values } => bytes(values.len(), u64::from(*each)),
            Object::Pointers(pointers) => pointers.len() as u64,
            Object::Structs { data_words, pointers, elements } => {
                1 + elements.len() as u64 * u64::from(data_words + pointers)
            }
        }
    }

    fn visit(&self, visitor: &mut impl FnMut(&Pointer)) {
        match self {
            Object::Struct(value) => value.pointers.iter().for_each(visitor),
            Object::Pointers(pointers) => pointers.iter().for_each(visitor),
            Object::Structs { elements, .. } => {
                elements.iter().flat_map(|element| &element.pointers).for_each(visitor);
            }
            _ => {}
        }
    }
}

/// The words of a segment whose root is `node`, in the order in which Cap'n Proto copies a
/// value: each object is followed by what it points to, depth first.
pub fn encode(node: &Node) -> Vec<u64> {
    // The caller has checked `words` against MAX_VALUE_WORDS.
    let mut words = Vec::with_capacity(node.words as usize + 1);
    words.push(0);
    write(&mut words, 0, node);
    words
}

/// Appends `node` and sets the pointer at word `at` to it.
fn write(words: &mut Vec<u64>, at: usize, node: &Node) {
    let start = words.len();
    let offset = (start - at - 1) as u64;
    let list = |code: u64, count: usize| 1 | offset << 2 | code << 32 | (count as u64) << 35;
    words.resize(start + node.object.own_words() as usize, 0);
    match &node.object {
        Object::Struct(value) => {
            let sizes = struct_sizes(value.data.len(), value.pointers.len());
            // An empty struct points at itself: offset -1.
            words[at] = if sizes == 0 { 0xffff_fffc } else { offset << 2 | sizes };
            write_struct(words, start, value);
        }
        Object::Voids(count) => words[at] = list(0, *count),
        Object::Bits(bits) => {
            words[at] = list(1, bits.len());
            for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
                words[start + index / 64] |= 1 << (index % 64);
            }
        }
        Object::Bytes(bytes) => {
            words[at] = list(2, bytes.len());
            for (index, chunk) in bytes.chunks(8).enumerate() {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                words[start + index] = u64::from_le_bytes(word);
            }
        }
        Object::Scalars { bytes, values } => {
            words[at] = list(u64::from(bytes.trailing_zeros()) + 2, values.len());
            let per_word = 8 / *bytes as usize;
            for (index, value) in values.iter().enumerate() {
                let shift = index % per_word * *bytes as usize * 8;
                words[start + index / per_word] |= value << shift;
            }
        }
        Object::Pointers(pointers) => {
            words[at] = list(6, pointers.len());
            write_pointers(words, start, pointers);
        }
        Object::Structs { data_words, pointers, elements } => {
            let each = (data_words + pointers) as usize;
            words[at] = list(7, elements.len() * each);
            words[start] = (elements.len() as u64) << 2
                | struct_sizes(*data_words as usize, *pointers as usize);
            for (index, element) in elements.iter().enumerate() {
                let data = start + 1 + index * each;
                words[data..data + element.data.len()].copy_from_slice(&element.data);
            }
            for (index, element) in elements.iter().enumerate() {
                let first = start + 1 + index * each + element.data.len();
                write_pointers(words, first, &element.pointers);
            }
        }
    }
}

fn write_struct(words: &mut Vec<u64>, start: usize, value: &Struct) {
    words[start..start + value.data.len()].copy_from_slice(&value.data);
    write_pointers(words, start + value.data.len(), &value.pointers);
}

fn write_pointers(words: &mut Vec<u64>, first: usize, pointers: &[Pointer]) {
    for (index, pointer) in pointers.iter().enumerate() {
        if let Some(node) = pointer {
            write(words, first + index, node);
        }
    }
}

/// Upper half of a struct pointer.
fn struct_sizes(data_words: usize, pointers: usize) -> u64 {
    (data_words as u64) << 32 | (pointers as u64) << 48
}
