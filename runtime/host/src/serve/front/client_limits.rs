//! How many clients are served, and how long a slow one is waited for.

use std::time::Duration;

/// A request's head must be complete within this time of the connection being ready for it; an
/// idle connection is closed then.
const HEAD: Duration = Duration::from_secs(15);

/// A client that sends no byte of its body for this long is given up.
const BODY: Duration = Duration::from_secs(60);

/// A client that takes no byte of what it is sent for this long is given up.
const WRITE: Duration = Duration::from_secs(120);

/// How long requests under way may take to finish when the front end closes.
const DRAIN: Duration = Duration::from_secs(1);

/// Largest request head (the original's, http-bridge §7.2); more is a 431.
pub(super) const HEAD_LIMIT: usize = 128 * 1024;

/// What is read of a request's head before it is judged. Browsers send all cookies that scripts of a
/// site have set: 180 of 4 KiB at most, which is more than [`HEAD_LIMIT`], and are to get an answer
/// that cures it.
pub(super) const READ_LIMIT: usize = 1024 * 1024;

/// Connections served at a time, WebSockets among them: enough for any browser and test, few enough
/// to stay far from the usual limit of 1024 descriptors.
const CONNECTIONS: usize = 512;

/// The limits of one front end. Tests have no time for the real ones.
#[derive(Clone, Debug)]
pub(crate) struct ClientLimits {
    /// For a request's head, and between requests.
    pub head: Duration,
    /// Between two pieces of a request's body.
    pub body: Duration,
    /// For a client to take something of a response.
    pub write: Duration,
    /// For requests under way when the front end closes.
    pub drain: Duration,
    /// Connections at a time.
    pub connections: usize,
}

impl Default for ClientLimits {
    fn default() -> ClientLimits {
        ClientLimits {
            head: HEAD,
            body: BODY,
            write: WRITE,
            drain: DRAIN,
            connections: CONNECTIONS,
        }
    }
}
