//! Reading header values: lists with qualities, languages, cookies (http-bridge §4.3, §4.7).
//! Values are bytes, and stay the bytes they were.

use http::HeaderMap;
use http::header::{ACCEPT_LANGUAGE, COOKIE, HeaderName};

/// One item of `Accept` or `Accept-Encoding`.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Media range or coding, without parameters.
    pub name: Vec<u8>,
    /// Quality, 1 unless said otherwise.
    pub quality: f32,
}

/// All lines of a header as one list (RFC 9110, 5.2).
pub fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(name).iter();
    let mut all = lines.next()?.as_bytes().to_vec();
    for line in lines {
        all.extend_from_slice(b", ");
        all.extend_from_slice(line.as_bytes());
    }
    Some(all)
}

/// A list with qualities. Parameters other than `q` are lost: the protocol has no place for them.
/// A quality that is no number counts as not given.
pub fn accepted(headers: &HeaderMap, name: &HeaderName) -> Vec<Accepted> {
    let Some(list) = joined(headers, name) else { return Vec::new() };
    let mut items = Vec::new();
    for item in list.split(|byte| *byte == b',') {
        let mut parts = item.split(|byte| *byte == b';').map(|part| part.trim_ascii());
        let Some(name) = parts.next().filter(|name| !name.is_empty()) else { continue };
        let quality = parts
            .find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")))
            .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
            .filter(|quality: &f32| (0.0..=1.0).contains(quality))
            .unwrap_or(1.0);
        items.push(Accepted { name: name.to_vec(), quality });
    }
    items
}

/// `Accept-Language`, split at commas; what the original assumes when there is none
/// (http-bridge §4.3).
pub fn languages(headers: &HeaderMap) -> Vec<Vec<u8>> {
    match joined(headers, &ACCEPT_LANGUAGE) {
        None => vec![b"en-US".to_vec(), b"en".to_vec()],
        Some(list) => comma_list(&list),
    }
}

/// The items of a comma-separated list, trimmed, without empty ones.
pub fn comma_list(list: &[u8]) -> Vec<Vec<u8>> {
    list.split(|byte| *byte == b',')
        .map(|item| item.trim_ascii())
        .filter(|item| !item.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}

/// The request's cookies in order, without the front end's own. Several `Cookie` lines are one
/// list (RFC 9110, 5.3 with RFC 6265, 4.2: joined with `; `).
pub fn cookies(headers: &HeaderMap, own: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut cookies = Vec::new();
    for line in headers.get_all(COOKIE) {
        for part in line.as_bytes().split(|byte| *byte == b';') {
            let part = part.trim_ascii();
            if part.is_empty() {
                continue;
            }
            let equals = part.iter().position(|byte| *byte == b'=').unwrap_or(part.len());
            let key = part[..equals].trim_ascii();
            let value = part.get(equals + 1..).unwrap_or_default().trim_ascii();
            if key != own {
                cookies.push((key.to_vec(), value.to_vec()));
            }
        }
    }
    cookies
}

#[cfg(test)]
pub(crate) mod tests {
    use http::header::ACCEPT;

    use super::*;

    pub(crate) fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn b23_accept_keeps_type_and_quality_only() {
        let line = "text/html;level=1;q=0.4, application/json;q=0.75, */*;q=0.1, image/png";
        let got = accepted(&headers(&[(ACCEPT, line)]), &ACCEPT);
        let got: Vec<_> =
            got.iter().map(|a| (String::from_utf8_lossy(&a.name), a.quality)).collect();
        assert_eq!(
            got,
            [
                ("text/html".into(), 0.4),
                ("application/json".into(), 0.75),
                ("*/*".into(), 0.1),
                ("image/png".into(), 1.0)
            ]
        );
    }

    #[test]
    fn b25_a_quality_that_is_no_number_is_ignored() {
        for value in ["abc", "", "-1", "NaN", "inf", "2"] {
            let line = format!("text/html;q={value}");
            let got = accepted(&headers(&[(ACCEPT, &line)]), &ACCEPT);
            assert_eq!(got, [Accepted { name: b"text/html".to_vec(), quality: 1.0 }], "{value}");
        }
    }

    #[test]
    fn b28_cookies_are_split_and_our_own_is_taken_out() {
        let map = headers(&[(COOKIE, "sandstorm-sid=S; foo=bar; flag; x = y z ; e=a=b")]);
        let got = cookies(&map, b"sandstorm-sid");
        let text: Vec<_> = got
            .iter()
            .map(|(k, v)| format!("{}={}", String::from_utf8_lossy(k), String::from_utf8_lossy(v)))
            .collect();
        assert_eq!(text, ["foo=bar", "flag=", "x=y z", "e=a=b"]);
    }

    #[test]
    fn b30_two_cookie_lines_are_one_list() {
        let map = headers(&[(COOKIE, "a=1"), (COOKIE, "b=2; c=3")]);
        assert_eq!(cookies(&map, b"sandstorm-sid").len(), 3);
    }

    #[test]
    fn b19_b20_languages() {
        let map = headers(&[(ACCEPT_LANGUAGE, "fr-CH, fr;q=0.9, en;q=0.8")]);
        assert_eq!(
            languages(&map),
            [b"fr-CH".to_vec(), b"fr;q=0.9".to_vec(), b"en;q=0.8".to_vec()]
        );
        assert_eq!(languages(&HeaderMap::new()), [b"en-US".to_vec(), b"en".to_vec()]);
    }
}
