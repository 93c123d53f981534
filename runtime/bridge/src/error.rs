//! What can go wrong with one request, and how the host is told.

use std::io;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The app's port did not accept a connection.
    #[error("connecting to the app on port {port} failed: {reason}")]
    Connect {
        /// The app's port on 127.0.0.1.
        port: u16,
        /// What the kernel said.
        reason: io::Error,
    },
    /// Sending the request to the app failed.
    #[error("sending the request to the app failed: {0}")]
    Send(io::Error),
    /// Reading the app's response failed.
    #[error("reading the app's response failed: {0}")]
    Receive(io::Error),
    /// The app closed the connection before the end of the response head.
    #[error("the app sent incomplete headers")]
    IncompleteHead,
    /// What the app sent is not an HTTP/1 response.
    #[error("failed to parse the app's response: {0}")]
    NotHttp(&'static str),
    /// The response head is larger than [`crate::limits::APP_HEAD`].
    #[error("the app's response head is larger than {} bytes", crate::limits::APP_HEAD)]
    HeadTooLarge,
    /// The body ended early or is malformed.
    #[error("the app's response body is broken: {0}")]
    BrokenBody(&'static str),
    /// A body that has to travel in one call is larger than
    /// [`crate::limits::BUFFERED_RESPONSE`].
    #[error("the app's error page is larger than {} bytes", crate::limits::BUFFERED_RESPONSE)]
    BodyTooLarge,
    /// The protocol has no form for this status.
    #[error("the app answered with unsupported status {0}")]
    UnsupportedStatus(u16),
    /// A redirect does not say where to.
    #[error("the app's redirect has no Location header")]
    RedirectWithoutLocation,
    /// A 304 for a request that was not conditional.
    #[error("the app answered 304 to a request without If-None-Match")]
    UnaskedNotModified,
    /// The app refused to open a WebSocket.
    #[error("the app did not open the WebSocket: it answered with status {0}")]
    NotUpgraded(u16),
    /// A part of the request cannot be written in an HTTP head.
    #[error("{0} contains a character that cannot be sent in a request head")]
    ForbiddenCharacter(&'static str),
    /// The session's base path is not an absolute URL.
    #[error("the session's base path is not a URL with a lower-case scheme")]
    BadBasePath,
    /// An upload method was called out of turn.
    #[error("{0}")]
    Upload(&'static str),
}

impl From<Error> for capnp::Error {
    /// The host restarts a grain on `disconnected`, and shows everything else as an error page
    /// (http-bridge §5.12), so only a connection that broke before any answer counts as that.
    fn from(error: Error) -> capnp::Error {
        let text = error.to_string();
        match error {
            Error::Connect { .. } => capnp::Error::disconnected(text),
            Error::Receive(reason) | Error::Send(reason) if is_disconnect(&reason) => {
                capnp::Error::disconnected(text)
            }
            _ => capnp::Error::failed(text),
        }
    }
}

fn is_disconnect(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset)
}
