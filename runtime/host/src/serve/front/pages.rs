//! What the front end itself says: errors, and how pages are written.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::Outgoing;

/// A short text. Never anything from the inside of host or app (http-bridge §12,
/// issue 1381): that goes to the log and to the developer.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<Outgoing> {
    page(status, "text/plain; charset=UTF-8", format!("{text}\n"))
}

/// A page of ours.
pub(crate) fn page(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<bytes::Bytes>,
) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
