//! Which headers cross between client and app, in one place (http-bridge specification, 4.3, 4.5,
//! 5.7). Everything else is dropped.

use http::header::{self, HeaderName};

/// Request headers that are passed on as they are; `*` at the end: any longer name.
const REQUEST: [&str; 14] = [
    "x-sandstorm-app-*",
    "oc-total-length",
    "oc-chunk-size",
    "x-oc-mtime",
    "oc-fileid",
    "oc-chunked",
    "oc-checksum",
    "oc-chunk-offset",
    "oc-lazyops",
    "x-hgarg-*",
    "x-phabricator-*",
    "x-requested-with",
    "x-csrftoken",
    "x-csrf-token",
];

/// Response headers that are passed on as they are.
const RESPONSE: [&str; 2] = ["x-sandstorm-app-*", "x-oc-mtime"];

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

fn on(list: &[&str], name: &str) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        // The prefix alone does not match (4.5).
        Some(prefix) => name.len() > prefix.len() && name.starts_with(prefix),
        None => name == *entry,
    })
}

/// Whether a request header of this lower-case name is passed on as it is.
pub(crate) fn passes_to_app(name: &str) -> bool {
    on(&REQUEST, name)
}

/// Whether a response header of this name is passed on as it is.
pub(crate) fn passes_to_client(name: &str) -> bool {
    on(&RESPONSE, &name.to_ascii_lowercase())
}

/// Whether nothing of this request header reaches the app.
pub(crate) fn is_lost(name: &HeaderName) -> bool {
    !UNDERSTOOD.contains(name)
        && !UNDERSTOOD_MORE.contains(&name.as_str())
        && !passes_to_app(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b31_b32_the_request_list_with_its_prefixes() {
        for name in ["x-sandstorm-app-foo", "x-requested-with", "x-csrf-token", "oc-chunked"] {
            assert!(passes_to_app(name), "{name}");
        }
        for name in ["x-sandstorm-app-", "x-hgarg-", "x-requested-with2", "evil"] {
            assert!(!passes_to_app(name), "{name}");
        }
    }

    #[test]
    fn b33_dropped_headers_are_known_as_such() {
        for name in ["referer", "range", "if-modified-since", "x-forwarded-for", "cache-control"] {
            assert!(is_lost(&HeaderName::from_static(name)), "{name}");
        }
        for name in ["host", "depth", "accept", "x-requested-with"] {
            assert!(!is_lost(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn the_response_list_does_not_mind_letter_case() {
        assert!(passes_to_client("X-OC-MTime") && passes_to_client("x-sandstorm-app-z"));
        assert!(!passes_to_client("server") && !passes_to_client("x-sandstorm-app-"));
    }
}
