//! `Content-Disposition: attachment`, the only form the protocol carries (http-bridge §5.5).

use percent_encoding::percent_decode;

use super::trim;

/// Name of a download if neither the header nor the path has one.
const UNNAMED: &[u8] = b"download";

/// The file name to download under, or `None` if the value does not ask for a download.
///
/// `path` is where the name comes from if the header has none: its last segment, decoded.
pub fn download_name(value: &[u8], path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = split(value).into_iter();
    if !trim(parts.next()?).eq_ignore_ascii_case(b"attachment") {
        return None;
    }
    let (mut plain, mut extended) = (None, None);
    for part in parts {
        let Some(equals) = part.iter().position(|&byte| byte == b'=') else { continue };
        let (name, value) = (trim(&part[..equals]), trim(&part[equals + 1..]));
        if name.eq_ignore_ascii_case(b"filename") {
            plain = Some(unquote(value));
        } else if name.eq_ignore_ascii_case(b"filename*") {
            extended = decode_extended(value).or(extended);
        }
    }
    Some(extended.or(plain).unwrap_or_else(|| from_path(path)))
}

/// Splits at every `;` outside quotes.
fn split(value: &[u8]) -> Vec<&[u8]> {
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    let mut parts = Vec::new();
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let mut escaped = false;
    inner
        .iter()
        .filter(|&&byte| {
            escaped = byte == b'\\' && !escaped;
            !escaped
        })
        .copied()
        .collect()
}

/// `charset'language'percent-encoded` (RFC 8187), for the two charsets it knows.
fn decode_extended(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let charset = parts.next()?;
    let _language = parts.next()?;
    let bytes: Vec<u8> = percent_decode(parts.next()?).collect();
    let name = if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(bytes).ok()?
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        bytes.into_iter().map(char::from).collect()
    } else {
        return None;
    };
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.into_bytes())
}

fn from_path(path: &[u8]) -> Vec<u8> {
    let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let last = spk_files::path::name(path);
    let name: Vec<u8> =
        percent_decode(last).filter(|byte| *byte >= b' ' && !b"/\\\x7f".contains(byte)).collect();
    if name.is_empty() { UNNAMED.to_vec() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let cases = [
            ("attachment; filename=foo.txt", Some("foo.txt")),
            ("attachment; filename=\"a\\\"b.txt\"", Some("a\"b.txt")),
            ("attachment; filename=\"a;b.txt\"", Some("a;b.txt")),
            ("attachment", Some("r\u{e9}port.pdf")),
            ("Attachment; FileName=\"x\"", Some("x")),
            ("attachment; filename*=UTF-8''na%20me.txt; filename=\"name.txt\"", Some("na me.txt")),
            ("attachment; filename*=iso-8859-1'en'%A3; filename=x", Some("\u{a3}")),
            ("attachment; filename*=koi8-r''x; filename=y", Some("y")),
            ("attachment; filename*=UTF-8''%0d%0a; filename=y", Some("y")),
            ("attachment; filename=\"unfinished", Some("unfinished")),
            ("inline; filename=\"x\"", None),
            ("", None),
        ];
        for (value, expected) in cases {
            let name = download_name(value.as_bytes(), b"a/b/r%C3%A9port.pdf?q=/x");
            assert_eq!(name.as_deref(), expected.map(str::as_bytes), "{value}");
        }
        assert_eq!(download_name(b"attachment", b"a/").unwrap(), b"download");
        assert_eq!(download_name(b"attachment", b"a/%2f%0a").unwrap(), b"download");
    }
}
