//! From an HTTP request to the call of a session, as a host does it (http-bridge §4).

use std::rc::Rc;

use capnp::capability::{FromClientHook, Response as RpcResponse};
use capnp::{Error, ErrorKind, text};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use spk_schema::headers;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{
    self, PropfindDepth, context, request_stream, response,
};

use super::reply::{Body, Events, Question, options, plain, reply};
use crate::http::{tag, trim};
use crate::limits;

/// Fills path and context of any method's parameters.
macro_rules! call {
    ($call:expr, $request:expr, $events:expr) => {{
        let mut params = $call.get();
        params.set_path(text::Reader($request.path.as_bytes()));
        fill_context(params.reborrow().init_context(), &$request.headers, $events)?;
    }};
}

/// Fills a body's struct.
macro_rules! content {
    ($call:expr, $request:expr, $body:expr) => {{
        let mut content = $call.get().init_content();
        if let Some(value) = $request.headers.get(header::CONTENT_TYPE) {
            content.set_mime_type(text::Reader(value.as_bytes()));
        }
        if let Some(value) = $request.headers.get(header::CONTENT_ENCODING) {
            content.set_encoding(text::Reader(value.as_bytes()));
        }
        content.set_content(&$body);
    }};
}

struct Parts {
    path: String,
    headers: HeaderMap,
}

/// Calls the session's method for this request.
pub(super) async fn dispatch(
    session: &web_session::Client,
    request: Request<Incoming>,
) -> Result<Response<Body>, Error> {
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str());
    let Some(path) = path.strip_prefix('/') else {
        return Ok(plain(StatusCode::BAD_REQUEST, "the path does not begin with a slash"));
    };
    let parts = Parts { path: path.to_owned(), headers: head.headers };
    let (events, receiver) = Events::channel();
    let answer = match head.method {
        Method::GET | Method::HEAD => {
            let mut call = session.get_request();
            call!(call, parts, events);
            call.get().set_ignore_body(head.method == Method::HEAD);
            call.send().promise.await?
        }
        Method::DELETE => {
            let mut call = session.delete_request();
            call!(call, parts, events);
            call.send().promise.await?
        }
        Method::POST | Method::PUT if streams(&body) => {
            match upload(session, &head.method, &parts, body, events).await? {
                Some(answer) => answer,
                None => return Ok(plain(StatusCode::NOT_IMPLEMENTED, "the body is too large")),
            }
        }
        Method::OPTIONS => {
            let mut call = session.options_request();
            call!(call, parts, events);
            let answer = call.send().promise.await?;
            return options(answer.get()?);
        }
        ref method => match with_body(session, method.as_str(), &parts, body, events).await? {
            Some(answer) => answer,
            None => return Ok(plain(StatusCode::NOT_IMPLEMENTED, "unknown method")),
        },
    };
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let question = Question {
        to_head: head.method == Method::HEAD,
        may_be_unmodified: reads && !parts.headers.contains_key(header::IF_MATCH),
    };
    reply(answer.get()?, receiver, question).await
}

/// Whether a body is sent in pieces: when it is long, or its length is unknown.
fn streams(body: &Incoming) -> bool {
    !body.is_end_stream()
        && body.size_hint().exact().is_none_or(|size| size >= limits::PROXY_STREAMS_FROM)
}

/// Methods whose body travels inside the call, and those without one.
async fn with_body(
    session: &web_session::Client,
    method: &str,
    parts: &Parts,
    body: Incoming,
    events: Events,
) -> Result<Option<RpcResponse<response::Owned>>, Error> {
    let body = Limited::new(body, limits::PROXY_BODY).collect().await;
    let body: Bytes = match body {
        Ok(body) => body.to_bytes(),
        Err(error) => return Err(Error::failed(format!("reading the body failed: {error}"))),
    };
    let headers = &parts.headers;
    let shallow = headers.get("depth").is_some_and(|depth| depth == "0");
    let keep = headers.get("overwrite").is_some_and(|flag| flag == "F" || flag == "f");
    let destination = || destination(headers);
    let promise = match method {
        "POST" => {
            let mut call = session.post_request();
            call!(call, parts, events);
            content!(call, parts, body);
            call.send().promise
        }
        "PUT" => {
            let mut call = session.put_request();
            call!(call, parts, events);
            content!(call, parts, body);
            call.send().promise
        }
        "PATCH" => {
            let mut call = session.patch_request();
            call!(call, parts, events);
            content!(call, parts, body);
            call.send().promise
        }
        "MKCOL" => {
            let mut call = session.mkcol_request();
            call!(call, parts, events);
            content!(call, parts, body);
            call.send().promise
        }
        "REPORT" => {
            let mut call = session.report_request();
            call!(call, parts, events);
            content!(call, parts, body);
            call.send().promise
        }
        "PROPFIND" => {
            let mut call = session.propfind_request();
            call!(call, parts, events);
            call.get().set_xml_content(text::Reader(&body));
            call.get().set_depth(match headers.get("depth").map(|depth| depth.as_bytes()) {
                Some(b"0") => PropfindDepth::Zero,
                Some(b"1") => PropfindDepth::One,
                _ => PropfindDepth::Infinity,
            });
            call.send().promise
        }
        "PROPPATCH" => {
            let mut call = session.proppatch_request();
            call!(call, parts, events);
            call.get().set_xml_content(text::Reader(&body));
            call.send().promise
        }
        "ACL" => {
            let mut call = session.acl_request();
            call!(call, parts, events);
            call.get().set_xml_content(text::Reader(&body));
            call.send().promise
        }
        "LOCK" => {
            let mut call = session.lock_request();
            call!(call, parts, events);
            call.get().set_xml_content(text::Reader(&body));
            call.get().set_shallow(shallow);
            call.send().promise
        }
        "UNLOCK" => {
            let mut call = session.unlock_request();
            call!(call, parts, events);
            let token = headers.get("lock-token").map_or(&b""[..], |token| token.as_bytes());
            call.get().set_lock_token(text::Reader(token));
            call.send().promise
        }
        "COPY" => {
            let mut call = session.copy_request();
            call!(call, parts, events);
            call.get().set_destination(text::Reader(&destination()?));
            call.get().set_no_overwrite(keep);
            call.get().set_shallow(shallow);
            call.send().promise
        }
        "MOVE" => {
            let mut call = session.move_request();
            call!(call, parts, events);
            call.get().set_destination(text::Reader(&destination()?));
            call.get().set_no_overwrite(keep);
            call.send().promise
        }
        _ => return Ok(None),
    };
    Ok(Some(promise.await?))
}

/// Path and query of the `Destination` header, without the first slash.
fn destination(headers: &HeaderMap) -> Result<Vec<u8>, Error> {
    let value = headers.get("destination").map(|value| value.as_bytes());
    let value = value.ok_or_else(|| Error::failed("no Destination header".into()))?;
    let path = match value.windows(3).position(|window| window == b"://") {
        Some(scheme) => {
            let rest = &value[scheme + 3..];
            rest.iter().position(|&byte| byte == b'/').map_or(&b""[..], |slash| &rest[slash..])
        }
        None => value,
    };
    Ok(path.strip_prefix(b"/").unwrap_or(path).to_vec())
}

/// Sends a body in pieces. `None` if the session cannot take it so.
async fn upload(
    session: &web_session::Client,
    method: &Method,
    parts: &Parts,
    mut body: Incoming,
    events: Events,
) -> Result<Option<RpcResponse<response::Owned>>, Error> {
    let mime_type = parts.headers.get(header::CONTENT_TYPE).map(|value| value.as_bytes());
    let encoding = parts.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
    macro_rules! start {
        ($call:expr) => {{
            let mut call = $call;
            call!(call, parts, events);
            call.get().set_mime_type(text::Reader(mime_type.unwrap_or_default()));
            if let Some(encoding) = encoding {
                call.get().set_encoding(text::Reader(encoding));
            }
            let started = call.send().promise.await;
            started.and_then(|started| started.get()?.get_stream())
        }};
    }
    let stream: Result<request_stream::Client, Error> = match *method {
        Method::PUT => start!(session.put_streaming_request()),
        _ => start!(session.post_streaming_request()),
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) if error.kind == ErrorKind::Unimplemented => return Ok(None),
        Err(error) => return Err(error),
    };
    let answer = stream.get_response_request().send().promise;
    let bytes: byte_stream::Client = stream.cast_to();
    if let Some(size) = body.size_hint().exact() {
        let mut request = bytes.expect_size_request();
        request.get().set_size(size);
        request.send().promise.await?;
    }
    let sending = async move {
        while let Some(frame) = body.frame().await {
            let frame = frame
                .map_err(|error| Error::failed(format!("reading the body failed: {error}")))?;
            if let Some(data) = frame.data_ref() {
                let mut request = bytes.write_request();
                request.get().set_data(data);
                request.send().await?;
            }
        }
        bytes.done_request().send().promise.await.map(|_| ())
    };
    // The answer counts, whenever it comes; without one, what went wrong while sending.
    let (sending, answer) = (std::pin::pin!(sending), std::pin::pin!(answer));
    match futures::future::select(answer, sending).await {
        futures::future::Either::Left((answer, _)) => answer.map(Some),
        futures::future::Either::Right((Ok(()), answer)) => answer.await.map(Some),
        futures::future::Either::Right((Err(error), answer)) => {
            answer.await.map(Some).map_err(|_| error)
        }
    }
}

/// What of the headers the protocol carries. No cookies.
fn fill_context(
    mut context: context::Builder<'_>,
    headers: &HeaderMap,
    events: Events,
) -> Result<(), Error> {
    context.set_response_stream(spk_rpc::new_client(Rc::new(events).server()));
    let items = qualities(headers, header::ACCEPT);
    let mut list = context.reborrow().init_accept(count(items.len())?);
    for (index, (name, quality)) in items.iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_mime_type(text::Reader(name));
        item.set_q_value(*quality);
    }
    let items = qualities(headers, header::ACCEPT_ENCODING);
    let mut list = context.reborrow().init_accept_encoding(count(items.len())?);
    for (index, (name, quality)) in items.iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_content_coding(text::Reader(name));
        item.set_q_value(*quality);
    }
    let additional: Vec<_> = headers
        .iter()
        .filter(|(name, _)| headers::REQUEST.allows(name.as_str().as_bytes()))
        .collect();
    let mut list = context.reborrow().init_additional_headers(count(additional.len())?);
    for (index, (name, value)) in additional.into_iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_name(text::Reader(name.as_str().as_bytes()));
        item.set_value(text::Reader(value.as_bytes()));
    }
    let precondition = context.init_e_tag_precondition();
    let (value, is_match) = match headers.get(header::IF_MATCH) {
        Some(value) => (value, true),
        None => match headers.get(header::IF_NONE_MATCH) {
            Some(value) => (value, false),
            None => return Ok(()),
        },
    };
    let mut precondition = precondition;
    if value == "*" {
        match is_match {
            true => precondition.set_exists(()),
            false => precondition.set_doesnt_exist(()),
        }
        return Ok(());
    }
    let parts = value.as_bytes().split(|&byte| byte == b',');
    let tags: Vec<_> = parts.filter_map(tag::parse).collect();
    let length = count(tags.len())?;
    let mut list = match is_match {
        true => precondition.init_matches_one_of(length),
        false => precondition.init_matches_none_of(length),
    };
    for (index, (value, weak)) in tags.into_iter().enumerate() {
        let mut item = list.reborrow().get(index as u32);
        item.set_value(text::Reader(value));
        item.set_weak(weak);
    }
    Ok(())
}

fn count(length: usize) -> Result<u32, Error> {
    u32::try_from(length).map_err(|_| Error::failed("too many header items".into()))
}

/// Items of a header with their `q`; a malformed one counts as 1.
fn qualities(headers: &HeaderMap, name: header::HeaderName) -> Vec<(Vec<u8>, f32)> {
    let values = headers.get_all(name);
    let items = values.iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    items
        .filter_map(|item| {
            let mut parts = item.split(|&byte| byte == b';').map(trim);
            let name = parts.next().filter(|name| !name.is_empty())?;
            let quality = parts
                .find_map(|part| part.strip_prefix(b"q="))
                .and_then(|text| str::from_utf8(text).ok()?.parse().ok());
            Some((name.to_vec(), quality.unwrap_or(1.0)))
        })
        .collect()
}
