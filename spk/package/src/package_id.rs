//! Package IDs: the first 128 bits of SHA-256 over the whole file (format, "identifiers").

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use spk_files::hex;

/// Identity of one package file. Displays as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId(pub [u8; 16]);

/// The text is not 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a package ID (32 hex digits)")]
pub struct ParseError(String);

impl PackageId {
    /// The ID that a finished hash over the whole file gives.
    pub fn from_hash(hash: Sha256) -> PackageId {
        let digest = hash.finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        PackageId(id)
    }

    /// The ID of a package that is all in memory.
    pub fn of(package: &[u8]) -> PackageId {
        PackageId::from_hash(Sha256::new_with_prefix(package))
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageId({self})")
    }
}

impl FromStr for PackageId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<PackageId, ParseError> {
        let id = hex::decode_array(text);
        id.map(PackageId).ok_or_else(|| ParseError(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways() {
        let text = "e0ccbc4dd6421f17232794da9fcf893b";
        let id: PackageId = text.parse().unwrap();
        assert_eq!(id.0[0], 0xe0);
        assert_eq!(id.to_string(), text);
        assert_eq!(text.to_uppercase().parse::<PackageId>().unwrap(), id);
        for bad in
            [&text[1..], "g0ccbc4dd6421f17232794da9fcf893b", "", "+0ccbc4dd6421f17232794da9fcf893b"]
        {
            assert!(bad.parse::<PackageId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn is_truncated_sha256() {
        assert_eq!(PackageId::of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb924");
    }
}
