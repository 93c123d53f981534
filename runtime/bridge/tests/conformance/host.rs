//! The host's side: objects the bridge calls, and responses in a form that is easy to compare.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use capnp::Error;
use spk_schema::grain_capnp::session_context;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{cookie, response, web_socket_stream};
use tokio::sync::Notify;

/// A session context that can do nothing.
pub struct Context;

impl session_context::Server for Context {}

/// Collects what is sent to it.
#[derive(Default)]
pub struct Sink {
    pub data: RefCell<Vec<u8>>,
    pub writes: RefCell<Vec<usize>>,
    pub size: RefCell<Option<u64>>,
    pub done: RefCell<bool>,
    pub dropped: RefCell<bool>,
    pub changed: Notify,
    /// Writes wait until this is released, if set.
    pub gate: Option<tokio::sync::Semaphore>,
    /// Writes fail.
    pub fail: bool,
}

/// The object whose calls go to a [`Sink`].
pub struct SinkServer(pub Rc<Sink>);

impl Drop for SinkServer {
    fn drop(&mut self) {
        *self.0.dropped.borrow_mut() = true;
        self.0.changed.notify_waiters();
    }
}

impl Sink {
    pub fn client(self: &Rc<Sink>) -> byte_stream::Client {
        capnp_rpc::new_client(SinkServer(self.clone()))
    }

    /// Waits until `condition` holds.
    pub async fn until(&self, condition: impl Fn(&Sink) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until nothing more can come.
    pub async fn finished(&self) {
        self.until(|sink| *sink.dropped.borrow()).await;
    }

    async fn take(&self, data: &[u8]) -> Result<(), Error> {
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        if self.fail {
            return Err(Error::failed("the sink fails".into()));
        }
        assert!(!*self.done.borrow(), "write after done");
        self.data.borrow_mut().extend_from_slice(data);
        self.writes.borrow_mut().push(data.len());
        self.changed.notify_waiters();
        Ok(())
    }
}

impl byte_stream::Server for SinkServer {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), Error> {
        self.0.take(params.get()?.get_data()?).await
    }

    async fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> Result<(), Error> {
        *self.0.done.borrow_mut() = true;
        self.0.changed.notify_waiters();
        Ok(())
    }

    async fn expect_size(
        self: Rc<Self>,
        params: byte_stream::ExpectSizeParams,
        _: byte_stream::ExpectSizeResults,
    ) -> Result<(), Error> {
        assert!(self.0.writes.borrow().is_empty(), "expectSize after the first write");
        *self.0.size.borrow_mut() = Some(params.get()?.get_size());
        Ok(())
    }
}

impl web_socket_stream::Server for SinkServer {
    async fn send_bytes(
        self: Rc<Self>,
        params: web_socket_stream::SendBytesParams,
    ) -> Result<(), Error> {
        self.0.take(params.get()?.get_message()?).await
    }
}

/// A response in one line: the branch, then everything that is set. Streams are awaited.
pub async fn describe(response: response::Reader<'_>, sink: &Sink) -> String {
    let mut out = String::new();
    match response.which().unwrap() {
        response::Content(content) => {
            write!(out, "content {:?}", content.get_status_code().unwrap()).unwrap();
            field(&mut out, "type", content.has_mime_type(), content.get_mime_type());
            field(&mut out, "encoding", content.has_encoding(), content.get_encoding());
            field(&mut out, "language", content.has_language(), content.get_language());
            if content.has_e_tag() {
                tag(&mut out, content.get_e_tag().unwrap());
            }
            use response::content::{body, disposition};
            if let disposition::Download(name) = content.get_disposition().which().unwrap() {
                field(&mut out, "download", true, name);
            }
            match content.get_body().which().unwrap() {
                body::Bytes(bytes) => {
                    write!(out, " bytes={}", bytes.unwrap().escape_ascii()).unwrap();
                }
                body::Stream(handle) => {
                    let _handle = handle.unwrap();
                    sink.finished().await;
                    if let Some(size) = *sink.size.borrow() {
                        write!(out, " size={size}").unwrap();
                    }
                    write!(out, " stream={}", sink.data.borrow().escape_ascii()).unwrap();
                    out.push_str(if *sink.done.borrow() { " done" } else { " aborted" });
                }
            }
        }
        response::NoContent(no_content) => {
            write!(out, "noContent reset={}", no_content.get_should_reset_form()).unwrap();
            if no_content.has_e_tag() {
                tag(&mut out, no_content.get_e_tag().unwrap());
            }
        }
        response::PreconditionFailed(failed) => {
            out.push_str("preconditionFailed");
            if failed.has_matching_e_tag() {
                tag(&mut out, failed.get_matching_e_tag().unwrap());
            }
        }
        response::Redirect(redirect) => {
            let (permanent, get) = (redirect.get_is_permanent(), redirect.get_switch_to_get());
            write!(out, "redirect permanent={permanent} get={get}").unwrap();
            field(&mut out, "location", true, redirect.get_location());
        }
        response::ClientError(error) => {
            write!(out, "clientError {:?}", error.get_status_code().unwrap()).unwrap();
            field(&mut out, "html", error.has_description_html(), error.get_description_html());
            if error.has_non_html_body() {
                error_body(&mut out, error.get_non_html_body().unwrap());
            }
        }
        response::ServerError(error) => {
            out.push_str("serverError");
            field(&mut out, "html", error.has_description_html(), error.get_description_html());
            if error.has_non_html_body() {
                error_body(&mut out, error.get_non_html_body().unwrap());
            }
        }
    }
    for cookie in response.get_set_cookies().unwrap() {
        describe_cookie(&mut out, cookie);
    }
    for header in response.get_additional_headers().unwrap() {
        field(&mut out, "+", true, header.get_name());
        field(&mut out, "", true, header.get_value());
    }
    out
}

fn field(out: &mut String, name: &str, is_set: bool, value: capnp::Result<capnp::text::Reader>) {
    if is_set {
        write!(out, " {name}={}", String::from_utf8_lossy(value.unwrap().as_bytes())).unwrap();
    }
}

fn tag(out: &mut String, tag: spk_schema::web_session_capnp::web_session::e_tag::Reader<'_>) {
    let weak = if tag.get_weak() { "W/" } else { "" };
    write!(out, " etag={weak}<{}>", tag.get_value().unwrap().to_str().unwrap()).unwrap();
}

fn error_body(out: &mut String, body: response::error_body::Reader<'_>) {
    write!(out, " typed={}", body.get_data().unwrap().escape_ascii()).unwrap();
    field(out, "type", body.has_mime_type(), body.get_mime_type());
    field(out, "encoding", body.has_encoding(), body.get_encoding());
    field(out, "language", body.has_language(), body.get_language());
}

fn describe_cookie(out: &mut String, cookie: cookie::Reader<'_>) {
    let (name, value) = (cookie.get_name().unwrap(), cookie.get_value().unwrap());
    write!(out, " [{}={}", name.to_str().unwrap(), value.to_str().unwrap()).unwrap();
    match cookie.get_expires().which().unwrap() {
        cookie::expires::None(()) => {}
        cookie::expires::Absolute(at) => write!(out, " at={at}").unwrap(),
        cookie::expires::Relative(after) => write!(out, " after={after}").unwrap(),
    }
    field(out, "path", cookie.has_path(), cookie.get_path());
    out.push_str(if cookie.get_http_only() { " httpOnly]" } else { "]" });
}
