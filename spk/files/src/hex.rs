//! Bytes as hexadecimal digits.

/// Two lower-case digits for each byte.
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.as_ref().iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The bytes that `digits` stand for, in either case; `None` for anything but pairs of digits.
pub fn decode(digits: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_ref().as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| byte(high, low)).collect()
}

/// Exactly `N` bytes.
pub fn decode_array<const N: usize>(digits: impl AsRef<[u8]>) -> Option<[u8; N]> {
    decode(digits)?.try_into().ok()
}

/// The byte that two digits stand for.
pub fn byte(high: u8, low: u8) -> Option<u8> {
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    Some(value(high)? << 4 | value(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let digits = encode(&bytes);
            prop_assert_eq!(decode(&digits), Some(bytes.clone()));
            prop_assert_eq!(decode(digits.to_uppercase()), Some(bytes));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,8}") {
            let good = text.len() % 2 == 0 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(decode(&text).is_some(), good);
        }
    }

    #[test]
    fn digits_are_in_lower_case_and_lengths_are_checked() {
        assert_eq!(encode([0x00, 0x9a, 0xff]), "009aff");
        assert_eq!(decode(""), Some(Vec::new()));
        assert_eq!(decode_array::<2>("01Ff"), Some([1, 0xff]));
        for bad in ["01f", "01ff00", "01fg", "+1-1", " 1 1", "\u{661}1"] {
            assert_eq!(decode_array::<2>(bad), None, "{bad}");
        }
    }
}
