//! Which contents have most in common: so that they come into one block, where what one of them has
//! said need not be said again.
//!
//! Every stretch of a few bytes has a hash, wherever it stands. Those whose hash begins with zeros
//! are the contents' *features*: a sample that does not move when something is inserted before. Units
//! (files, or directories of files) that share many features have much in common.
//!
//! Groups are filled greedily, and no more exactly than is needed: sizes are rounded and features few,
//! so that a small change in one file changes no group, and all blocks but its own stay as they are.

use std::collections::BinaryHeap;

/// Bytes of a stretch: names and words are in everything, what belongs together shares whole lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch {
    /// For machine code and tables.
    Eight,
    /// For text.
    Sixteen,
}

impl Stretch {
    fn bytes(self) -> usize {
        match self {
            Stretch::Eight => 8,
            Stretch::Sixteen => 16,
        }
    }
}

/// That a file, or a unit, has a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Feature {
    /// The hash.
    hash: u32,
    /// Whose it is.
    owner: u32,
}

impl Feature {
    /// Whose it is.
    pub fn owner(self) -> usize {
        self.owner as usize
    }

    /// The same feature of another owner.
    pub fn of(self, owner: usize) -> Feature {
        Feature { owner: owner as u32, ..self }
    }
}

/// Takes contents piece by piece, and lists their features: each once, in order.
#[derive(Debug)]
pub struct Sampler<'a> {
    stretch: Stretch,
    /// Leading zeros that make a hash a feature.
    zeros: u32,
    owner: u32,
    /// The end of what was taken, shorter than a stretch, and room for the next piece.
    window: Vec<u8>,
    features: &'a mut Vec<Feature>,
    /// Where those of this file begin.
    start: usize,
    /// When there are more than this, some of them are there twice.
    compact_at: usize,
}

/// A file's features are made unique when so many have come together.
const COMPACT: usize = 1 << 16;

impl<'a> Sampler<'a> {
    /// One of 2^`zeros` stretches of `owner` goes to `features`.
    pub fn new(
        stretch: Stretch,
        zeros: u32,
        owner: usize,
        features: &'a mut Vec<Feature>,
    ) -> Sampler<'a> {
        let start = features.len();
        let (owner, window) = (owner as u32, Vec::new());
        Sampler { stretch, zeros, owner, window, features, start, compact_at: start + COMPACT }
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.window.extend_from_slice(piece);
        let length = self.stretch.bytes();
        let limit = u64::MAX >> self.zeros;
        let mut last = None;
        for stretch in self.window.windows(length) {
            let hash = hash(stretch);
            // A run of one byte is the same stretch again and again.
            if hash <= limit && last != Some(hash) {
                self.features.push(Feature { hash: (hash >> 24) as u32, owner: self.owner });
                last = Some(hash);
            }
        }
        let done = (self.window.len() + 1).saturating_sub(length);
        self.window.drain(..done);
        if self.features.len() > self.compact_at {
            self.compact();
            let own = self.features.len() - self.start;
            self.compact_at = self.start + COMPACT.max(2 * own);
        }
    }

    fn compact(&mut self) {
        self.features[self.start..].sort_unstable();
        let mut kept = self.start;
        for at in self.start..self.features.len() {
            if kept == self.start || self.features[at] != self.features[kept - 1] {
                self.features[kept] = self.features[at];
                kept += 1;
            }
        }
        self.features.truncate(kept);
    }
}

impl Drop for Sampler<'_> {
    fn drop(&mut self) {
        self.compact();
    }
}

/// A hash whose upper bits depend on all of a stretch's 8 or 16 bytes.
#[inline]
fn hash(stretch: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for word in stretch.chunks_exact(8) {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        hash = (hash ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash ^= hash >> 29;
    }
    hash.wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Features that more units than this have tell nothing about any of them.
const COMMON: usize = 50;

/// Distributes units, of so many bytes each, to groups of at most `limit` bytes (one unit alone may be
/// larger): those that have most in common with what is in a group already, for their size, come
/// next. Units that have nothing in common stay in order. A feature's owner is the index of a unit;
/// the same feature may be there several times.
pub fn group(sizes: &[u64], features: Vec<Feature>, limit: u64) -> Vec<Vec<usize>> {
    let index = Index::new(sizes.len(), features);
    let sizes: Vec<u64> = sizes.iter().copied().map(round).collect();
    let mut state = State {
        room: limit,
        placed: vec![false; sizes.len()],
        seen: vec![false; index.features()],
        gains: vec![0; sizes.len()],
        best: BinaryHeap::new(),
    };
    let mut groups = Vec::new();
    let mut first = 0;
    while let Some(seed) = (first..sizes.len()).find(|&unit| !state.placed[unit]) {
        first = seed;
        state.start(limit);
        let mut group = Vec::new();
        let mut next = Some(seed);
        // What did not fit once does not fit later, when there is less room.
        let mut in_order = seed;
        while let Some(unit) = next {
            group.push(unit);
            state.place(unit, &sizes, &index);
            next = state.closest(&sizes).or_else(|| {
                in_order = (in_order..sizes.len()).find(|&unit| state.fits(unit, &sizes))?;
                Some(in_order)
            });
        }
        groups.push(group);
    }
    groups
}

/// Rounds up to a number of four significant bits.
fn round(size: u64) -> u64 {
    let shift = (u64::BITS - size.leading_zeros()).saturating_sub(4);
    size.div_ceil(1 << shift) << shift
}

/// Which unit has which feature, numbered; only features that tell something.
struct Index {
    /// The units of feature `n` are `units[starts[n]..starts[n + 1]]`.
    starts: Vec<usize>,
    units: Vec<u32>,
    /// The features of each unit.
    of_unit: Vec<Vec<u32>>,
}

impl Index {
    fn new(units: usize, mut features: Vec<Feature>) -> Index {
        features.sort_unstable();
        features.dedup();
        let mut index =
            Index { starts: vec![0], units: Vec::new(), of_unit: vec![Vec::new(); units] };
        for same in features.chunk_by(|a, b| a.hash == b.hash) {
            if (2..=COMMON).contains(&same.len()) {
                let number = index.features() as u32;
                for feature in same {
                    index.units.push(feature.owner);
                    index.of_unit[feature.owner as usize].push(number);
                }
                index.starts.push(index.units.len());
            }
        }
        index
    }

    fn features(&self) -> usize {
        self.starts.len() - 1
    }

    fn units(&self, feature: u32) -> &[u32] {
        &self.units[self.starts[feature as usize]..self.starts[feature as usize + 1]]
    }
}

/// The group that is being filled, and what is left for it.
struct State {
    room: u64,
    placed: Vec<bool>,
    /// Features in the group.
    seen: Vec<bool>,
    /// How many of each unit's features are in the group.
    gains: Vec<u64>,
    /// Candidates; those whose gain has grown since are in there again.
    best: BinaryHeap<Candidate>,
}

/// In the order of preference: the first of several equal ones is the greatest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    /// Bits of a number that is not negative: they have its order.
    score: u64,
    unit: std::cmp::Reverse<usize>,
    gain: u64,
}

impl State {
    fn start(&mut self, limit: u64) {
        self.room = limit;
        self.seen.fill(false);
        self.gains.fill(0);
        self.best.clear();
    }

    fn fits(&self, unit: usize, sizes: &[u64]) -> bool {
        !self.placed[unit] && sizes[unit] <= self.room
    }

    fn place(&mut self, unit: usize, sizes: &[u64], index: &Index) {
        self.placed[unit] = true;
        self.room = self.room.saturating_sub(sizes[unit]);
        let mut touched = Vec::new();
        for &feature in &index.of_unit[unit] {
            if !std::mem::replace(&mut self.seen[feature as usize], true) {
                for &other in index.units(feature) {
                    self.gains[other as usize] += 1;
                    touched.push(other as usize);
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for unit in touched.into_iter().filter(|&unit| !self.placed[unit]) {
            let gain = self.gains[unit];
            let score = score(gain, sizes[unit]);
            self.best.push(Candidate { score, unit: std::cmp::Reverse(unit), gain });
        }
    }

    /// The unit that has most in common with the group, if one has anything.
    fn closest(&mut self, sizes: &[u64]) -> Option<usize> {
        while let Some(Candidate { unit: std::cmp::Reverse(unit), gain, .. }) = self.best.pop() {
            if gain == self.gains[unit] && self.fits(unit, sizes) {
                return Some(unit);
            }
        }
        None
    }
}

/// Between what is shared for each byte, which would prefer small units, and what is shared in all,
/// which would prefer large ones: `gain / size^(2/3)`, as its cube. These operations give the same
/// on every machine (IEEE 754).
fn score(gain: u64, size: u64) -> u64 {
    let (gain, size) = (gain as f64, size.max(256) as f64);
    (gain * gain * gain / (size * size)).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    fn features(contents: &[&[u8]], owner: usize) -> Vec<Feature> {
        let mut features = Vec::new();
        let mut sampler = Sampler::new(Stretch::Sixteen, 6, owner, &mut features);
        contents.iter().for_each(|piece| sampler.take(piece));
        drop(sampler);
        features
    }

    #[test]
    fn features_do_not_depend_on_pieces_or_places() {
        let contents = noise(1, 100_000);
        let whole = features(&[&contents], 1);
        // One of 64, on average.
        assert!((1200..2000).contains(&whole.len()), "{}", whole.len());
        for piece in [1, 7, 16, 4096] {
            let pieces: Vec<&[u8]> = contents.chunks(piece).collect();
            assert_eq!(features(&pieces, 1), whole, "{piece}");
        }
        let moved = features(&[b"something before ", &contents], 1);
        let kept = whole.iter().filter(|feature| moved.binary_search(feature).is_ok()).count();
        assert_eq!(kept, whole.len());
        assert!(features(&[b"short"], 1).is_empty());
        assert!(features(&[&[0; 1 << 20]], 1).len() <= 1);
    }

    #[test]
    fn every_feature_of_a_file_is_listed_once() {
        let mut found = features(&[&b"before "[..]; 10], 1);
        let before = found.clone();
        let contents = noise(1, 10_000);
        let mut sampler = Sampler::new(Stretch::Sixteen, 0, 2, &mut found);
        // More than are made unique at once.
        (0..30).for_each(|_| sampler.take(&contents));
        drop(sampler);
        let (others, own) = found.split_at(before.len());
        assert_eq!(others, before);
        // Those of the contents, and those across its end and beginning.
        assert_eq!(own.len(), 10_000);
        assert!(own.is_sorted() && own.iter().all(|feature| feature.owner == 2));
    }

    /// Features of units; those with the same number share most of what they say.
    fn families(numbers: &[u64]) -> Vec<Feature> {
        numbers
            .iter()
            .enumerate()
            .flat_map(|(own, &family)| {
                features(&[&noise(family, 9000), &noise(1000 + own as u64, 1000)], own)
            })
            .collect()
    }

    #[test]
    fn what_is_similar_comes_together() {
        let units = families(&[1, 2, 3, 1, 2, 3, 3, 2, 1]);
        let expected = [vec![0, 3, 8], vec![1, 4, 7], vec![2, 5, 6]];
        assert_eq!(group(&[1000; 9], units, round(1000) * 3), expected);
        // Nothing in common: in order, each once.
        let units = families(&[1, 2, 3, 4, 5]);
        let expected = [vec![0, 1], vec![2, 3], vec![4]];
        assert_eq!(group(&[1000; 5], units, round(1000) * 2), expected);
        assert_eq!(group(&[], Vec::new(), 10), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn groups_are_not_too_large_and_leave_nothing_out() {
        let units = families(&[1, 1, 2, 2, 3, 3, 1, 2]);
        let sizes: Vec<u64> = (0..8).map(|number| 100 << number).collect();
        let groups = group(&sizes, units, 5000);
        let mut all: Vec<usize> = groups.iter().flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4, 5, 6, 7]);
        for group in groups {
            let size: u64 = group.iter().map(|&unit| sizes[unit]).sum();
            assert!(size <= 5000 || group.len() == 1, "{group:?}");
        }
    }

    #[test]
    fn sizes_are_rounded_up_and_by_little() {
        assert_eq!([0, 1, 15, 16, 17, 31, 33].map(round), [0, 1, 15, 16, 18, 32, 36]);
        assert_eq!(round(24 << 20), 24 << 20);
        assert_eq!(round(u64::MAX >> 1), 1 << 63);
    }
}
