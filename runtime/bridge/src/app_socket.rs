//! `/tmp/sandstorm-api`, where the app speaks Cap'n Proto with the bridge (http-bridge §2.6, §8.1).

use std::fs;
use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::rc::Rc;

use capnp::Error;
use capnp::capability::FromClientHook;
use capnp::message::ReaderOptions;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use futures::io::BufReader;
use spk_rpc::{Network, Tidy, Unresolved};
use spk_schema::sandstorm_http_bridge_capnp::sandstorm_http_bridge as api;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::bridge::Bridge;
use crate::identities;
use crate::limits;
use crate::membrane::Home;
use crate::sessions::Kind;

/// Where apps look for the socket.
pub const PATH: &str = "/tmp/sandstorm-api";

/// Binds the socket, in place of a stale one. The mode is 0777 without the umask's bits.
pub fn bind(path: &Path) -> io::Result<StdUnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = StdUnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves all connections, for ever. To be called inside a `LocalSet`.
pub async fn serve(bridge: Rc<Bridge>, listener: StdUnixListener) -> io::Result<()> {
    let listener = UnixListener::from_std(listener)?;
    let mut is_first = true;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                accept(&bridge, stream, is_first);
                is_first = false;
            }
            // Out of descriptors, for example: apps try again, and so does this loop.
            Err(error) => {
                (bridge.log)(&format!(
                    "accepting a connection to the app's socket failed: {error}"
                ));
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
            }
        }
    }
}

/// Starts to serve one connection. Only the first one's peer can provide hooks.
fn accept(bridge: &Rc<Bridge>, stream: UnixStream, is_first: bool) {
    let (input, output) = stream.into_split();
    let mut options = ReaderOptions::new();
    options.traversal_limit_in_words(Some(limits::APP_TRAVERSAL_WORDS));
    let network =
        Network::new(BufReader::new(input.compat()), output.compat_write(), Side::Server, options);
    let own: api::Client = capnp_rpc::new_client(AppApi { bridge: bridge.clone() });
    let bootstrap = bridge.membrane.pass(own, Home::Outside);
    let network = Tidy::new(Unresolved::new(network));
    let mut system = RpcSystem::new(Box::new(network), Some(bootstrap.cast_to()));
    if is_first && bridge.config.expect_app_hooks {
        let hooks = system.bootstrap(Side::Client);
        bridge.set_hooks(bridge.membrane.pass(hooks, Home::App));
    }
    tokio::task::spawn_local(async move {
        // However the connection ends, it is over.
        let _ = system.await;
    });
}

/// What the app can ask the bridge for.
struct AppApi {
    bridge: Rc<Bridge>,
}

impl api::Server for AppApi {
    async fn get_sandstorm_api(
        self: Rc<Self>,
        _: api::GetSandstormApiParams,
        mut results: api::GetSandstormApiResults,
    ) -> Result<(), Error> {
        results.get().set_api(self.bridge.api()?.cast_to());
        Ok(())
    }

    async fn get_session_context(
        self: Rc<Self>,
        params: api::GetSessionContextParams,
        mut results: api::GetSessionContextResults,
    ) -> Result<(), Error> {
        let entry = self.bridge.sessions.find(params.get()?.get_id()?.as_bytes())?;
        results.get().set_context(entry.context.clone());
        Ok(())
    }

    async fn get_saved_identity(
        self: Rc<Self>,
        params: api::GetSavedIdentityParams,
        mut results: api::GetSavedIdentityResults,
    ) -> Result<(), Error> {
        let id = params.get()?.get_identity_id()?.as_bytes().to_vec();
        drop(params);
        let identity = identities::saved(&self.bridge, &id).await?;
        results.get().set_identity(identity);
        Ok(())
    }

    async fn save_identity(
        self: Rc<Self>,
        params: api::SaveIdentityParams,
        _: api::SaveIdentityResults,
    ) -> Result<(), Error> {
        let identity = params.get()?.get_identity()?;
        drop(params);
        if self.bridge.config.save_identity_caps {
            identities::save(&self.bridge, identity).await?;
        }
        Ok(())
    }

    async fn get_session_request(
        self: Rc<Self>,
        params: api::GetSessionRequestParams,
        mut results: api::GetSessionRequestResults,
    ) -> Result<(), Error> {
        let entry = self.bridge.sessions.find(params.get()?.get_id()?.as_bytes())?;
        let Kind::Request(request) = &entry.kind else {
            return Err(Error::failed("the session is not a powerbox request".into()));
        };
        results.get().set_request_info(request.get_root_as_reader()?.get_request_info()?)
    }

    async fn get_session_offer(
        self: Rc<Self>,
        params: api::GetSessionOfferParams,
        mut results: api::GetSessionOfferResults,
    ) -> Result<(), Error> {
        let entry = self.bridge.sessions.find(params.get()?.get_id()?.as_bytes())?;
        let Kind::Offer { offer, descriptor } = &entry.kind else {
            return Err(Error::failed("the session is not a powerbox offer".into()));
        };
        let mut results = results.get();
        results.reborrow().init_offer().set_as_capability(offer.hook.add_ref());
        results.set_descriptor(descriptor.get_root_as_reader()?)
    }
}
