//! Fewer, larger writes to the host.
//!
//! The RPC system flushes after every message, and a request takes several of them. This writer
//! collects what is written while the event loop goes round once, and sends it together.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::AsyncWrite;
use tokio::io::AsyncWriteExt;

use crate::limits;

#[derive(Default)]
struct Shared {
    buffer: Vec<u8>,
    /// Why nothing can be sent any more.
    failed: Option<io::ErrorKind>,
    /// What was in it is being sent.
    is_sending: bool,
    /// Nothing more will be written.
    is_closed: bool,
    /// Who waits for room.
    writer: Option<Waker>,
    /// Who waits for something to send.
    sender: Option<Waker>,
}

impl Shared {
    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn wake_sender(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }
}

/// The end that takes bytes. Flushing means that they will be sent soon.
pub(super) struct Writer(Rc<RefCell<Shared>>);

/// Tells whether everything that was written was sent.
pub(super) struct Unsent(Rc<RefCell<Shared>>);

impl Unsent {
    /// Whether nothing waits.
    pub fn is_none(&self) -> bool {
        let shared = self.0.borrow();
        shared.failed.is_some() || (shared.buffer.is_empty() && !shared.is_sending)
    }
}

/// A writer, what tells whether it has something left, and the task that sends what it takes to
/// `output`. The task ends with the writer, or when sending fails.
pub(super) fn coalesce<W>(mut output: W) -> (Writer, Unsent, impl Future<Output = ()>)
where
    W: tokio::io::AsyncWrite + Unpin,
{
    let shared = Rc::<RefCell<Shared>>::default();
    let (writer, unsent) = (Writer(shared.clone()), Unsent(shared.clone()));
    let sender = async move {
        let mut taken = Vec::new();
        while next(&shared, &mut taken).await {
            if let Err(error) = output.write_all(&taken).await {
                let mut shared = shared.borrow_mut();
                shared.failed = Some(error.kind());
                shared.buffer = Vec::new();
                if let Some(writer) = shared.writer.take() {
                    writer.wake();
                }
                return;
            }
            taken.clear();
            // One large message shall not hold its memory for ever.
            taken.shrink_to(limits::RPC_BUFFER);
        }
        // The peer sees the end of the stream when `output` is dropped.
    };
    (writer, unsent, sender)
}

/// Takes everything there is to send; false at the end.
async fn next(shared: &RefCell<Shared>, taken: &mut Vec<u8>) -> bool {
    std::future::poll_fn(|context| {
        let mut shared = shared.borrow_mut();
        if !shared.buffer.is_empty() {
            std::mem::swap(&mut shared.buffer, taken);
            shared.is_sending = true;
            if let Some(writer) = shared.writer.take() {
                writer.wake();
            }
            return Poll::Ready(true);
        }
        shared.is_sending = false;
        if shared.is_closed {
            return Poll::Ready(false);
        }
        shared.sender = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut shared = self.0.borrow_mut();
        shared.check()?;
        if shared.buffer.len() >= limits::RPC_BUFFER {
            shared.writer = Some(context.waker().clone());
            shared.wake_sender();
            return Poll::Pending;
        }
        shared.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.0.borrow_mut();
        shared.check()?;
        shared.wake_sender();
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().is_closed = true;
        self.0.borrow_mut().wake_sender();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut shared = self.0.borrow_mut();
        shared.is_closed = true;
        shared.wake_sender();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::AsyncWriteExt;
    use std::cell::Cell;
    use tokio::io::AsyncReadExt;

    /// Counts writes.
    struct Counted<W>(W, Rc<Cell<u32>>);

    impl<W: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for Counted<W> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1.set(self.1.get() + 1);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, test);
    }

    #[test]
    fn sends_together_what_was_flushed_apart() {
        run(async {
            let (output, mut input) = tokio::io::duplex(1024);
            let writes = Rc::new(Cell::new(0));
            let (mut writer, unsent, sender) = coalesce(Counted(output, writes.clone()));
            let sender = tokio::task::spawn_local(sender);
            for _ in 0..10 {
                writer.write_all(b"message ").await.unwrap();
                writer.flush().await.unwrap();
            }
            assert!(!unsent.is_none());
            let mut seen = [0; 80];
            input.read_exact(&mut seen).await.unwrap();
            assert_eq!(seen, *b"message ".repeat(10));
            assert_eq!(writes.get(), 1);
            tokio::task::yield_now().await;
            assert!(unsent.is_none());
            drop(writer);
            sender.await.unwrap();
            assert_eq!(input.read(&mut seen).await.unwrap(), 0);
        });
    }

    #[test]
    fn holds_only_so_much() {
        run(async {
            let (output, mut input) = tokio::io::duplex(10);
            let (mut writer, unsent, sender) = coalesce(output);
            tokio::task::spawn_local(sender);
            let piece = vec![b'x'; limits::RPC_BUFFER];
            writer.write_all(&piece).await.unwrap();
            writer.flush().await.unwrap();
            // The first piece is being sent, the second is held.
            tokio::task::yield_now().await;
            assert!(!unsent.is_none());
            writer.write_all(&piece).await.unwrap();
            {
                let mut third = std::pin::pin!(writer.write_all(&piece));
                assert!(futures::poll!(&mut third).is_pending());
                let mut seen = vec![0; 2 * piece.len()];
                let (read, written) = tokio::join!(input.read_exact(&mut seen), third);
                read.unwrap();
                written.unwrap();
            }
            drop(input);
            // Errors arrive with a later write.
            while writer.write_all(&piece).await.is_ok() {
                writer.flush().await.ok();
            }
        });
    }
}
