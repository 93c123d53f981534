//! Which HTTP headers cross between client and app as they are (http-bridge §4.5 and §5.7). The
//! schema itself says it, in its `headerWhitelist` constants: both sides of the protocol check
//! against them, and this is the one place that reads them.

use std::sync::LazyLock;

use crate::web_session_capnp::web_session;

/// Request headers that reach the app.
pub static REQUEST: LazyLock<HeaderList> =
    LazyLock::new(|| HeaderList::read(web_session::context::HEADER_WHITELIST.get()));

/// Response headers that reach the client.
pub static RESPONSE: LazyLock<HeaderList> =
    LazyLock::new(|| HeaderList::read(web_session::response::HEADER_WHITELIST.get()));

/// A list of header names.
#[derive(Debug)]
pub struct HeaderList {
    names: Vec<&'static str>,
    prefixes: Vec<&'static str>,
}

impl HeaderList {
    fn read(constant: capnp::Result<capnp::text_list::Reader<'static>>) -> HeaderList {
        let mut list = HeaderList { names: Vec::new(), prefixes: Vec::new() };
        let entries = constant.expect("the constant is part of the generated code");
        for entry in entries {
            let entry = entry.and_then(|text| Ok(text.to_str()?));
            let entry = entry.expect("the constant's items are ASCII text");
            match entry.strip_suffix('*') {
                Some(prefix) => list.prefixes.push(prefix),
                None => list.names.push(entry),
            }
        }
        list
    }

    /// Whether `name`, in any letter case, is on the list: one of its names, or longer than one of
    /// its prefixes and beginning with it.
    pub fn allows(&self, name: &[u8]) -> bool {
        self.names.iter().any(|entry| name.eq_ignore_ascii_case(entry.as_bytes()))
            || self.prefixes.iter().any(|prefix| {
                name.len() > prefix.len()
                    && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_those_of_the_specification() {
        let names = [
            "oc-total-length",
            "oc-chunk-size",
            "x-oc-mtime",
            "oc-fileid",
            "oc-chunked",
            "oc-checksum",
            "oc-chunk-offset",
            "oc-lazyops",
            "x-requested-with",
            "x-csrftoken",
            "x-csrf-token",
        ];
        assert_eq!(REQUEST.names, names);
        assert_eq!(REQUEST.prefixes, ["x-sandstorm-app-", "x-hgarg-", "x-phabricator-"]);
        assert_eq!(RESPONSE.names, ["x-oc-mtime"]);
        assert_eq!(RESPONSE.prefixes, ["x-sandstorm-app-"]);
    }

    #[test]
    fn b31_b32_letter_case_does_not_matter_and_a_bare_prefix_is_no_name() {
        for name in ["X-Sandstorm-App-Foo", "x-requested-with", "X-CSRF-TOKEN", "OC-Chunked"] {
            assert!(REQUEST.allows(name.as_bytes()), "{name}");
        }
        for name in ["x-sandstorm-app-", "x-hgarg-", "x-requested-with2", "x-requested", ""] {
            assert!(!REQUEST.allows(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn h04_h05_few_headers_come_back() {
        for name in ["X-OC-MTime", "x-sandstorm-app-z"] {
            assert!(RESPONSE.allows(name.as_bytes()), "{name}");
        }
        for name in ["server", "x-sandstorm-app-", "set-cookie", "x-requested-with"] {
            assert!(!RESPONSE.allows(name.as_bytes()), "{name}");
        }
    }
}
