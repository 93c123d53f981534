//! A small notes app that speaks the platform's own API: Cap'n Proto RPC, no HTTP and no bridge.
//!
//! Descriptor 3 is a connection to the platform. The app offers a `UiView` on it, which makes a
//! `WebSession` for everybody who opens the app; a request of a browser is a call on their session.
//! There is no login here: who it is, and what they may do, is told when the session is made.

mod api;
mod notes;
mod page;
mod session;
mod text;
mod view;

use std::cell::RefCell;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::rc::Rc;

use api::grain_capnp::ui_view;
use capnp_rpc::{rpc_twoparty_capnp::Side, twoparty::VatNetwork, RpcSystem};
use notes::Notes;
use tokio::net::UnixStream;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};
use view::View;

/// Where every app finds the platform.
const PLATFORM: i32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::var("NOTES_FILE").unwrap_or_else(|_| "/var/lib/notes/notes".into());
    let notes = Rc::new(RefCell::new(Notes::open(Path::new(&file))?));
    // SAFETY: the descriptor was made for this program, and nothing else here uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(PLATFORM) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let tasks = tokio::task::LocalSet::new();
    Ok(tasks.block_on(&runtime, serve(StdUnixStream::from(socket), notes))?)
}

/// Serves the platform until it closes the connection: nobody uses the app any more then.
async fn serve(socket: StdUnixStream, notes: Rc<RefCell<Notes>>) -> Result<(), capnp::Error> {
    let view: ui_view::Client = capnp_rpc::new_client(View { notes });
    RpcSystem::new(Box::new(network(socket, Side::Client)?), Some(view.client)).await
}

type Network = VatNetwork<tokio_util::compat::Compat<tokio::net::unix::OwnedReadHalf>>;

fn network(socket: StdUnixStream, side: Side) -> Result<Network, capnp::Error> {
    socket.set_nonblocking(true)?;
    let (input, output) = UnixStream::from_std(socket)?.into_split();
    Ok(VatNetwork::new(input.compat(), output.compat_write(), side, Default::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{grain_capnp::ui_session, web_session_capnp::web_session};
    use capnp::capability::FromClientHook;
    use capnp::traits::HasTypeId;

    /// A session that the platform opens, for somebody who may edit or not.
    async fn open(view: &ui_view::Client, name: &str, edit: bool) -> web_session::Client {
        let mut request = view.new_session_request();
        let mut params = request.get();
        params.set_session_type(<web_session::Client as HasTypeId>::TYPE_ID);
        let mut user = params.init_user_info();
        user.reborrow().init_display_name().set_default_text(name);
        user.init_permissions(1).set(0, edit);
        let session: ui_session::Client =
            request.send().promise.await.unwrap().get().unwrap().get_session().unwrap();
        session.cast_to()
    }

    async fn page(session: &web_session::Client) -> String {
        let answer = session.get_request().send().promise.await.unwrap();
        let web_session::response::Content(content) = answer.get().unwrap().which().unwrap() else {
            panic!("no content");
        };
        let web_session::response::content::body::Bytes(body) =
            content.get_body().which().unwrap()
        else {
            panic!("no bytes");
        };
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn the_platform_opens_sessions_and_gets_pages() {
        let file = std::env::temp_dir().join(format!("notes-view-{}", std::process::id()));
        let notes = Rc::new(RefCell::new(Notes::open(&file).unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (platform, app) = StdUnixStream::pair().unwrap();
            tokio::task::spawn_local(serve(app, notes));
            let mut system =
                RpcSystem::new(Box::new(network(platform, Side::Server).unwrap()), None);
            let view: ui_view::Client = system.bootstrap(Side::Client);
            tokio::task::spawn_local(system);

            let writer = open(&view, "Zoë", true).await;
            let mut request = writer.post_request();
            request.get().set_path("notes");
            request.get().init_content().set_content(b"text=%3Ca%3E+note");
            request.send().promise.await.unwrap();
            let text = page(&writer).await;
            assert!(text.contains("Zoë") && text.contains("&#60;a&#62; note"), "{text}");

            let reader = open(&view, "Bob", false).await;
            let text = page(&reader).await;
            assert!(text.contains("note") && !text.contains("<form"), "{text}");
        });
        std::fs::remove_file(file).unwrap();
    }
}
