//! App IDs: the Ed25519 public key of an app, and its text form (format, "identifiers").

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789acdefghjkmnpqrstuvwxyz";

/// Characters in the text form: 256 bits at 5 bits each, rounded up.
const TEXT_LENGTH: usize = 52;

/// An app's identity: the public key that signs its packages. Displays as 52 base32 characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppId(pub [u8; 32]);

/// Why a text is not an app ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Wrong number of characters.
    #[error("app ID '{text}' has {length} characters instead of 52")]
    Length {
        /// The text (shortened when it is long).
        text: String,
        /// Its length in bytes.
        length: usize,
    },
    /// A byte that is neither a letter nor a digit.
    #[error("app ID '{text}' has a character that is not a letter or digit at position {position}")]
    Character {
        /// The text.
        text: String,
        /// One-based.
        position: usize,
    },
    /// The four bits that do not fit the 256 are not zero.
    #[error("app ID '{0}' does not end as app IDs do (in 0 or h)")]
    Leftover(String),
}

impl AppId {
    /// Parses a text of bytes; see [`FromStr`].
    pub fn parse(text: &[u8]) -> Result<AppId, ParseError> {
        let shown = || {
            let end = text.len().min(80);
            String::from_utf8_lossy(&text[..end]).into_owned()
        };
        if text.len() != TEXT_LENGTH {
            return Err(ParseError::Length { text: shown(), length: text.len() });
        }
        let mut bytes = [0u8; 32];
        let mut filled = 0;
        let mut buffer = 0u32;
        let mut bits = 0;
        for (index, &character) in text.iter().enumerate() {
            let Some(value) = digit(character) else {
                return Err(ParseError::Character { text: shown(), position: index + 1 });
            };
            buffer = buffer << 5 | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                bytes[filled] = (buffer >> bits) as u8;
                filled += 1;
                buffer &= (1 << bits) - 1;
            }
        }
        if buffer != 0 {
            return Err(ParseError::Leftover(shown()));
        }
        Ok(AppId(bytes))
    }

    /// The raw public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Value of a character, in either case; look-alikes count as the digit they look like.
fn digit(character: u8) -> Option<u8> {
    let lower = match character.to_ascii_lowercase() {
        b'o' => b'0',
        b'i' | b'l' => b'1',
        b'b' => b'8',
        other => other,
    };
    ALPHABET.iter().position(|&a| a == lower).map(|position| position as u8)
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; TEXT_LENGTH];
        for (index, place) in text.iter_mut().enumerate() {
            let bit = index * 5;
            let high = u16::from(self.0[bit / 8]) << 8;
            let low = self.0.get(bit / 8 + 1).copied().map_or(0, u16::from);
            let value = (high | low) >> (11 - bit % 8) & 31;
            *place = ALPHABET[usize::from(value)];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppId({self})")
    }
}

/// Lenient, as the original: either case, and `o`, `i`, `l`, `b` read as 0, 1, 1, 8.
impl FromStr for AppId {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<AppId, ParseError> {
        AppId::parse(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTOR: &str = "0fhhggzmts8cw7chvndffky0m5my9pjhmfkhursxvk3684kp66w0";

    #[test]
    fn vector_both_ways() {
        let id: AppId = VECTOR.parse().unwrap();
        assert_eq!(id.0[..4], [0x03, 0xa1, 0x07, 0xbf]);
        assert_eq!(
            id.0[28..],
            [0x55, 0x31, 0xb8][..].iter().fold(vec![0x12], |mut v, b| {
                v.push(*b);
                v
            })[..]
        );
        assert_eq!(id.to_string(), VECTOR);
    }

    #[test]
    fn look_alikes_and_upper_case_decode() {
        let id: AppId = "OFHHGGZMTSBCW7CHVNDFFKYOM5MY9PJHMFKHURSXVK36B4KP66WO".parse().unwrap();
        assert_eq!(id.to_string(), VECTOR);
    }

    #[test]
    fn wrong_texts_are_refused() {
        assert!(matches!(
            VECTOR[..51].parse::<AppId>(),
            Err(ParseError::Length { length: 51, .. })
        ));
        assert!(matches!(
            format!("{VECTOR}0").parse::<AppId>(),
            Err(ParseError::Length { length: 53, .. })
        ));
        assert!(matches!(
            format!("{}z", &VECTOR[..51]).parse::<AppId>(),
            Err(ParseError::Leftover(_))
        ));
        for bad in ['!', '-', ' '] {
            assert!(matches!(
                VECTOR.replacen('z', &bad.to_string(), 1).parse::<AppId>(),
                Err(ParseError::Character { position: 7, .. })
            ));
        }
        assert!(AppId::parse(&[0xff; 52]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_key_survives_its_text(bytes: [u8; 32]) {
            let text = AppId(bytes).to_string();
            proptest::prop_assert_eq!(text.parse::<AppId>().unwrap().0, bytes);
            proptest::prop_assert!(text.ends_with(['0', 'h']));
        }

        #[test]
        fn no_text_panics(text: Vec<u8>) {
            let _ = AppId::parse(&text);
        }
    }
}
