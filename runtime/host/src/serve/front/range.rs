//! Ranges (RFC 9110, 14). The protocol between host and app carries none (http-bridge §4.3): the
//! app always sends the whole, and the front end passes the part on that was asked for. That needs
//! a whole of known length. What is not a single range of bytes is ignored, which a server may
//! always do.

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use hyper::body::Body;

use super::body::Outgoing;

/// What a client wants of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it. Whether parts could be had is told.
    All,
    /// A range, if the response is of the version of `If-Range`.
    Range { range: Range, version: Option<HeaderValue> },
    /// Another method: ranges have no meaning.
    NotAsked,
}

/// `first-last`, `first-` or `-count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    From { first: u64, last: u64 },
    Last { count: u64 },
}

impl Range {
    /// First and last byte of a whole of this length; `None` if there are none.
    fn of(self, length: u64) -> Option<(u64, u64)> {
        let (first, last) = match self {
            Range::From { first, last } => (first, last.min(length.saturating_sub(1))),
            Range::Last { count } => (length.saturating_sub(count), length.saturating_sub(1)),
        };
        let is_empty = first >= length || matches!(self, Range::Last { count: 0 });
        (!is_empty).then_some((first, last))
    }
}

/// What this request wants.
pub(crate) fn wanted(parts: &Parts) -> Wanted {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Wanted::NotAsked;
    }
    let mut ranges = parts.headers.get_all(header::RANGE).iter();
    match (ranges.next().and_then(parse), ranges.next()) {
        // RFC 9110, 14.2: defined for GET only.
        (Some(range), None) if parts.method == Method::GET => {
            Wanted::Range { range, version: parts.headers.get(header::IF_RANGE).cloned() }
        }
        _ => Wanted::All,
    }
}

/// A single range of bytes.
fn parse(value: &HeaderValue) -> Option<Range> {
    let (unit, range) = value.to_str().ok()?.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = range.trim().split_once('-')?;
    match (number(first), number(last)) {
        (None, Some(count)) if first.is_empty() => Some(Range::Last { count }),
        (Some(first), None) if last.is_empty() => Some(Range::From { first, last: u64::MAX }),
        (Some(first), Some(last)) if first <= last => Some(Range::From { first, last }),
        _ => None,
    }
}

/// Digits only: not what `parse` takes beside them. More than fit are as good as the most that do.
fn number(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits_only.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// The response, or the part of it that is wanted.
pub(crate) fn cut(mut response: Response<Outgoing>, wanted: &Wanted) -> Response<Outgoing> {
    if *wanted == Wanted::NotAsked || response.status() != StatusCode::OK {
        return response;
    }
    // The answer to HEAD names a length that its body does not have.
    let is_sized = response.body().size_hint().exact().is_some();
    if is_sized && !response.body().is_end_stream()
        || response.headers().contains_key(header::CONTENT_LENGTH)
    {
        response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    let (Wanted::Range { range, version }, Some(length)) =
        (wanted, response.body().size_hint().exact())
    else {
        return response;
    };
    if version.as_ref().is_some_and(|version| !is_version(response.headers(), version)) {
        return response;
    }
    let Some((first, last)) = range.of(length) else {
        *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
        *response.body_mut() = Outgoing::full(Vec::new());
        return content_range(response, &format!("bytes */{length}"));
    };
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let response = response.map(|body| body.part(first, last - first + 1));
    content_range(response, &format!("bytes {first}-{last}/{length}"))
}

/// Whether the response's strong tag is the one of `If-Range` (RFC 9110, 13.1.5). Dates the
/// protocol does not carry.
fn is_version(headers: &HeaderMap, version: &HeaderValue) -> bool {
    version.as_bytes().starts_with(b"\"") && headers.get(header::ETAG) == Some(version)
}

fn content_range(mut response: Response<Outgoing>, value: &str) -> Response<Outgoing> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<Range> {
        parse(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn what_is_a_range() {
        assert_eq!(range("bytes=0-0"), Some(Range::From { first: 0, last: 0 }));
        assert_eq!(range("Bytes= 7-"), Some(Range::From { first: 7, last: u64::MAX }));
        assert_eq!(range("bytes=-7"), Some(Range::Last { count: 7 }));
        let huge = "bytes=0-99999999999999999999999";
        assert_eq!(range(huge), Some(Range::From { first: 0, last: u64::MAX }));
        for odd in ["", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=+1-2", "bytes=0-1,3-4"] {
            assert_eq!(range(odd), None, "{odd}");
        }
    }

    #[test]
    fn where_ranges_end() {
        let from = |first, last| Range::From { first, last };
        assert_eq!(from(0, 9).of(10), Some((0, 9)));
        assert_eq!(from(0, u64::MAX).of(10), Some((0, 9)));
        assert_eq!(from(9, 9).of(10), Some((9, 9)));
        assert_eq!(from(10, 12).of(10), None);
        assert_eq!(from(0, 0).of(0), None);
        assert_eq!(Range::Last { count: 3 }.of(10), Some((7, 9)));
        assert_eq!(Range::Last { count: 30 }.of(10), Some((0, 9)));
        assert_eq!(Range::Last { count: 0 }.of(10), None);
        assert_eq!(Range::Last { count: 3 }.of(0), None);
    }
}
