//! Every limit and time-out of the bridge, with its reason.

use std::time::Duration;

/// Bytes of an app's response head, all interim heads together. The original's parser stops at
/// 80 KiB (http-bridge §5.1), so no working app sends more.
pub const APP_HEAD: usize = 80 * 1024;

/// Bytes asked for in the first read from the app: a small page with its head in one system call.
pub const FIRST_READ: usize = 8 * 1024;

/// Bytes from the app that the kernel keeps for one connection. Left to itself it keeps several MiB
/// of each download that nobody reads; two pieces are enough for full speed on loopback.
pub const APP_RECEIVE: usize = 256 * 1024;

/// Largest piece of a body read from the app and sent in one call (http-bridge §5.3). Larger pieces
/// gain nothing and hold more memory per download.
pub const READ_PIECE: usize = 128 * 1024;

/// How much of a 2xx body may be held back while [`SMALL_BODY_WAIT`] runs. One call with the body
/// inside is several times cheaper than announcing a stream.
pub const SMALL_BODY: usize = 64 * 1024;

/// How long the rest of a small 2xx body is waited for after the head. Many servers write head and
/// body separately; a stream of events is delayed by this much, once.
pub const SMALL_BODY_WAIT: Duration = Duration::from_millis(2);

/// Bytes of a body that has to travel inside one call: error pages, and bodies for callers that
/// gave no response stream. The original's message limit let about as much through.
pub const BUFFERED_RESPONSE: usize = 16 * 1024 * 1024;

/// Bytes of a body nobody will see (redirects, failed preconditions) that are read before the
/// connection is closed, so that the app is not disturbed by a reset.
pub const DISCARDED_RESPONSE: usize = 1024 * 1024;

/// Bytes of extensions or trailers in a chunked body before it is refused: nobody uses them, and
/// they are not forwarded.
pub const CHUNK_EXTRAS: usize = 16 * 1024;

/// Words the reader may traverse per message from the host. Buffered bodies travel inside one
/// message and are visited twice; 256 MiB leaves room for bodies of more than 64 MiB
/// (http-bridge §4.9, §13).
pub const HOST_TRAVERSAL_WORDS: usize = 256 * 1024 * 1024 / 8;

/// Words the reader may traverse per message from the app's own connections: Cap'n Proto's default
/// of 64 MiB.
pub const APP_TRAVERSAL_WORDS: usize = 64 * 1024 * 1024 / 8;

/// Bytes of streamed calls that may be on the way to the host before the sender waits. Two full
/// pieces keep the pipe busy; more is only memory.
pub const STREAM_WINDOW: usize = 256 * 1024;

/// Buffer of the RPC connection in each direction: one large piece is copied at most once more.
pub const RPC_BUFFER: usize = 64 * 1024;

/// Largest piece read from an upgraded connection (http-bridge §13).
pub const WEBSOCKET_PIECE: usize = 64 * 1024;

/// Pause between two attempts to reach an app that does not listen yet (http-bridge §2.3).
pub const CONNECT_RETRY: Duration = Duration::from_millis(10);

/// How long an app may take to listen before a warning is logged (http-bridge §2.3).
pub const CONNECT_WARN_AFTER: Duration = Duration::from_secs(30);

/// How long the app may take to end by itself after the host went away.
pub const KILL_GRACE: Duration = Duration::from_secs(5);

/// How long what the app sent before it ended may take to reach the host: a client may be slow, and
/// another process of the app's may hold its connection open.
pub const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How often it is looked whether the host has them: some turns of the event loop.
pub const LAST_TURN: Duration = Duration::from_millis(5);

/// Bytes of an error page that are sent in both forms, for hosts that do not know the typed form.
pub const TWO_FORM_ERROR_BODY: usize = 8 * 1024;

/// Pause after a connection could not be accepted: something has to be released first.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Bytes of a body that the proxy holds in memory, for methods and sessions that cannot
/// stream: about as much as the original's message limit lets through (http-bridge §4.9).
pub const PROXY_BODY: usize = 32 * 1024 * 1024;

/// Bytes of a claim: a token, a label, and names of permissions.
pub const CLAIM_BODY: usize = 64 * 1024;
