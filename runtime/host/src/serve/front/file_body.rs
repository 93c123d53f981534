//! A file as a response's body.

use std::fs::File;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes read from a file at a time.
const PIECE: usize = 64 * 1024;

/// Pieces that wait for a slow client.
const WAITING: usize = 4;

/// A file on its way to a client, read as the client takes it.
pub(crate) struct FileBody {
    pieces: mpsc::Receiver<Bytes>,
    left: u64,
}

impl FileBody {
    /// So many of its bytes.
    pub fn new(mut file: File, length: u64) -> FileBody {
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let mut left = length;
            while left > 0 {
                let size = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                let mut piece = vec![0; size];
                // A file that became shorter meanwhile ends the connection.
                if file.read_exact(&mut piece).is_err() {
                    return;
                }
                left -= size as u64;
                if sender.blocking_send(piece.into()).is_err() {
                    return;
                }
            }
        });
        FileBody { pieces, left: length }
    }

    /// The next piece; an error if the file was shorter than promised.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, ()>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        match Pin::new(&mut self.pieces).poll_recv(context) {
            Poll::Ready(Some(piece)) => {
                self.left -= piece.len() as u64;
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(None) => Poll::Ready(Some(Err(()))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Bytes still to come.
    pub fn left(&self) -> u64 {
        self.left
    }
}
