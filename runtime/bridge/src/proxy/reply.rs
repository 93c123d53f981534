//! What the proxy itself says.

use http::{HeaderValue, Response, StatusCode, header};

use super::Body;

/// A short message.
pub(super) fn plain(status: StatusCode, message: &str) -> Response<Body> {
    full(status, "text/plain; charset=UTF-8", format!("{message}\n").into_bytes())
}

/// A whole response.
pub(super) fn full(status: StatusCode, mime_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime_type));
    response
}
