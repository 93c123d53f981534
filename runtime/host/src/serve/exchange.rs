//! What browsers asked the app and what it answered, for who wants to ask the same again
//! (`spk dev --record`, `spk check`).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderMap};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};
use hyper::body::{Body, Incoming, SizeHint};
use sha2::{Digest, Sha256};
use spk_grains::store::capabilities::Assignment;
use spk_web_session::{Broken, Source, destination};

use super::session::Session;

/// Bodies are kept up to this length: forms and small uploads. Of longer ones only that they were
/// is known.
pub const KEPT_BODY: usize = 1 << 20;

/// Answers are kept up to this length: pages, and what their scripts ask for. Of longer ones only a
/// digest is.
pub const KEPT_ANSWER: usize = 256 << 10;

/// Headers that belong to one connection, one front end or one browser's cache, not to the request.
const NOT_KEPT: [HeaderName; 13] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::EXPECT,
    header::ORIGIN,
    header::REFERER,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::UPGRADE_INSECURE_REQUESTS,
    header::CACHE_CONTROL,
];

/// A request and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Counts from 0 in the order in which the requests came; the answers may come in another.
    pub number: u64,
    /// Who asked: see [`super::User::key`].
    pub user: String,
    /// What was chosen for the session, whatever this user may do elsewhere.
    pub chosen: Option<Assignment>,
    /// Whether a program asked, with an API token, which is not kept.
    pub program: bool,
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers as they came, names in lower case, without those of the connection.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body; `None` if it was longer than [`KEPT_BODY`], or its end did not come.
    pub body: Option<Vec<u8>>,
    /// Status of the answer.
    pub status: u16,
    /// `Content-Type` of the answer.
    pub content_type: Option<String>,
    /// `Location` of the answer.
    pub location: Option<String>,
    /// `Content-Encoding` of the answer.
    pub encoding: Option<String>,
    /// `Set-Cookie` of the answer, each.
    pub cookies: Vec<String>,
    /// How many requests had come when the answer's head did: those from there on came later.
    pub until: u64,
    /// The answer's body, if all of it was sent, and it was not longer than [`KEPT_ANSWER`].
    pub answer: Option<Vec<u8>>,
    /// SHA-256 of the answer's body, if all of it was sent.
    pub digest: Option<[u8; 32]>,
}

/// Is told of each exchange when the answer and the request's body have ended.
pub type ExchangeHook = Rc<dyn Fn(Exchange)>;

/// Makes [`Recording`]s, if anybody wants them.
pub(super) struct Recorder {
    hook: Option<ExchangeHook>,
    next: Rc<Cell<u64>>,
}

impl Recorder {
    pub fn new(hook: Option<ExchangeHook>) -> Recorder {
        Recorder { hook, next: Rc::default() }
    }

    /// Begins to record a request.
    pub fn begin(&self, session: &Session, parts: &Parts) -> Option<Rc<Recording>> {
        let hook = self.hook.clone()?;
        let number = self.next.replace(self.next.get() + 1);
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let program = !session.is_for_people();
        let mut headers = kept(&parts.headers, session.base());
        if program {
            headers.retain(|(name, _)| name != header::AUTHORIZATION.as_str());
        }
        let exchange = Exchange {
            number,
            user: session.user().key().to_owned(),
            chosen: session.chosen().cloned(),
            program,
            method: parts.method.as_str().to_owned(),
            target: target.to_owned(),
            headers,
            body: Some(Vec::new()),
            ..Exchange::default()
        };
        let (exchange, next) = (RefCell::new(exchange), self.next.clone());
        Some(Rc::new(Recording { hook, exchange, next, answer: RefCell::default() }))
    }
}

/// The headers that are kept. A `Destination` in the session whose origin is `base` is a path: the next
/// session has another origin.
fn kept(headers: &HeaderMap, base: &str) -> Vec<(String, Vec<u8>)> {
    let value = |name: &HeaderName, value: &HeaderValue| match destination(headers, base) {
        Ok(path) if name == "destination" => format!("/{path}").into_bytes(),
        _ => value.as_bytes().to_vec(),
    };
    headers
        .iter()
        .filter(|(name, _)| !NOT_KEPT.contains(name))
        .map(|(name, said)| (name.as_str().to_owned(), value(name, said)))
        .collect()
}

/// An exchange that goes on. Told of when the last reference goes: the two bodies have one each.
pub(crate) struct Recording {
    hook: ExchangeHook,
    exchange: RefCell<Exchange>,
    /// How many requests have come by now.
    next: Rc<Cell<u64>>,
    answer: RefCell<Answer>,
}

/// What was sent of an answer's body so far.
#[derive(Default)]
struct Answer {
    /// All of it, as long as that is not much.
    kept: Vec<u8>,
    length: u64,
    digest: Sha256,
}

impl Recording {
    /// The answer's head is known.
    pub fn answered<B>(&self, response: &Response<B>) {
        let mut exchange = self.exchange.borrow_mut();
        exchange.status = response.status().as_u16();
        let value = |name| {
            let value: Option<&http::HeaderValue> = response.headers().get(name);
            value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        exchange.content_type = value(header::CONTENT_TYPE);
        exchange.location = value(header::LOCATION);
        exchange.encoding = value(header::CONTENT_ENCODING);
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let text = |cookie: &http::HeaderValue| String::from_utf8(cookie.as_bytes().to_vec()).ok();
        exchange.cookies = cookies.filter_map(text).collect();
        exchange.until = self.next.get();
    }

    /// More of the answer's body was sent.
    pub fn answer_piece(&self, piece: &[u8]) {
        let mut answer = self.answer.borrow_mut();
        answer.length += piece.len() as u64;
        answer.digest.update(piece);
        if answer.length <= KEPT_ANSWER as u64 {
            answer.kept.extend_from_slice(piece);
        }
    }

    /// All of the answer's body was sent.
    pub fn answer_ended(&self) {
        if self.exchange.borrow().digest.is_some() {
            return;
        }
        let answer = std::mem::take(&mut *self.answer.borrow_mut());
        let mut exchange = self.exchange.borrow_mut();
        exchange.digest = Some(answer.digest.finalize().into());
        exchange.answer = (answer.length <= KEPT_ANSWER as u64).then_some(answer.kept);
    }

    fn body_piece(&self, piece: &[u8]) {
        let mut exchange = self.exchange.borrow_mut();
        let body = exchange.body.take();
        exchange.body =
            body.filter(|body| body.len() + piece.len() <= KEPT_BODY).map(|mut body| {
                body.extend_from_slice(piece);
                body
            });
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let exchange = self.exchange.borrow().clone();
        // 0: there was no answer, so there is nothing to compare with.
        if exchange.status != 0 {
            (self.hook)(exchange);
        }
    }
}

/// A request's body on its way to the app, recorded as it passes.
pub(super) struct RequestBody {
    incoming: Incoming,
    recording: Option<Rc<Recording>>,
    complete: bool,
    /// How long the client may send nothing of it.
    stall: Duration,
}

impl RequestBody {
    pub fn new(
        incoming: Incoming,
        recording: Option<Rc<Recording>>,
        stall: Duration,
    ) -> RequestBody {
        let complete = incoming.is_end_stream();
        RequestBody { incoming, recording, complete, stall }
    }
}

impl Source for RequestBody {
    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.incoming)
    }

    async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
        let piece = tokio::time::timeout(self.stall, self.incoming.piece()).await;
        let piece = piece.unwrap_or(Some(Err(Broken)));
        match (&piece, &self.recording) {
            (None, _) => self.complete = true,
            (Some(Ok(data)), Some(recording)) => recording.body_piece(data),
            _ => {}
        }
        piece
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(recording) = &self.recording
            && !self.complete
        {
            recording.exchange.borrow_mut().body = None;
        }
    }
}
