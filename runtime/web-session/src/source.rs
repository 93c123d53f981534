//! Where a request's body comes from.

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::SizeHint;
use http_body_util::BodyExt;

use crate::failure::{Failure, Refusal};

/// The client's body did not arrive: the connection broke, or nothing came for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A request's body as it arrives. A caller that gives up slow clients does so in here.
pub trait Source: 'static {
    /// What is known of its length.
    fn size_hint(&self) -> SizeHint;

    /// The next piece; `None` at the end.
    fn piece(&mut self) -> impl Future<Output = Option<Result<Bytes, Broken>>>;
}

impl<B> Source for B
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
{
    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(self)
    }

    async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
        loop {
            return match self.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Some(Ok(data)),
                    // Trailers mean nothing to us.
                    Err(_) => continue,
                },
                Err(_) => Some(Err(Broken)),
            };
        }
    }
}

/// All of a body, if it is not longer than `most`.
pub(crate) async fn collect(mut body: impl Source, most: usize) -> Result<BytesMut, Failure> {
    let too_large =
        Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, text: "the request body is too large" };
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if expected > most {
        return Err(too_large.into());
    }
    let mut all = BytesMut::with_capacity(expected);
    while let Some(piece) = body.piece().await {
        let piece = piece.map_err(|Broken| Failure::ClientGone)?;
        if all.len() + piece.len() > most {
            return Err(too_large.into());
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}
