//! One HTTP request as one call on a `WebSession` (http-bridge §4.1 to §4.10).

use bytes::Bytes;
use capnp::text;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use spk_schema::web_session_capnp::web_session;

use crate::answer::{self, Asked, Policy};
use crate::body::Body;
use crate::context::Described;
use crate::failure::{Failure, Refusal, is_unimplemented};
use crate::hold::Hold;
use crate::source::{Source, collect};

/// A request on its way to the session.
pub struct Request<'a, P> {
    /// Its method.
    pub method: &'a Method,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The target without its first slash; untouched otherwise (http-bridge §4.2).
    pub path: &'a str,
    /// The rest of what every call carries.
    pub described: &'a Described,
    /// What of the answer passes.
    pub policy: &'a P,
    /// `http://host:port` of the session as its client knows it, for `Destination`.
    pub base: &'a str,
    /// Bytes of a body that is collected before the call: for methods without a streaming form, and
    /// for sessions that do not stream. What they accept may be less (the original's message limit
    /// is 64 MiB).
    pub collected: usize,
}

/// Completes the parameters, makes the call and translates what it returns.
macro_rules! send {
    ($self:ident, $request:ident, $hold:ident) => {{
        let (stream, incoming) = crate::stream::pair();
        $request.get().set_path($self.path);
        $self.described.fill($request.get().init_context(), Some($hold.lend(stream)));
        let response = $request.send().promise.await?;
        Ok($self.translate(response.get()?, incoming, $hold).await?)
    }};
}
pub(crate) use send;

/// Fills the struct in which a body travels.
macro_rules! fill_content {
    ($self:ident, $request:ident, $bytes:expr) => {{
        let mut content = $request.get().init_content();
        if let Some(kind) = $self.content_type() {
            content.set_mime_type(kind);
        }
        if let Some(encoding) = $self.content_encoding() {
            content.set_encoding(encoding);
        }
        content.set_content($bytes);
    }};
}
pub(crate) use fill_content;

impl<P: Policy> Request<'_, P> {
    /// Makes the call and waits for the head of the answer.
    pub async fn send<H: Hold>(
        &self,
        web: &web_session::Client,
        body: impl Source,
        hold: H,
    ) -> Result<Response<Body<H>>, Failure> {
        match self.method.as_str() {
            "GET" | "HEAD" => self.get(web, hold).await,
            "POST" | "PUT" => self.upload(web, body, hold).await,
            "DELETE" => {
                let mut request = web.delete_request();
                send!(self, request, hold)
            }
            "PATCH" => {
                let content = collect(body, self.collected).await?;
                let mut request = web.patch_request();
                fill_content!(self, request, &content);
                drop(content);
                send!(self, request, hold)
            }
            "OPTIONS" => self.options(web).await,
            _ => self.dav(web, body, hold).await,
        }
    }

    /// GET, or HEAD: without a body, so that it can be made again.
    pub async fn get<H: Hold>(
        &self,
        web: &web_session::Client,
        hold: H,
    ) -> Result<Response<Body<H>>, Failure> {
        let mut request = web.get_request();
        request.get().set_ignore_body(self.method == Method::HEAD);
        send!(self, request, hold)
    }

    /// OPTIONS: only the `DAV` header survives, and of a session without the method nothing
    /// (http-bridge §5.11).
    async fn options<H>(&self, web: &web_session::Client) -> Result<Response<Body<H>>, Failure> {
        let mut request = web.options_request();
        request.get().set_path(self.path);
        self.described.fill(request.get().init_context(), None);
        let mut response = Response::new(Body::full(Bytes::new()));
        let results = match request.send().promise.await {
            Ok(results) => results,
            Err(error) if is_unimplemented(&error) => return Ok(response),
            Err(error) => return Err(error.into()),
        };
        answer::options(results.get()?, response.headers_mut())?;
        Ok(response)
    }

    pub(crate) async fn translate<H: Hold>(
        &self,
        message: web_session::response::Reader<'_>,
        incoming: crate::stream::Incoming,
        hold: H,
    ) -> Result<Response<Body<H>>, capnp::Error> {
        let reads = matches!(*self.method, Method::GET | Method::HEAD);
        let asked = Asked {
            head: self.method == Method::HEAD,
            not_modified: reads && self.described.is_none_match(),
        };
        answer::translate(message, asked, self.policy, incoming, hold).await
    }

    pub(crate) fn content_type(&self) -> Option<text::Reader<'_>> {
        self.text(header::CONTENT_TYPE)
    }

    pub(crate) fn content_encoding(&self) -> Option<text::Reader<'_>> {
        self.text(header::CONTENT_ENCODING)
    }

    fn text(&self, name: header::HeaderName) -> Option<text::Reader<'_>> {
        self.headers.get(name).map(HeaderValue::as_bytes).map(text::Reader)
    }
}

/// What a method gets that the protocol does not know.
pub(crate) const UNKNOWN_METHOD: Refusal =
    Refusal { status: StatusCode::NOT_IMPLEMENTED, text: "Not Implemented" };
