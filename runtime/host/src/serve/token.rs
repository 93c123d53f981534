//! Secrets that stand for something: API tokens, saved capabilities, choices. The host keeps their
//! hashes only.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use spk_files::{hex, random};

/// Random bytes of a token; 43 characters as text (http-bridge §7.9).
const TOKEN_BYTES: usize = 32;

/// A new secret: 43 characters of the base64url alphabet.
pub(crate) fn new() -> Result<String, capnp::Error> {
    let bytes: [u8; TOKEN_BYTES] = random::bytes()
        .map_err(|error| capnp::Error::failed(format!("cannot get random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Under what a token is kept (http-bridge §7.9).
pub(crate) fn hash(token: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(token))
}

/// The first 16 bytes of a SHA-256, of which tab IDs and host names are made (http-bridge §7.4).
pub(crate) fn half_hash(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&Sha256::digest(text)[..16]);
    half
}

/// The label of a token's own host, after `api-` (http-bridge §7.9).
pub(crate) fn api_host(token: &str) -> String {
    hex::encode(half_hash(&format!("x{token}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_original_s_form() {
        let token = new().unwrap();
        assert_eq!(token.len(), 43);
        assert!(token.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
        assert_ne!(token, new().unwrap());
        // SHA-256 of "abc" (FIPS 180-2, B.1), in base64.
        assert_eq!(hash(b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
