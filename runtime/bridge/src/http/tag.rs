//! Entity tags, in both directions (http-bridge §4.8, §5.5).

use super::{is_clean, trim};

/// An entity tag from a response: its text without the quotes, and whether it is weak.
///
/// RFC 9110 8.8.3 knows no escapes inside a tag, so that the text travels as it is; a tag without
/// quotes, or with a quote inside that no backslash hides, is none.
pub fn parse(value: &[u8]) -> Option<(&[u8], bool)> {
    let value = trim(value);
    let (value, weak) = match value.strip_prefix(b"W/") {
        Some(rest) => (rest, true),
        None => (value, false),
    };
    let text = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut escaped = false;
    for &byte in text {
        if byte == b'"' && !escaped {
            return None;
        }
        escaped = byte == b'\\' && !escaped;
    }
    (!escaped).then_some((text, weak))
}

/// Writes a tag of a request. Hosts that took the escapes out get them back.
///
/// Returns false if the text cannot be sent in a head.
#[must_use]
pub fn write(out: &mut Vec<u8>, text: &[u8], weak: bool) -> bool {
    if !is_clean(text) {
        return false;
    }
    out.extend_from_slice(if weak { b"W/\"" } else { b"\"" });
    let mut escaped = false;
    for &byte in text {
        if byte == b'"' && !escaped {
            out.push(b'\\');
        }
        out.push(byte);
        escaped = byte == b'\\' && !escaped;
    }
    out.push(b'"');
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        let cases: &[(&str, Option<(&str, bool)>)] = &[
            ("\"x\"", Some(("x", false))),
            (" W/\"x\" ", Some(("x", true))),
            ("\"\"", Some(("", false))),
            ("\"a\\\"b\"", Some(("a\\\"b", false))),
            ("\"a\\\\\"", Some(("a\\\\", false))),
            ("bare", None),
            ("\"", None),
            ("W/", None),
            ("\"a\"b\"", None),
            ("\"a\\\"", None),
            ("w/\"x\"", None),
            ("\"a\", \"b\"", None),
            ("", None),
        ];
        for (input, expected) in cases {
            let expected = expected.map(|(text, weak)| (text.as_bytes(), weak));
            assert_eq!(parse(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn writes_escapes_once() {
        for (text, expected) in [("a", "\"a\""), ("b\"c", "\"b\\\"c\""), ("b\\\"c", "\"b\\\"c\"")] {
            let mut out = Vec::new();
            assert!(write(&mut out, text.as_bytes(), false));
            assert_eq!(out, expected.as_bytes());
        }
        assert!(!write(&mut Vec::new(), b"a\nb", false));
    }
}
