//! What the front end sends.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, SizeHint};

use spk_web_session::{CutShort, Hold};
use tokio::sync::OwnedSemaphorePermit;

use super::file_body::FileBody;
use crate::serve::activity::Busy;
use crate::serve::exchange::Recording;

/// A response's body.
pub(crate) enum Outgoing {
    /// All of it, or as the app writes it.
    Session(spk_web_session::Body<Busy>),
    /// A file that the app publishes.
    File(FileBody),
    /// Some of another body's bytes.
    Part {
        /// The whole.
        whole: Box<Outgoing>,
        /// Bytes still to be left out.
        skip: u64,
        /// Bytes still to be sent.
        left: u64,
    },
    /// Piece by piece, as the shell makes it.
    Pieces(tokio::sync::mpsc::Receiver<Bytes>),
    /// Another body, recorded as it is sent.
    Recorded {
        /// What is sent.
        whole: Box<Outgoing>,
        /// Who is told of it.
        recording: Rc<Recording>,
    },
}

impl Outgoing {
    /// A body that is all here.
    pub fn full(bytes: impl Into<Bytes>) -> Outgoing {
        Outgoing::Session(spk_web_session::Body::full(bytes))
    }

    /// So many of its bytes, after so many others.
    pub fn part(self, skip: u64, left: u64) -> Outgoing {
        Outgoing::Part { whole: Box::new(self), skip, left }
    }

    /// Tells `recording` of what is sent.
    pub fn recorded(self, recording: Rc<Recording>) -> Outgoing {
        if self.is_end_stream() {
            recording.answer_ended();
            return self;
        }
        Outgoing::Recorded { whole: Box::new(self), recording }
    }
}

impl From<spk_web_session::Body<Busy>> for Outgoing {
    fn from(body: spk_web_session::Body<Busy>) -> Outgoing {
        Outgoing::Session(body)
    }
}

/// A request keeps the grain awake until its response is sent.
impl Hold for Busy {
    type Room = OwnedSemaphorePermit;

    fn room_for(&self, bytes: usize) -> impl Future<Output = Option<OwnedSemaphorePermit>> {
        Busy::room_for(self, bytes)
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
            Outgoing::Session(body) => Pin::new(body).poll_frame(context),
            Outgoing::File(body) => body
                .poll(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data).map_err(|()| CutShort))),
            Outgoing::Part { whole, skip, left } => poll_part(whole, skip, left, context),
            Outgoing::Pieces(pieces) => {
                pieces.poll_recv(context).map(|piece| Some(Ok(Frame::data(piece?))))
            }
            Outgoing::Recorded { whole, recording } => {
                let polled = Pin::new(&mut **whole).poll_frame(context);
                if let Poll::Ready(Some(Ok(frame))) = &polled
                    && let Some(piece) = frame.data_ref()
                {
                    recording.answer_piece(piece);
                }
                // Nobody asks for the end once it is known to have come.
                let ended = match &polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(_))) => whole.is_end_stream(),
                    _ => false,
                };
                if ended {
                    recording.answer_ended();
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Outgoing::Session(body) => body.is_end_stream(),
            Outgoing::File(body) => body.left() == 0,
            Outgoing::Part { left, .. } => *left == 0,
            Outgoing::Pieces(_) => false,
            Outgoing::Recorded { whole, .. } => whole.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Outgoing::Session(body) => body.size_hint(),
            Outgoing::File(body) => SizeHint::with_exact(body.left()),
            Outgoing::Part { left, .. } => SizeHint::with_exact(*left),
            Outgoing::Pieces(_) => SizeHint::default(),
            Outgoing::Recorded { whole, .. } => whole.size_hint(),
        }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, CutShort>>>;

/// The next piece of a part of `whole`.
fn poll_part(
    whole: &mut Outgoing,
    skip: &mut u64,
    left: &mut u64,
    context: &mut Context<'_>,
) -> Polled {
    while *left > 0 {
        let Some(frame) = ready!(Pin::new(&mut *whole).poll_frame(context)?) else {
            return Poll::Ready(Some(Err(CutShort)));
        };
        // There are no trailers.
        let Ok(mut data) = frame.into_data() else { continue };
        let skipped = data.len().min(usize::try_from(*skip).unwrap_or(usize::MAX));
        data.advance(skipped);
        *skip -= skipped as u64;
        data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= data.len() as u64;
        if !data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }
    Poll::Ready(None)
}
