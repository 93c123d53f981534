//! From a session's response back to HTTP (http-bridge §5.8).

use std::io;
use std::pin::Pin;
use std::rc::Rc;

use capnp::{Error, NotInSchema, text};
use futures::Stream;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::response::{
    ClientErrorCode, SuccessCode, error_body,
};
use spk_schema::web_session_capnp::web_session::{e_tag, options, response};
use tokio::sync::mpsc;

/// A body: bytes that are here, or that arrive.
pub(super) type Body = StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>>>>>;

/// What a streamed body is made of.
pub(super) enum Event {
    Size(u64),
    Data(Bytes),
    Done,
}

/// Where the session sends its body.
pub(super) struct Events(mpsc::Sender<Event>);

impl Events {
    /// Holds one event: whoever sends waits until the last one was taken.
    pub(super) fn channel() -> (Events, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(1);
        (Events(sender), receiver)
    }

    /// The object for the session.
    pub(super) fn server(self: Rc<Events>) -> EventServer {
        EventServer(self)
    }

    async fn send(&self, event: Event) -> Result<(), Error> {
        let sent = self.0.send(event).await;
        sent.map_err(|_| Error::disconnected("nobody reads the body any more".into()))
    }
}

pub(super) struct EventServer(Rc<Events>);

impl byte_stream::Server for EventServer {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), Error> {
        let data = Bytes::copy_from_slice(params.get()?.get_data()?);
        self.0.send(Event::Data(data)).await
    }

    async fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> Result<(), Error> {
        self.0.send(Event::Done).await
    }

    async fn expect_size(
        self: Rc<Self>,
        params: byte_stream::ExpectSizeParams,
        _: byte_stream::ExpectSizeResults,
    ) -> Result<(), Error> {
        self.0.send(Event::Size(params.get()?.get_size())).await
    }
}

fn body(bytes: Vec<u8>) -> Body {
    StreamBody::new(Box::pin(futures::stream::iter(
        (!bytes.is_empty()).then(|| Ok(Frame::data(Bytes::from(bytes)))),
    )))
}

/// A short message of the proxy itself.
pub(super) fn plain(status: StatusCode, message: &str) -> Response<Body> {
    full(status, "text/plain; charset=UTF-8", format!("{message}\n").into_bytes())
}

/// A whole response.
pub(super) fn full(status: StatusCode, mime_type: &'static str, bytes: Vec<u8>) -> Response<Body> {
    let length = bytes.len();
    let mut response = Response::new(body(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// The answer to OPTIONS.
pub(super) fn options(options: options::Reader<'_>) -> Result<Response<Body>, Error> {
    let mut tokens = Vec::new();
    let flags = [options.get_dav_class1(), options.get_dav_class2(), options.get_dav_class3()];
    for (flag, name) in flags.into_iter().zip(["1", "2", "3"]) {
        if flag {
            tokens.push(name.as_bytes());
        }
    }
    for extension in options.get_dav_extensions()? {
        tokens.push(extension?.as_bytes());
    }
    let mut response = Response::new(body(Vec::new()));
    set(&mut response, HeaderName::from_static("dav"), &tokens.join(&b", "[..]));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    Ok(response)
}

/// Sets a header that is not empty. Values that cannot stand in a head are left out.
fn set(response: &mut Response<Body>, name: HeaderName, value: &[u8]) {
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_bytes(value)) {
        response.headers_mut().insert(name, value);
    }
}

fn set_tag(response: &mut Response<Body>, tag: e_tag::Reader<'_>) -> Result<(), Error> {
    let weak: &[u8] = if tag.get_weak() { b"W/" } else { b"" };
    let text = [weak, b"\"", tag.get_value()?.as_bytes(), b"\""].concat();
    set(response, header::ETAG, &text);
    Ok(())
}

/// What the form of the reply depends on.
pub(super) struct Question {
    /// HEAD: no body follows.
    pub(super) to_head: bool,
    /// A failed precondition means that the entity is unmodified.
    pub(super) may_be_unmodified: bool,
}

/// The whole response, or its head and a body that arrives.
pub(super) async fn reply(
    answer: response::Reader<'_>,
    events: mpsc::Receiver<Event>,
    question: Question,
) -> Result<Response<Body>, Error> {
    let mut reply = Response::new(body(Vec::new()));
    for item in answer.get_additional_headers()? {
        let name = HeaderName::from_bytes(item.get_name()?.as_bytes());
        if let Ok(name) = name {
            set(&mut reply, name, item.get_value()?.as_bytes());
        }
    }
    match answer.which().map_err(|NotInSchema(branch)| unknown(branch))? {
        response::Content(content) => {
            *reply.status_mut() = success(content.get_status_code());
            set(&mut reply, header::CONTENT_TYPE, content.get_mime_type()?.as_bytes());
            set(&mut reply, header::CONTENT_ENCODING, content.get_encoding()?.as_bytes());
            set(&mut reply, header::CONTENT_LANGUAGE, content.get_language()?.as_bytes());
            if content.has_e_tag() {
                set_tag(&mut reply, content.get_e_tag()?)?;
            }
            use response::content::{body, disposition};
            if let Ok(disposition::Download(name)) = content.get_disposition().which() {
                set(&mut reply, header::CONTENT_DISPOSITION, &download(name?));
            }
            match content.get_body().which().map_err(|NotInSchema(branch)| unknown(branch))? {
                body::Bytes(bytes) if !question.to_head => finish(&mut reply, bytes?.to_vec()),
                body::Bytes(_) => {}
                body::Stream(handle) => stream(&mut reply, events, handle?).await?,
            }
        }
        response::NoContent(no_content) => {
            let reset = no_content.get_should_reset_form();
            *reply.status_mut() =
                if reset { StatusCode::RESET_CONTENT } else { StatusCode::NO_CONTENT };
            if no_content.has_e_tag() {
                set_tag(&mut reply, no_content.get_e_tag()?)?;
            }
        }
        response::PreconditionFailed(failed) => {
            *reply.status_mut() = match question.may_be_unmodified {
                true => StatusCode::NOT_MODIFIED,
                false => StatusCode::PRECONDITION_FAILED,
            };
            if failed.has_matching_e_tag() {
                set_tag(&mut reply, failed.get_matching_e_tag()?)?;
            }
        }
        response::Redirect(redirect) => {
            *reply.status_mut() = match (redirect.get_is_permanent(), redirect.get_switch_to_get())
            {
                (true, true) => StatusCode::MOVED_PERMANENTLY,
                (true, false) => StatusCode::PERMANENT_REDIRECT,
                (false, true) => StatusCode::SEE_OTHER,
                (false, false) => StatusCode::TEMPORARY_REDIRECT,
            };
            set(&mut reply, header::LOCATION, redirect.get_location()?.as_bytes());
        }
        response::ClientError(error) => {
            *reply.status_mut() = client_error(error.get_status_code());
            let typed = error.has_non_html_body().then(|| error.get_non_html_body());
            error_page(&mut reply, typed.transpose()?, error.get_description_html()?)?;
        }
        response::ServerError(error) => {
            *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            let typed = error.has_non_html_body().then(|| error.get_non_html_body());
            error_page(&mut reply, typed.transpose()?, error.get_description_html()?)?;
        }
    }
    Ok(reply)
}

fn unknown(branch: u16) -> Error {
    Error::failed(format!("the response has the unknown branch {branch}"))
}

fn finish(reply: &mut Response<Body>, bytes: Vec<u8>) {
    reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    *reply.body_mut() = body(bytes);
}

/// The first event tells the length, if it is known.
async fn stream(
    reply: &mut Response<Body>,
    mut events: mpsc::Receiver<Event>,
    handle: spk_schema::util_capnp::handle::Client,
) -> Result<(), Error> {
    let first = match events.recv().await {
        Some(Event::Size(size)) => {
            reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size));
            None
        }
        Some(other) => Some(other),
        None => return Err(Error::failed("the body broke off before it began".into())),
    };
    // The handle lives as long as the body is read.
    let state = (first, events, handle);
    let frames = futures::stream::unfold(Some(state), async |state| {
        let (mut first, mut events, handle) = state?;
        loop {
            let event = match first.take() {
                Some(event) => Some(event),
                None => events.recv().await,
            };
            return match event {
                Some(Event::Data(data)) => {
                    Some((Ok(Frame::data(data)), Some((None, events, handle))))
                }
                Some(Event::Size(_)) => continue,
                Some(Event::Done) => None,
                None => {
                    let error = io::Error::other("the body broke off");
                    Some((Err(error), None))
                }
            };
        }
    });
    *reply.body_mut() = StreamBody::new(Box::pin(frames));
    Ok(())
}

fn success(code: Result<SuccessCode, NotInSchema>) -> StatusCode {
    match code {
        Ok(SuccessCode::Created) => StatusCode::CREATED,
        Ok(SuccessCode::Accepted) => StatusCode::ACCEPTED,
        Ok(SuccessCode::NoContent) => StatusCode::NO_CONTENT,
        Ok(SuccessCode::PartialContent) => StatusCode::PARTIAL_CONTENT,
        Ok(SuccessCode::MultiStatus) => StatusCode::MULTI_STATUS,
        Ok(SuccessCode::NotModified) => StatusCode::NOT_MODIFIED,
        Ok(SuccessCode::Ok) | Err(NotInSchema(_)) => StatusCode::OK,
    }
}

fn client_error(code: Result<ClientErrorCode, NotInSchema>) -> StatusCode {
    use ClientErrorCode as Code;
    match code {
        Ok(Code::Forbidden) => StatusCode::FORBIDDEN,
        Ok(Code::NotFound) => StatusCode::NOT_FOUND,
        Ok(Code::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
        Ok(Code::NotAcceptable) => StatusCode::NOT_ACCEPTABLE,
        Ok(Code::Conflict) => StatusCode::CONFLICT,
        Ok(Code::Gone) => StatusCode::GONE,
        Ok(Code::RequestEntityTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Ok(Code::RequestUriTooLong) => StatusCode::URI_TOO_LONG,
        Ok(Code::UnsupportedMediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Ok(Code::ImATeapot) => StatusCode::IM_A_TEAPOT,
        Ok(Code::PreconditionFailed) => StatusCode::PRECONDITION_FAILED,
        Ok(Code::UnprocessableEntity) => StatusCode::UNPROCESSABLE_ENTITY,
        Ok(Code::BadRequest) | Err(NotInSchema(_)) => StatusCode::BAD_REQUEST,
    }
}

fn error_page(
    reply: &mut Response<Body>,
    typed: Option<error_body::Reader<'_>>,
    html: text::Reader<'_>,
) -> Result<(), Error> {
    if let Some(typed) = typed {
        set(reply, header::CONTENT_TYPE, typed.get_mime_type()?.as_bytes());
        set(reply, header::CONTENT_ENCODING, typed.get_encoding()?.as_bytes());
        set(reply, header::CONTENT_LANGUAGE, typed.get_language()?.as_bytes());
        finish(reply, typed.get_data()?.to_vec());
    } else {
        if !html.is_empty() {
            set(reply, header::CONTENT_TYPE, b"text/html; charset=UTF-8");
        }
        finish(reply, html.as_bytes().to_vec());
    }
    Ok(())
}

fn download(name: text::Reader<'_>) -> Vec<u8> {
    let mut value = b"attachment; filename=\"".to_vec();
    for &byte in name.as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            value.push(b'\\');
        }
        value.push(byte);
    }
    value.push(b'"');
    value
}
