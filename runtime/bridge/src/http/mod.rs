//! HTTP/1 as spoken with the app: heads written by hand, responses read with tolerance.

pub mod body;
pub mod connection;
pub mod cookie;
pub mod date;
pub mod disposition;
pub mod exchange;
pub mod head;
pub mod write;

/// `value` without spaces and tabs at either end.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether every byte may stand in a header value or request target: no control characters except
/// the tab, which could end a line early for one reader and not for another.
pub(crate) fn is_clean(value: &[u8]) -> bool {
    value.iter().all(|&byte| (byte >= 0x20 && byte != 0x7f) || byte == b'\t')
}

/// Whether `name` is an HTTP token (RFC 9110 5.6.2).
pub(crate) fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}
