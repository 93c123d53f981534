//! The WebDAV methods (http-bridge §4.10).

use bytes::BytesMut;
use capnp::text;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use spk_schema::web_session_capnp::web_session::{self, PropfindDepth};

use crate::answer::Policy;
use crate::body::Body;
use crate::call::{Request, UNKNOWN_METHOD, fill_content, send};
use crate::failure::{Failure, Refusal};
use crate::hold::Hold;
use crate::source::{Source, collect};

impl<P: Policy> Request<'_, P> {
    /// A WebDAV method, or what is none.
    pub(crate) async fn dav<H: Hold>(
        &self,
        web: &web_session::Client,
        body: impl Source,
        hold: H,
    ) -> Result<Response<Body<H>>, Failure> {
        let depth = self.headers.get("depth").map(HeaderValue::as_bytes);
        match self.method.as_str() {
            "PROPFIND" => {
                let xml = self.collect_xml(body).await?;
                let mut request = web.propfind_request();
                request.get().set_xml_content(text::Reader(&xml));
                request.get().set_depth(match depth {
                    Some(b"0") => PropfindDepth::Zero,
                    Some(b"1") => PropfindDepth::One,
                    _ => PropfindDepth::Infinity,
                });
                send!(self, request, hold)
            }
            "PROPPATCH" => {
                let xml = self.collect_xml(body).await?;
                let mut request = web.proppatch_request();
                request.get().set_xml_content(text::Reader(&xml));
                send!(self, request, hold)
            }
            "MKCOL" => {
                let content = collect(body, self.collected).await?;
                let mut request = web.mkcol_request();
                fill_content!(self, request, &content);
                send!(self, request, hold)
            }
            "COPY" => {
                let destination = destination(self.headers, self.base)?;
                let mut request = web.copy_request();
                request.get().set_destination(destination);
                request.get().set_no_overwrite(no_overwrite(self.headers));
                request.get().set_shallow(depth == Some(b"0"));
                send!(self, request, hold)
            }
            "MOVE" => {
                let destination = destination(self.headers, self.base)?;
                let mut request = web.move_request();
                request.get().set_destination(destination);
                request.get().set_no_overwrite(no_overwrite(self.headers));
                send!(self, request, hold)
            }
            "LOCK" => {
                let xml = self.collect_xml(body).await?;
                let mut request = web.lock_request();
                request.get().set_xml_content(text::Reader(&xml));
                request.get().set_shallow(depth == Some(b"0"));
                send!(self, request, hold)
            }
            "UNLOCK" => {
                let token = self.headers.get("lock-token").map(HeaderValue::as_bytes);
                let mut request = web.unlock_request();
                request.get().set_lock_token(text::Reader(token.unwrap_or_default()));
                send!(self, request, hold)
            }
            "ACL" => {
                let xml = self.collect_xml(body).await?;
                let mut request = web.acl_request();
                request.get().set_xml_content(text::Reader(&xml));
                send!(self, request, hold)
            }
            "REPORT" => {
                let content = collect(body, self.collected).await?;
                let mut request = web.report_request();
                fill_content!(self, request, &content);
                send!(self, request, hold)
            }
            _ => Err(UNKNOWN_METHOD.into()),
        }
    }

    /// The body of a method that carries XML as text.
    async fn collect_xml(&self, body: impl Source) -> Result<BytesMut, Failure> {
        let unsupported = |text| Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text };
        if let Some(kind) = self.headers.get(header::CONTENT_TYPE) {
            let kind = kind.as_bytes();
            let subtype = kind.iter().position(|byte| *byte == b'/').map(|slash| &kind[slash..]);
            if !subtype.is_some_and(|subtype| subtype == b"/xml" || subtype.starts_with(b"/xml;")) {
                return Err(unsupported("Unsupported media type.").into());
            }
        }
        if self.headers.contains_key(header::CONTENT_ENCODING) {
            let text = "this method takes its body without Content-Encoding";
            return Err(unsupported(text).into());
        }
        collect(body, self.collected).await
    }
}

fn no_overwrite(headers: &HeaderMap) -> bool {
    headers.get("overwrite").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"f"))
}

/// `Destination` as the protocol wants it: relative to the session, without leading slash. Only a
/// path can become that, or a URL on the server that is asked: what goes elsewhere, this session
/// cannot do, and must not do at home.
///
/// # Errors
/// The refusal that it is answered with.
pub fn destination<'a>(headers: &'a HeaderMap, base: &str) -> Result<&'a str, Refusal> {
    const NO_URL: Refusal =
        Refusal { status: StatusCode::BAD_REQUEST, text: "Destination is not a URL" };
    let Some(value) = headers.get("destination") else {
        return Err(Refusal::bad_request("this method needs a Destination header"));
    };
    let value = value.to_str().map_err(|_| NO_URL)?;
    if value.contains([' ', '\t']) {
        return Err(NO_URL);
    }
    let path = match value.split_once("://") {
        Some((_, rest)) if !value.starts_with('/') => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (origin, path) = value.split_at(value.len() - rest.len() + end);
            if !origin.eq_ignore_ascii_case(base) {
                let text = "Destination is on another server";
                return Err(Refusal { status: StatusCode::BAD_GATEWAY, text });
            }
            // A URL without a path is that of the root.
            if path.is_empty() { "/" } else { path }
        }
        _ => value,
    };
    let path = path.strip_prefix('/').ok_or(NO_URL)?;
    Ok(path.split('#').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d06_d07_destinations() {
        let base = "http://ui-abc.h:7000";
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("destination", value.parse().unwrap());
            destination(&headers, base).map(str::to_owned).map_err(|refusal| refusal.status)
        };
        for (value, expected) in [
            ("/d/e?f", "d/e?f"),
            ("/d,e", "d,e"),
            ("/", ""),
            ("//d", "/d"),
            ("/d#e", "d"),
            ("/a://b", "a://b"),
            ("http://ui-abc.h:7000/d", "d"),
            ("HTTP://UI-ABC.h:7000/D", "D"),
            ("http://ui-abc.h:7000", ""),
        ] {
            assert_eq!(of(value).as_deref(), Ok(expected), "{value}");
        }
        for bad in ["", "d", "a:b", "/a b", "?x", "/\u{fc}"] {
            assert_eq!(of(bad), Err(StatusCode::BAD_REQUEST), "{bad:?}");
        }
        for elsewhere in [
            "http://h/d",
            "https://ui-abc.h:7000/d",
            "http://ui-abc.h/d",
            "http://ui-abc.h:7000.evil/d",
            "http://ui-abc.h:7000@evil/d",
        ] {
            assert_eq!(of(elsewhere), Err(StatusCode::BAD_GATEWAY), "{elsewhere}");
        }
        assert_eq!(
            destination(&HeaderMap::new(), base).unwrap_err().status,
            StatusCode::BAD_REQUEST
        );
    }
}
