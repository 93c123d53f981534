//! A response that breaks off, broken off late: the HTTP library drops what it holds of a response in
//! the moment in which its body fails, and clients would miss what the session did send. So the
//! failure waits until everything before it was written.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How often everything that a connection had to write was written.
#[derive(Clone, Debug, Default)]
pub struct Flushes(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    /// Of a body that waits for the next one.
    waker: Option<Waker>,
}

impl Flushes {
    /// The connection whose flushes are counted.
    pub fn of<S>(&self, stream: S) -> Counted<S> {
        Counted { stream, flushes: self.clone() }
    }

    /// The body of a response on that connection, which fails no earlier than what it gave before was
    /// written.
    pub fn late<B: Body>(&self, body: B) -> CutLate<B> {
        CutLate { body, failed: None, flushes: self.clone() }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Each change is one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn happened(&self) {
        let mut state = self.locked();
        state.count += 1;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// See [`Flushes::late`].
pub struct CutLate<B: Body> {
    body: B,
    /// How it failed, and how many flushes there were before.
    failed: Option<(B::Error, u64)>,
    flushes: Flushes,
}

impl<B: Body + Unpin> Body for CutLate<B>
where
    B::Error: Unpin,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        if this.failed.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Err(error)) => this.failed = Some((error, this.flushes.locked().count)),
                frame => return Poll::Ready(frame),
            }
        }
        let mut state = this.flushes.locked();
        match this.failed.take_if(|(_, before)| state.count > *before) {
            Some((error, _)) => Poll::Ready(Some(Err(error))),
            // The library flushes whenever a body has nothing for it.
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failed.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// See [`Flushes::of`].
pub struct Counted<S> {
    stream: S,
    flushes: Flushes,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Only asked for with nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_flush(context))?;
        this.flushes.happened();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
