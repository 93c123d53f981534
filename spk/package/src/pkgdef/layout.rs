//! Where the fields of a struct lie: the allocation rules of the Cap'n Proto compiler.
//!
//! Fields are placed in the order of their ordinals, each in the smallest hole that fits; members
//! of a union share space. The result is part of the format: two programs agree on a struct only
//! if they place its fields alike. Sizes are given as the binary logarithm of a number of bits
//! (0: a bit … 6: a word), offsets in multiples of that size.

/// Logarithm of a word's 64 bits.
const WORD: u32 = 6;

/// At most one hole of each size below a word: `holes[n]` is the offset of the hole of 2ⁿ bits.
/// Zero means none, because offset 0 is always used first.
#[derive(Clone, Copy, Default)]
struct Holes([u32; WORD as usize]);

impl Holes {
    fn allocate(&mut self, size: u32) -> Option<u32> {
        let hole = self.0.get_mut(size as usize)?;
        if *hole != 0 {
            return Some(std::mem::take(hole));
        }
        // Halve a larger one.
        let offset = self.allocate(size + 1)? * 2;
        self.0[size as usize] = offset + 1;
        Some(offset)
    }

    /// What is left after something of `size` ended at `offset`, up to a multiple of `limit`.
    fn add_at_end(&mut self, size: u32, offset: u32, limit: u32) {
        let mut offset = offset;
        for size in size..limit.min(WORD) {
            self.0[size as usize] = offset;
            offset = offset.div_ceil(2);
        }
    }

    /// Grows what is at `offset` by taking the hole behind it, `steps` times doubling its size.
    fn expand(&mut self, size: u32, offset: u32, steps: u32) -> bool {
        if steps == 0 {
            return true;
        }
        if self.0.get(size as usize) != Some(&(offset + 1)) {
            return false;
        }
        let expanded = self.expand(size + 1, offset >> 1, steps - 1);
        if expanded {
            self.0[size as usize] = 0;
        }
        expanded
    }

    fn smallest_at_least(&self, size: u32) -> Option<u32> {
        (size..WORD).find(|&size| self.0[size as usize] != 0)
    }
}

/// A piece of the enclosing scope's data that a union shares among its members.
#[derive(Clone, Copy)]
struct Location {
    size: u32,
    offset: u32,
}

/// How much of a location one member of the union uses.
#[derive(Clone, Copy, Default)]
struct Usage {
    used: Option<u32>,
    holes: Holes,
}

/// Names a struct or a member of a union in a [`Layout`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScopeId(usize);

/// Names a union in a [`Layout`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnionId(usize);

/// A member of a union: its fields share the union's space with those of the other members.
struct Member {
    union: UnionId,
    usage: Vec<Usage>,
    pointers: usize,
    has_fields: bool,
}

struct Union {
    parent: ScopeId,
    members: u32,
    discriminant: Option<u32>,
    data: Vec<Location>,
    pointers: Vec<u32>,
}

/// The layout of one struct while its fields are added.
#[derive(Default)]
pub struct Layout {
    data_words: u32,
    pointers: u32,
    holes: Holes,
    /// Scope 0 is the struct; member n is scope n + 1.
    members: Vec<Member>,
    unions: Vec<Union>,
}

impl UnionId {
    /// A number of its own among the unions of the struct.
    pub fn index(self) -> usize {
        self.0
    }
}

impl Layout {
    /// The struct itself.
    pub const TOP: ScopeId = ScopeId(0);

    /// Words of data so far.
    pub fn data_words(&self) -> u32 {
        self.data_words
    }

    /// Pointers so far.
    pub fn pointers(&self) -> u32 {
        self.pointers
    }

    /// A union in `parent`.
    pub fn add_union(&mut self, parent: ScopeId) -> UnionId {
        let (data, pointers) = (Vec::new(), Vec::new());
        self.unions.push(Union { parent, members: 0, discriminant: None, data, pointers });
        UnionId(self.unions.len() - 1)
    }

    /// A member of `union`: a group, or the scope of a single field.
    pub fn add_member(&mut self, union: UnionId) -> ScopeId {
        self.members.push(Member { union, usage: Vec::new(), pointers: 0, has_fields: false });
        ScopeId(self.members.len())
    }

    /// Where the union's tag lies, in multiples of 16 bits. It is placed as soon as the union has
    /// two members, or now.
    pub fn discriminant(&mut self, union: UnionId) -> u32 {
        if let Some(offset) = self.unions[union.0].discriminant {
            return offset;
        }
        let offset = self.add_data(self.unions[union.0].parent, 4);
        self.unions[union.0].discriminant = Some(offset);
        offset
    }

    /// A field without space.
    pub fn add_void(&mut self, scope: ScopeId) {
        if let Some(parent) = self.note_field(scope) {
            self.add_void(parent);
        }
    }

    /// Marks that a member has a field; gives the scope its union is in.
    fn note_field(&mut self, scope: ScopeId) -> Option<ScopeId> {
        let member = self.members.get_mut(scope.0.checked_sub(1)?)?;
        let (union, first) = (member.union, !std::mem::replace(&mut member.has_fields, true));
        if first {
            self.unions[union.0].members += 1;
            if self.unions[union.0].members == 2 {
                self.discriminant(union);
            }
        }
        Some(self.unions[union.0].parent)
    }

    /// Places data of 2^`size` bits; gives its offset in that unit.
    pub fn add_data(&mut self, scope: ScopeId, size: u32) -> u32 {
        let Some(parent) = self.note_field(scope) else {
            return self.holes.allocate(size).unwrap_or_else(|| {
                let offset = self.data_words << (WORD - size);
                self.data_words += 1;
                self.holes.add_at_end(size, offset + 1, WORD);
                offset
            });
        };
        let index = scope.0 - 1;
        let union = self.members[index].union;
        let count = self.unions[union.0].data.len();
        self.members[index].usage.resize(count, Usage::default());

        // The smallest hole that fits, in any location of the union.
        let best = (0..count)
            .filter_map(|at| {
                let hole = self.members[index].usage[at]
                    .smallest_hole(self.unions[union.0].data[at], size)?;
                Some((hole, at))
            })
            .min();
        if let Some((_, at)) = best {
            let location = self.unions[union.0].data[at];
            return self.members[index].usage[at].allocate(location, size);
        }
        // None: try to make a location larger.
        for at in 0..count {
            if let Some(offset) = self.allocate_by_expanding(index, at, size) {
                return offset;
            }
        }
        let offset = self.add_data(parent, size);
        self.unions[union.0].data.push(Location { size, offset });
        self.members[index].usage.push(Usage { used: Some(size), holes: Holes::default() });
        offset
    }

    /// Places a pointer; gives its index.
    pub fn add_pointer(&mut self, scope: ScopeId) -> u32 {
        let Some(parent) = self.note_field(scope) else {
            self.pointers += 1;
            return self.pointers - 1;
        };
        let member = &mut self.members[scope.0 - 1];
        let (union, used) = (member.union, member.pointers);
        member.pointers += 1;
        if let Some(&pointer) = self.unions[union.0].pointers.get(used) {
            return pointer;
        }
        let pointer = self.add_pointer(parent);
        self.unions[union.0].pointers.push(pointer);
        pointer
    }

    fn allocate_by_expanding(&mut self, member: usize, at: usize, size: u32) -> Option<u32> {
        let union = self.members[member].union;
        match self.members[member].usage[at].used {
            None => self.expand_location(union, at, size).then(|| {
                self.members[member].usage[at].used = Some(size);
                let location = self.unions[union.0].data[at];
                location.offset << (location.size - size)
            }),
            Some(used) => {
                let wanted = used.max(size) + 1;
                if !self.expand_usage(member, at, wanted, true) {
                    return None;
                }
                let location = self.unions[union.0].data[at];
                let hole = self.members[member].usage[at].holes.allocate(size)?;
                Some((location.offset << (location.size - size)) + hole)
            }
        }
    }

    fn expand_usage(&mut self, member: usize, at: usize, wanted: u32, new_holes: bool) -> bool {
        let union = self.members[member].union;
        if !self.expand_location(union, at, wanted) {
            return false;
        }
        let usage = &mut self.members[member].usage[at];
        if new_holes {
            usage.holes.add_at_end(usage.used.unwrap_or(0), 1, wanted);
        }
        usage.used = Some(wanted);
        true
    }

    fn expand_location(&mut self, union: UnionId, at: usize, wanted: u32) -> bool {
        let location = self.unions[union.0].data[at];
        if wanted <= location.size {
            return true;
        }
        let steps = wanted - location.size;
        let parent = self.unions[union.0].parent;
        if !self.expand_data(parent, location.size, location.offset, steps) {
            return false;
        }
        self.unions[union.0].data[at] = Location { size: wanted, offset: location.offset >> steps };
        true
    }

    /// Makes the data at `offset` 2^`steps` times as large, if what follows it is free.
    fn expand_data(&mut self, scope: ScopeId, size: u32, offset: u32, steps: u32) -> bool {
        let Some(index) = scope.0.checked_sub(1) else {
            return self.holes.expand(size, offset, steps);
        };
        if size + steps > WORD || offset & ((1 << steps) - 1) != 0 {
            return false;
        }
        let union = self.members[index].union;
        for at in 0..self.members[index].usage.len() {
            let location = self.unions[union.0].data[at];
            if location.size < size || offset >> (location.size - size) != location.offset {
                continue;
            }
            let local = offset - (location.offset << (location.size - size));
            let usage = &mut self.members[index].usage[at];
            return if local == 0 && usage.used == Some(size) {
                self.expand_usage(index, at, size + steps, false)
            } else {
                usage.holes.expand(size, local, steps)
            };
        }
        false
    }
}

impl Usage {
    /// Size of the smallest hole in `location` that takes `size`.
    fn smallest_hole(&self, location: Location, size: u32) -> Option<u32> {
        let Some(used) = self.used else {
            return (size <= location.size).then_some(location.size);
        };
        if size >= used {
            return (size < location.size).then_some(size);
        }
        self.holes.smallest_at_least(size).or((used < location.size).then_some(used))
    }

    fn allocate(&mut self, location: Location, size: u32) -> u32 {
        let local = match self.used {
            None => {
                self.used = Some(size);
                0
            }
            Some(used) if size >= used => {
                self.holes.add_at_end(used, 1, size);
                self.used = Some(size + 1);
                1
            }
            Some(used) => self.holes.allocate(size).unwrap_or_else(|| {
                let local = 1 << (used - size);
                self.holes.add_at_end(size, local + 1, used);
                self.used = Some(used + 1);
                local
            }),
        };
        (location.offset << (location.size - size)) + local
    }
}
