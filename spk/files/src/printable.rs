//! Text from packages, apps, archives and file names, before it goes to a terminal or a page.
//!
//! One rule: characters that are not seen but act (Unicode's categories Cc, control, and Cf, format,
//! with the separators Zl and Zp) are shown as what they are, `\u{202e}`, and so are bytes that are
//! no UTF-8, `\xff`. Escape sequences, direction marks and line breaks in a title or a file name
//! thereby neither act nor make text look like another. A backslash stays one, so that what is shown
//! already can be shown again.

use std::fmt::Write as _;

use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

/// `text` for one line: line breaks and tabs are shown as `\n` and `\t`.
pub fn line(text: impl AsRef<[u8]>) -> String {
    shown(text.as_ref(), |_| false)
}

/// `text` of one or several lines: line breaks and tabs stay.
pub fn text(text: impl AsRef<[u8]>) -> String {
    shown(text.as_ref(), |c| matches!(c, '\n' | '\t'))
}

/// JSON for a terminal: the same values, what acts in texts written as `\u202e`.
pub fn json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if !acts(c) || matches!(c, '\n' | '\t') {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

/// The first `longest` characters of a text, with a sign where there are more.
pub fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn shown(bytes: &[u8], stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if stays(c) || !acts(c) {
                shown.push(c);
            } else if matches!(c, '\n' | '\t' | '\r') {
                shown.extend(c.escape_default());
            } else {
                shown.extend(c.escape_unicode());
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Whether a terminal or a page would do something other than show `c`.
pub fn acts(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn json_stays_the_same() {
        let raw = "{\n\t\"a\": \"x\u{9b}\u{202e}\u{e0041}é\"}";
        assert_eq!(json(raw), "{\n\t\"a\": \"x\\u009b\\u202e\\udb40\\udc41é\"}");
    }

    #[test]
    fn what_acts_is_shown() {
        for (raw, seen) in [
            ("plain é ☂ 漢字 🙂", "plain é ☂ 漢字 🙂"),
            ("a\x1b[31mb", r"a\u{1b}[31mb"),
            ("a\u{9b}31mb", r"a\u{9b}31mb"),
            ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
            ("a\u{200b}b\u{feff}\u{ad}", r"a\u{200b}b\u{feff}\u{ad}"),
            ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
            ("tag \u{e0041}", r"tag \u{e0041}"),
            ("a\r\nb\tc\0\u{7f}", r"a\r\nb\tc\u{0}\u{7f}"),
            (r"C:\n", r"C:\n"),
        ] {
            assert_eq!(line(raw), seen);
        }
        assert_eq!(line(b"a\xff\xc3b\xe2\x82"), r"a\xff\xc3b\xe2\x82");
    }

    #[test]
    fn a_text_keeps_its_lines() {
        assert_eq!(text("a\n\tb\r\n\u{85}c\x1b"), "a\n\tb\\r\n\\u{85}c\\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left_and_once_is_enough(
            raw in proptest::collection::vec(any::<char>(), 0..20),
            bytes in proptest::collection::vec(any::<u8>(), 0..8),
        ) {
            let raw = [raw.into_iter().collect::<String>().into_bytes(), bytes].concat();
            let seen = line(&raw);
            prop_assert!(!seen.chars().any(acts), "{seen:?}");
            prop_assert_eq!(line(&seen), seen.clone());
            prop_assert_eq!(text(&seen), seen);
            prop_assert!(!text(&raw).chars().any(|c| acts(c) && !"\n\t".contains(c)));
        }
    }

    /// The categories by their ranges in UnicodeData.txt, so that a table that lost one is noticed.
    #[test]
    fn the_table_knows_all_format_characters() {
        let format = [
            0xad..=0xad,
            0x600..=0x605,
            0x61c..=0x61c,
            0x6dd..=0x6dd,
            0x70f..=0x70f,
            0x890..=0x891,
            0x8e2..=0x8e2,
            0x180e..=0x180e,
            0x200b..=0x200f,
            0x2028..=0x202e,
            0x2060..=0x2064,
            0x2066..=0x206f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0x110bd..=0x110bd,
            0x110cd..=0x110cd,
            0x13430..=0x1343f,
            0x1bca0..=0x1bca3,
            0x1d173..=0x1d17a,
            0xe0001..=0xe0001,
            0xe0020..=0xe007f,
        ];
        let acting = |value: u32| {
            value < 0x20
                || (0x7f..0xa0).contains(&value)
                || format.iter().any(|r| r.contains(&value))
        };
        for c in '\0'..=char::MAX {
            assert_eq!(acts(c), acting(c as u32), "{:x}", c as u32);
        }
    }
}
