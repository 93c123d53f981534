//! What of an image is not kept.

use std::collections::BTreeMap;

/// A kind of thing that packages do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unkept {
    /// Set-user-ID and set-group-ID bits: the sandbox grants nothing by them.
    SetId,
    /// File capabilities, for the same reason.
    Capabilities,
    /// Devices and FIFOs, which packages cannot have.
    Special,
    /// Other extended attributes.
    Attributes,
}

/// Paths for each kind: how many, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(BTreeMap<Unkept, (u64, Vec<Vec<u8>>)>);

impl Notes {
    /// Paths that are kept of each kind.
    const SHOWN: usize = 100;

    /// One more.
    pub(crate) fn add(&mut self, what: Unkept, path: &[u8]) {
        let (count, paths) = self.0.entry(what).or_default();
        *count += 1;
        if paths.len() < Self::SHOWN {
            paths.push(path.to_vec());
        }
    }

    /// Each kind that there is: how many, and the paths of the first hundred of them.
    pub fn iter(&self) -> impl Iterator<Item = (Unkept, u64, &[Vec<u8>])> {
        self.0.iter().map(|(what, (count, paths))| (*what, *count, paths.as_slice()))
    }
}
