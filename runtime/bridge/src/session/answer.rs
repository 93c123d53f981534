//! From an HTTP response to the branch of `WebSession.Response` (http-bridge §5.4, §5.5).

use std::borrow::Cow;
use std::collections::BTreeMap;

use capnp::text;
use spk_schema::headers;
use spk_schema::util_capnp::handle;
use spk_schema::web_session_capnp::web_session::{e_tag, response};
use spk_web_session::status::{self, Branch};
use spk_web_session::tag;

use super::{Call, download, losses};
use crate::error::Error;
use crate::http::body::content_length;
use crate::http::cookie::{self, Expires};
use crate::http::disposition;
use crate::http::exchange::Received;
use crate::http::head::Head;
use crate::http::is_clean;
use crate::limits;

enum Body {
    Bytes(Vec<u8>),
    Stream(handle::Client),
}

impl Call {
    /// Fills the call's result. Nothing is written before it is clear which branch it is: the empty
    /// result means a redirect.
    pub(super) fn answer(
        self,
        received: Received,
        mut response: response::Builder<'_>,
    ) -> Result<(), capnp::Error> {
        let (head, incoming) = match received {
            Received::Complete(head, body) => (head, Err(body)),
            Received::Streaming(head, incoming) => (head, Ok(incoming)),
        };
        let branch = status::branch(head.status);
        if let Some(listener) = &self.listener {
            let asked = match self.is_get && self.conditional {
                true => losses::Asked::NotModified,
                false => losses::Asked::Other,
            };
            losses::tell(listener, &head, &self.path, asked);
        }
        self.check(&head, branch)?;
        common_headers(&head, response.reborrow());
        match branch {
            Branch::Content(code) => {
                let path = self.path.clone();
                let body = self.body(&head, incoming)?;
                let mut content = response.init_content();
                content.set_status_code(code);
                content_headers(&head, &path, content.reborrow());
                match body {
                    Body::Bytes(bytes) => content.init_body().set_bytes(&bytes),
                    Body::Stream(handle) => content.init_body().set_stream(handle),
                }
            }
            Branch::NoContent { reset_form } => {
                let mut no_content = response.init_no_content();
                no_content.set_should_reset_form(reset_form);
                set_tag(&head, |tag_parts| fill_tag(no_content.init_e_tag(), tag_parts));
            }
            Branch::PreconditionFailed => {
                let failed = response.init_precondition_failed();
                set_tag(&head, |tag_parts| fill_tag(failed.init_matching_e_tag(), tag_parts));
            }
            Branch::Redirect { permanent, switch_to_get } => {
                let location = head.first("location").ok_or(Error::RedirectWithoutLocation)?;
                let mut redirect = response.init_redirect();
                redirect.set_is_permanent(permanent);
                redirect.set_switch_to_get(switch_to_get);
                redirect.set_location(text::Reader(location));
            }
            Branch::ClientError(code) => {
                let mut error = response.init_client_error();
                error.set_status_code(code);
                let page = ErrorPage::new(&head, incoming);
                if let Some(html) = page.html() {
                    error.set_description_html(text::Reader(html));
                }
                if page.is_typed() {
                    page.fill(error.init_non_html_body());
                }
            }
            Branch::ServerError => {
                let mut error = response.init_server_error();
                let page = ErrorPage::new(&head, incoming);
                if let Some(html) = page.html() {
                    error.set_description_html(text::Reader(html));
                }
                if page.is_typed() {
                    page.fill(error.init_non_html_body());
                }
            }
            Branch::Unsupported => return Err(Error::UnsupportedStatus(head.status).into()),
        }
        Ok(())
    }

    fn check(&self, head: &Head, branch: Branch) -> Result<(), Error> {
        match branch {
            Branch::Redirect { .. } if head.first("location").is_none() => {
                Err(Error::RedirectWithoutLocation)
            }
            Branch::PreconditionFailed if head.status == 304 && !self.conditional => {
                Err(Error::UnaskedNotModified)
            }
            _ => Ok(()),
        }
    }

    fn body(
        self,
        head: &Head,
        incoming: Result<crate::http::exchange::Incoming, Vec<u8>>,
    ) -> Result<Body, Error> {
        let Some(stream) = self.response_stream else {
            return Ok(Body::Bytes(incoming.err().unwrap_or_default()));
        };
        match incoming {
            Ok(incoming) => {
                let length = content_length(head)?;
                Ok(Body::Stream(download::stream(incoming, length, stream, self.underway)))
            }
            // The announced length of a body that does not follow: hosts print it.
            Err(_) if self.to_head => match content_length(head) {
                Ok(Some(length)) => Ok(Body::Stream(download::announce(length, stream))),
                _ => Ok(Body::Bytes(Vec::new())),
            },
            Err(bytes) => Ok(Body::Bytes(bytes)),
        }
    }
}

/// Cookies and listed headers, which every branch carries.
fn common_headers(head: &Head, mut response: response::Builder<'_>) {
    let cookies: Vec<_> = head.all("set-cookie").filter_map(cookie::parse).collect();
    // A head is limited to 80 KiB, and so are the headers in it.
    let mut list = response.reborrow().init_set_cookies(cookies.len() as u32);
    for (index, cookie) in cookies.iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_name(text::Reader(cookie.name));
        item.set_value(text::Reader(cookie.value));
        item.set_http_only(cookie.http_only);
        if let Some(path) = cookie.path {
            item.set_path(text::Reader(path));
        }
        let mut expires = item.init_expires();
        match cookie.expires {
            Expires::Never => expires.set_none(()),
            Expires::At(seconds) => expires.set_absolute(seconds),
            Expires::After(seconds) => expires.set_relative(seconds),
        }
    }
    let mut additional = BTreeMap::<&[u8], Vec<u8>>::new();
    for (name, value) in head.fields() {
        if headers::RESPONSE.allows(name) {
            let joined = additional.entry(name).or_default();
            if !joined.is_empty() {
                joined.extend_from_slice(b", ");
            }
            joined.extend_from_slice(value);
        }
    }
    let mut list = response.init_additional_headers(additional.len() as u32);
    for (index, (name, value)) in additional.iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_name(text::Reader(name));
        item.set_value(text::Reader(value));
    }
}

/// Optional texts stay null if the app sent none.
fn content_headers(head: &Head, path: &[u8], mut content: response::content::Builder<'_>) {
    if let Some(encoding) = head.joined("content-encoding") {
        content.set_encoding(text::Reader(&encoding));
    }
    if let Some(language) = head.joined("content-language") {
        content.set_language(text::Reader(&language));
    }
    if let Some(mime_type) = head.first("content-type") {
        content.set_mime_type(text::Reader(mime_type));
    }
    if let Some((value, weak)) = head.first("etag").and_then(tag::parse) {
        fill_tag(content.reborrow().init_e_tag(), (value, weak));
    }
    let name =
        head.first("content-disposition").and_then(|value| disposition::download_name(value, path));
    if let Some(name) = name.filter(|name| is_clean(name)) {
        content.init_disposition().set_download(text::Reader(&name));
    }
}

fn set_tag<'a>(head: &'a Head, fill: impl FnOnce((&'a [u8], bool))) {
    if let Some(parts) = head.first("etag").and_then(tag::parse) {
        fill(parts);
    }
}

fn fill_tag(mut tag: e_tag::Builder<'_>, (value, weak): (&[u8], bool)) {
    tag.set_value(text::Reader(value));
    tag.set_weak(weak);
}

/// An error page: HTML in the host's default form, or anything else with its type.
struct ErrorPage<'a> {
    body: Vec<u8>,
    mime_type: Option<&'a [u8]>,
    encoding: Option<Cow<'a, [u8]>>,
    language: Option<Cow<'a, [u8]>>,
}

impl<'a> ErrorPage<'a> {
    fn new<T>(head: &'a Head, body: Result<T, Vec<u8>>) -> ErrorPage<'a> {
        ErrorPage {
            body: body.err().unwrap_or_default(),
            mime_type: head.first("content-type"),
            encoding: head.joined("content-encoding"),
            language: head.joined("content-language"),
        }
    }

    /// Whether the body cannot be shown as UTF-8 HTML, which is what `descriptionHtml` becomes.
    fn is_typed(&self) -> bool {
        let plain_html = match self.mime_type {
            None => true,
            Some(mime_type) => {
                let text = mime_type.to_ascii_lowercase();
                let mut parts = text.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                parts.next() == Some(b"text/html")
                    && parts.all(|part| {
                        !part.starts_with(b"charset=")
                            || matches!(part, b"charset=utf-8" | b"charset=\"utf-8\"")
                    })
            }
        };
        !self.body.is_empty() && (!plain_html || self.encoding.is_some())
    }

    /// The body for `descriptionHtml`. Small typed pages are sent there too, for hosts that do not
    /// know the other form.
    fn html(&self) -> Option<&[u8]> {
        let both = self.encoding.is_none() && self.body.len() <= limits::TWO_FORM_ERROR_BODY;
        (!self.body.is_empty() && (both || !self.is_typed())).then_some(&self.body)
    }

    fn fill(&self, mut page: response::error_body::Builder<'_>) {
        page.set_data(&self.body);
        if let Some(encoding) = &self.encoding {
            page.set_encoding(text::Reader(encoding));
        }
        if let Some(language) = &self.language {
            page.set_language(text::Reader(language));
        }
        if let Some(mime_type) = self.mime_type {
            page.set_mime_type(text::Reader(mime_type));
        }
    }
}
