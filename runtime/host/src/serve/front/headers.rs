//! Which request headers the front end makes use of itself (http-bridge §4.3). Those
//! that pass as they are, [`spk_schema::headers`] lists; everything else is dropped.

use http::header::{self, HeaderName};
use spk_schema::headers::REQUEST;

/// Request headers that reach the app in another form, or whose work is done by the front end.
const UNDERSTOOD: [HeaderName; 19] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::TE,
    header::UPGRADE,
    header::ORIGIN,
    header::COOKIE,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::USER_AGENT,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::AUTHORIZATION,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// More of them, without a constant.
const UNDERSTOOD_MORE: [&str; 9] = [
    "depth",
    "destination",
    "overwrite",
    "lock-token",
    "sec-websocket-key",
    "sec-websocket-version",
    "keep-alive",
    "x-sandstorm-passthrough",
    "x-sandstorm-token-keepalive",
];

/// Whether nothing of this request header reaches the app.
pub(crate) fn is_lost(name: &HeaderName) -> bool {
    !UNDERSTOOD.contains(name)
        && !UNDERSTOOD_MORE.contains(&name.as_str())
        && !REQUEST.allows(name.as_str().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b33_dropped_headers_are_known_as_such() {
        for name in ["referer", "range", "if-modified-since", "x-forwarded-for", "cache-control"] {
            assert!(is_lost(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["host", "depth", "accept", "x-requested-with"] {
            assert!(!is_lost(&HeaderName::from_static(name)), "{name}");
        }
    }
}
