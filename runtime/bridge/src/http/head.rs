//! The response head: a tolerant parser over bytes.
//!
//! Accepted beyond the standard, because apps are old and many: bare LF line ends, a missing reason
//! phrase, blank lines before the status line, obsolete folding (joined with one space), interim
//! responses. Lines that are not headers are ignored, as common proxies do; header values with
//! control characters are dropped, so that nothing the app sends can break a line elsewhere.

use std::borrow::Cow;
use std::ops::Range;

use super::{is_clean, is_token, trim};
use crate::error::Error;

/// A parsed response head. Names are lower case.
pub struct Head {
    /// The status code, three digits.
    pub status: u16,
    bytes: Vec<u8>,
    fields: Vec<(Range<usize>, Range<usize>)>,
}

impl Head {
    /// The headers in the app's order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|(name, value)| (&self.bytes[name.clone()], &self.bytes[value.clone()]))
    }

    /// Values of all headers called `name` (lower case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// Value of the first header called `name` (lower case).
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// Values of all headers called `name` (lower case), joined with `, `.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.fields().filter(|(key, _)| *key == name.as_bytes());
        let (_, first) = values.next()?;
        let mut joined = Cow::Borrowed(first);
        for (_, value) in values {
            let joined = joined.to_mut();
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(value);
        }
        Some(joined)
    }
}

/// Where the head at the start of `bytes` ends, looking from `from` on: the index behind the empty
/// line. Blank lines before the status line do not count.
pub fn end(bytes: &[u8], from: usize) -> Option<usize> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut at = from.max(start);
    while let Some(found) = bytes[at..].iter().position(|&byte| byte == b'\n') {
        let next = at + found + 1;
        match &bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// Whether `bytes` can still become a response head. Lets garbage fail at once instead of when the
/// app closes the connection.
pub fn plausible(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let bytes = &bytes[start.unwrap_or(bytes.len())..];
    let length = bytes.len().min(PREFIX.len());
    bytes[..length] == PREFIX[..length]
}

const PREFIX: &[u8] = b"HTTP/1.";

/// Parses a whole head, up to and including its empty line.
pub fn parse(bytes: &[u8]) -> Result<Head, Error> {
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let mut lines = Lines(&bytes[start.unwrap_or(bytes.len())..]);
    let status = status(lines.next().unwrap_or_default())?;
    let mut head = Head { status, bytes: Vec::with_capacity(bytes.len()), fields: Vec::new() };
    for line in lines {
        if let [b' ' | b'\t', ..] = line {
            fold(&mut head, trim(line));
        } else if let Some(colon) = line.iter().position(|&byte| byte == b':') {
            let (name, value) = (trim(&line[..colon]), trim(&line[colon + 1..]));
            let name_start = head.bytes.len();
            head.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
            let value_start = head.bytes.len();
            head.bytes.extend_from_slice(value);
            head.fields.push((name_start..value_start, value_start..head.bytes.len()));
        }
    }
    let Head { bytes, fields, .. } = &mut head;
    fields
        .retain(|(name, value)| is_token(&bytes[name.clone()]) && is_clean(&bytes[value.clone()]));
    Ok(head)
}

/// Appends a continuation line to the last header.
fn fold(head: &mut Head, more: &[u8]) {
    if let Some((_, value)) = head.fields.last_mut() {
        if value.start < value.end && !more.is_empty() {
            head.bytes.push(b' ');
        }
        head.bytes.extend_from_slice(more);
        value.end = head.bytes.len();
    }
}

fn status(line: &[u8]) -> Result<u16, Error> {
    let rest = line.strip_prefix(PREFIX).ok_or(Error::NotHttp("no HTTP/1 status line"))?;
    let [b'0'..=b'9', b' ', rest @ ..] = rest else {
        return Err(Error::NotHttp("malformed status line"));
    };
    let rest = trim(rest);
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    match &rest[..end] {
        digits @ [_, _, _] => {
            Ok(digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Error::NotHttp("malformed status code")),
    }
}

/// Lines without their ends, stopping at the empty one.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == b'\n').unwrap_or(self.0.len());
        let line = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_tolerantly() {
        type Case = (&'static [u8], u16, &'static [(&'static str, &'static str)]);
        let cases: &[Case] = &[
            (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, &[("a", "b")]),
            (b"HTTP/1.0 404\nA:b\n\n", 404, &[("a", "b")]),
            (b"\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, &[]),
            (
                b"HTTP/1.1 200 OK\r\nA: x\r\n   y\r\n\tz\r\nB:\r\n c\r\n\r\n",
                200,
                &[("a", "x y z"), ("b", "c")],
            ),
            (
                b"HTTP/1.1 200 OK\r\nnonsense\r\nb@d: x\r\nA: n\0l\r\nB: c\r\n\r\n",
                200,
                &[("b", "c")],
            ),
            (b"HTTP/1.1 200 OK\r\nA: x\ry\r\nB: c\r\n\r\n", 200, &[("b", "c")]),
            (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", 200, &[]),
        ];
        for (bytes, status, fields) in cases {
            assert_eq!(end(bytes, 0), Some(bytes.len()), "{}", bytes.escape_ascii());
            assert!(plausible(bytes));
            let head = parse(bytes).unwrap();
            assert_eq!(head.status, *status);
            let found: Vec<_> = head
                .fields()
                .map(|(name, value)| {
                    (str::from_utf8(name).unwrap(), str::from_utf8(value).unwrap())
                })
                .collect();
            assert_eq!(&found, fields, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn refuses_what_is_not_http() {
        for bytes in [
            "HTTP/2 200\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "hello\n\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.x 200\r\n\r\n",
            "\r\n\r\n",
            "",
        ] {
            assert!(parse(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(!plausible(b"ICY 2"));
        assert!(plausible(b"HTT"));
        assert!(plausible(b"\r\n"));
    }

    #[test]
    fn finds_the_end_in_any_split() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\n";
        for split in 0..25 {
            assert_eq!(end(&bytes[..split], 0), None, "{split}");
        }
        // scanning resumes at most three bytes before the old end
        for from in 0..=22 {
            assert_eq!(end(bytes, from), Some(25), "{from}");
        }
    }

    #[test]
    fn joins_repeated_headers() {
        let head = parse(b"HTTP/1.1 200 OK\r\nDAV: 1, 2\r\nX: y\r\ndav: a\r\n\r\n").unwrap();
        assert_eq!(&*head.joined("dav").unwrap(), b"1, 2, a");
        assert_eq!(head.first("dav"), Some(&b"1, 2"[..]));
        assert!(head.joined("none").is_none());
    }
}
