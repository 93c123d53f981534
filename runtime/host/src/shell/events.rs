//! What happens, as lines of JSON for pages that listen, and kept for pages that come later.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use serde_json::{Value, json};
use spk_grains::store::{GrainId, now};
use spk_sandbox::Denied;
use tokio::sync::broadcast;

use super::Shell;
use super::problem::printable;
use super::stream::Stream;
use crate::serve::Event;
use crate::serve::front::body::Outgoing;

/// Notes about a grain that are kept; the log has the rest.
const NOTES: usize = 200;
/// Kinds of denied calls, and of what does not get through, that are kept: an app can make up many.
const KINDS: usize = 500;
/// A page that is gone is noticed after so long.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What happened to one grain.
pub(super) struct Feed {
    grain: GrainId,
    events: broadcast::Sender<Arc<str>>,
    kept: RefCell<Kept>,
}

#[derive(Default)]
struct Kept {
    notes: VecDeque<(u64, String)>,
    denied: Vec<Denied>,
    lost: BTreeSet<String>,
}

impl Feed {
    pub fn new(grain: GrainId, events: broadcast::Sender<Arc<str>>) -> Rc<Feed> {
        Rc::new(Feed { grain, events, kept: RefCell::default() })
    }

    /// Takes note of an event, and tells it.
    pub fn event(&self, event: &Event) {
        let Ok(mut kept) = self.kept.try_borrow_mut() else { return };
        match event {
            Event::Note(text) => {
                if kept.notes.len() == NOTES {
                    kept.notes.pop_front();
                }
                kept.notes.push_back((now(), printable(text)));
            }
            Event::Denied(denied) if kept.denied.len() < KINDS => kept.denied.push(denied.clone()),
            Event::Lost(loss) if kept.lost.len() < KINDS => {
                kept.lost.insert(printable(&loss.to_string()));
            }
            _ => return,
        }
        let line = json!({ "type": "activity", "grain": self.grain.as_str() });
        let _ = self.events.send(line.to_string().into());
    }

    /// Everything that is kept.
    pub fn json(&self) -> Value {
        let kept = self.kept.borrow();
        let note = |(time, text): &(u64, String)| json!({ "time": time, "text": text });
        let denied = |denied: &Denied| {
            json!({
                "call": printable(&denied.call),
                "detail": denied.detail.as_deref().map(printable),
                "answer": denied.answer,
                "program": printable(&denied.program),
                "remark": denied.remark(),
            })
        };
        json!({
            "notes": kept.notes.iter().map(note).collect::<Vec<_>>(),
            "denied": kept.denied.iter().map(denied).collect::<Vec<_>>(),
            "lost": kept.lost,
        })
    }
}

/// What a page wants to hear of besides what happens. One connection carries it all: browsers open
/// six to a host, for all tabs together.
#[derive(Default)]
pub(super) struct Wanted {
    /// The log of this grain.
    pub log: Option<GrainId>,
    /// What the development session records.
    pub developer: bool,
}

/// The stream of everything that comes by itself: one JSON object per line, told apart by `type`.
pub(super) fn all(shell: &Rc<Shell>, wanted: Wanted) -> Response<Outgoing> {
    let (stream, receiver) = Stream::new(shell.ending.subscribe());
    let mut response = Response::new(Outgoing::Pieces(receiver));
    let kind = http::HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    tokio::task::spawn_local(tell(stream.clone(), shell.events.subscribe()));
    if let Some(id) = wanted.log {
        tokio::task::spawn_local(super::log::tell(shell.clone(), stream.clone(), id));
    }
    if let Some(developer) = shell.developer.clone().filter(|_| wanted.developer) {
        tokio::task::spawn_local(super::developer::tell(stream, developer));
    }
    response
}

async fn tell(mut stream: Stream, mut events: broadcast::Receiver<Arc<str>>) -> Option<()> {
    use broadcast::error::RecvError;
    stream.send(&json!({ "type": "hello" })).await?;
    loop {
        let next = tokio::time::timeout(HEARTBEAT, events.recv());
        match stream.next(next).await? {
            Ok(Ok(line)) => stream.line(&line).await?,
            // It missed some: it should look at everything again.
            Ok(Err(RecvError::Lagged(_))) => stream.send(&json!({ "type": "changed" })).await?,
            Ok(Err(RecvError::Closed)) => return None,
            Err(_) => stream.send(&json!({ "type": "still here" })).await?,
        }
    }
}
