//! From `WebSession.Response` to HTTP (http-bridge §5.4, §5.8 to §5.11).

use std::borrow::Cow;

use bytes::Bytes;
use capnp::text;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use spk_schema::headers as lists;
use spk_schema::web_session_capnp::web_session::{cookie, e_tag, options, response};

use crate::body::Body;
use crate::hold::Hold;
use crate::status;
use crate::stream::Incoming;
use crate::tag;

/// What must be known of the request to answer it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// HEAD: no body.
    pub head: bool,
    /// GET or HEAD with `If-None-Match`: a failed precondition is "not modified".
    pub not_modified: bool,
}

/// What of an answer reaches the client, and what the caller adds to it.
pub trait Policy {
    /// Whether cookies do.
    fn passes_cookies(&self) -> bool;

    /// Is told the name of each cookie that is not passed on.
    fn cookie_dropped(&self, _name: &[u8]) {}

    /// Adds the caller's own headers (http-bridge §5.10). Those of the session's own making that pass
    /// as they are, [`spk_schema::headers::RESPONSE`], are there already.
    fn apply(&self, headers: &mut HeaderMap);
}

/// Bytes of a response head that are taken, each header with [`HEADER_COST`] added.
/// The bridge takes 80 KiB from its app; more than `HeaderMap` can hold (24,576 names) does not fit.
pub const APP_HEAD: usize = 256 * 1024;

/// What a header costs beside its name and value.
const HEADER_COST: usize = 32;

/// Sets a header from what the session said; what cannot stand in a header is left out, because a
/// response without it is worth more than none.
fn set_bytes(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// Builds the HTTP response.
pub(crate) async fn translate<H: Hold>(
    message: response::Reader<'_>,
    asked: Asked,
    policy: &impl Policy,
    incoming: Incoming,
    hold: H,
) -> Result<Response<Body<H>>, capnp::Error> {
    let response = translate_unchecked(message, asked, policy, incoming, hold).await?;
    check_head(response.headers())?;
    Ok(response)
}

/// Refuses a response head that is larger than [`APP_HEAD`].
pub fn check_head(headers: &HeaderMap) -> Result<(), capnp::Error> {
    let mut size = HeadSize(0);
    headers.iter().try_for_each(|(name, value)| size.add(name.as_str().len() + value.len()))
}

/// Adds up a response head.
struct HeadSize(usize);

impl HeadSize {
    fn add(&mut self, bytes: usize) -> Result<(), capnp::Error> {
        self.0 = self.0.saturating_add(bytes).saturating_add(HEADER_COST);
        if self.0 > APP_HEAD {
            return Err(capnp::Error::failed(format!(
                "the response head is larger than {APP_HEAD} bytes"
            )));
        }
        Ok(())
    }
}

async fn translate_unchecked<H: Hold>(
    message: response::Reader<'_>,
    asked: Asked,
    policy: &impl Policy,
    incoming: Incoming,
    hold: H,
) -> Result<Response<Body<H>>, capnp::Error> {
    let mut headers = HeaderMap::new();
    let mut size = HeadSize(0);
    if policy.passes_cookies() {
        for cookie in message.get_set_cookies()? {
            if let Some(line) = cookie_line(cookie)? {
                size.add(line.len())?;
                headers.append(header::SET_COOKIE, line);
            }
        }
    } else {
        for cookie in message.get_set_cookies()? {
            policy.cookie_dropped(cookie.get_name()?.as_bytes());
        }
    }
    for extra in message.get_additional_headers()? {
        let (name, value) = (extra.get_name()?.as_bytes(), extra.get_value()?.as_bytes());
        size.add(name.len() + value.len())?;
        if lists::RESPONSE.allows(name)
            && let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    policy.apply(&mut headers);
    use response::Which;
    let (status, body) = match message.which()? {
        Which::Content(content) => {
            return translate_content(content, asked, headers, incoming, hold).await;
        }
        Which::NoContent(none) => {
            if none.has_e_tag() {
                set_tag(&mut headers, none.get_e_tag()?)?;
            }
            let reset = none.get_should_reset_form();
            (if reset { StatusCode::RESET_CONTENT } else { StatusCode::NO_CONTENT }, NOTHING)
        }
        Which::PreconditionFailed(failed) => {
            if asked.not_modified {
                if failed.has_matching_e_tag() {
                    set_tag(&mut headers, failed.get_matching_e_tag()?)?;
                }
                (StatusCode::NOT_MODIFIED, NOTHING)
            } else {
                (StatusCode::PRECONDITION_FAILED, NOTHING)
            }
        }
        Which::Redirect(redirect) => {
            let status =
                status::redirect(redirect.get_is_permanent(), redirect.get_switch_to_get());
            let location = redirect.get_location()?.as_bytes();
            set_bytes(&mut headers, header::LOCATION, location);
            headers.insert(header::CONTENT_TYPE, TEXT);
            let reason = status.canonical_reason().unwrap_or_default();
            (status, Cow::Owned([reason.as_bytes(), b": ", location].concat()))
        }
        Which::ClientError(error) => {
            let status = status::client_error(error.get_status_code());
            let other = error.has_non_html_body().then(|| error.get_non_html_body()).transpose()?;
            let html = error.has_description_html().then(|| error.get_description_html());
            (status, error_body(&mut headers, other, html.transpose()?)?.into())
        }
        Which::ServerError(error) => {
            let other = error.has_non_html_body().then(|| error.get_non_html_body()).transpose()?;
            let html = error.has_description_html().then(|| error.get_description_html());
            let body = error_body(&mut headers, other, html.transpose()?)?;
            (StatusCode::INTERNAL_SERVER_ERROR, body.into())
        }
    };
    Ok(finish(status, headers, held(&body, &hold, asked).await))
}

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=UTF-8");

const NOTHING: Cow<'static, [u8]> = Cow::Borrowed(&[]);

/// A body of the session's, copied as soon as clients have taken enough of the others.
async fn held<H: Hold>(body: &[u8], hold: &H, asked: Asked) -> Bytes {
    if asked.head {
        return Bytes::new();
    }
    match hold.room_for(body.len()).await {
        Some(room) => Bytes::from_owner(Held { body: body.to_vec(), _room: room }),
        None => Bytes::copy_from_slice(body),
    }
}

/// A body with the room that it takes until the client has all of it.
struct Held<R> {
    body: Vec<u8>,
    _room: R,
}

impl<R> AsRef<[u8]> for Held<R> {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn finish<H>(status: StatusCode, headers: HeaderMap, body: Bytes) -> Response<Body<H>> {
    let mut response = Response::new(Body::full(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn translate_content<H: Hold>(
    content: response::content::Reader<'_>,
    asked: Asked,
    mut headers: HeaderMap,
    incoming: Incoming,
    hold: H,
) -> Result<Response<Body<H>>, capnp::Error> {
    use response::content::{body, disposition};
    let status = status::success(content.get_status_code());
    if content.has_mime_type() {
        set_bytes(&mut headers, header::CONTENT_TYPE, content.get_mime_type()?.as_bytes());
    }
    if content.has_encoding() {
        set_bytes(&mut headers, header::CONTENT_ENCODING, content.get_encoding()?.as_bytes());
    }
    if content.has_language() {
        set_bytes(&mut headers, header::CONTENT_LANGUAGE, content.get_language()?.as_bytes());
    }
    if content.has_e_tag() {
        set_tag(&mut headers, content.get_e_tag()?)?;
    }
    if let Ok(disposition::Which::Download(name)) = content.get_disposition().which() {
        let name = name?;
        let mut value = b"attachment; filename=\"".to_vec();
        for byte in name.as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                value.push(b'\\');
            }
            value.push(*byte);
        }
        value.push(b'"');
        set_bytes(&mut headers, header::CONTENT_DISPOSITION, &value);
    }
    // Statuses that cannot have a body (native apps may name them): the body is not sent.
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match content.get_body().which()? {
        body::Which::Bytes(bytes) => {
            let bytes = if bodiless { &[] } else { bytes? };
            if asked.head && !bytes.is_empty() {
                headers.insert(header::CONTENT_LENGTH, bytes.len().into());
            }
            Ok(finish(status, headers, held(bytes, &hold, asked).await))
        }
        body::Which::Stream(handle) => {
            let stream = incoming.into_body(handle?, hold).await;
            if asked.head || bodiless {
                // The length, which a HEAD response is for (12, issue 3454).
                if let Some(size) = stream.announced().filter(|_| asked.head && !bodiless) {
                    headers.insert(header::CONTENT_LENGTH, size.into());
                }
                return Ok(finish(status, headers, Bytes::new()));
            }
            let mut response =
                Response::new(if stream.is_empty() && stream.announced() == Some(0) {
                    Body::full(Bytes::new())
                } else {
                    Body::Stream(stream)
                });
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        }
    }
}

/// `nonHtmlBody`, else `descriptionHtml`, else nothing (http-bridge §5.8).
fn error_body<'a>(
    headers: &mut HeaderMap,
    other: Option<response::error_body::Reader<'a>>,
    html: Option<text::Reader<'a>>,
) -> Result<&'a [u8], capnp::Error> {
    if let Some(other) = other {
        if other.has_mime_type() {
            set_bytes(headers, header::CONTENT_TYPE, other.get_mime_type()?.as_bytes());
        }
        if other.has_encoding() {
            set_bytes(headers, header::CONTENT_ENCODING, other.get_encoding()?.as_bytes());
        }
        if other.has_language() {
            set_bytes(headers, header::CONTENT_LANGUAGE, other.get_language()?.as_bytes());
        }
        return other.get_data();
    }
    let Some(html) = html else { return Ok(&[]) };
    headers.insert(header::CONTENT_TYPE, HTML);
    Ok(html.as_bytes())
}

/// `Set-Cookie` as http-bridge §5.9 writes it; `None` for one whose parts would not stay apart.
fn cookie_line(cookie: cookie::Reader<'_>) -> Result<Option<HeaderValue>, capnp::Error> {
    let has = |text: &[u8], forbidden: &[u8]| text.iter().any(|byte| forbidden.contains(byte));
    let (name, value) = (cookie.get_name()?.as_bytes(), cookie.get_value()?.as_bytes());
    if has(name, b";,=") || has(value, b";,") {
        return Ok(None);
    }
    let mut line = [name, b"=", value].concat();
    match cookie.get_expires().which() {
        Ok(cookie::expires::Which::Absolute(seconds)) => {
            line.extend_from_slice(b"; Expires=");
            line.extend_from_slice(date(seconds).as_bytes());
        }
        Ok(cookie::expires::Which::Relative(seconds)) => {
            line.extend_from_slice(format!("; Max-Age={seconds}").as_bytes());
        }
        Ok(cookie::expires::Which::None(())) | Err(_) => {}
    }
    if cookie.has_path() {
        let path = cookie.get_path()?.as_bytes();
        if has(path, b";,") {
            return Ok(None);
        }
        line.extend_from_slice(b"; Path=");
        line.extend_from_slice(path);
    }
    if cookie.get_http_only() {
        line.extend_from_slice(b"; HttpOnly");
    }
    Ok(HeaderValue::from_bytes(&line).ok())
}

/// Seconds since 1970 as HTTP writes dates; what no HTTP date can say becomes the nearest that
/// one can.
fn date(seconds: i64) -> String {
    use std::time::{Duration, UNIX_EPOCH};
    // The last second of the year 9999, the last that has four digits.
    const LAST: u64 = 253_402_300_799;
    let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn set_tag(headers: &mut HeaderMap, tag: e_tag::Reader<'_>) -> Result<(), capnp::Error> {
    let text = tag.get_value()?.as_bytes();
    let mut value = Vec::with_capacity(text.len() + b"W/\"\"".len());
    tag::write(&mut value, text, tag.get_weak());
    set_bytes(headers, header::ETAG, &value);
    Ok(())
}

/// What an answer to OPTIONS says.
pub(crate) fn options(
    options: options::Reader<'_>,
    headers: &mut HeaderMap,
) -> Result<(), capnp::Error> {
    let mut dav: Vec<&[u8]> = Vec::new();
    for (has, class) in [
        (options.get_dav_class1(), "1"),
        (options.get_dav_class2(), "2"),
        (options.get_dav_class3(), "3"),
    ] {
        if has {
            dav.push(class.as_bytes());
        }
    }
    for extension in options.get_dav_extensions()? {
        dav.push(extension?.as_bytes());
    }
    if !dav.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&dav.join(b", ".as_slice()))
    {
        headers.insert("dav", value);
        let exposed = HeaderValue::from_static("DAV");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    check_head(headers)
}
