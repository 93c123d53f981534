//! Entity tags, in both directions, and the preconditions made of them (http-bridge §4.8, §5.5). RFC
//! 9110, 8.8.3 knows no escapes inside a tag, so that its text travels as it is.

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH};

use crate::values::joined;

/// An entity tag, without its quotes; a backslash stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Text between the quotes.
    pub value: Vec<u8>,
    /// `W/`.
    pub weak: bool,
}

/// `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Neither.
    None,
    /// `If-Match: *`.
    Exists,
    /// `If-None-Match: *`.
    DoesntExist,
    /// `If-Match` with tags.
    Matches(Vec<Tag>),
    /// `If-None-Match` with tags.
    MatchesNone(Vec<Tag>),
}

/// A conditional header that is no list of entity tags. Acting as if it were not there could
/// overwrite what the client meant to protect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

/// The precondition of a request; `If-Match` wins over `If-None-Match` (http-bridge §4.8).
pub fn precondition(headers: &HeaderMap) -> Result<Precondition, BadTag> {
    if let Some(list) = joined(headers, &IF_MATCH) {
        return Ok(match tags(&list)? {
            None => Precondition::Exists,
            Some(tags) => Precondition::Matches(tags),
        });
    }
    if let Some(list) = joined(headers, &IF_NONE_MATCH) {
        return Ok(match tags(&list)? {
            None => Precondition::DoesntExist,
            Some(tags) => Precondition::MatchesNone(tags),
        });
    }
    Ok(Precondition::None)
}

/// `None` for `*`.
fn tags(list: &[u8]) -> Result<Option<Vec<Tag>>, BadTag> {
    let mut rest = list.trim_ascii();
    if rest == b"*" {
        return Ok(None);
    }
    let mut tags = Vec::new();
    loop {
        let (value, weak, behind) = first(rest).ok_or(BadTag)?;
        tags.push(Tag { value: value.to_vec(), weak });
        match behind.trim_ascii_start().split_first() {
            None => return Ok(Some(tags)),
            Some((b',', more)) => rest = more.trim_ascii_start(),
            Some(_) => return Err(BadTag),
        }
    }
}

/// The one entity tag of a response: its text without the quotes, and whether it is weak. A tag
/// without quotes, or with a quote inside that no backslash hides, is none.
pub fn parse(value: &[u8]) -> Option<(&[u8], bool)> {
    let (text, weak, behind) = first(value.trim_ascii())?;
    behind.is_empty().then_some((text, weak))
}

/// Text and weakness of the tag that `input` begins with, and what is behind it.
fn first(input: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (input, weak) = match input.strip_prefix(b"W/") {
        Some(rest) => (rest.trim_ascii_start(), true),
        None => (input, false),
    };
    let text = input.strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        match text.get(end)? {
            b'"' => return Some((&text[..end], weak, &text[end + 1..])),
            // The quote after a backslash does not end the tag.
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// Writes a tag. A side that took the escapes out gets them back, so that what arrives is one tag.
pub fn write(out: &mut Vec<u8>, text: &[u8], weak: bool) {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::tests::headers;

    fn tag(value: &str, weak: bool) -> Tag {
        Tag { value: value.as_bytes().to_vec(), weak }
    }

    #[test]
    fn b38_b39_b40_preconditions() {
        let none = |line| precondition(&headers(&[(IF_NONE_MATCH, line)]));
        assert_eq!(
            none("\"a\" , W/\"b\""),
            Ok(Precondition::MatchesNone(vec![tag("a", false), tag("b", true)]))
        );
        assert_eq!(none("*"), Ok(Precondition::DoesntExist));
        let both = headers(&[(IF_NONE_MATCH, "\"x\""), (IF_MATCH, "*")]);
        assert_eq!(precondition(&both), Ok(Precondition::Exists));
        assert_eq!(precondition(&HeaderMap::new()), Ok(Precondition::None));
        let two = headers(&[(IF_MATCH, "\"a\""), (IF_MATCH, "\"b\"")]);
        assert_eq!(
            precondition(&two),
            Ok(Precondition::Matches(vec![tag("a", false), tag("b", false)]))
        );
        let comma = headers(&[(IF_MATCH, "\"a,b\"")]);
        assert_eq!(precondition(&comma), Ok(Precondition::Matches(vec![tag("a,b", false)])));
    }

    #[test]
    fn b41_b42_bad_tags_are_refused_and_escapes_are_kept() {
        let none = |line| precondition(&headers(&[(IF_NONE_MATCH, line)]));
        for bad in
            ["bare", "\"open", "\"a\",", "\"a\" \"b\"", "", "W/", "\"a\\", "\"a\\\"", "*, \"a\""]
        {
            assert_eq!(none(bad), Err(BadTag), "{bad}");
        }
        assert_eq!(none(r#""b\"c""#), Ok(Precondition::MatchesNone(vec![tag(r#"b\"c"#, false)])));
    }

    #[test]
    fn tags_of_responses() {
        let cases: &[(&str, Option<(&str, bool)>)] = &[
            ("\"x\"", Some(("x", false))),
            (" W/\"x\" ", Some(("x", true))),
            ("\"\"", Some(("", false))),
            ("\"a\\\"b\"", Some(("a\\\"b", false))),
            ("\"a\\\\\"", Some(("a\\\\", false))),
            ("\"a,b\"", Some(("a,b", false))),
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
            write(&mut out, text.as_bytes(), false);
            assert_eq!(out, expected.as_bytes());
        }
        let mut out = Vec::new();
        write(&mut out, b"a", true);
        assert_eq!(out, b"W/\"a\"");
    }
}
