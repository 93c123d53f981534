//! Reading one response: until it is complete, or until it is clear that it has to be streamed
//! (http-bridge §5.2).

use std::pin::pin;
use std::rc::Rc;

use futures::future::{Either, select};
use spk_web_session::status::{Branch, branch};
use tokio::time::{Instant, timeout_at};

use super::body::{Decoder, Framing};
use super::connection::Connection;
use super::head::{self, Head};
use crate::error::Error;
use crate::limits;

/// What came back from the app.
pub enum Received {
    /// The whole response.
    Complete(Head, Vec<u8>),
    /// A head, the first part of the body, and the promise of more.
    Streaming(Head, Incoming),
}

/// The rest of a body that is still arriving.
pub struct Incoming {
    connection: Rc<Connection>,
    decoder: Decoder,
    /// Why nothing comes after [`Incoming::ready`]: found while reading ahead, or what arrived last
    /// is malformed. The kernel reports an error only once.
    failed: Option<Error>,
    /// Bytes of the body that are here but not passed on.
    pub ready: Vec<u8>,
}

impl Incoming {
    /// Reads the next piece into [`Incoming::ready`], in place of what was there. False at the end
    /// of the body.
    pub async fn advance(&mut self) -> Result<bool, Error> {
        // Twice what came last time: little memory for slow bodies, few calls for fast ones.
        let room = (self.ready.len() * 2).clamp(limits::FIRST_READ, limits::READ_PIECE);
        self.ready.clear();
        self.ready.reserve(room);
        loop {
            if self.decoder.is_done() {
                return Ok(false);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.connection.receive(&mut self.ready).await? == 0 {
                self.decoder.eof()?;
                return Ok(false);
            }
            // Take what has arrived meanwhile too, as long as there is room.
            while self.ready.len() < self.ready.capacity() {
                match self.connection.receive_now(&mut self.ready) {
                    Ok(Some(1..)) => {}
                    // An end will still be there next time.
                    Ok(_) => break,
                    Err(error) => {
                        self.failed = Some(error);
                        break;
                    }
                }
            }
            // What came before a malformed place is passed on.
            if let Err(error) = self.decoder.decode(&mut self.ready, 0) {
                self.failed = Some(error);
            }
            if !self.ready.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// Sends a request and reads the response. The app may answer before it has read everything, and
/// may then stop reading: an answer counts more than an error while sending.
pub async fn exchange(
    connection: &Rc<Connection>,
    request: Vec<u8>,
    to_head: bool,
    may_stream: bool,
) -> Result<Received, Error> {
    // Owned by the block, so that a large body is freed once it is sent.
    let sending = pin!(async move { connection.send(&request).await });
    let receiving = pin!(receive(connection, to_head, may_stream));
    match select(sending, receiving).await {
        Either::Left((Ok(()), receiving)) => receiving.await,
        Either::Left((Err(error), receiving)) => receiving.await.map_err(|_| error),
        Either::Right((received, _)) => received,
    }
}

/// Reads a response. With `to_head` it has no body; without `may_stream` a body is read to its end.
pub async fn receive(
    connection: &Rc<Connection>,
    to_head: bool,
    may_stream: bool,
) -> Result<Received, Error> {
    let (head, mut rest) = receive_head(connection).await?;
    let branch = branch(head.status);
    if branch == Branch::Unsupported || head.status == 101 {
        return Err(Error::UnsupportedStatus(head.status));
    }
    let framing = Framing::of(&head, to_head)?;
    let mut decoder = Decoder::new(framing);
    if may_stream && matches!(branch, Branch::Content(_)) {
        let failed = match settle(connection, &mut decoder, &mut rest).await {
            Ok(true) => return Ok(Received::Complete(head, rest)),
            Ok(false) => None,
            // As long as nothing was passed on, an error page is better than a broken download.
            Err(error) if rest.is_empty() => return Err(error),
            Err(error) => Some(error),
        };
        let incoming = Incoming { connection: connection.clone(), decoder, failed, ready: rest };
        return Ok(Received::Streaming(head, incoming));
    }
    decoder.decode(&mut rest, 0)?;
    match branch {
        _ if decoder.is_done() => {}
        Branch::Redirect { .. } | Branch::PreconditionFailed | Branch::NoContent { .. } => {
            // Nobody sees this body, so nothing is lost if it breaks off.
            let _ = finish(connection, &mut decoder, &mut rest, limits::DISCARDED_RESPONSE).await;
            rest.clear();
        }
        _ => finish(connection, &mut decoder, &mut rest, limits::BUFFERED_RESPONSE).await?,
    }
    Ok(Received::Complete(head, rest))
}

/// Reads up to the end of the first final head, skipping interim responses. Returns what came
/// behind it too.
pub async fn receive_head(connection: &Connection) -> Result<(Head, Vec<u8>), Error> {
    let mut buffer = Vec::with_capacity(limits::FIRST_READ);
    let (mut skipped, mut searched) = (0, 0);
    loop {
        if let Some(end) = head::end(&buffer, searched) {
            let head = head::parse(&buffer[..end])?;
            skipped += end;
            buffer.drain(..end);
            if !(100..200).contains(&head.status) || head.status == 101 {
                if skipped > limits::APP_HEAD {
                    return Err(Error::HeadTooLarge);
                }
                return Ok((head, buffer));
            }
            searched = 0;
            continue;
        }
        if !head::plausible(&buffer) {
            return Err(Error::NotHttp("no HTTP/1 status line"));
        }
        if skipped + buffer.len() > limits::APP_HEAD {
            return Err(Error::HeadTooLarge);
        }
        // The empty line may have begun in the last three bytes.
        searched = buffer.len().saturating_sub(3);
        buffer.reserve(limits::FIRST_READ / 2);
        if connection.receive(&mut buffer).await? == 0 {
            return Err(Error::IncompleteHead);
        }
    }
}

/// Gives a small body, of which `body` arrived with the head, a moment to become complete. Returns
/// whether it did. After an error `body` is what came before.
async fn settle(
    connection: &Connection,
    decoder: &mut Decoder,
    body: &mut Vec<u8>,
) -> Result<bool, Error> {
    let deadline = Instant::now() + limits::SMALL_BODY_WAIT;
    decoder.decode(body, 0)?;
    while !decoder.is_done() {
        if body.len() >= limits::SMALL_BODY {
            return Ok(false);
        }
        body.reserve(limits::FIRST_READ);
        let from = body.len();
        let read = match connection.receive_now(body)? {
            Some(read) => read,
            None => match timeout_at(deadline, connection.receive(body)).await {
                Ok(read) => read?,
                Err(_) => return Ok(false),
            },
        };
        if read == 0 {
            decoder.eof()?;
        }
        decoder.decode(body, from)?;
    }
    Ok(true)
}

/// Reads a body to its end.
async fn finish(
    connection: &Connection,
    decoder: &mut Decoder,
    body: &mut Vec<u8>,
    limit: usize,
) -> Result<(), Error> {
    while !decoder.is_done() {
        if body.len() > limit {
            return Err(Error::BodyTooLarge);
        }
        body.reserve(body.len().clamp(limits::FIRST_READ, limits::READ_PIECE));
        let from = body.len();
        if connection.receive(body).await? == 0 {
            decoder.eof()?;
        }
        decoder.decode(body, from)?;
    }
    Ok(())
}
