//! An app with objects of its own, which the bridge asks for them: it connects to the bridge's
//! socket, offers `AppHooks`, and saves and restores what the host keeps for it. `spk-hooks [PORT]`.
//!
//! Over HTTP: `/calls` says what the hooks were asked since the program started, `/headers` shows
//! the request, `/save/NAME` saves an object and gives its token, `/restore/TOKEN` gives the name
//! of the object that the token stands for, `/drop/TOKEN` forgets it.

use std::cell::RefCell;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use capnp::any_pointer;
use capnp::capability::FromClientHook as _;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use spk_schema::grain_capnp::{app_persistent, sandstorm_api};
use spk_schema::sandstorm_http_bridge_capnp::{app_hooks, sandstorm_http_bridge};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_util::compat::{TokioAsyncReadCompatExt as _, TokioAsyncWriteCompatExt as _};

/// Where the bridge listens for the app.
const BRIDGE: &str = "/tmp/sandstorm-api";

/// What the hooks were asked, in order.
type Calls = Rc<RefCell<Vec<String>>>;
type Api = sandstorm_api::Client<any_pointer::Owned>;

struct Hooks(Calls);

impl app_hooks::Server<any_pointer::Owned> for Hooks {
    async fn get_view_info(
        self: Rc<Self>,
        _: app_hooks::GetViewInfoParams<any_pointer::Owned>,
        mut results: app_hooks::GetViewInfoResults,
    ) -> Result<(), capnp::Error> {
        self.0.borrow_mut().push("getViewInfo".into());
        let mut info = results.get();
        let mut permissions = info.reborrow().init_permissions(2);
        permissions.reborrow().get(0).set_name("look");
        permissions.get(1).set_name("touch");
        let mut roles = info.init_roles(2);
        for (index, title, both, default) in
            [(0, "toucher of hooks", true, false), (1, "looker at hooks", false, true)]
        {
            let mut role = roles.reborrow().get(index);
            role.reborrow().init_title().set_default_text(title);
            role.set_default(default);
            let mut held = role.init_permissions(2);
            held.set(0, true);
            held.set(1, both);
        }
        Ok(())
    }

    async fn restore(
        self: Rc<Self>,
        params: app_hooks::RestoreParams<any_pointer::Owned>,
        mut results: app_hooks::RestoreResults<any_pointer::Owned>,
    ) -> Result<(), capnp::Error> {
        let name = name(params.get()?.get_object_id()?)?;
        self.0.borrow_mut().push(format!("restore {name}"));
        results.get().init_cap().set_as_capability(object(name).into_client_hook());
        Ok(())
    }

    async fn drop(
        self: Rc<Self>,
        params: app_hooks::DropParams<any_pointer::Owned>,
        _: app_hooks::DropResults<any_pointer::Owned>,
    ) -> Result<(), capnp::Error> {
        self.0.borrow_mut().push(format!("drop {}", name(params.get()?.get_object_id()?)?));
        Ok(())
    }
}

/// An object of the app: its ID is its name.
struct Object(String);

impl app_persistent::Server<any_pointer::Owned> for Object {
    async fn save(
        self: Rc<Self>,
        _: app_persistent::SaveParams<any_pointer::Owned>,
        mut results: app_persistent::SaveResults<any_pointer::Owned>,
    ) -> Result<(), capnp::Error> {
        let mut saved = results.get();
        saved.reborrow().init_object_id().set_as(self.0.as_str())?;
        saved.init_label().set_default_text(&self.0);
        Ok(())
    }
}

fn object(name: String) -> app_persistent::Client<any_pointer::Owned> {
    capnp_rpc::new_client(Object(name))
}

fn name(id: any_pointer::Reader<'_>) -> Result<String, capnp::Error> {
    Ok(id.get_as::<capnp::text::Reader<'_>>()?.to_string()?)
}

fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(8000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("an app may have an event loop");
    tokio::task::LocalSet::new().block_on(&runtime, serve(port));
}

async fn serve(port: u16) {
    let calls = Calls::default();
    let api = connect(&calls).await.expect("the bridge listens for the app");
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    while let Ok((stream, _)) = listener.accept().await {
        let (calls, api) = (calls.clone(), api.clone());
        tokio::task::spawn_local(async move {
            if let Err(error) = answer(stream, &calls, &api).await {
                eprintln!("a request failed: {error}");
            }
        });
    }
}

/// Offers the hooks to the bridge, and asks it for the host's API.
async fn connect(calls: &Calls) -> Result<Api, Box<dyn std::error::Error>> {
    let (input, output) = UnixStream::connect(BRIDGE).await?.into_split();
    let network = VatNetwork::new(
        futures::io::BufReader::new(input.compat()),
        output.compat_write(),
        Side::Client,
        capnp::message::ReaderOptions::new(),
    );
    let hooks: app_hooks::Client<any_pointer::Owned> = capnp_rpc::new_client(Hooks(calls.clone()));
    let mut system = RpcSystem::new(Box::new(network), Some(hooks.client));
    let bridge: sandstorm_http_bridge::Client = system.bootstrap(Side::Server);
    tokio::task::spawn_local(system);
    let response = bridge.get_sandstorm_api_request().send().promise.await?;
    Ok(response.get()?.get_api()?.client.cast_to())
}

async fn answer(mut stream: TcpStream, calls: &Calls, api: &Api) -> std::io::Result<()> {
    let mut head = String::new();
    let mut input = tokio::io::BufReader::new(&mut stream);
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match said(path, &head, calls, api).await {
        Ok(body) => ("200 OK", body),
        Err(error) => ("404 Not Found", error.to_string()),
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await
}

async fn said(path: &str, head: &str, calls: &Calls, api: &Api) -> Result<String, capnp::Error> {
    let (what, argument) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    let token = || {
        let token = URL_SAFE_NO_PAD.decode(argument);
        token.map_err(|error| capnp::Error::failed(format!("no token: {error}")))
    };
    match what {
        "calls" => Ok(calls.borrow().join("\n")),
        "save" => {
            let mut request = api.save_request();
            let object = object(argument.to_owned());
            request.get().init_cap().set_as_capability(object.into_client_hook());
            let response = request.send().promise.await?;
            Ok(URL_SAFE_NO_PAD.encode(response.get()?.get_token()?))
        }
        "restore" => {
            let mut request = api.restore_request();
            request.get().set_token(&token()?);
            let response = request.send().promise.await?;
            let restored: capnp::capability::Client =
                response.get()?.get_cap().get_as_capability()?;
            let own: app_persistent::Client<any_pointer::Owned> = restored.cast_to();
            let response = own.save_request().send().promise.await?;
            name(response.get()?.get_object_id()?)
        }
        "drop" => {
            let mut request = api.drop_request();
            request.get().set_token(&token()?);
            request.send().promise.await?;
            Ok("dropped".into())
        }
        _ => Ok(head.to_owned()),
    }
}
