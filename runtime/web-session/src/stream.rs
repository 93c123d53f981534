//! A streamed response: the session writes into a `ByteStream`, the client reads it as a body. What
//! the client does not take, the session does not get rid of: `write` returns late.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use capnp::Error;
use http_body::{Body, Frame, SizeHint};
use spk_schema::util_capnp::{byte_stream, handle};
use tokio::sync::oneshot;

use crate::hold::Hold;

/// Bytes of one response that are held before `write` waits for the client. What is sent meanwhile
/// waits as a message, which callers count, so that little is needed here.
pub const HELD: usize = 64 * 1024;

/// A response that says neither its size nor anything else for this long is sent with its head
/// alone: server-sent events must not wait for the first event.
const FIRST_WORD: Duration = Duration::from_millis(100);

#[derive(Default)]
struct Pipe {
    queue: VecDeque<Bytes>,
    held: usize,
    /// What `expectSize` said, if it came before any byte.
    expected: Option<u64>,
    received: u64,
    end: Option<End>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<oneshot::Sender<()>>,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// `done` was called.
    Complete,
    /// The stream was dropped, or broke its word.
    Broken,
}

impl Pipe {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    /// The session writes so many bytes.
    fn begin(&mut self, bytes: usize) -> Result<(), Error> {
        if self.reader_gone {
            return Err(gone());
        }
        if self.end.is_some() {
            return Err(Error::failed("write after done".into()));
        }
        self.received += bytes as u64;
        if self.expected.is_some_and(|expected| self.received > expected) {
            self.finish(End::Broken);
            return Err(Error::failed("more bytes than expectSize announced".into()));
        }
        Ok(())
    }

    /// Puts a piece of them into the queue; resolves when there is room for another.
    fn push(&mut self, piece: Bytes) -> Result<Option<oneshot::Receiver<()>>, Error> {
        if self.reader_gone {
            return Err(gone());
        }
        self.held += piece.len();
        self.queue.push_back(piece);
        self.wake_reader();
        // Streaming calls on one object are delivered one at a time: there is one writer.
        Ok((self.held > HELD).then(|| {
            let (sender, receiver) = oneshot::channel();
            self.writer = Some(sender);
            receiver
        }))
    }

    fn finish(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
        }
        self.wake_reader();
    }
}

fn gone() -> Error {
    Error::disconnected("the client is gone".into())
}

/// The session's end.
struct Stream {
    pipe: Rc<RefCell<Pipe>>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Dropped without `done`: cut short.
        self.pipe.borrow_mut().finish(End::Broken);
    }
}

impl byte_stream::Server for Stream {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), Error> {
        let data = params.get()?.get_data()?;
        self.pipe.borrow_mut().begin(data.len())?;
        // The rest of a large write stays in its message, which is counted.
        for piece in data.chunks(HELD) {
            let room = self.pipe.borrow_mut().push(Bytes::copy_from_slice(piece))?;
            if let Some(room) = room {
                let _ = room.await;
            }
        }
        Ok(())
    }

    async fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> Result<(), Error> {
        let mut pipe = self.pipe.borrow_mut();
        if pipe.end.is_some() {
            return Err(Error::failed("done was called before".into()));
        }
        if pipe.expected.is_some_and(|expected| pipe.received < expected) {
            pipe.finish(End::Broken);
            return Err(Error::failed("fewer bytes than expectSize announced".into()));
        }
        pipe.finish(End::Complete);
        Ok(())
    }

    async fn expect_size(
        self: Rc<Self>,
        params: byte_stream::ExpectSizeParams,
        _: byte_stream::ExpectSizeResults,
    ) -> Result<(), Error> {
        let size = params.get()?.get_size();
        let mut pipe = self.pipe.borrow_mut();
        if pipe.received == 0 && pipe.expected.is_none() {
            pipe.expected = Some(size);
            pipe.wake_reader();
        }
        Ok(())
    }
}

/// The client's end, before it is known whether the response is streamed at all.
pub struct Incoming {
    pipe: Rc<RefCell<Pipe>>,
}

/// A stream to give to the session with a request, and where it comes out.
pub fn pair() -> (byte_stream::Client, Incoming) {
    let pipe = Rc::new(RefCell::new(Pipe::default()));
    let client = capnp_rpc::new_client(Stream { pipe: pipe.clone() });
    (client, Incoming { pipe })
}

impl Incoming {
    /// The response is streamed. Resolves when the stream's size or first byte is known, or after
    /// a moment without either.
    pub(crate) async fn into_body<H: Hold>(self, handle: handle::Client, hold: H) -> StreamBody<H> {
        let first = std::future::poll_fn(|context| {
            let mut pipe = self.pipe.borrow_mut();
            if pipe.expected.is_some() || pipe.received > 0 || pipe.end.is_some() {
                return Poll::Ready(());
            }
            pipe.reader = Some(context.waker().clone());
            Poll::Pending
        });
        let _ = tokio::time::timeout(FIRST_WORD, first).await;
        let (expected, complete) = {
            let pipe = self.pipe.borrow();
            let empty = pipe.end == Some(End::Complete) && pipe.received == 0;
            (if empty { pipe.expected.or(Some(0)) } else { pipe.expected }, empty)
        };
        StreamBody { incoming: self, _handle: handle, _hold: hold, announced: expected, complete }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut pipe = self.pipe.borrow_mut();
        pipe.reader_gone = true;
        pipe.queue.clear();
        // A writer that waits for room must not wait for ever.
        pipe.writer = None;
    }
}

/// A streamed response body. Dropping it tells the session that nobody reads on.
pub struct StreamBody<H> {
    incoming: Incoming,
    _handle: handle::Client,
    _hold: H,
    announced: Option<u64>,
    complete: bool,
}

impl<H> StreamBody<H> {
    /// The size that was announced before the head was sent.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// Whether the stream ended without any byte: the answer to a HEAD request.
    pub(crate) fn is_empty(&self) -> bool {
        self.complete
    }
}

/// The session did not finish its response.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut short")]
pub struct CutShort;

impl<H: Hold> Body for StreamBody<H> {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        let mut pipe = self.incoming.pipe.borrow_mut();
        if let Some(data) = pipe.queue.pop_front() {
            pipe.held -= data.len();
            if pipe.held <= HELD {
                // Dropping the sender resolves the writer's wait.
                pipe.writer = None;
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match pipe.end {
            Some(End::Complete) => Poll::Ready(None),
            Some(End::Broken) => Poll::Ready(Some(Err(CutShort))),
            None => {
                pipe.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self.announced {
            Some(size) => SizeHint::with_exact(size),
            None => SizeHint::default(),
        }
    }
}
