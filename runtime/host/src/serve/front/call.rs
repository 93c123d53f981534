//! One HTTP request as one call on a `WebSession` (http-bridge §4.1 to §4.10).

use bytes::{Bytes, BytesMut};
use capnp::text;
use http::header::{self, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use spk_schema::web_session_capnp::{self, web_session};

use super::answer::{self, Asked};
use super::body::Outgoing;
use super::context::Described;
use super::pages;
use super::stream;
use super::values;
use crate::serve::exchange::RequestBody;
use crate::serve::grain::Busy;

/// A POST or PUT body of known length below this travels inside the call (http-bridge §4.9).
const SMALL: u64 = 65536;

/// Largest body that is collected before the call: the methods without a streaming form, and apps
/// without streaming. What apps accept is less (the original's message limit is 64 MiB).
const COLLECTED: usize = 64 * 1024 * 1024;

/// Largest piece of a streamed upload, so that one call does not fill the stream's window.
const PIECE: usize = 64 * 1024;

/// Why there is no answer from the app.
pub(crate) enum Failure {
    /// The call failed.
    Rpc(capnp::Error),
    /// The request is answered without asking the app.
    Answer(Box<Response<Outgoing>>),
    /// The client stopped sending; there is nobody to answer.
    ClientGone,
}

impl From<capnp::Error> for Failure {
    fn from(error: capnp::Error) -> Failure {
        Failure::Rpc(error)
    }
}

impl From<capnp::NotInSchema> for Failure {
    fn from(error: capnp::NotInSchema) -> Failure {
        Failure::Rpc(error.into())
    }
}

fn refuse(status: StatusCode, text: &str) -> Failure {
    Failure::Answer(Box::new(pages::text(status, text)))
}

/// A request on its way to the app.
pub(crate) struct Request<'a> {
    /// Method, target and headers.
    pub parts: &'a Parts,
    /// The target without its first slash; untouched otherwise (http-bridge §4.2).
    pub path: &'a str,
    /// The rest of what every call carries.
    pub described: &'a Described,
    /// What the answer depends on.
    pub asked: &'a Asked,
    /// `http://host:port` of the session, for `Destination`.
    pub base: &'a str,
}

macro_rules! send {
    ($self:ident, $request:ident, $busy:ident) => {{
        let (stream, incoming) = stream::pair();
        $self.described.fill($request.get().init_context(), Some(stream));
        let response = $request.send().promise.await?;
        Ok(answer::translate(response.get()?, $self.asked, incoming, $busy).await?)
    }};
}

impl Request<'_> {
    /// Makes the call and waits for the head of the answer.
    pub async fn send(
        &self,
        web: &web_session::Client,
        body: RequestBody,
        busy: Busy,
    ) -> Result<Response<Outgoing>, Failure> {
        match self.parts.method.as_str() {
            "GET" | "HEAD" => self.get(web, busy).await,
            "POST" | "PUT" => self.upload(web, body, busy).await,
            "DELETE" => {
                let mut request = web.delete_request();
                request.get().set_path(self.path);
                send!(self, request, busy)
            }
            "PATCH" => {
                let content = collect(body).await?;
                let mut request = web.patch_request();
                request.get().set_path(self.path);
                self.fill_content(request.get().init_content(), &content);
                drop(content);
                send!(self, request, busy)
            }
            "OPTIONS" => self.options(web).await,
            _ => self.dav(web, body, busy).await,
        }
    }

    /// GET, or HEAD.
    pub async fn get(
        &self,
        web: &web_session::Client,
        busy: Busy,
    ) -> Result<Response<Outgoing>, Failure> {
        let mut request = web.get_request();
        request.get().set_path(self.path);
        request.get().set_ignore_body(self.parts.method == Method::HEAD);
        send!(self, request, busy)
    }

    fn fill_content(&self, mut content: web_session::post_content::Builder<'_>, bytes: &[u8]) {
        if let Some(kind) = self.parts.headers.get(header::CONTENT_TYPE) {
            content.set_mime_type(text::Reader(kind.as_bytes()));
        }
        if let Some(encoding) = self.parts.headers.get(header::CONTENT_ENCODING) {
            content.set_encoding(text::Reader(encoding.as_bytes()));
        }
        content.set_content(bytes);
    }

    async fn upload(
        &self,
        web: &web_session::Client,
        body: RequestBody,
        busy: Busy,
    ) -> Result<Response<Outgoing>, Failure> {
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length < SMALL) {
            let content = collect(body).await?;
            return self.post_or_put(web, &content, busy).await;
        }
        let (stream, incoming) = stream::pair();
        let started = self.start_upload(web, stream).await;
        let upload = match started {
            Ok(upload) => upload,
            Err(error) if is_unimplemented(&error) => {
                let content = collect(body).await?;
                return self.post_or_put(web, &content, busy).await;
            }
            Err(error) => return Err(error.into()),
        };
        // Asked for before the first byte: an early answer must not wait for the whole upload.
        let answer = upload.get_response_request().send().promise;
        let (gone, client_gone) = tokio::sync::oneshot::channel::<()>();
        tokio::task::spawn_local(async move {
            if send_body(upload, length, body).await == Err(BodyBroken) {
                let _ = gone.send(());
            }
        });
        tokio::select! {
            biased;
            response = answer => {
                Ok(answer::translate(response?.get()?, self.asked, incoming, busy).await?)
            }
            Ok(()) = client_gone => Err(Failure::ClientGone),
        }
    }

    async fn start_upload(
        &self,
        web: &web_session::Client,
        stream: spk_schema::util_capnp::byte_stream::Client,
    ) -> Result<web_session::request_stream::Client, capnp::Error> {
        let kind = self.parts.headers.get(header::CONTENT_TYPE);
        let encoding = self.parts.headers.get(header::CONTENT_ENCODING);
        macro_rules! start {
            ($request:expr) => {{
                let mut request = $request;
                let mut params = request.get();
                params.set_path(self.path);
                if let Some(kind) = kind {
                    params.set_mime_type(text::Reader(kind.as_bytes()));
                }
                if let Some(encoding) = encoding {
                    params.set_encoding(text::Reader(encoding.as_bytes()));
                }
                self.described.fill(params.init_context(), Some(stream));
                request.send().promise.await?.get()?.get_stream()
            }};
        }
        if self.parts.method == Method::POST {
            start!(web.post_streaming_request())
        } else {
            start!(web.put_streaming_request())
        }
    }

    async fn post_or_put(
        &self,
        web: &web_session::Client,
        content: &[u8],
        busy: Busy,
    ) -> Result<Response<Outgoing>, Failure> {
        if self.parts.method == Method::POST {
            let mut request = web.post_request();
            request.get().set_path(self.path);
            self.fill_content(request.get().init_content(), content);
            send!(self, request, busy)
        } else {
            let mut request = web.put_request();
            request.get().set_path(self.path);
            let mut target = request.get().init_content();
            if let Some(kind) = self.parts.headers.get(header::CONTENT_TYPE) {
                target.set_mime_type(text::Reader(kind.as_bytes()));
            }
            if let Some(encoding) = self.parts.headers.get(header::CONTENT_ENCODING) {
                target.set_encoding(text::Reader(encoding.as_bytes()));
            }
            target.set_content(content);
            send!(self, request, busy)
        }
    }

    /// The WebDAV methods (http-bridge §4.10), and what is none of them.
    async fn dav(
        &self,
        web: &web_session::Client,
        body: RequestBody,
        busy: Busy,
    ) -> Result<Response<Outgoing>, Failure> {
        let headers = &self.parts.headers;
        let depth = headers.get("depth").map(HeaderValue::as_bytes);
        match self.parts.method.as_str() {
            "PROPFIND" => {
                let xml = collect_xml(headers, body).await?;
                let mut request = web.propfind_request();
                request.get().set_path(self.path);
                request.get().set_xml_content(text::Reader(&xml));
                request.get().set_depth(match depth {
                    Some(b"0") => web_session_capnp::web_session::PropfindDepth::Zero,
                    Some(b"1") => web_session_capnp::web_session::PropfindDepth::One,
                    _ => web_session_capnp::web_session::PropfindDepth::Infinity,
                });
                send!(self, request, busy)
            }
            "PROPPATCH" => {
                let xml = collect_xml(headers, body).await?;
                let mut request = web.proppatch_request();
                request.get().set_path(self.path);
                request.get().set_xml_content(text::Reader(&xml));
                send!(self, request, busy)
            }
            "MKCOL" => {
                let content = collect(body).await?;
                let mut request = web.mkcol_request();
                request.get().set_path(self.path);
                self.fill_content(request.get().init_content(), &content);
                send!(self, request, busy)
            }
            "COPY" => {
                let destination = destination(headers, self.base)?;
                let mut request = web.copy_request();
                request.get().set_path(self.path);
                request.get().set_destination(destination.as_str());
                request.get().set_no_overwrite(no_overwrite(headers));
                request.get().set_shallow(depth == Some(b"0"));
                send!(self, request, busy)
            }
            "MOVE" => {
                let destination = destination(headers, self.base)?;
                let mut request = web.move_request();
                request.get().set_path(self.path);
                request.get().set_destination(destination.as_str());
                request.get().set_no_overwrite(no_overwrite(headers));
                send!(self, request, busy)
            }
            "LOCK" => {
                let xml = collect_xml(headers, body).await?;
                let mut request = web.lock_request();
                request.get().set_path(self.path);
                request.get().set_xml_content(text::Reader(&xml));
                request.get().set_shallow(depth == Some(b"0"));
                send!(self, request, busy)
            }
            "UNLOCK" => {
                let token = headers.get("lock-token").map(HeaderValue::as_bytes);
                let mut request = web.unlock_request();
                request.get().set_path(self.path);
                request.get().set_lock_token(text::Reader(token.unwrap_or_default()));
                send!(self, request, busy)
            }
            "ACL" => {
                let xml = collect_xml(headers, body).await?;
                let mut request = web.acl_request();
                request.get().set_path(self.path);
                request.get().set_xml_content(text::Reader(&xml));
                send!(self, request, busy)
            }
            "REPORT" => {
                let content = collect(body).await?;
                let mut request = web.report_request();
                request.get().set_path(self.path);
                self.fill_content(request.get().init_content(), &content);
                send!(self, request, busy)
            }
            _ => Err(refuse(StatusCode::NOT_IMPLEMENTED, "Not Implemented")),
        }
    }

    /// OPTIONS: only the `DAV` header survives (http-bridge §5.11).
    async fn options(&self, web: &web_session::Client) -> Result<Response<Outgoing>, Failure> {
        let mut request = web.options_request();
        request.get().set_path(self.path);
        self.described.fill(request.get().init_context(), None);
        let mut response = Response::new(Outgoing::full(Bytes::new()));
        let results = match request.send().promise.await {
            Ok(results) => results,
            Err(error) if is_unimplemented(&error) => return Ok(response),
            Err(error) => return Err(error.into()),
        };
        let options = results.get()?;
        let mut dav: Vec<Vec<u8>> = Vec::new();
        for (has, class) in [
            (options.get_dav_class1(), "1"),
            (options.get_dav_class2(), "2"),
            (options.get_dav_class3(), "3"),
        ] {
            if has {
                dav.push(class.as_bytes().to_vec());
            }
        }
        for extension in options.get_dav_extensions()? {
            dav.push(extension?.as_bytes().to_vec());
        }
        if !dav.is_empty()
            && let Ok(value) = HeaderValue::from_bytes(&dav.join(b", ".as_slice()))
        {
            response.headers_mut().insert("dav", value);
            let exposed = HeaderValue::from_static("DAV");
            response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        answer::check_head(response.headers())?;
        Ok(response)
    }
}

/// Old apps say "failed" with these words when they mean "unimplemented" (http-bridge §4.9,
/// grain-runtime §C.1).
pub(crate) fn is_unimplemented(error: &capnp::Error) -> bool {
    error.kind == capnp::ErrorKind::Unimplemented
        || (error.kind == capnp::ErrorKind::Failed && error.extra.contains("not implemented"))
}

/// The client's body did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BodyBroken;

async fn next_piece(body: &mut RequestBody) -> Result<Option<Bytes>, BodyBroken> {
    loop {
        match tokio::time::timeout(body.stall, body.frame()).await {
            Ok(Some(Ok(Some(data)))) => return Ok(Some(data)),
            Ok(Some(Ok(None))) => {}
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) | Err(_) => return Err(BodyBroken),
        }
    }
}

async fn collect(mut body: RequestBody) -> Result<BytesMut, Failure> {
    let too_large = || refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large");
    let expected = body.size_hint().lower();
    if expected > COLLECTED as u64 {
        return Err(too_large());
    }
    let mut all = BytesMut::with_capacity(expected as usize);
    while let Some(piece) = next_piece(&mut body).await.map_err(|_| Failure::ClientGone)? {
        if all.len() + piece.len() > COLLECTED {
            return Err(too_large());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// The body of a method that carries XML as text.
async fn collect_xml(headers: &HeaderMap, body: RequestBody) -> Result<BytesMut, Failure> {
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let kind = kind.as_bytes();
        let subtype = kind.iter().position(|byte| *byte == b'/').map(|slash| &kind[slash..]);
        if !subtype.is_some_and(|subtype| subtype == b"/xml" || subtype.starts_with(b"/xml;")) {
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type."));
        }
    }
    if headers.contains_key(header::CONTENT_ENCODING) {
        let text = "this method takes its body without Content-Encoding";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    collect(body).await
}

/// Sends a body as it arrives. An app that takes no more ends it without an error: its answer
/// decides. Only the client's failure is one.
async fn send_body(
    upload: web_session::request_stream::Client,
    length: Option<u64>,
    mut body: RequestBody,
) -> Result<(), BodyBroken> {
    use spk_schema::util_capnp::byte_stream;
    let stream: byte_stream::Client = capnp::capability::FromClientHook::new(upload.client.hook);
    if let Some(length) = length {
        let mut request = stream.expect_size_request();
        request.get().set_size(length);
        // Only a hint: whether the app knows the method does not matter.
        let _ = request.send().promise.await;
    }
    while let Some(data) = next_piece(&mut body).await? {
        for piece in data.chunks(PIECE) {
            let mut request = stream.write_request();
            request.get().set_data(piece);
            if request.send().await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = stream.done_request().send().promise.await;
    Ok(())
}

fn no_overwrite(headers: &HeaderMap) -> bool {
    headers.get("overwrite").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"f"))
}

/// `Destination` as the protocol wants it: relative to the session, without leading slash
/// (http-bridge §4.10).
fn destination(headers: &HeaderMap, base: &str) -> Result<String, Failure> {
    let bad = |text| Err(refuse(StatusCode::BAD_REQUEST, text));
    let Some(value) = headers.get("destination") else {
        return bad("this method needs a Destination header");
    };
    let Ok(value) = value.to_str() else { return bad("Destination is not a URL") };
    if value.contains([' ', ',', '\t']) {
        return bad("Destination is not a URL");
    }
    let path = match value.split_once("://") {
        Some((scheme, rest)) if !value.starts_with('/') => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let given = format!("{}://{}", scheme.to_lowercase(), authority.to_lowercase());
            if given != base {
                let text = "Destination is on another server";
                return Err(refuse(StatusCode::BAD_GATEWAY, text));
            }
            path
        }
        _ => value,
    };
    match path.strip_prefix('/') {
        Some(path) => Ok(path.split('#').next().unwrap_or_default().to_owned()),
        None if path.is_empty() => Ok(String::new()),
        None => bad("Destination is not a URL"),
    }
}

/// The protocols a WebSocket client offers.
pub(crate) fn protocols(headers: &HeaderMap) -> Vec<Vec<u8>> {
    values::joined(headers, &header::SEC_WEBSOCKET_PROTOCOL)
        .map(|list| values::comma_list(&list))
        .unwrap_or_default()
}
