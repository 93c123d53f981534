//! From a request to whoever answers it: checks that need no app, then the shell's pages or a
//! session (http-bridge §7.3).

use std::rc::Rc;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use spk_package::causes::in_one_line;
use spk_web_session::{self as web_session, Described, Failure, values};
use subtle::ConstantTimeEq;

use super::body::Outgoing;
use super::hosts::{self, Site};
use super::listen::HEAD_LIMIT;
use super::patience::Slot;
use super::policy::Policy;
use super::{Front, api_origin, identicon, is_gone, pages, plain, published, range, websocket};
use crate::serve::exchange::{Recording, RequestBody};
use crate::serve::session::{Browser, OpenError, Session};

/// The front end's own cookie, which no app sees (http-bridge §4.7).
const OWN_COOKIE: &str = "sandstorm-sid";

/// Largest body that is collected before the call, where it cannot be streamed.
const COLLECTED: usize = 64 * 1024 * 1024;

/// The connection ends without an answer: the client should ask again (http-bridge §5.12).
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub(crate) struct NoAnswer;

/// Answers one request.
pub(crate) async fn answer(
    front: &Rc<Front>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    // A chunked request is the last of its connection: where one reader sees the length of the
    // chunks and another that of a Content-Length beside it, nothing may follow (RFC 9112, 6.1).
    let last = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut result = checked(front, request).await;
    if last && let Ok(response) = &mut result {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    result
}

pub(super) fn refuse(status: StatusCode, text: &str) -> Result<Response<Outgoing>, NoAnswer> {
    Ok(pages::text(status, text))
}

async fn checked(
    front: &Rc<Front>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if has_encoded_nul(target) {
        return refuse(StatusCode::BAD_REQUEST, "the request target has an encoded NUL");
    }
    let head: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if head + target.len() > HEAD_LIMIT {
        let text = "the request head is too large";
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default().to_owned(),
        (None, _) => return refuse(StatusCode::BAD_REQUEST, "missing Host header"),
        (Some(_), Some(_)) => return refuse(StatusCode::BAD_REQUEST, "more than one Host header"),
    };
    // In absolute form the target names a host, too: it must be the same (RFC 9112, 3.2.2).
    let is_absolute = uri.scheme() == Some(&http::uri::Scheme::HTTP)
        && uri.authority().is_some_and(|given| given.as_str().eq_ignore_ascii_case(&host));
    let is_path = uri.scheme().is_none() && uri.authority().is_none();
    if !(is_path || is_absolute) || !uri.path().starts_with('/') {
        return refuse(StatusCode::BAD_REQUEST, "the request target must be a path");
    }
    if request.version() != Version::HTTP_11 && request.version() != Version::HTTP_10 {
        return refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this is an HTTP/1.1 server");
    }
    match hosts::site(&host, front.port) {
        Some(Site::Shell) => match front.site.get() {
            Some(site) => Ok(site.clone().answer(request).await),
            None => Ok(shell(front, &request)),
        },
        Some(Site::Session(id)) => {
            let session = front.sessions.borrow().get(&id).cloned();
            match session {
                Some(session) => browser_session(front, session, request).await,
                None => refuse(StatusCode::NOT_FOUND, "no such session"),
            }
        }
        Some(Site::Api(id)) => api_origin::answer(front, Some(&id), request).await,
        Some(Site::SharedApi) => api_origin::answer(front, None, request).await,
        Some(Site::Public(id)) => Ok(published::answer(front, &id, &request).await),
        Some(Site::Static) => Ok(identicon::answer(&request)),
        Some(Site::SelfTest) => Ok(self_test(&request)),
        None => Ok(pages::page(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", UNKNOWN_HOST)),
    }
}

const UNKNOWN_HOST: &str = "<!doctype html><title>Not found</title>\n\
    <p>Nothing is served under this name. Open the address that spk printed.</p>\n";

fn has_encoded_nul(target: &str) -> bool {
    target.as_bytes().windows(3).any(|window| window == b"%00")
}

/// `GET /` on a self-test name (G12).
fn self_test(request: &Request<Incoming>) -> Response<Outgoing> {
    if request.method() != Method::GET || request.uri().path() != "/" {
        return pages::text(StatusCode::BAD_REQUEST, "Bad request.");
    }
    let mut response = pages::page(StatusCode::OK, "text/plain; charset=UTF-8", "Self-test OK.");
    let any = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

/// The pages around the app. The token of the printed URL becomes a cookie, so that it does not
/// stay in the address bar.
fn shell(front: &Rc<Front>, request: &Request<Incoming>) -> Response<Outgoing> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return pages::text(StatusCode::METHOD_NOT_ALLOWED, "only GET");
    }
    if let Some(mut response) = sign_in(front, request.uri()) {
        protect_shell(response.headers_mut(), front);
        return response;
    }
    if !signed_in(front, request.headers()) {
        let text = "open the whole address that spk printed: its token signs you in";
        return pages::text(StatusCode::FORBIDDEN, text);
    }
    let user = match request.uri().path() {
        "/" => front.user.clone(),
        path => match path.strip_prefix("/as/") {
            Some(name) if crate::serve::user::KNOWN.contains(&name) => {
                crate::serve::user::User::named(name)
            }
            _ => return pages::text(StatusCode::NOT_FOUND, "no such page"),
        },
    };
    let frame = format!("{}/", front.session_of(&user).base());
    let page = pages::shell(&front.title, user.key(), &frame);
    let mut response = pages::page(StatusCode::OK, "text/html; charset=UTF-8", page);
    protect_shell(response.headers_mut(), front);
    response
}

/// Answers the address that was printed: its token becomes a cookie.
pub(crate) fn sign_in(front: &Front, uri: &http::Uri) -> Option<Response<Outgoing>> {
    let given = uri.query().and_then(|query| query.strip_prefix("token="))?;
    let token = front.shell_token();
    if uri.path() != "/" || !same(given, &token) {
        return None;
    }
    let mut response = pages::text(StatusCode::SEE_OTHER, "signed in");
    let cookie = format!("{}={token}; Path=/; HttpOnly; SameSite=Lax", cookie_name(front));
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    Some(response)
}

/// Whether the request carries the shell's cookie. An app may have set another one of the same
/// name for all of `spk.localhost`: that must not hide ours.
pub(crate) fn signed_in(front: &Front, headers: &HeaderMap) -> bool {
    let (wanted, token) = (cookie_name(front), front.shell_token());
    values::cookies(headers, b"")
        .iter()
        .any(|(name, value)| name == wanted.as_bytes() && same_bytes(value, token.as_bytes()))
}

fn cookie_name(front: &Front) -> String {
    format!("spk-shell-{}", front.port)
}

/// The shell holds the names of all sessions: nobody frames it, nothing runs in it, it tells
/// nobody where it came from.
fn protect_shell(headers: &mut HeaderMap, front: &Front) {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; frame-src http://*.{}:{}; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        hosts::PARENT,
        front.port
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

pub(crate) fn same(a: &str, b: &str) -> bool {
    same_bytes(a.as_bytes(), b.as_bytes())
}

/// Compares without stopping at the first difference.
fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// A request on a session's own origin. Its host name was the key; what is left to check is that
/// no other site's page makes the request (http-bridge §7.3).
async fn browser_session(
    front: &Rc<Front>,
    session: Rc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let own = origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(session.base()));
        if !own && origin.as_bytes() != b"null" {
            return refuse(StatusCode::FORBIDDEN, "CSRF not allowed");
        }
    }
    if let Some(query) = request.uri().query()
        && request.uri().path() == "/_sandstorm-init"
    {
        return Ok(init(query));
    }
    if front.explain {
        for name in request.headers().keys().filter(|name| super::headers::is_lost(name)) {
            session.grain().notes.dropped_header(name.as_str());
        }
    }
    let described = match Described::read(request.headers(), Some(OWN_COOKIE)) {
        Ok(described) => described,
        Err(refusal) => return refuse(refusal.status, refusal.text),
    };
    let policy = Policy::Browser { parent: front.shell_origin(), base: session.base().to_owned() };
    let browser = Browser {
        user_agent: values::joined(request.headers(), &header::USER_AGENT)
            .unwrap_or_else(|| b"UnknownAgent/0.0".to_vec()),
        languages: values::languages(request.headers()),
        address: None,
    };
    let mut failed = front.failed.subscribe();
    tokio::select! {
        answer = ask(front, &session, &browser, &described, policy, request) => answer,
        Ok(reason) = failed.wait_for(Option::is_some) => {
            refuse(StatusCode::GATEWAY_TIMEOUT, reason.as_deref().unwrap_or_default())
        }
    }
}

/// The original's way into a session; here the host name is enough, so it only leads to the path
/// (G02 to G05).
fn init(query: &str) -> Response<Outgoing> {
    let mut path = None;
    let mut id = None;
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("path", value)) => path = Some(percent_encoding::percent_decode_str(value)),
            Some(("sessionid", value)) => id = Some(value),
            _ => {}
        }
    }
    let (Some(path), Some(id)) = (path, id) else {
        return pages::text(StatusCode::BAD_REQUEST, "sessionid and path are needed");
    };
    let path: Vec<u8> = path.collect();
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    let location = [slash, path.as_slice()].concat();
    // A path that a browser would take for another site (G05).
    let elsewhere = location.starts_with(b"//") || location.contains(&b'\\');
    let (Ok(location), false) = (HeaderValue::from_bytes(&location), elsewhere) else {
        return pages::text(StatusCode::BAD_REQUEST, "path must be a path");
    };
    let mut response = pages::text(StatusCode::SEE_OTHER, "opened");
    response.headers_mut().insert(header::LOCATION, location);
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && let Ok(cookie) = HeaderValue::from_str(&format!("{OWN_COOKIE}={id}; HttpOnly"))
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Asks the app. A request without side effects is asked again if the app turns out to be gone.
pub(super) async fn ask(
    front: &Rc<Front>,
    session: &Rc<Session>,
    browser: &Browser,
    described: &Described,
    policy: Policy,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    let (mut parts, body) = request.into_parts();
    let upgrade = websocket::is_asked_for(&parts.method, &parts.headers)
        .then(|| parts.extensions.remove::<hyper::upgrade::OnUpgrade>())
        .flatten();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    // Exactly one slash is ours (http-bridge §4.2).
    let path = target.strip_prefix('/').unwrap_or(&target);
    let get = matches!(parts.method, Method::GET | Method::HEAD);
    if let Some(upgrade) = upgrade {
        let slot = parts.extensions.remove::<Slot>();
        return socket(session, browser, described, &parts, path, (upgrade, slot)).await;
    }
    // What programs ask is not asked again as somebody's page.
    let recording = session
        .is_for_people()
        .then(|| front.recorder.begin(session.user().key(), &parts))
        .flatten();
    let mut body = Some(RequestBody::new(body, recording.clone(), front.patience.body));
    let wanted = range::wanted(&parts);
    let mut again = get;
    loop {
        let busy = session.grain().activity.begin();
        let opened = match session.web(browser).await {
            Ok(opened) => opened,
            Err(error) => return Ok(not_opened(session, &error)),
        };
        let call = web_session::Request {
            method: &parts.method,
            headers: &parts.headers,
            path,
            described,
            policy: &policy,
            base: session.base(),
            collected: COLLECTED,
        };
        // Its path may hold what opens doors.
        tracing::debug!(method = %parts.method, user = session.user().key(), "call made");
        // GET and HEAD take no body, so the second try misses none.
        let failure = match body.take() {
            Some(body) => call.send(&opened.web, body, busy).await,
            None => call.get(&opened.web, busy).await,
        };
        if let Ok(response) = &failure {
            tracing::debug!(status = response.status().as_u16(), "call answered");
        }
        let error = match failure {
            Ok(response) => {
                let response = range::cut(response.map(Outgoing::from), &wanted);
                return Ok(recorded(recording, response));
            }
            Err(Failure::Refused(refusal)) => {
                let response = pages::text(refusal.status, refusal.text);
                return Ok(recorded(recording, response));
            }
            Err(Failure::ClientGone) => return Err(NoAnswer),
            Err(Failure::Rpc(error)) => error,
        };
        if error.kind == capnp::ErrorKind::Disconnected {
            session.forget(&opened);
            if again && is_gone(&opened.app).await {
                again = false;
                continue;
            }
        }
        return failed(session, &parts, &error).map(|response| recorded(recording, response));
    }
}

/// Completes the record of an exchange.
fn recorded(recording: Option<Rc<Recording>>, response: Response<Outgoing>) -> Response<Outgoing> {
    if let Some(recording) = recording {
        recording.answered(&response);
    }
    response
}

async fn socket(
    session: &Rc<Session>,
    browser: &Browser,
    described: &Described,
    parts: &Parts,
    path: &str,
    (upgrade, slot): (hyper::upgrade::OnUpgrade, Option<Slot>),
) -> Result<Response<Outgoing>, NoAnswer> {
    let key = match websocket::key(&parts.headers) {
        Ok(key) => key,
        Err(refusal) => return refuse(refusal.status, refusal.text),
    };
    let busy = session.grain().activity.begin();
    let opened = match session.web(browser).await {
        Ok(opened) => opened,
        Err(error) => return Ok(not_opened(session, &error)),
    };
    let web = &opened.web;
    match websocket::open(web, path, &parts.headers, described, &key, upgrade, (busy, slot)).await {
        Ok(response) => Ok(response),
        Err(error) => {
            if error.kind == capnp::ErrorKind::Disconnected {
                session.forget(&opened);
            }
            failed(session, parts, &error)
        }
    }
}

/// What a failed call looks like from outside (http-bridge §5.12); the app's words go to the
/// developer.
fn failed(
    session: &Session,
    parts: &Parts,
    error: &capnp::Error,
) -> Result<Response<Outgoing>, NoAnswer> {
    use capnp::ErrorKind;
    let said = format!("{} {}: {}", parts.method, printable(parts.uri.path()), plain(error));
    session.grain().log.note(&said);
    session.grain().notes.say(&said);
    let status = web_session::status_of(error).ok_or(NoAnswer)?;
    let text = match error.kind {
        ErrorKind::Overloaded => "the app is overloaded",
        ErrorKind::Unimplemented => "the app does not do this",
        _ => "the app failed; its log says more",
    };
    let mut response = pages::text(status, text);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    Ok(response)
}

fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).collect()
}

fn not_opened(session: &Session, error: &OpenError) -> Response<Outgoing> {
    let text = match error {
        OpenError::Start(error) => in_one_line(error),
        OpenError::App(error) => format!("the app refused to open a session: {}", plain(error)),
        OpenError::Unknown(unknown) => unknown.to_string(),
    };
    session.grain().notes.say(&text);
    pages::text(StatusCode::BAD_GATEWAY, &text)
}
