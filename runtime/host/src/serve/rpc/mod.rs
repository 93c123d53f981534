//! The connection to the app, on which nothing is believed.
//!
//! The RPC library trusts its peer in a few ways that a sandboxed app must not have: it takes
//! messages as fast as they come, keeps what the peer never finishes, and follows promises wherever
//! they lead. [`network`] stands between it and the socket, counts what the app makes the host keep
//! ([`meter`]), and looks at every message before the library does ([`inspect`]). Promises it does
//! not get to see ([`spk_rpc::Network`], [`spk_rpc::Unresolved`]).

mod inspect;
mod meter;
mod network;

use std::os::unix::net::UnixStream;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp};
use futures::FutureExt;
use futures::io::{BufReader, BufWriter};
use spk_rpc::{Network, Unresolved};
use spk_schema::grain_capnp::{sandstorm_api, ui_view};
use tokio::sync::watch;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::error::Error;
use super::limits::HostLimits;
use super::notes::Notes;
use meter::Meter;
use network::{CountedReader, CountedWriter, Guarded};

/// The app's `SandstormApi`, as its bootstrap capability.
pub(crate) type Api = sandstorm_api::Client<capnp::any_pointer::Owned>;

/// Bytes of a Cap'n Proto word, in which its limits count.
const WORD: u64 = 8;

/// How much is read from the app's connection at a time.
const READ_BUFFER: usize = 64 * 1024;

/// Messages up to this size go to the app in one piece.
const WRITE_BUFFER: usize = 8 * 1024;

/// Speaks Cap'n Proto on the app's descriptor 3 (grain-runtime §C.1): we are the
/// server side and offer `SandstormApi`; the app offers its `UiView`. The receiver becomes `true`
/// when the connection has ended.
pub(crate) fn connect(
    socket: UnixStream,
    api: Api,
    limits: &HostLimits,
    notes: &Notes,
) -> Result<(ui_view::Client, watch::Receiver<bool>), Error> {
    let action = "use the connection to the app";
    socket.set_nonblocking(true).map_err(|source| Error::Start { action, source })?;
    let stream = tokio::net::UnixStream::from_std(socket)
        .map_err(|source| Error::Start { action, source })?;
    let (reader, writer) = stream.into_split();
    let mut options = capnp::message::ReaderOptions::new();
    let words = usize::try_from(limits.message_bytes / WORD).unwrap_or(usize::MAX);
    options.traversal_limit_in_words(Some(words));
    let meter = Meter::new(limits, notes.clone());
    let reader = BufReader::with_capacity(READ_BUFFER, reader.compat());
    let mut network = Network::new(
        CountedReader::new(reader, meter.clone()),
        // A message is written in several parts, and flushed at its end.
        BufWriter::with_capacity(
            WRITE_BUFFER,
            CountedWriter::new(writer.compat_write(), meter.clone()),
        ),
        rpc_twoparty_capnp::Side::Server,
        options,
    );
    network.set_window_size(usize::try_from(limits.stream_bytes).unwrap_or(usize::MAX));
    let network = Unresolved::new(Guarded::new(network, Rc::clone(&meter)));
    let mut system = RpcSystem::new(Box::new(network), Some(api.client));
    let view = system.bootstrap(rpc_twoparty_capnp::Side::Client);
    let (sender, disconnected) = watch::channel(false);
    let (notes, largest) = (notes.clone(), limits.message_bytes);
    tokio::task::spawn_local(async move {
        match AssertUnwindSafe(system).catch_unwind().await {
            Ok(Err(error)) if error.kind != capnp::ErrorKind::Disconnected => {
                notes.say(&broken(&error, largest));
            }
            Ok(_) => {}
            // What is wrong has been told where it happened.
            Err(_) => notes.say("the app's connection to the host has ended by a fault of spk's"),
        }
        let _ = sender.send(true);
    });
    Ok((view, disconnected))
}

/// Why the connection to the app was given up.
fn broken(error: &capnp::Error, largest: u64) -> String {
    let hint = match error.kind {
        capnp::ErrorKind::MessageTooLarge(_) => true,
        _ => error.extra.contains("too large"),
    };
    let hint = match hint {
        true => format!(" (at most {largest} bytes; --limit-message allows more)"),
        false => String::new(),
    };
    format!(
        "the app broke its connection to the host: {}{hint}",
        super::exception::printable(error)
    )
}
