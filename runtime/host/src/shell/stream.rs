//! One page's connection, on which lines of JSON go to it for as long as it listens.

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

/// Lines on their way to one page.
const QUEUE: usize = 64;

/// A response that goes on until the page is gone or spk ends.
#[derive(Clone)]
pub(super) struct Stream {
    pieces: mpsc::Sender<Bytes>,
    ending: watch::Receiver<bool>,
}

impl Stream {
    /// One that ends with spk, and what the page is to be answered with.
    pub fn new(ending: watch::Receiver<bool>) -> (Stream, mpsc::Receiver<Bytes>) {
        let (pieces, receiver) = mpsc::channel(QUEUE);
        (Stream { pieces, ending }, receiver)
    }

    /// Sends one object as a line; `None` when nobody reads any more.
    pub async fn send(&self, value: &Value) -> Option<()> {
        self.line(&value.to_string()).await
    }

    /// Sends an object that is text already.
    pub async fn line(&self, object: &str) -> Option<()> {
        self.pieces.send(format!("{object}\n").into()).await.ok()
    }

    /// Waits for what comes next; `None` when spk ends or the page is gone.
    pub async fn next<T>(&mut self, coming: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            // What is there already goes out before the end.
            biased;
            thing = coming => Some(thing),
            () = self.pieces.closed() => None,
            _ = self.ending.wait_for(|ending| *ending) => None,
        }
    }
}
