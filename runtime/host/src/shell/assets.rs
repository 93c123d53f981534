//! The shell's page, its scripts and styles: files of this crate, built into the binary.

use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode};

use crate::serve::front::Front;
use crate::serve::front::body::Outgoing;
use crate::serve::front::pages;
use crate::serve::hosts::any_origin;

macro_rules! asset {
    ($name:literal, $kind:literal) => {
        ($name, $kind, include_bytes!(concat!("assets/", $name)))
    };
}

const SCRIPT: &str = "text/javascript; charset=UTF-8";

/// Name below `/assets/`, type, contents.
const ASSETS: &[(&str, &str, &[u8])] = &[
    asset!("style.css", "text/css; charset=UTF-8"),
    asset!("app.js", "text/javascript; charset=UTF-8"),
    asset!("api.js", "text/javascript; charset=UTF-8"),
    asset!("developer.js", "text/javascript; charset=UTF-8"),
    asset!("dialog.js", "text/javascript; charset=UTF-8"),
    asset!("format.js", "text/javascript; charset=UTF-8"),
    asset!("grain.js", "text/javascript; charset=UTF-8"),
    asset!("key.js", "text/javascript; charset=UTF-8"),
    asset!("list.js", "text/javascript; charset=UTF-8"),
    asset!("log.js", "text/javascript; charset=UTF-8"),
    asset!("messages.js", "text/javascript; charset=UTF-8"),
    asset!("powerbox.js", "text/javascript; charset=UTF-8"),
    asset!("offer-template.js", "text/javascript; charset=UTF-8"),
    asset!("template.js", "text/javascript; charset=UTF-8"),
    asset!("upload.js", "text/javascript; charset=UTF-8"),
    asset!("view.js", "text/javascript; charset=UTF-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("vendor/htm.mjs", "text/javascript; charset=UTF-8"),
    asset!("vendor/hooks.mjs", "text/javascript; charset=UTF-8"),
    asset!("vendor/preact.mjs", "text/javascript; charset=UTF-8"),
    asset!("vendor/LICENSES.txt", "text/plain; charset=UTF-8"),
];

const INDEX: &str = include_str!("assets/index.html");
const OFFER: &str = include_str!("assets/offer-template.html");

/// The page, which is the same for everybody but for `key`: what came with its address, for the
/// requests of its scripts to carry. `site`: the origin that this page belongs to, if any.
pub(super) fn index(front: &Front, key: &str, site: &str) -> Response<Outgoing> {
    let mut preload = String::new();
    for (name, kind, _) in ASSETS {
        if *kind == SCRIPT && *name != "offer-template.js" {
            preload.push_str(&format!("<link rel=\"modulepreload\" href=\"/assets/{name}\">\n"));
        }
    }
    let page = INDEX
        .replace("{{key}}", key)
        .replace("{{site}}", site)
        .replace("{{home}}", &front.shell_origin())
        .replace("{{preload}}", &preload);
    let mut response = pages::page(StatusCode::OK, "text/html; charset=UTF-8", page);
    protect(response.headers_mut(), &page_policy(front, "'self'", "'none'"));
    response.headers_mut().insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

/// The page that shows an offer template within an app's page: see `messages.js`.
pub(super) fn offer_template(front: &Front) -> Response<Outgoing> {
    let mut response = pages::page(StatusCode::OK, "text/html; charset=UTF-8", OFFER);
    let apps = any_origin(front.port());
    // It prolongs the life of its token, on the token's own host.
    protect(response.headers_mut(), &page_policy(front, &apps, &format!("'self' {apps}")));
    response
}

/// Nothing but our own files runs or is shown, frames hold sessions only, and who may frame us is
/// said. No inline script and no inline style is allowed; nor is making script from text.
fn page_policy(front: &Front, connect: &str, ancestors: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src {connect}; frame-src {}; frame-ancestors {ancestors}; \
         base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
        any_origin(front.port())
    )
}

/// Headers of everything the shell's origin answers.
pub(super) fn protect(headers: &mut HeaderMap, policy: &str) {
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let same = HeaderValue::from_static("same-origin");
    headers.insert("cross-origin-resource-policy", same.clone());
    headers.insert("cross-origin-opener-policy", same);
}

/// A file below `/assets/`. They are the same for everybody, and so not secret.
pub(super) fn asset(name: &str) -> Option<Response<Outgoing>> {
    let (_, kind, bytes) = ASSETS.iter().find(|(known, ..)| *known == name)?;
    let mut response = pages::page(StatusCode::OK, kind, *bytes);
    protect(response.headers_mut(), "default-src 'none'; frame-ancestors 'none'; sandbox");
    Some(response)
}

/// An icon of a package: a picture whatever it holds. As a document of its own it could neither
/// run a script nor load anything; the page shows it as `<img>` only.
pub(super) fn icon(kind: &'static str, bytes: Vec<u8>) -> Response<Outgoing> {
    let mut response = pages::page(StatusCode::OK, kind, bytes);
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                  frame-ancestors 'none'; sandbox";
    protect(response.headers_mut(), policy);
    let cache = HeaderValue::from_static("private, max-age=3600");
    response.headers_mut().insert(header::CACHE_CONTROL, cache);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_no_inline_script_style_or_handler() {
        for page in [INDEX, OFFER] {
            for script in page.split("<script").skip(1) {
                assert!(script.split('>').next().is_some_and(|tag| tag.contains("src=")), "{page}");
            }
            for bad in
                ["<style", "style=", "onclick", "onload", "javascript:", "http://", "https://"]
            {
                assert!(!page.contains(bad), "{bad}");
            }
        }
    }

    #[test]
    fn every_import_of_a_script_is_served() {
        for (name, kind, bytes) in ASSETS.iter().filter(|(_, kind, _)| *kind == SCRIPT) {
            let text = std::str::from_utf8(bytes).unwrap();
            for import in text.split(" from \"./").skip(1) {
                let wanted = import.split('"').next().unwrap();
                let wanted = match name.rsplit_once('/') {
                    Some((dir, _)) => format!("{dir}/{wanted}"),
                    None => wanted.to_owned(),
                };
                assert!(ASSETS.iter().any(|(known, ..)| *known == wanted), "{name}: {wanted}");
            }
            assert_eq!(*kind, SCRIPT);
        }
    }
}
