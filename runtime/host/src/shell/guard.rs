//! Who may ask the shell for what. The page, its scripts and styles are the same for everybody and
//! hold nothing. Two things stand between everything else and everybody else on this machine and in
//! this browser:
//!
//! * The key, in a header that no other origin can send. The page has it from the address that was
//!   printed ([`super::sign_in`]). What a browser fetches without asking the page, pictures and
//!   downloads, has an address with a key for just that.
//! * `Origin` and `Sec-Fetch-Site`, where they are sent, say that it was our own page.
//!
//! DNS rebinding fails before: the front end only answers to its own names below `localhost`.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use super::assets;
use super::problem::Problem;
use super::sign_in::same;
use crate::serve::front::Front;
use crate::serve::front::body::Outgoing;
use crate::serve::front::pages;

/// Header of the key.
pub(super) const KEY: &str = "x-spk-csrf";

/// What the page of a share link sends along.
pub(super) fn share_key(front: &Front, token: &str) -> String {
    front.derive(&format!("shell key of {token}"))
}

/// What an icon's address ends with.
pub(super) fn icon_key(front: &Front, id: &str) -> String {
    front.derive(&format!("shell key of icon {id}"))
}

/// A refusal, as text.
pub(super) fn refuse(status: StatusCode, text: &str) -> Response<Outgoing> {
    let mut response = pages::text(status, text);
    assets::protect(response.headers_mut(), "default-src 'none'; frame-ancestors 'none'");
    response
}

/// For requests of our own pages' scripts, which have this key.
pub(super) fn own_page(parts: &Parts, key: &str) -> Result<(), Problem> {
    let origin = parts.headers.get(header::ORIGIN);
    // Which of the shell's names it is was seen before.
    let host = parts.headers.get(header::HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let own = [b"http://", host].concat();
    let own = origin.is_none_or(|origin| origin.as_bytes().eq_ignore_ascii_case(&own));
    if !own || !same_origin(&parts.headers) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "CSRF not allowed"));
    }
    let given = parts.headers.get(KEY).map_or(&b""[..], HeaderValue::as_bytes);
    if !same(given, key.as_bytes()) {
        let text = "this page is not signed in, or belongs to an earlier run of spk";
        let hint = "open the whole address that spk printed, and reload this page; share links end \
                    with the run";
        return Err(Problem::new(StatusCode::FORBIDDEN, text).hint(hint));
    }
    Ok(())
}

/// Whether the browser says that it asks for one of our pages, or says nothing.
pub(super) fn same_origin(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    matches!(site, None | Some(b"same-origin" | b"none"))
}

/// Whether this is a page being put into a frame.
pub(super) fn framed(headers: &HeaderMap) -> bool {
    let dest = headers.get("sec-fetch-dest").map(HeaderValue::as_bytes);
    matches!(dest, Some(b"iframe" | b"frame" | b"embed" | b"object"))
}
