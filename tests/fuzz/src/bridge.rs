//! The bridge between a host that cannot be trusted and an app that cannot be trusted.

use std::os::unix::net::UnixStream;
use std::rc::Rc;

use capnp::capability::{FromClientHook, Promise};
use spk_bridge::bridge::Bridge;
use spk_bridge::config::Config;
use spk_bridge::limits::CONNECT_WARN_AFTER;
use spk_bridge::main_view::MainView;
use spk_bridge::process::{Host, serve_host};
use spk_schema::grain_capnp::{main_view, ui_view};
use spk_schema::identity_capnp::user_info;
use spk_schema::package_capnp::bridge_config;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{self, context};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::choices::Choices;
use crate::rig::{self, turns};
use crate::rpc::{On, Peer, Role, Typical, object};

/// What a response's body is written to.
struct Sink;

impl byte_stream::Server for Sink {
    async fn write(self: Rc<Self>, _: byte_stream::WriteParams) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// The app: answers every connection with the same bytes, and closes it.
async fn app(listener: TcpListener, answer: Rc<[u8]>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let answer = answer.clone();
        tokio::task::spawn_local(async move {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(&answer).await;
        });
    }
}

/// Turns that a request over TCP takes, and some more.
const TURNS: usize = 40;

/// What an app answers to a request: head, body, cookies, and what the host is told of them.
pub fn response(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let answer: Rc<[u8]> = bytes.into();
    rig::run(async move {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", 0)).await else { return };
        let Ok(address) = listener.local_addr() else { return };
        tokio::task::spawn_local(app(listener, answer));
        let Some(bridge) = bridge(address.port()) else { return };
        bridge.watch_for_app(CONNECT_WARN_AFTER).await;
        let view: ui_view::Client = capnp_rpc::new_client(MainView::new(bridge));
        let mut request = view.new_session_request();
        request.get().set_context(object());
        request.get().set_session_type(WEB_SESSION);
        let opened = request.send().promise.await;
        let opened = opened.expect("nothing is wrong with it");
        let session = opened.get().and_then(|opened| opened.get_session());
        let session: web_session::Client = session.expect("there is one").cast_to();
        let asked = ask(&session, kind);
        tokio::task::spawn_local(async move { drop(asked.await) });
        turns(TURNS).await;
    });
}

/// A request, with a stream for the answer or without, under a condition or without.
fn ask(session: &web_session::Client, kind: u8) -> Promise<(), capnp::Error> {
    let describe = |mut context: context::Builder<'_>| {
        if kind & 1 == 0 {
            context.set_response_stream(capnp_rpc::new_client(Sink));
        }
        if kind & 2 != 0 {
            context.init_e_tag_precondition().init_matches_none_of(1).get(0).set_value("x");
        }
    };
    macro_rules! send {
        ($request:expr) => {{
            let mut request = $request;
            request.get().set_path("a/b.html?c");
            describe(request.get().init_context());
            let sent = request.send().promise;
            Promise::from_future(async move { sent.await.map(drop) })
        }};
    }
    match kind >> 4 {
        0 => {
            let mut request = session.get_request();
            request.get().set_ignore_body(true);
            send!(request)
        }
        1 => send!(session.post_request()),
        2 => send!(session.options_request()),
        3 => send!(session.propfind_request()),
        4 => send!(session.open_web_socket_request()),
        5 => send!(session.delete_request()),
        _ => send!(session.get_request()),
    }
}

/// A bridge as a package with all its features has it, with nothing in the grain.
fn bridge(port: u16) -> Option<Rc<Bridge>> {
    let mut message = capnp::message::Builder::new_default();
    let mut config = message.init_root::<bridge_config::Builder<'_>>();
    let mut permissions = config.reborrow().init_view_info().init_permissions(2);
    permissions.reborrow().get(0).set_name("view");
    permissions.reborrow().get(1).set_name("edit");
    config.set_api_path("/api");
    config.set_save_identity_caps(true);
    let mut api = config.init_powerbox_apis(1).get(0);
    api.set_name("files");
    api.set_path("/files");
    let config = capnp::serialize::write_message_to_words(&message);
    let config = Config::from_bytes(&config).ok()?;
    let bridge =
        Rc::new(Bridge::new(port, config, VAR.with(|var| var.path().into()), Rc::new(|_| {})));
    spk_bridge::identities::prepare(&bridge).ok()?;
    Some(bridge)
}

thread_local! {
    static VAR: TempDir = tempfile::tempdir().expect("there is a place for temporary files");
}

/// What a hostile host says to the bridge, message by message.
///
/// # Panics
/// When the bridge neither answers any more nor has ended, or goes on without a host.
pub fn rpc(bytes: &[u8]) {
    rig::run(async move {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", 0)).await else { return };
        let Ok(address) = listener.local_addr() else { return };
        tokio::task::spawn_local(app(listener, ANSWER.as_bytes().into()));
        let Some(bridge) = bridge(address.port()) else { return };
        bridge.watch_for_app(CONNECT_WARN_AFTER).await;
        let Ok((ours, theirs)) = UnixStream::pair() else { return };
        let Ok(host) = Host::from_std(theirs) else { return };
        let serving = tokio::task::spawn_local(serve_host(bridge, host, std::future::pending()));
        let Ok(mut peer) = Peer::new(bytes, ours, &HOST) else { return };
        peer.talk().await;
        drop(peer);
        turns(TURNS).await;
        assert!(serving.is_finished(), "the bridge goes on without a host");
    });
}

/// What the app says then.
const ANSWER: &str = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 5\r\n\r\nhello";

/// A host, which opens a session first.
static HOST: Role = Role { calls: CALLS, answers: |_| None, opening: OPENING };

/// `bootstrap`, `newSession`.
const OPENING: &[u8] = &[
    18, 0, 0, // the first object
    0, 0, 0, 0, 1, // a call of ours, the second of them
    2, b'A', b'l', 2, b'a', b'l', 0, 2, 7, 1,
    0, // the user: names, picture, identity, permissions
    1, b't', 3, // the tab, and for a browser:
    8, b'h', b't', b't', b'p', b':', b'/', b'/', b'x', 2, b'u', b'a', 1, 2, b'e', b'n', 0, 8,
    1, // the context is an object of ours
    0,
];

/// What `newSession` gives.
const SESSION: On = On::Result((UI_VIEW, 1), 0);

/// The calls of a host.
const CALLS: &[Typical] = &[
    Typical((UI_VIEW, 0), On::Bootstrap, |_, _| {}),
    Typical((UI_VIEW, 1), On::Bootstrap, |choices, content| {
        let mut params: ui_view::new_session_params::Builder<'_> = content.init_as();
        user(choices, params.reborrow().init_user_info());
        params.set_context(object());
        params.set_tab_id(choices.bytes());
        match choices.roll(4) {
            0 => params.set_session_type(API_SESSION),
            1 => params.set_session_type(EMAIL_SESSION),
            _ => {
                params.set_session_type(WEB_SESSION);
                browser(choices, params.get_session_params().init_as());
            }
        }
    }),
    Typical((UI_VIEW, 2), On::Bootstrap, |choices, content| {
        let mut params: ui_view::new_request_session_params::Builder<'_> = content.init_as();
        user(choices, params.reborrow().init_user_info());
        params.set_context(object());
        params.set_session_type(WEB_SESSION);
        let mut wanted = params.reborrow().init_request_info(choices.roll(3));
        for at in 0..wanted.len() {
            let mut tag = wanted.reborrow().get(at).init_tags(1).get(0);
            tag.set_id([API_SESSION, 7][choices.roll(2) as usize]);
        }
        browser(choices, params.get_session_params().init_as());
    }),
    Typical((UI_VIEW, 3), On::Bootstrap, |choices, content| {
        let mut params: ui_view::new_offer_session_params::Builder<'_> = content.init_as();
        user(choices, params.reborrow().init_user_info());
        params.set_context(object());
        params.set_session_type(WEB_SESSION);
        let offered: capnp::capability::Client = object();
        params.reborrow().init_offer().set_as_capability(offered.hook);
        params.reborrow().init_descriptor().init_tags(1).get(0).set_id(7);
        browser(choices, params.get_session_params().init_as());
    }),
    Typical((WEB_SESSION, 0), SESSION, |choices, content| {
        let mut params: web_session::get_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        describe(choices, params.reborrow().init_context());
        params.set_ignore_body(choices.roll(2) == 0);
    }),
    Typical((WEB_SESSION, 1), SESSION, |choices, content| {
        let mut params: web_session::post_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        describe(choices, params.reborrow().init_context());
        let mut content = params.init_content();
        content.set_mime_type(text(choices));
        content.set_encoding(text(choices));
        content.set_content(choices.bytes());
    }),
    Typical((WEB_SESSION, 2), SESSION, |choices, content| {
        let mut params: web_session::open_web_socket_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        describe(choices, params.reborrow().init_context());
        params.reborrow().init_protocol(1).set(0, text(choices));
        params.set_client_stream(object());
    }),
    Typical((WEB_SESSION, 5), SESSION, |choices, content| {
        let mut params: web_session::post_streaming_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        params.set_mime_type(text(choices));
        params.set_encoding(text(choices));
        describe(choices, params.init_context());
    }),
    Typical((WEB_SESSION, 7), SESSION, |choices, content| {
        let mut params: web_session::propfind_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        params.set_xml_content(text(choices));
        describe(choices, params.init_context());
    }),
    Typical((WEB_SESSION, 10), SESSION, |choices, content| {
        let mut params: web_session::copy_params::Builder<'_> = content.init_as();
        params.set_path(text(choices));
        params.set_destination(text(choices));
        describe(choices, params.init_context());
    }),
    Typical((BYTE_STREAM, 0), On::Result((WEB_SESSION, 5), 0), |choices, content| {
        let mut params: byte_stream::write_params::Builder<'_> = content.init_as();
        params.set_data(choices.bytes());
    }),
    Typical((BYTE_STREAM, 1), On::Result((WEB_SESSION, 5), 0), |_, _| {}),
    Typical((BYTE_STREAM, 2), On::Result((WEB_SESSION, 5), 0), |choices, content| {
        let mut params: byte_stream::expect_size_params::Builder<'_> = content.init_as();
        params.set_size(u64::from(choices.byte()));
    }),
    Typical((REQUEST_STREAM, 0), On::Result((WEB_SESSION, 5), 0), |_, _| {}),
    Typical((WEB_SOCKET_STREAM, 0), On::Result((WEB_SESSION, 2), 1), |choices, content| {
        let mut params: web_session::web_socket_stream::send_bytes_params::Builder<'_> =
            content.init_as();
        params.set_message(choices.bytes());
    }),
    Typical((MAIN_VIEW, 0), On::Bootstrap, |choices, content| {
        let mut params: main_view::restore_params::Builder<'_, bridge_object_id::Owned> =
            content.init_as();
        object_id(choices, params.reborrow().init_object_id());
    }),
    Typical((MAIN_VIEW, 1), On::Bootstrap, |choices, content| {
        let mut params: main_view::drop_params::Builder<'_, bridge_object_id::Owned> =
            content.init_as();
        object_id(choices, params.reborrow().init_object_id());
    }),
    Typical((PERSISTENT, 0), On::Result((MAIN_VIEW, 0), 0), |_, _| {}),
];

const UI_VIEW: u64 = 0xdbb4_d798_ea67_e2e7;
const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;
const API_SESSION: u64 = 0xc879_e379_c625_cdc7;
const EMAIL_SESSION: u64 = 0xc3b5_ced7_344b_04a6;
const BYTE_STREAM: u64 = 0xcd57_3877_29cf_e35f;
const MAIN_VIEW: u64 = 0xc277_e982_2ae2_c8fc;
const PERSISTENT: u64 = 0xaffa_789a_dd87_47b8;
const REQUEST_STREAM: u64 = 0x99ff_c2f3_f69a_6a9f;
const WEB_SOCKET_STREAM: u64 = 0xf001_fc1d_5e57_4a07;

/// The input's bytes as a text.
fn text<'a>(choices: &mut Choices<'a>) -> capnp::text::Reader<'a> {
    capnp::text::Reader(choices.bytes())
}

fn user(choices: &mut Choices<'_>, mut info: user_info::Builder<'_>) {
    info.reborrow().init_display_name().set_default_text(text(choices));
    info.set_preferred_handle(text(choices));
    info.set_picture_url(text(choices));
    match choices.roll(4) {
        0 => info.set_identity_id(choices.bytes()),
        1 => {}
        _ => info.set_identity_id(&[choices.byte(); 32]),
    }
    if choices.roll(2) == 0 {
        info.set_identity(object());
    }
    let mut bits = info.init_permissions(choices.roll(4));
    for at in 0..bits.len() {
        bits.set(at, choices.roll(2) == 0);
    }
}

fn browser(choices: &mut Choices<'_>, mut params: web_session::params::Builder<'_>) {
    params.set_base_path(text(choices));
    params.set_user_agent(text(choices));
    let mut languages = params.init_acceptable_languages(choices.roll(3));
    for at in 0..languages.len() {
        languages.set(at, text(choices));
    }
}

fn describe(choices: &mut Choices<'_>, mut context: context::Builder<'_>) {
    let what = choices.byte();
    if what & 1 == 0 {
        context.set_response_stream(object());
    }
    if what & 2 != 0 {
        let mut cookie = context.reborrow().init_cookies(1).get(0);
        cookie.set_key(text(choices));
        cookie.set_value(text(choices));
    }
    if what & 4 != 0 {
        let mut header = context.reborrow().init_additional_headers(1).get(0);
        header.set_name(text(choices));
        header.set_value(text(choices));
    }
    if what & 8 != 0 {
        let mut accepted = context.reborrow().init_accept(1).get(0);
        accepted.set_mime_type(text(choices));
        accepted.set_q_value(f32::from_bits(u32::from_le_bytes([
            0,
            0,
            choices.byte(),
            choices.byte(),
        ])));
    }
    if what & 16 != 0 {
        let mut accepted = context.reborrow().init_accept_encoding(1).get(0);
        accepted.set_content_coding(text(choices));
    }
    let mut condition = context.init_e_tag_precondition();
    match what >> 5 {
        0 => condition.set_exists(()),
        1 => condition.set_doesnt_exist(()),
        2 => {
            let mut tag = condition.init_matches_one_of(1).get(0);
            tag.set_value(text(choices));
        }
        3 => {
            let mut tag = condition.init_matches_none_of(1).get(0);
            tag.set_value(text(choices));
            tag.set_weak(true);
        }
        _ => condition.set_none(()),
    }
}

fn object_id(choices: &mut Choices<'_>, id: bridge_object_id::Builder<'_>) {
    match choices.roll(2) {
        0 => id.init_application().set_as_capability(object::<capnp::capability::Client>().hook),
        _ => {
            let mut api = id.init_http_api();
            api.set_name(text(choices));
            api.set_path(text(choices));
            api.set_identity_id(choices.bytes());
            let mut bits = api.init_permissions(choices.roll(3));
            for at in 0..bits.len() {
                bits.set(at, choices.roll(2) == 0);
            }
        }
    }
}
