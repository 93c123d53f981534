//! The `Signature` message at the head of every package: who signed, and what hash
//! (format, "the Signature message").

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::app_id::AppId;
use crate::limits::{MAX_SIGNATURE_BYTES, MAX_SIGNATURE_SEGMENTS};
use crate::wire;

/// SHA-512 of the archive.
pub type ArchiveHash = [u8; 64];

/// Bytes of the message as this tool writes it: one segment of 23 words and its table.
pub const LENGTH: usize = 192;

/// What is wrong with a signature.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a readable message.
    #[error("the signature cannot be read")]
    Message(#[from] wire::Error),
    /// The message is far too large for what it holds.
    #[error(
        "the signature message has {bytes} bytes, more than the limit of {MAX_SIGNATURE_BYTES}"
    )]
    TooLarge {
        /// As its table announces.
        bytes: u64,
    },
    /// The key does not have 32 bytes.
    #[error("the signature's public key has {0} bytes instead of 32")]
    KeyLength(u64),
    /// The signature does not have 128 bytes.
    #[error("the signature has {0} bytes instead of 128")]
    SignatureLength(u64),
    /// The signature is wrong.
    #[error("the signature is not valid")]
    Invalid,
}

/// Makes the message that signs `hash` with `key`.
pub fn sign(key: &SigningKey, hash: &ArchiveHash) -> [u8; LENGTH] {
    let words: [u64; 4] = [
        0x0000_0017_0000_0000, // one segment of 23 words
        0x0002_0000_0000_0000, // root: no data, two pointers
        0x0000_0102_0000_0005, // 32 bytes, after both pointers
        0x0000_0402_0000_0011, // 128 bytes, after the key
    ];
    let mut message = [0; LENGTH];
    for (place, word) in message.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    message[32..64].copy_from_slice(key.verifying_key().as_bytes());
    message[64..128].copy_from_slice(&key.sign(hash).to_bytes());
    message[128..].copy_from_slice(hash);
    message
}

/// Reads the message and checks the signature; gives the signing key and the archive's hash.
pub fn verify(message: &[u8]) -> Result<(AppId, ArchiveHash), Error> {
    let words = message.len() as u64 / 8;
    let length = message.len() as u64;
    let message = wire::Message::open(message, length, MAX_SIGNATURE_SEGMENTS, words)?;
    let root = message.root()?;
    let field = |index, what| -> Result<Vec<u8>, Error> {
        let Some(slot) = root.and_then(|root| root.slot(index)) else { return Ok(Vec::new()) };
        let Some(bytes) = message.bytes(slot, what)? else { return Ok(Vec::new()) };
        let start = bytes.offset as usize;
        Ok(message.source()[start..start + bytes.length as usize].to_vec())
    };
    let key = field(0, "the public key")?;
    let key: [u8; 32] =
        key.try_into().map_err(|key: Vec<u8>| Error::KeyLength(key.len() as u64))?;
    let combined = field(1, "the signature")?;
    let combined: [u8; 128] = combined
        .try_into()
        .map_err(|combined: Vec<u8>| Error::SignatureLength(combined.len() as u64))?;
    let (mut signature, mut hash) = ([0; 64], [0; 64]);
    signature.copy_from_slice(&combined[..64]);
    hash.copy_from_slice(&combined[64..]);
    VerifyingKey::from_bytes(&key)
        .and_then(|key| key.verify_strict(&hash, &signature.into()))
        .map_err(|_| Error::Invalid)?;
    Ok((AppId(key), hash))
}

/// How many bytes the message at the start of `head` has, once `head` is long enough to tell.
pub fn message_length(head: &[u8]) -> Result<Option<usize>, Error> {
    let Some(count) = head.first_chunk::<4>() else { return Ok(None) };
    let count = u64::from(u32::from_le_bytes(*count)) + 1;
    if count > u64::from(MAX_SIGNATURE_SEGMENTS) {
        let limit = MAX_SIGNATURE_SEGMENTS;
        return Err(wire::Error::Segments { count, limit }.into());
    }
    let table = wire::table_bytes(count);
    let Some(sizes) = head.get(4..4 + count as usize * 4) else { return Ok(None) };
    let words: u64 = sizes
        .chunks_exact(4)
        .map(|size| u64::from(u32::from_le_bytes([size[0], size[1], size[2], size[3]])))
        .sum();
    let bytes = table + words * 8;
    if bytes > MAX_SIGNATURE_BYTES {
        return Err(Error::TooLarge { bytes });
    }
    Ok(Some(bytes as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        let mut seed = [0; 32];
        seed.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
        SigningKey::from_bytes(&seed)
    }

    #[test]
    fn signs_as_the_format_describes_and_reads_it_back() {
        let message = sign(&key(), &[7; 64]);
        assert_eq!(message_length(&message).unwrap(), Some(LENGTH));
        assert_eq!(message_length(&message[..7]).unwrap(), None);
        let (id, hash) = verify(&message).unwrap();
        assert_eq!(id.to_string(), "0fhhggzmts8cw7chvndffky0m5my9pjhmfkhursxvk3684kp66w0");
        assert_eq!(hash, [7; 64]);
    }

    #[test]
    fn every_changed_bit_of_key_signature_and_hash_is_noticed() {
        let good = sign(&key(), &[7; 64]);
        for byte in 32..LENGTH {
            let mut bad = good;
            bad[byte] ^= 1;
            assert!(matches!(verify(&bad), Err(Error::Invalid)), "byte {byte}");
        }
    }

    #[test]
    fn lengths_are_checked() {
        let mut short = sign(&key(), &[7; 64]);
        short[20] = 0xfa; // 31 bytes
        short[21] = 0;
        assert!(matches!(verify(&short), Err(Error::KeyLength(31))));
        let mut short = sign(&key(), &[7; 64]);
        short[28] = 0xfa;
        short[29] = 0x03; // 127 bytes
        assert!(matches!(verify(&short), Err(Error::SignatureLength(127))));
        assert!(matches!(message_length(&[255; 8]), Err(Error::Message(_))));
        assert!(matches!(message_length(&[0, 0, 0, 0, 0, 0, 0, 1]), Err(Error::TooLarge { .. })));
        assert!(matches!(
            verify(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Err(Error::KeyLength(0))
        ));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = message_length(&bytes);
            let _ = verify(&bytes);
        }
    }
}
