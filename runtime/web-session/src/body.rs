//! A response's body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;

use crate::hold::Hold;
use crate::stream::{CutShort, StreamBody};

/// A response's body.
pub enum Body<H> {
    /// All of it.
    Full(Full<Bytes>),
    /// As the session writes it.
    Stream(StreamBody<H>),
}

impl<H> Body<H> {
    /// A body that is all here.
    pub fn full(bytes: impl Into<Bytes>) -> Body<H> {
        Body::Full(Full::new(bytes.into()))
    }
}

impl<H: Hold> http_body::Body for Body<H> {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match self.get_mut() {
            Body::Full(body) => {
                Pin::new(body).poll_frame(context).map_err(|never: Infallible| match never {})
            }
            Body::Stream(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Full(body) => body.is_end_stream(),
            Body::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(body) => body.size_hint(),
            Body::Stream(body) => body.size_hint(),
        }
    }
}
