//! The connection to the host: Cap'n Proto RPC on descriptor 3 (http-bridge §1).

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::message::ReaderOptions;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::io::BufReader;
use spk_rpc::{Network, Tidy, Unresolved};
use spk_schema::grain_capnp::main_view;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use tokio::net::UnixStream;
use tokio::time::sleep;
use tokio_util::compat::TokioAsyncReadCompatExt;

use super::coalesce::coalesce;
use crate::bridge::Bridge;
use crate::limits;
use crate::main_view::MainView;

/// The host's end of descriptor 3.
pub struct Host(UnixStream);

impl Host {
    /// Takes over a connected stream socket, inside a runtime.
    pub fn from_std(socket: StdUnixStream) -> io::Result<Host> {
        socket.set_nonblocking(true)?;
        Ok(Host(UnixStream::from_std(socket)?))
    }
}

/// Serves the host until it closes the connection, or until `ending` resolves and nothing is left to
/// be sent. To be called inside a `LocalSet`.
pub async fn serve_host(bridge: Rc<Bridge>, host: Host, ending: impl Future<Output = ()>) {
    let (input, output) = host.0.into_split();
    let (writer, unsent, sender) = coalesce(output);
    tokio::task::spawn_local(sender);
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(limits::HOST_TRAVERSAL_WORDS));
    let mut network = Network::new(
        BufReader::with_capacity(limits::RPC_BUFFER, input.compat()),
        writer,
        Side::Client,
        options,
    );
    network.set_window_size(limits::STREAM_WINDOW);
    let view: main_view::Client<bridge_object_id::Owned> =
        spk_rpc::new_client(MainView::new(bridge.clone()));
    let network = Tidy::new(Unresolved::new(network));
    let mut system = RpcSystem::new(Box::new(network), Some(view.cast_to()));
    bridge.set_api(system.bootstrap(Side::Server));
    let all_sent = async {
        ending.await;
        // What was said last becomes messages in the next turn of the event loop.
        loop {
            sleep(limits::LAST_TURN).await;
            if unsent.is_none() {
                break;
            }
        }
    };
    tokio::select! {
        // However the connection ends, it is over.
        _ = system => {}
        () = all_sent => {}
    }
}
