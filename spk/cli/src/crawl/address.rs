//! References as pages have them, and the targets that they lead to.

use iri_string::types::{UriAbsoluteStr, UriReferenceStr, UriStr};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What browsers take in a reference, and RFC 3986 does not.
const BROWSERS_ONLY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'[')
    .add(b']');
const STRAY_PERCENT: &AsciiSet = &BROWSERS_ONLY.add(b'%');

/// A reference as a whole URL; nothing, if it is none.
pub fn absolute(base: &str, reference: &str) -> Option<String> {
    let reference: String =
        reference.trim().chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let reference = reference.split('#').next().unwrap_or_default();
    let base = UriAbsoluteStr::new(base.split('#').next().unwrap_or_default()).ok()?;
    let encoded = |set| utf8_percent_encode(reference, set).to_string();
    let resolved = |text: String| {
        let reference = UriReferenceStr::new(&text).ok()?;
        Some(reference.resolve_against(base).to_string())
    };
    resolved(encoded(BROWSERS_ONLY)).or_else(|| resolved(encoded(STRAY_PERCENT)))
}

/// Path and query of what a reference leads to; nothing, if that is elsewhere or no page: another origin,
/// `mailto:`, `javascript:`.
pub fn within(base: &str, reference: &str) -> Option<String> {
    // Leads to the page itself.
    if reference.trim().is_empty() || reference.trim_start().starts_with('#') {
        return None;
    }
    let whole = absolute(base, reference)?;
    let (whole, base) = (UriStr::new(&whole).ok()?, UriStr::new(base).ok()?);
    let origin = |uri: &UriStr| {
        let authority = uri.authority_str()?.to_ascii_lowercase();
        Some((uri.scheme_str().to_ascii_lowercase(), authority))
    };
    if origin(whole)? != origin(base)? {
        return None;
    }
    let path = match whole.path_str() {
        "" => "/",
        path => path,
    };
    Some(match whole.query_str() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "http://ui-1.localhost:6080/a/b?c=d";

    #[test]
    fn references_within_the_app() {
        for (reference, target) in [
            ("/x", "/x"),
            ("x", "/a/x"),
            ("./x?y=1#z", "/a/x?y=1"),
            ("../../../x", "/x"),
            ("?q", "/a/b?q"),
            ("http://UI-1.localhost:6080", "/"),
            ("//ui-1.localhost:6080/y", "/y"),
            (" /with space/ü?[]=1&amp ", "/with%20space/%C3%BC?%5B%5D=1&amp"),
            ("/100%", "/100%25"),
            ("/done%20already", "/done%20already"),
            ("/li\nne", "/line"),
        ] {
            assert_eq!(within(PAGE, reference).as_deref(), Some(target), "{reference}");
        }
    }

    #[test]
    fn references_to_elsewhere() {
        for reference in [
            "",
            "  ",
            "#top",
            "mailto:a@b",
            "javascript:void(0)",
            "data:text/plain,x",
            "tel:1",
            "http://example.com/",
            "//example.com/x",
            "https://ui-1.localhost:6080/",
            "http://ui-1.localhost:6081/",
            "http://ui-1.localhost:6080@example.com/",
            "http://[",
            "blob:x",
        ] {
            assert_eq!(within(PAGE, reference), None, "{reference}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_reference_is_taken(reference in "\\PC{0,40}") {
            if let Some(target) = within(PAGE, &reference) {
                proptest::prop_assert!(target.starts_with('/') && target.is_ascii());
                // It can be asked for, and leads to itself.
                proptest::prop_assert!(target.parse::<http::Uri>().is_ok(), "{}", target);
            }
        }
    }
}
