//! The host between clients and an app, of which both may say anything.

use std::cell::Cell;
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::{RpcSystem, twoparty};
use serde_json::Value;
use spk_files::Dir;
use spk_grains::store::CapabilityFile;
use spk_host::fuzz::Host;
use spk_schema::grain_capnp::ui_view;
use spk_schema::web_session_capnp::web_session::{self, response};
use spk_web_session_conformance::session::{Seen, Session, Streams, echo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::choices::Choices;
use crate::rig::{self, turns};
use crate::rpc::{Answers, On, Peer, Role, Typical, object};

/// An app that answers each request with what it was asked.
struct App;

impl ui_view::Server for App {
    async fn get_view_info(
        self: Rc<Self>,
        _: ui_view::GetViewInfoParams,
        mut results: ui_view::GetViewInfoResults,
    ) -> Result<(), capnp::Error> {
        let mut permissions = results.get().init_permissions(2);
        permissions.reborrow().get(0).set_name("view");
        permissions.reborrow().get(1).set_name("edit");
        let mut role = results.get().init_roles(1).get(0);
        role.reborrow().init_title().set_default_text("Editor");
        role.set_default(true);
        role.init_permissions(2).set(0, true);
        Ok(())
    }

    async fn new_session(
        self: Rc<Self>,
        _: ui_view::NewSessionParams,
        mut results: ui_view::NewSessionResults,
    ) -> Result<(), capnp::Error> {
        let session =
            Session { script: echo(), seen: Rc::new(Seen::default()), streams: Streams::Yes };
        let session = session.client();
        results.get().set_session(capnp::capability::FromClientHook::new(session.client.hook));
        Ok(())
    }
}

/// Starts it; the host's end of its connection.
fn start() -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let (reader, writer) = tokio::net::UnixStream::from_std(theirs)?.into_split();
    let network = twoparty::VatNetwork::new(
        reader.compat(),
        writer.compat_write(),
        Side::Client,
        Default::default(),
    );
    let view: ui_view::Client = capnp_rpc::new_client(App);
    tokio::task::spawn_local(RpcSystem::new(Box::new(network), Some(view.client)));
    Ok(ours)
}

/// Turns that a request takes with all that comes before it: a start, two questions, an answer.
const TURNS: usize = 120;

/// Bytes on their way to the client and back at most: no end waits for the other.
const BUFFER: usize = 1 << 20;

/// What the front end answers to a client that sends `request`.
async fn ask(host: &Rc<Host>, request: &[u8]) -> Vec<u8> {
    let (mut client, server) = tokio::io::duplex(BUFFER);
    let serving = host.clone();
    tokio::task::spawn_local(async move { serving.serve(server).await });
    let _ = client.write_all(request).await;
    let mut answer = Vec::new();
    tokio::select! {
        _ = client.read_to_end(&mut answer) => {}
        () = turns(TURNS) => {}
    }
    answer
}

/// Stands in an input for the host of the session, which is another one in each run.
const SESSION: u8 = 1;

/// What a client may send: heads, bodies, names of hosts.
///
/// # Panics
/// When what comes back is not HTTP.
pub fn front(bytes: &[u8]) {
    rig::run(async move {
        let Ok(dir) = tempfile::tempdir() else { return };
        if std::fs::write(dir.path().join("capabilities.json"), RECORDS).is_err() {
            return;
        }
        let Some(host) = host(dir.path(), start) else { return };
        let session = host.session();
        let session = session.trim_start_matches("http://").as_bytes();
        let parts: Vec<&[u8]> = bytes.split(|byte| *byte == SESSION).collect();
        let answer = ask(&host, &parts.join(session)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", answer.escape_ascii());
    });
}

fn host(
    dir: &std::path::Path,
    start: impl FnMut() -> io::Result<UnixStream> + 'static,
) -> Option<Rc<Host>> {
    let records = CapabilityFile::new(&Dir::open_trusted(dir).ok()?, dir).ok()?;
    Host::new(dir, Some(records), start).ok().map(Rc::new)
}

/// An API token whose secret is `t`, at a host of its own, and something for whoever has none.
const RECORDS: &str = include_str!("../corpus/records/all-kinds");

/// What the host remembers for a grain (`capabilities.json`), and what it does with it: tokens, shares,
/// jobs.
pub fn records(bytes: &[u8]) {
    rig::run(async move {
        let Ok(dir) = tempfile::tempdir() else { return };
        if std::fs::write(dir.path().join("capabilities.json"), bytes).is_err() {
            return;
        }
        let Some(host) = host(dir.path(), start) else { return };
        tokio::task::spawn_local(host.jobs());
        for ask in ["view", "tokens", "shares", "jobs", "offers", "awake", "events"] {
            let _ = host.ask(serde_json::json!({ "ask": ask })).await;
        }
        let session = host.session();
        let session = session.trim_start_matches("http://");
        ask(&host, format!("GET / HTTP/1.1\r\nHost: {session}\r\n\r\n").as_bytes()).await;
        ask(&host, API_REQUEST.as_bytes()).await;
    });
}

/// With the token of [`RECORDS`].
const API_REQUEST: &str =
    "GET / HTTP/1.1\r\nHost: api.spk.localhost:6080\r\nAuthorization: Bearer t\r\n\r\n";

/// What another process asks through the control socket: one question, or several.
pub fn question(bytes: &[u8]) {
    let Ok(questions) = serde_json::from_slice::<Value>(bytes) else { return };
    rig::run(async move {
        let Ok(dir) = tempfile::tempdir() else { return };
        let Ok(host) = Host::new(dir.path(), None, start) else { return };
        let host = Rc::new(host);
        let questions = match questions {
            Value::Array(questions) => questions,
            one => vec![one],
        };
        for question in questions.into_iter().take(20) {
            let host = host.clone();
            let asked = tokio::task::spawn_local(async move { host.ask(question).await });
            turns(TURNS).await;
            drop(asked);
        }
        let session = host.session();
        let session = session.trim_start_matches("http://");
        ask(&host, format!("GET / HTTP/1.1\r\nHost: {session}\r\n\r\n").as_bytes()).await;
    });
}

/// Clients of the hostile app, and the turns after which another one comes.
const CLIENTS: usize = 8;
const BETWEEN_CLIENTS: usize = 30;

/// A client's request, for whose answer it waits as long as it likes.
async fn wait_for(host: &Rc<Host>, number: usize) {
    let session = host.session();
    let session = session.trim_start_matches("http://");
    let method = ["GET", "POST"][number % 2];
    let request =
        format!("{method} /{number} HTTP/1.1\r\nHost: {session}\r\nContent-Length: 3\r\n\r\nabc");
    let (mut client, server) = tokio::io::duplex(BUFFER);
    let serving = host.clone();
    tokio::task::spawn_local(async move { serving.serve(server).await });
    let _ = client.write_all(request.as_bytes()).await;
    let _ = client.read_to_end(&mut Vec::new()).await;
}

/// What a hostile app says to the host, message by message, while clients wait for it.
///
/// # Panics
/// When the host neither answers any more nor has ended the connection.
pub fn rpc(bytes: &[u8]) {
    rig::run(async move {
        let Ok(dir) = tempfile::tempdir() else { return };
        let Ok((ours, theirs)) = UnixStream::pair() else { return };
        let theirs = Cell::new(Some(theirs));
        let start = move || theirs.take().ok_or_else(|| io::ErrorKind::NotFound.into());
        let Some(host) = host(dir.path(), start) else { return };
        let clients = host.clone();
        tokio::task::spawn_local(async move {
            // The first two at once; the others find a session that is there.
            for number in 0..CLIENTS {
                let host = clients.clone();
                tokio::task::spawn_local(async move { wait_for(&host, number).await });
                turns(if number == 0 { 0 } else { BETWEEN_CLIENTS }).await;
            }
        });
        turns(20).await;
        let Ok(mut peer) = Peer::new(bytes, ours, &APP) else { return };
        peer.talk().await;
        drop(peer);
        turns(20).await;
    });
}

const UI_VIEW: u64 = 0xdbb4_d798_ea67_e2e7;
const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;
const BYTE_STREAM: u64 = 0xcd57_3877_29cf_e35f;
const API: u64 = 0xd265_4fcf_2a70_02cb;
const CONTEXT: u64 = 0xbf3e_401d_5a63_f336;
const PERSISTENT: u64 = 0xc879_3795_6fb8_1ea3;

/// An app, which answers the first questions first.
static APP: Role = Role { calls: CALLS, answers: ANSWERS, opening: OPENING };

/// Its first object, what it says about itself, a session; and it asks for the host's first object.
const OPENING: &[u8] = &[
    10, 0, 0, 0, 0, 0, 8, 1, // the first object is number 1
    10, 0, 0, 0, 0, 2, 1, b'v', 1, b'e', 1, 0, 2, 0, // permissions and a role
    10, 0, 0, 0, 0, 0, 8, 2, // the session is number 2
    18, 0, 0,
];

/// The calls of an app. What they carry is up to the input.
const CALLS: &[Typical] = &[
    Typical((BYTE_STREAM, 0), On::Heard((WEB_SESSION, 0)), |choices, content| {
        let mut params: spk_schema::util_capnp::byte_stream::write_params::Builder<'_> =
            content.init_as();
        params.set_data(choices.bytes());
    }),
    Typical((BYTE_STREAM, 1), On::Heard((WEB_SESSION, 0)), |_, _| {}),
    Typical((BYTE_STREAM, 2), On::Heard((WEB_SESSION, 0)), |choices, content| {
        let mut params: spk_schema::util_capnp::byte_stream::expect_size_params::Builder<'_> =
            content.init_as();
        params.set_size(u64::from(choices.byte()));
    }),
    Typical((API, 0), On::Bootstrap, objects),
    Typical((API, 2), On::Bootstrap, objects),
    Typical((API, 3), On::Bootstrap, objects),
    Typical((API, 7), On::Bootstrap, objects),
    Typical((API, 8), On::Bootstrap, objects),
    Typical((API, 11), On::Bootstrap, objects),
    Typical((CONTEXT, 0), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 1), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 2), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 3), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 4), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 5), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 7), On::Heard((UI_VIEW, 1)), objects),
    Typical((CONTEXT, 8), On::Heard((UI_VIEW, 1)), objects),
    Typical((PERSISTENT, 0), On::Result((API, 2), 0), objects),
];

/// A struct whose pointers are texts and objects.
fn objects(choices: &mut Choices<'_>, content: capnp::any_pointer::Builder<'_>) {
    let mut list: capnp::any_pointer_list::Builder<'_> = content.initn_as(4);
    for at in 0..4 {
        let mut item = list.reborrow().get(at);
        match choices.roll(4) {
            0 => {}
            1 => drop(item.set_as(capnp::text::Reader(choices.bytes()))),
            _ => item.set_as_capability(object::<capnp::capability::Client>().hook),
        }
    }
}

/// What an app says to the host's calls.
const ANSWERS: Answers = |method| match method {
    // Its bootstrap object.
    (0, _) => Some(|_, mut content| {
        content.set_as_capability(object::<capnp::capability::Client>().hook);
    }),
    (UI_VIEW, 0) => Some(|choices, content| {
        let mut info: ui_view::view_info::Builder<'_> = content.init_as();
        let mut permissions = info.reborrow().init_permissions(choices.roll(3));
        for at in 0..permissions.len() {
            permissions.reborrow().get(at).set_name(capnp::text::Reader(choices.bytes()));
        }
        let mut roles = info.init_roles(choices.roll(3));
        for at in 0..roles.len() {
            let mut role = roles.reborrow().get(at);
            role.set_default(choices.roll(2) == 0);
            role.init_permissions(choices.roll(4));
        }
    }),
    (UI_VIEW, _) => Some(|_, content| {
        let mut results: ui_view::new_session_results::Builder<'_> = content.init_as();
        results.set_session(object());
    }),
    (WEB_SESSION, 5 | 6) => Some(|_, content| {
        let mut results: web_session::post_streaming_results::Builder<'_> = content.init_as();
        results.set_stream(object());
    }),
    (WEB_SESSION, _) => Some(|choices, content| response(choices, content.init_as())),
    _ => None,
};

fn response(choices: &mut Choices<'_>, mut response: response::Builder<'_>) {
    let text = |choices: &mut Choices<'_>| -> Vec<u8> { choices.bytes().to_vec() };
    let what = choices.byte();
    if what & 1 != 0 {
        let mut cookie = response.reborrow().init_set_cookies(1).get(0);
        cookie.set_name(capnp::text::Reader(&text(choices)));
        cookie.set_value(capnp::text::Reader(&text(choices)));
        cookie.set_path(capnp::text::Reader(&text(choices)));
        match what & 2 {
            0 => cookie.init_expires().set_absolute(i64::from(choices.byte()) << (what >> 2)),
            _ => cookie.init_expires().set_relative(u64::from(choices.byte()) << (what >> 2)),
        }
    }
    if what & 4 != 0 {
        let mut header = response.reborrow().init_additional_headers(1).get(0);
        header.set_name(capnp::text::Reader(&text(choices)));
        header.set_value(capnp::text::Reader(&text(choices)));
    }
    match choices.roll(8) {
        0 => {
            let mut redirect = response.init_redirect();
            redirect.set_location(capnp::text::Reader(&text(choices)));
            redirect.set_is_permanent(what & 8 != 0);
        }
        1 => {
            let mut error = response.init_client_error();
            error.set_description_html(capnp::text::Reader(&text(choices)));
        }
        2 => {
            let mut error = response.init_server_error();
            error.set_description_html(capnp::text::Reader(&text(choices)));
        }
        3 => response.init_no_content().set_should_reset_form(what & 8 != 0),
        4 => drop(response.init_precondition_failed()),
        kind => {
            let mut content = response.init_content();
            content.set_mime_type(capnp::text::Reader(&text(choices)));
            content.set_encoding(capnp::text::Reader(&text(choices)));
            content.set_language(capnp::text::Reader(&text(choices)));
            if what & 8 != 0 {
                let mut tag = content.reborrow().init_e_tag();
                tag.set_value(capnp::text::Reader(&text(choices)));
                tag.set_weak(what & 16 != 0);
            }
            if what & 32 != 0 {
                let name = text(choices);
                content.reborrow().init_disposition().set_download(capnp::text::Reader(&name));
            }
            match kind {
                5 => content.init_body().set_stream(object()),
                _ => content.init_body().set_bytes(choices.bytes()),
            }
        }
    }
}
