//! What the front end sends.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use super::stream::{CutShort, StreamBody};

/// A response's body.
pub(crate) enum Outgoing {
    /// All of it.
    Full(Full<Bytes>),
    /// As the app writes it.
    Stream(StreamBody),
    /// Piece by piece, as the shell makes it.
    Pieces(tokio::sync::mpsc::Receiver<Bytes>),
}

impl Outgoing {
    /// A body that is all here.
    pub fn full(bytes: impl Into<Bytes>) -> Outgoing {
        Outgoing::Full(Full::new(bytes.into()))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match self.get_mut() {
            Outgoing::Full(body) => {
                Pin::new(body).poll_frame(context).map_err(|never: Infallible| match never {})
            }
            Outgoing::Stream(body) => Pin::new(body).poll_frame(context),
            Outgoing::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| Some(Ok(Frame::data(piece?))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Full(body) => body.is_end_stream(),
            Outgoing::Stream(body) => body.is_end_stream(),
            Outgoing::Pieces(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Full(body) => body.size_hint(),
            Outgoing::Stream(body) => body.size_hint(),
            Outgoing::Pieces(_) => SizeHint::default(),
        }
    }
}
