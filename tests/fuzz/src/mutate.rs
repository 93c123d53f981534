//! Inputs made of others, as a fuzzer does it but without looking at what they reach: the same ones
//! each time.

/// Numbers that look random and are the same again.
pub struct Dice(u64);

impl Dice {
    /// From a seed of any kind.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A number below `sides`, which is not 0.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }
}

/// Numbers at the edges of their types.
const EDGES: [u64; 8] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// `input` with one to four changes, some of them pieces of `other`.
pub fn mutate(dice: &mut Dice, input: &[u8], other: &[u8], longest: usize) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.roll(4) {
        change(dice, &mut bytes, other);
    }
    bytes.truncate(longest);
    bytes
}

fn change(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.roll(bytes.len() + 1);
    let rest = bytes.len() - at;
    match dice.roll(8) {
        0 | 1 if rest > 0 => bytes[at] ^= 1 << dice.roll(8),
        2 if rest > 0 => bytes[at] = dice.roll(256) as u8,
        3 => {
            let number = EDGES[dice.roll(EDGES.len())].to_le_bytes();
            let width = rest.min(1 << dice.roll(4));
            bytes[at..at + width].copy_from_slice(&number[..width]);
        }
        4 => bytes.truncate(at),
        5 => drop(bytes.drain(at..at + dice.roll(rest.min(64) + 1))),
        6 => {
            let piece = bytes[at..at + dice.roll(rest.min(64) + 1)].to_vec();
            let to = dice.roll(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
        _ => {
            let from = dice.roll(other.len() + 1);
            let piece = &other[from..from + dice.roll((other.len() - from).min(64) + 1)];
            let gone = dice.roll(rest.min(piece.len()) + 1);
            bytes.splice(at..at + gone, piece.iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn mutations_are_the_same_each_time() {
        let inputs = || {
            let mut dice = Dice::new(1);
            (0..100).map(|_| mutate(&mut dice, b"hello, world", b"other", 14)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(), inputs());
        let different: BTreeSet<_> = inputs().into_iter().collect();
        assert!(different.len() > 50 && different.iter().all(|input| input.len() <= 14));
    }
}
