//! Random bytes and names from the kernel.

use std::io;

/// Letters of either case and digits.
pub const ALPHANUMERIC: &[u8; 62] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What host names distinguish: lower-case letters and digits.
pub const HOST_NAME: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// `N` random bytes.
///
/// # Errors
/// When the kernel gives none.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| io::Error::other(format!("the kernel gives no random bytes: {error}")))?;
    Ok(bytes)
}

/// `length` letters and digits.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn name(length: usize) -> io::Result<String> {
    characters(ALPHANUMERIC, length)
}

/// `length` characters of an ASCII alphabet, each as likely as the others.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn characters<const N: usize>(alphabet: &[u8; N], length: usize) -> io::Result<String> {
    const { assert!(N > 0 && N <= 256) };
    // Bytes above the last multiple would make some characters likelier.
    let usable = 256 / N * N;
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let drawn = bytes::<32>()?.map(usize::from);
        let fair = drawn.into_iter().filter(|&byte| byte < usable);
        text.extend(fair.take(length - text.len()).map(|byte| char::from(alphabet[byte % N])));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_length_and_every_character_of_the_alphabet() {
        for length in [0, 1, 22, 100] {
            let name = name(length).unwrap();
            assert_eq!(name.len(), length);
            assert!(name.bytes().all(|byte| ALPHANUMERIC.contains(&byte)), "{name}");
        }
        // Missing a character by chance: once in 10^40.
        let long = characters(HOST_NAME, 4000).unwrap();
        assert!(HOST_NAME.iter().all(|&byte| long.contains(char::from(byte))));
        assert_ne!(name(22).unwrap(), name(22).unwrap());
    }

    #[test]
    fn no_character_is_likelier_than_another() {
        // With a plain remainder the first eight of 62 would be drawn a quarter more often: 2,580
        // against 2,064. The bounds are eight standard deviations away from a fair 2,064.5.
        let text = name(128_000).unwrap();
        for character in ALPHANUMERIC {
            let count = text.bytes().filter(|byte| byte == character).count();
            assert!((1_700..2_430).contains(&count), "{}: {count}", char::from(*character));
        }
    }

    #[test]
    fn bytes_differ() {
        assert_ne!(bytes::<16>().unwrap(), bytes::<16>().unwrap());
    }
}
