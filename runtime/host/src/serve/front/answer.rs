//! From `WebSession.Response` to HTTP (http-bridge §5.4, §5.8 to §5.11).

use std::borrow::Cow;

use bytes::Bytes;
use capnp::text;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use spk_schema::headers as lists;
use spk_schema::web_session_capnp::web_session::{self, cookie, e_tag, response};

use super::body::Outgoing;
use super::stream::Incoming;
use crate::serve::grain::Busy;

/// What the front end must know of the request to answer it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// HEAD: no body.
    pub head: bool,
    /// GET or HEAD with `If-None-Match`: a failed precondition is "not modified".
    pub not_modified: bool,
    /// The policy headers of this kind of session.
    pub policy: Policy,
}

/// Headers the front end adds to everything a session answers (http-bridge §5.10).
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// Sessions of people.
    Browser {
        /// The page that may frame the app.
        parent: String,
        /// The session's own origin.
        base: String,
    },
    /// Sessions of programs.
    Api,
}

impl Policy {
    /// Adds the headers.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Policy::Browser { parent, base } => {
                set(headers, header::X_FRAME_OPTIONS, &format!("ALLOW-FROM {parent}"));
                let policy = format!("frame-ancestors {parent} {base}");
                set(headers, header::CONTENT_SECURITY_POLICY, &policy);
            }
            Policy::Api => {
                set(headers, header::VARY, "Authorization");
                set(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");
                set(headers, header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
            }
        }
        set(headers, header::REFERRER_POLICY, "same-origin");
        set(headers, PERMISSIONS_POLICY, "interest-cohort=()");
    }
}

/// Bytes of a response head that are taken from the app, each header with [`HEADER_COST`] added.
/// The bridge takes 80 KiB from its app; more than `HeaderMap` can hold (24,576 names) does not fit.
const APP_HEAD: usize = 256 * 1024;

/// What a header costs beside its name and value.
const HEADER_COST: usize = 32;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // All of these are made of host names and constants.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Sets a header from what the app said; what cannot stand in a header is left out, because a
/// response without it is worth more than none.
fn set_bytes(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}

/// Builds the HTTP response.
pub(crate) async fn translate(
    message: response::Reader<'_>,
    asked: &Asked,
    incoming: Incoming,
    busy: Busy,
) -> Result<Response<Outgoing>, capnp::Error> {
    let response = translate_unchecked(message, asked, incoming, busy).await?;
    check_head(response.headers())?;
    Ok(response)
}

/// Refuses a response head that is larger than [`APP_HEAD`].
pub(crate) fn check_head(headers: &HeaderMap) -> Result<(), capnp::Error> {
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
                "the app's response head is larger than {APP_HEAD} bytes"
            )));
        }
        Ok(())
    }
}

async fn translate_unchecked(
    message: response::Reader<'_>,
    asked: &Asked,
    incoming: Incoming,
    busy: Busy,
) -> Result<Response<Outgoing>, capnp::Error> {
    let mut headers = HeaderMap::new();
    let mut size = HeadSize(0);
    asked.policy.apply(&mut headers);
    if matches!(asked.policy, Policy::Browser { .. }) {
        for cookie in message.get_set_cookies()? {
            if let Some(line) = cookie_line(cookie)? {
                size.add(line.len())?;
                headers.append(header::SET_COOKIE, line);
            }
        }
    }
    let mut exposed = vec!["ETag".to_owned()];
    for extra in message.get_additional_headers()? {
        let name = extra.get_name()?.as_bytes();
        size.add(name.len() + extra.get_value()?.as_bytes().len())?;
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if lists::RESPONSE.allows(name.as_bytes())
            && let (Ok(parsed), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(extra.get_value()?.as_bytes()),
            )
        {
            headers.append(parsed, value);
            exposed.push(name);
        }
    }
    if matches!(asked.policy, Policy::Api) {
        set(&mut headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &exposed.join(", "));
    }
    use response::Which;
    let (status, body) = match message.which()? {
        Which::Content(content) => {
            return translate_content(content, asked, headers, incoming, busy).await;
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
            let status = match (redirect.get_is_permanent(), redirect.get_switch_to_get()) {
                (true, true) => StatusCode::MOVED_PERMANENTLY,
                (true, false) => StatusCode::PERMANENT_REDIRECT,
                (false, true) => StatusCode::SEE_OTHER,
                (false, false) => StatusCode::TEMPORARY_REDIRECT,
            };
            let location = redirect.get_location()?.as_bytes();
            set_bytes(&mut headers, header::LOCATION, location);
            set(&mut headers, header::CONTENT_TYPE, "text/plain; charset=UTF-8");
            let reason = status.canonical_reason().unwrap_or_default();
            (status, Cow::Owned([reason.as_bytes(), b": ", location].concat()))
        }
        Which::ClientError(error) => {
            let status = error.get_status_code().map_or(StatusCode::BAD_REQUEST, client_status);
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
    Ok(finish(status, headers, held(&body, &busy, asked).await, asked))
}

const NOTHING: Cow<'static, [u8]> = Cow::Borrowed(&[]);

/// A body of the app's, copied as soon as clients have taken enough of the others.
async fn held(body: &[u8], busy: &Busy, asked: &Asked) -> Bytes {
    if asked.head {
        return Bytes::new();
    }
    match busy.room_for(body.len()).await {
        Some(room) => Bytes::from_owner(Held { body: body.to_vec(), _room: room }),
        None => Bytes::copy_from_slice(body),
    }
}

/// A body with the room that it takes until the client has all of it.
struct Held {
    body: Vec<u8>,
    _room: tokio::sync::OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn finish(
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    asked: &Asked,
) -> Response<Outgoing> {
    let body = if asked.head { Bytes::new() } else { body };
    let mut response = Response::new(Outgoing::full(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

async fn translate_content(
    content: response::content::Reader<'_>,
    asked: &Asked,
    mut headers: HeaderMap,
    incoming: Incoming,
    busy: Busy,
) -> Result<Response<Outgoing>, capnp::Error> {
    use response::content::{body, disposition};
    let status = content.get_status_code().map_or(StatusCode::OK, success_status);
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
            Ok(finish(status, headers, held(bytes, &busy, asked).await, asked))
        }
        body::Which::Stream(handle) => {
            let stream = incoming.into_body(handle?, busy).await;
            if asked.head || bodiless {
                // The app's length, which a HEAD response is for (12, issue 3454).
                if let Some(size) = stream.announced().filter(|_| asked.head && !bodiless) {
                    headers.insert(header::CONTENT_LENGTH, size.into());
                }
                return Ok(finish(status, headers, Bytes::new(), asked));
            }
            let mut response =
                Response::new(if stream.is_empty() && stream.announced() == Some(0) {
                    Outgoing::full(Vec::new())
                } else {
                    Outgoing::Stream(stream)
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
    set(headers, header::CONTENT_TYPE, "text/html; charset=UTF-8");
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
    let weak: &[u8] = if tag.get_weak() { b"W/" } else { b"" };
    let value = [weak, b"\"", tag.get_value()?.as_bytes(), b"\""].concat();
    set_bytes(headers, header::ETAG, &value);
    Ok(())
}

fn success_status(code: response::SuccessCode) -> StatusCode {
    use web_session::response::SuccessCode;
    match code {
        SuccessCode::Ok => StatusCode::OK,
        SuccessCode::Created => StatusCode::CREATED,
        SuccessCode::Accepted => StatusCode::ACCEPTED,
        SuccessCode::NoContent => StatusCode::NO_CONTENT,
        SuccessCode::PartialContent => StatusCode::PARTIAL_CONTENT,
        SuccessCode::MultiStatus => StatusCode::MULTI_STATUS,
        SuccessCode::NotModified => StatusCode::NOT_MODIFIED,
    }
}

fn client_status(code: response::ClientErrorCode) -> StatusCode {
    use web_session::response::ClientErrorCode;
    match code {
        ClientErrorCode::BadRequest => StatusCode::BAD_REQUEST,
        ClientErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ClientErrorCode::NotFound => StatusCode::NOT_FOUND,
        ClientErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ClientErrorCode::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        ClientErrorCode::Conflict => StatusCode::CONFLICT,
        ClientErrorCode::Gone => StatusCode::GONE,
        ClientErrorCode::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ClientErrorCode::RequestUriTooLong => StatusCode::URI_TOO_LONG,
        ClientErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ClientErrorCode::ImATeapot => StatusCode::IM_A_TEAPOT,
        ClientErrorCode::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        ClientErrorCode::UnprocessableEntity => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
