//! From a request that may be asked to the app's answer, or to what a failure looks like from
//! outside (http-bridge §5.12).

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use spk_package::causes::in_one_line;
use spk_web_session::{self as web_session, Described, Failure};

use super::body::Outgoing;
use super::policy::Policy;
use super::slots::Slot;
use super::{Front, pages, plain, range, websocket};
use crate::serve::app::App;
use crate::serve::error::Error;
use crate::serve::exchange::{Recording, RequestBody};
use crate::serve::exit;
use crate::serve::losses::Loss;
use crate::serve::session::{Browser, OpenError, Session};

/// Largest body that is collected before the call, where it cannot be streamed.
const COLLECTED: usize = 64 * 1024 * 1024;

/// The connection ends without an answer: the client should ask again (http-bridge §5.12).
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
pub(crate) struct NoAnswer;

pub(super) fn refuse(status: StatusCode, text: &str) -> Result<Response<Outgoing>, NoAnswer> {
    Ok(pages::text(status, text))
}

impl Front {
    /// The answer, or why nothing will be answered any more.
    pub(super) async fn unless_failed(
        &self,
        answer: impl Future<Output = Result<Response<Outgoing>, NoAnswer>>,
    ) -> Result<Response<Outgoing>, NoAnswer> {
        let mut failed = self.failed.subscribe();
        tokio::select! {
            answer = answer => answer,
            Ok(reason) = failed.wait_for(Option::is_some) => {
                refuse(StatusCode::GATEWAY_TIMEOUT, reason.as_deref().unwrap_or_default())
            }
        }
    }
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
    let recording = front.recorder.begin(session, &parts);
    let mut body = Some(RequestBody::new(body, recording.clone(), front.clients.limits.body));
    let wanted = range::wanted(&parts);
    let mut again = get;
    loop {
        let busy = session.grain().activity.begin();
        let opened = match session.web(browser).await {
            Ok(opened) => opened,
            // It ended since it was started, or opened a session last.
            Err(OpenError::App(error)) if again && error.kind == capnp::ErrorKind::Disconnected => {
                again = false;
                if let Some(app) = session.grain().running() {
                    is_gone(&app).await;
                }
                continue;
            }
            Err(error) => return Ok(not_opened(session, &parts, &policy, &error)),
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
                session.grain().is_fine();
                if front.explain && has_locks(response.headers()) {
                    session.grain().notes.lost(&Loss::Locks);
                }
                for name in policy.dropped_cookies() {
                    session.grain().notes.lost(&Loss::of_program(&name));
                }
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
        }
        // A bridge sees the connection of an app break that ends, and says so before it ends itself.
        if matches!(error.kind, capnp::ErrorKind::Disconnected | capnp::ErrorKind::Failed)
            && is_gone(&opened.app).await
        {
            if again {
                again = false;
                continue;
            }
            if let Some(error) = its_end(session, &opened.app).await {
                let response = ended(session, &parts, &policy, &error);
                return Ok(recorded(recording, response));
            }
        }
        return failed(session, &parts, &error).map(|response| recorded(recording, response));
    }
}

/// Records an answer's head, and its body as it is sent.
fn recorded(recording: Option<Rc<Recording>>, response: Response<Outgoing>) -> Response<Outgoing> {
    let Some(recording) = recording else { return response };
    recording.answered(&response);
    response.map(|body| body.recorded(recording))
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
        Err(error) => {
            let text = why_not_opened(&error);
            session.grain().say_failing(&text);
            return Ok(pages::text(StatusCode::BAD_GATEWAY, &text));
        }
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

/// Whether the app says that it has locks of WebDAV.
fn has_locks(headers: &http::HeaderMap) -> bool {
    let classes =
        headers.get_all("dav").iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    classes.into_iter().any(|class| class.trim_ascii() == b"2")
}

fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    text.chars().take(LONGEST).collect()
}

fn not_opened(
    session: &Session,
    parts: &Parts,
    policy: &Policy,
    error: &OpenError,
) -> Response<Outgoing> {
    if let OpenError::Start(error) = error
        && error.of_its_end().is_some()
    {
        return ended(session, parts, policy, error);
    }
    let text = why_not_opened(error);
    session.grain().say_failing(&text);
    if !is_for_a_person(session, parts) {
        return pages::text(StatusCode::BAD_GATEWAY, &text);
    }
    failed_page(&text, &[], parts, policy)
}

fn why_not_opened(error: &OpenError) -> String {
    match error {
        OpenError::Start(error) => in_one_line(error),
        OpenError::App(error) => format!("the app refused to open a session: {}", plain(error)),
        OpenError::Unknown(unknown) => unknown.to_string(),
    }
}

/// How an app ended that is gone, if that is known soon, and the last lines of its log.
async fn its_end(session: &Session, app: &App) -> Option<Error> {
    let ended = tokio::time::timeout(END_KNOWN, app.how_it_ended()).await.ok()?;
    Some(Error::AppEnded { ended, tail: session.grain().last_words().await })
}

/// The answer to a request during which the app ended: to a person a page, with the last lines of the log;
/// to a program the reason. The developer is told once.
fn ended(session: &Session, parts: &Parts, policy: &Policy, error: &Error) -> Response<Outgoing> {
    let Some((ended, tail)) = error.of_its_end() else {
        return pages::text(StatusCode::BAD_GATEWAY, "the app ended");
    };
    session.grain().say_ended(ended, tail.to_vec());
    let reason = format!("the app {} before it answered", exit::of_the_app(ended, tail));
    if !is_for_a_person(session, parts) {
        return pages::text(StatusCode::BAD_GATEWAY, &reason);
    }
    failed_page(&reason, tail, parts, policy)
}

fn failed_page(
    reason: &str,
    tail: &[String],
    parts: &Parts,
    policy: &Policy,
) -> Response<Outgoing> {
    // What had side effects is not to be done again by a click.
    let mut response = pages::failed(reason, tail, parts.method == Method::GET);
    let ours = response.headers_mut().remove(header::CONTENT_SECURITY_POLICY);
    web_session::Policy::apply(policy, response.headers_mut());
    if let Some(ours) = ours {
        response.headers_mut().append(header::CONTENT_SECURITY_POLICY, ours);
    }
    response
}

/// Whether a browser shows the answer to a person, who uses the app.
fn is_for_a_person(session: &Session, parts: &Parts) -> bool {
    let has = |name: &str, words: &[u8]| {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        value.windows(words.len()).any(|part| part.eq_ignore_ascii_case(words))
    };
    let navigates =
        !parts.headers.contains_key("sec-fetch-mode") || has("sec-fetch-mode", b"navigate");
    session.is_for_people() && navigates && has("accept", b"text/html")
}

/// How long it is waited for how an app ended whose connection broke.
pub(super) const END_KNOWN: Duration = Duration::from_secs(3);

/// Whether an app that just broke a call is really gone: its connection's end may be noticed a
/// moment after the call's.
async fn is_gone(app: &App) -> bool {
    tokio::time::timeout(Duration::from_millis(100), app.gone()).await.is_ok()
}
