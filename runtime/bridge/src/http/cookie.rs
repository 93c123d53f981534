//! `Set-Cookie` headers (http-bridge §5.6).

use super::{date, trim};

/// A cookie as the protocol carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Cookie<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its value, quotes included.
    pub value: &'a [u8],
    /// When it ends.
    pub expires: Expires,
    /// The Path attribute.
    pub path: Option<&'a [u8]>,
    /// Hidden from scripts.
    pub http_only: bool,
}

/// When a cookie ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    /// With the browser's session.
    Never,
    /// At that Unix time in seconds.
    At(i64),
    /// That many seconds after receipt.
    After(u64),
}

/// Reads one header value. A cookie without a name or without `=` is none; an attribute that
/// cannot be read is ignored, except that an unreadable date counts as past when it looks like a
/// number (`0` and `-1` are common ways to remove a cookie). `Max-Age` wins over `Expires`
/// (RFC 6265 5.3).
pub fn parse(header: &[u8]) -> Option<Cookie<'_>> {
    let mut parts = header.split(|&byte| byte == b';');
    let (name, value) = pair(parts.next()?)?;
    if name.is_empty() {
        return None;
    }
    let mut cookie = Cookie { name, value, expires: Expires::Never, path: None, http_only: false };
    let mut max_age = None;
    for part in parts {
        let (key, value) = pair(part).unwrap_or((trim(part), b""));
        if key.eq_ignore_ascii_case(b"httponly") {
            cookie.http_only = true;
        } else if key.eq_ignore_ascii_case(b"path") {
            cookie.path = Some(value);
        } else if key.eq_ignore_ascii_case(b"max-age") {
            max_age = seconds(value).or(max_age);
        } else if key.eq_ignore_ascii_case(b"expires") {
            if let Some(at) = date::parse(value) {
                cookie.expires = Expires::At(at);
            } else if is_number(value) {
                cookie.expires = Expires::At(0);
            }
        }
    }
    if let Some(seconds) = max_age {
        cookie.expires = Expires::After(seconds);
    }
    Some(cookie)
}

fn pair(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = part.iter().position(|&byte| byte == b'=')?;
    Some((trim(&part[..equals]), trim(&part[equals + 1..])))
}

/// A number of seconds; negative ones are over already.
fn seconds(value: &[u8]) -> Option<u64> {
    if !is_number(value) {
        return None;
    }
    if value.starts_with(b"-") {
        return Some(0);
    }
    Some(str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX))
}

fn is_number(value: &[u8]) -> bool {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let plain = |name, value| Cookie {
            name,
            value,
            expires: Expires::Never,
            path: None,
            http_only: false,
        };
        let cases: Vec<(&str, Option<Cookie<'static>>)> = vec![
            ("a=1", Some(plain(b"a", b"1"))),
            (
                "a=1; Path=/foo; HttpOnly; Secure; SameSite=Lax; Domain=x",
                Some(Cookie { path: Some(b"/foo"), http_only: true, ..plain(b"a", b"1") }),
            ),
            (
                "c=x=y; Max-Age=3600",
                Some(Cookie { expires: Expires::After(3600), ..plain(b"c", b"x=y") }),
            ),
            ("g =  7 ; path= /p", Some(Cookie { path: Some(b"/p"), ..plain(b"g", b"7") })),
            ("b=\"q,r\"", Some(plain(b"b", b"\"q,r\""))),
            ("a=1; Max-Age=-1", Some(Cookie { expires: Expires::After(0), ..plain(b"a", b"1") })),
            (
                "a=1; max-age=99999999999999999999",
                Some(Cookie { expires: Expires::After(u64::MAX), ..plain(b"a", b"1") }),
            ),
            ("a=1; Max-Age=soon", Some(plain(b"a", b"1"))),
            ("a=1; Expires=-1", Some(Cookie { expires: Expires::At(0), ..plain(b"a", b"1") })),
            ("a=1; Expires=0", Some(Cookie { expires: Expires::At(0), ..plain(b"a", b"1") })),
            ("a=1; Expires=later", Some(plain(b"a", b"1"))),
            (
                "a=1; Max-Age=5; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
                Some(Cookie { expires: Expires::After(5), ..plain(b"a", b"1") }),
            ),
            ("novalue", None),
            ("=x", None),
            ("", None),
            ("a=", Some(plain(b"a", b""))),
        ];
        for (header, expected) in cases {
            assert_eq!(parse(header.as_bytes()), expected, "{header}");
        }
    }
}
