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

#[cfg(test)]
mod tests {
    use super::*;

    /// A body in these pieces, whose length is not known; the connection breaks behind them.
    struct Pieces(Vec<&'static [u8]>, bool);

    impl Source for Pieces {
        fn size_hint(&self) -> SizeHint {
            SizeHint::default()
        }

        async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
            match self.0.is_empty() {
                false => Some(Ok(Bytes::from_static(self.0.remove(0)))),
                true => self.1.then_some(Err(Broken)),
            }
        }
    }

    fn collected(pieces: &[&'static [u8]], breaks: bool) -> Result<Vec<u8>, Failure> {
        let body = Pieces(pieces.to_vec(), breaks);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(collect(body, 5)).map(Vec::from)
    }

    #[test]
    fn what_is_collected_has_an_end() {
        assert_eq!(collected(&[], false).unwrap(), b"");
        assert_eq!(collected(&[b"ab", b"", b"cde"], false).unwrap(), b"abcde");
        let too_large =
            |result| matches!(result, Err(Failure::Refused(refusal)) if refusal.status == 413);
        assert!(too_large(collected(&[b"ab", b"cdef"], false)));
        assert!(too_large(collected(&[b"abcdef"], true)));
        assert!(matches!(collected(&[b"ab"], true), Err(Failure::ClientGone)));
    }

    #[test]
    fn what_says_that_it_is_too_long_is_not_read() {
        let body = http_body_util::Full::new(Bytes::from_static(b"abcdef"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(collect(body, 5));
        assert!(matches!(result, Err(Failure::Refused(refusal)) if refusal.status == 413));
    }
}
