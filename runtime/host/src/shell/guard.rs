//! Who may ask the shell for what. Three things stand between it and everybody else on this
//! machine and in this browser:
//!
//! * The cookie that the token of the printed URL becomes: another user of the machine, and any
//!   browser that was not given the URL, has none.
//! * Requests for data and actions carry a value that only our own page knows, in a header that no
//!   other origin can send: apps are same-site with the shell, so cookies come along with their
//!   requests and `SameSite` does not keep them out.
//! * `Origin` and `Sec-Fetch-Site`, where they are sent, say that it was our own page.
//!
//! DNS rebinding fails before: the front end only answers to names below `spk.localhost`.

use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};

use super::assets;
use super::sign_in::{same, sign_in, signed_in};
use crate::serve::front::Front;
use crate::serve::front::body::Outgoing;
use crate::serve::front::pages;

/// Header of the value that only our page knows.
pub(super) const CSRF: &str = "x-spk-csrf";

/// What the shell's own page sends along.
pub(super) fn csrf(front: &Front) -> String {
    front.derive("shell csrf")
}

/// What the page of a share link sends along.
pub(super) fn share_csrf(front: &Front, token: &str) -> String {
    front.derive(&format!("shell csrf of {token}"))
}

/// A refusal, as text.
pub(super) fn refuse(status: StatusCode, text: &str) -> Response<Outgoing> {
    let mut response = pages::text(status, text);
    assets::protect(response.headers_mut(), "default-src 'none'; frame-ancestors 'none'");
    response
}

/// For pages and pictures: signed in, or being signed in by the token of the URL.
pub(super) fn page(front: &Front, parts: &Parts) -> Result<(), Box<Response<Outgoing>>> {
    if let Some(mut response) = sign_in(front, &parts.uri) {
        assets::protect(response.headers_mut(), "default-src 'none'; frame-ancestors 'none'");
        return Err(Box::new(response));
    }
    if signed_in(front, &parts.headers) {
        return Ok(());
    }
    let text = "open the whole address that spk printed: its token signs you in";
    Err(Box::new(refuse(StatusCode::FORBIDDEN, text)))
}

/// For data and actions.
pub(super) fn api(front: &Front, parts: &Parts) -> Result<(), Box<Response<Outgoing>>> {
    if !signed_in(front, &parts.headers) {
        let text = "not signed in: open the address that spk printed";
        return Err(Box::new(refuse(StatusCode::FORBIDDEN, text)));
    }
    own_page(front, parts, &csrf(front))
}

/// For requests of our own pages' scripts.
pub(super) fn own_page(
    front: &Front,
    parts: &Parts,
    secret: &str,
) -> Result<(), Box<Response<Outgoing>>> {
    let given = parts.headers.get(CSRF).and_then(|given| given.to_str().ok());
    let origin = parts.headers.get(header::ORIGIN);
    let own = origin.is_none_or(|origin| origin.as_bytes() == front.shell_origin().as_bytes());
    if own
        && same_origin(&parts.headers)
        && given.is_some_and(|given| same(given.as_bytes(), secret.as_bytes()))
    {
        return Ok(());
    }
    Err(Box::new(refuse(StatusCode::FORBIDDEN, "CSRF not allowed")))
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
