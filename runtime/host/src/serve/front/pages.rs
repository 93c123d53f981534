//! What the front end itself says: errors, and the page around the app.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::Outgoing;
use crate::serve::user::KNOWN;

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

/// Text as it may stand in HTML, in attributes too.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The page around the app: who one is, and the app in a frame of its own origin.
pub(crate) fn shell(title: &str, user: &str, frame: &str) -> String {
    let mut users = String::new();
    for known in KNOWN {
        let mark = if known == user { " aria-current=\"page\"" } else { "" };
        users.push_str(&format!("<a href=\"/as/{known}\"{mark}>{known}</a> "));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>{STYLE}</style></head>\n\
         <body><nav><strong id=\"title\">{title}</strong> {users}</nav>\n\
         <iframe id=\"app\" src=\"{frame}\" title=\"{title}\" \
         allow=\"clipboard-write\"></iframe>\n\
         </body></html>\n",
        title = escape(title),
        frame = escape(frame),
    )
}

const STYLE: &str = "html,body{margin:0;height:100%}body{display:flex;flex-direction:column;\
    font:14px sans-serif}nav{padding:.4em .8em;background:#222;color:#ddd}nav a{color:#9cf;\
    margin-left:.6em}nav a[aria-current]{color:#fff;font-weight:bold;text-decoration:none}\
    iframe{flex:1;border:0;width:100%}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_cannot_become_markup() {
        let page = shell("<script>alert('1')</script>", "bob", "http://x/\"onload=\"");
        assert!(!page.contains("<script>alert") && !page.contains("\"onload=\""));
        assert!(page.contains("<a href=\"/as/bob\" aria-current=\"page\">bob</a>"));
    }
}
