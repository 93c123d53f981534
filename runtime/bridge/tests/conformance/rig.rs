//! One bridge between a host and an app, in one thread.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use capnp::capability::FromClientHook;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use spk_bridge::bridge::{Bridge, Log};
use spk_bridge::config::Config;
use spk_bridge::limits::CONNECT_WARN_AFTER;
use spk_bridge::process::{Host, serve_host};
use spk_schema::grain_capnp::{main_view, session_context, ui_view};
use spk_schema::identity_capnp::user_info;
use spk_schema::package_capnp::bridge_config;
use spk_schema::sandstorm_http_bridge_capnp::sandstorm_http_bridge;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::web_session_capnp::web_session::{self, context};
use tokio::runtime;
use tokio::task::LocalSet;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::host::{Context, Sink, describe};

pub const WEB_SESSION: u64 = spk_bridge::session_types::WEB_SESSION;
pub const API_SESSION: u64 = spk_bridge::session_types::API_SESSION;

pub type MainViewClient = main_view::Client<bridge_object_id::Owned>;

/// A bridge that is being served, and the host's view of it.
pub struct Rig {
    pub view: ui_view::Client,
    pub main_view: MainViewClient,
    /// The grain's data.
    pub var: tempfile::TempDir,
    pub proxy_port: u16,
    pub bridge: Rc<Bridge>,
}

/// Runs a test in a runtime of its own. Nothing in it takes long.
pub fn run<F: Future<Output = ()> + 'static>(test: F) {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs");
    });
}

pub type Setup<'a> = &'a dyn Fn(bridge_config::Builder<'_>);

/// The configuration of most tests: permissions view, comment, edit.
pub fn permissions(mut config: bridge_config::Builder<'_>) {
    let mut list = config.reborrow().init_view_info().init_permissions(3);
    for (index, name) in ["view", "comment", "edit"].iter().enumerate() {
        list.reborrow().get(index as u32).set_name(name);
    }
}

pub fn config(setup: Setup<'_>) -> Config {
    let mut message = capnp::message::Builder::new_default();
    let mut root = message.init_root::<bridge_config::Builder>();
    permissions(root.reborrow());
    setup(root);
    Config::from_bytes(&capnp::serialize::write_message_to_words(&message)).unwrap()
}

impl Rig {
    /// A bridge for an app on `port` with the usual configuration.
    pub fn new(port: u16) -> Rig {
        Rig::with(port, &|_| {})
    }

    pub fn with(port: u16, setup: Setup<'_>) -> Rig {
        Rig::serving(port, setup, None)
    }

    /// A bridge that loses its patience with the app after `patience`, and what it logs.
    pub fn patient(port: u16, patience: Duration) -> (Rig, Rc<RefCell<Vec<String>>>) {
        let said = Rc::new(RefCell::new(Vec::new()));
        let log: Rc<Log> = {
            let said = said.clone();
            Rc::new(move |message: &str| said.borrow_mut().push(message.to_owned()))
        };
        (Rig::logging(port, &|_| {}, None, patience, log), said)
    }

    /// With what the host answers to the bridge's bootstrap request.
    pub fn serving(
        port: u16,
        setup: Setup<'_>,
        bootstrap: Option<capnp::capability::Client>,
    ) -> Rig {
        let log: Rc<Log> = Rc::new(|message: &str| eprintln!("{message}"));
        Rig::logging(port, setup, bootstrap, CONNECT_WARN_AFTER, log)
    }

    fn logging(
        port: u16,
        setup: Setup<'_>,
        bootstrap: Option<capnp::capability::Client>,
        patience: Duration,
        log: Rc<Log>,
    ) -> Rig {
        let var = tempfile::tempdir().unwrap();
        let bridge = Rc::new(Bridge::new(port, config(setup), var.path().to_owned(), log));
        spk_bridge::identities::prepare(&bridge).unwrap();
        let watched = bridge.clone();
        tokio::task::spawn_local(async move { watched.watch_for_app(patience).await });
        let listener = spk_bridge::app_socket::bind(&var.path().join("socket")).unwrap();
        tokio::task::spawn_local(spk_bridge::app_socket::serve(bridge.clone(), listener));
        let proxy = spk_bridge::proxy::bind(0).unwrap();
        let proxy_port = proxy.local_addr().unwrap().port();
        tokio::task::spawn_local(spk_bridge::proxy::serve(bridge.clone(), proxy));
        let (ours, theirs) = UnixStream::pair().unwrap();
        let host = Host::from_std(theirs).unwrap();
        tokio::task::spawn_local(serve_host(bridge.clone(), host, std::future::pending()));
        let main_view = connect(ours, bootstrap);
        Rig { view: main_view.clone().cast_to(), main_view, bridge, var, proxy_port }
    }

    /// The app's connection to the bridge.
    pub fn app(
        &self,
        bootstrap: Option<capnp::capability::Client>,
    ) -> sandstorm_http_bridge::Client {
        let socket = UnixStream::connect(self.var.path().join("socket")).unwrap();
        connect_as(socket, Side::Client, bootstrap)
    }

    /// The usual session of a browser.
    pub async fn session(&self) -> web_session::Client {
        self.browser("http://ui-abc.h:7000", usual_user).await.unwrap()
    }

    pub async fn browser(
        &self,
        base: &str,
        user: impl FnOnce(user_info::Builder<'_>),
    ) -> Result<web_session::Client, capnp::Error> {
        self.open(base, user, |mut params| {
            params.set_user_agent("Test/1.0");
            let mut languages = params.init_acceptable_languages(2);
            languages.set(0, "en-US");
            languages.set(1, "en");
        })
        .await
    }

    pub async fn open(
        &self,
        base: &str,
        user: impl FnOnce(user_info::Builder<'_>),
        params: impl FnOnce(web_session::params::Builder<'_>),
    ) -> Result<web_session::Client, capnp::Error> {
        let mut request = self.view.new_session_request();
        let mut call = request.get();
        user(call.reborrow().init_user_info());
        call.set_context(context_client());
        call.set_session_type(WEB_SESSION);
        call.set_tab_id(&[0xab; 16]);
        let mut web: web_session::params::Builder = call.get_session_params().init_as();
        web.set_base_path(base);
        params(web);
        let response = request.send().promise.await?;
        Ok(response.get()?.get_session()?.cast_to())
    }

    pub async fn api(
        &self,
        address: Option<(u64, u64)>,
    ) -> Result<web_session::Client, capnp::Error> {
        let mut request = self.view.new_session_request();
        let mut call = request.get();
        usual_user(call.reborrow().init_user_info());
        call.set_context(context_client());
        call.set_session_type(API_SESSION);
        call.set_tab_id(&[0xab; 16]);
        if let Some((upper, lower)) = address {
            let params: spk_schema::api_session_capnp::api_session::params::Builder =
                call.get_session_params().init_as();
            let mut address = params.init_remote_address();
            address.set_upper64(upper);
            address.set_lower64(lower);
        }
        let response = request.send().promise.await?;
        Ok(response.get()?.get_session()?.cast_to())
    }
}

/// The host's end of a connection to a bridge.
pub fn connect(socket: UnixStream, bootstrap: Option<capnp::capability::Client>) -> MainViewClient {
    connect_as(socket, Side::Server, bootstrap)
}

/// One end of a connection; returns what the other end offers.
fn connect_as<C: FromClientHook>(
    socket: UnixStream,
    side: Side,
    bootstrap: Option<capnp::capability::Client>,
) -> C {
    socket.set_nonblocking(true).unwrap();
    let (input, output) = tokio::net::UnixStream::from_std(socket).unwrap().into_split();
    let mut options = capnp::message::ReaderOptions::new();
    options.traversal_limit_in_words(None);
    let network = VatNetwork::new(input.compat(), output.compat_write(), side, options);
    let mut system = RpcSystem::new(Box::new(network), bootstrap);
    let theirs = system.bootstrap(if side == Side::Server { Side::Client } else { Side::Server });
    tokio::task::spawn_local(async move {
        let _ = system.await;
    });
    theirs
}

pub fn context_client() -> session_context::Client {
    capnp_rpc::new_client(Context)
}

/// A user with an identity and bits 1, 0, 1, 0, 1.
pub fn usual_user(mut user: user_info::Builder<'_>) {
    user.reborrow().init_display_name().set_default_text("Ana B\u{f6}hm (*'!~_-.)");
    let identity: Vec<u8> = (0..32u8).map(|index| index.wrapping_mul(7)).collect();
    user.set_identity_id(&identity);
    user.set_preferred_handle("ana");
    user.set_picture_url("http://pictures.h/ana");
    bits(user, &[true, false, true, false, true]);
}

pub fn guest(mut user: user_info::Builder<'_>) {
    user.reborrow().init_display_name().set_default_text("Anonymous User");
    user.set_preferred_handle("anonymous");
    user.set_picture_url("http://pictures.h/none");
    bits(user, &[true]);
}

pub fn bits(user: user_info::Builder<'_>, bits: &[bool]) {
    let mut list = user.init_permissions(bits.len() as u32);
    for (index, bit) in bits.iter().enumerate() {
        list.set(index as u32, *bit);
    }
}

/// GET with a context of the test's making.
pub async fn get_with(
    session: &web_session::Client,
    path: &str,
    context: impl FnOnce(context::Builder<'_>),
) -> Result<String, capnp::Error> {
    let sink = Rc::new(Sink::default());
    let mut request = session.get_request();
    request.get().set_path(path);
    let mut builder = request.get().init_context();
    builder.set_response_stream(sink.client());
    context(builder);
    let response = request.send().promise.await?;
    Ok(describe(response.get()?, &sink).await)
}

pub async fn get(session: &web_session::Client, path: &str) -> Result<String, capnp::Error> {
    get_with(session, path, |_| {}).await
}

pub async fn head(session: &web_session::Client, path: &str) -> Result<String, capnp::Error> {
    let sink = Rc::new(Sink::default());
    let mut request = session.get_request();
    request.get().set_path(path);
    request.get().set_ignore_body(true);
    request.get().init_context().set_response_stream(sink.client());
    let response = request.send().promise.await?;
    Ok(describe(response.get()?, &sink).await)
}
