//! Who is signed in: the token of the printed address becomes a cookie, so that it does not stay in
//! the address bar.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode, Uri};
use spk_web_session::values;
use subtle::ConstantTimeEq;

use crate::serve::front::body::Outgoing;
use crate::serve::front::{Front, pages};

/// What opens the shell: whoever has it is signed in.
fn token(front: &Front) -> String {
    front.derive("shell token")
}

/// The address that is printed.
pub(super) fn address(front: &Front) -> String {
    format!("{}/?token={}", front.shell_origin(), token(front))
}

fn cookie_name(front: &Front) -> String {
    format!("spk-shell-{}", front.port())
}

/// Answers the address that was printed.
pub(super) fn sign_in(front: &Front, uri: &Uri) -> Option<Response<Outgoing>> {
    let given = uri.query().and_then(|query| query.strip_prefix("token="))?;
    let token = token(front);
    if uri.path() != "/" || !same(given.as_bytes(), token.as_bytes()) {
        return None;
    }
    let mut response = pages::text(StatusCode::SEE_OTHER, "signed in");
    let cookie = format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", cookie_name(front));
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    Some(response)
}

/// Whether the request carries the shell's cookie. An app may have set another one of the same
/// name for all of `spk.localhost`: that must not hide ours.
pub(super) fn signed_in(front: &Front, headers: &HeaderMap) -> bool {
    let (wanted, token) = (cookie_name(front), token(front));
    values::cookies(headers, b"")
        .iter()
        .any(|(name, value)| name == wanted.as_bytes() && same(value, token.as_bytes()))
}

/// Compares without stopping at the first difference.
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
