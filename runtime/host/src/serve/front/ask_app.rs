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
use crate::serve::exchange::{Recording, RequestBody};
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
    // What programs ask is not asked again as somebody's page.
    let recording = session
        .is_for_people()
        .then(|| front.recorder.begin(session.user().key(), &parts))
        .flatten();
    let mut body = Some(RequestBody::new(body, recording.clone(), front.clients.limits.body));
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

/// Whether an app that just broke a call is really gone: its connection's end may be noticed a
/// moment after the call's.
async fn is_gone(app: &App) -> bool {
    tokio::time::timeout(Duration::from_millis(100), app.gone()).await.is_ok()
}
