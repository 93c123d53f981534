//! What the front end itself says: errors, and how pages are written.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::Outgoing;

/// A short text. Never anything from the inside of host or app (http-bridge §12,
/// issue 1381): that goes to the log and to the developer.
pub(crate) fn text(status: StatusCode, text: &str) -> Response<Outgoing> {
    page(status, "text/plain; charset=UTF-8", format!("{text}\n"))
}

/// A page for a person who wanted the app and gets this: a heading, lines of the app's log, and a way to ask
/// again.
pub(crate) fn failed(heading: &str, lines: &[String], again: bool) -> Response<Outgoing> {
    let heading = escape(heading);
    let mut text = format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{heading}</title>\n<h1>{heading}</h1>\n"
    );
    if !lines.is_empty() {
        let lines = escape(&lines.join("\n"));
        text.push_str(&format!("<p>The last lines of its log:</p>\n<pre>{lines}</pre>\n"));
    }
    if again {
        text.push_str("<p><a href=\"\">Try again</a></p>\n");
    }
    let mut response = page(StatusCode::BAD_GATEWAY, "text/html; charset=UTF-8", text);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Beside the session's own policy; both hold.
    headers.append(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

/// Text as it stands between the tags of a page.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
