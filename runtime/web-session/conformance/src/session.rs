//! A `WebSession` that does what a script says and writes down every call.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;

use capnp::Error;
use futures::future::LocalBoxFuture;
use spk_schema::util_capnp::{byte_stream, handle};
use spk_schema::web_session_capnp::web_session::{self, context, response, web_socket_stream};
use tokio::sync::{Notify, watch};

use crate::describe::{self, content, xml};

/// A call, as the script sees it.
pub struct Call {
    /// Path and query, without the first slash.
    pub path: String,
    /// Everything the call carries, one item per line.
    pub text: String,
    /// The body.
    pub body: Vec<u8>,
    /// Where the response may be streamed.
    pub stream: Option<byte_stream::Client>,
    /// What was seen so far.
    pub seen: Rc<Seen>,
}

/// What the session does with a call.
pub type Script = Rc<dyn Fn(Call, Reply) -> LocalBoxFuture<'static, Result<(), Error>>>;

/// Where the answer goes.
pub struct Reply(web_session::GetResults);

impl Reply {
    /// The answer, empty at first.
    pub fn response(&mut self) -> response::Builder<'_> {
        self.0.get()
    }

    /// Answers with a small text.
    pub fn text(&mut self, text: &str) {
        let mut content = self.response().init_content();
        content.set_mime_type("text/plain");
        content.get_body().set_bytes(text.as_bytes());
    }

    /// Announces a streamed body; what is written to the result comes out at the client.
    pub fn stream(&mut self, call: &Call) -> byte_stream::Client {
        let handle = capnp_rpc::new_client(Handle(call.seen.clone()));
        self.response().init_content().get_body().set_stream(handle);
        call.stream.clone().unwrap()
    }
}

/// A script.
pub fn script<F>(run: impl Fn(Call, Reply) -> F + 'static) -> Script
where
    F: Future<Output = Result<(), Error>> + 'static,
{
    Rc::new(move |call, reply| Box::pin(run(call, reply)))
}

/// A script that answers every call with what the call said.
pub fn echo() -> Script {
    script(|call, mut reply| async move {
        reply.text(&call.text);
        Ok(())
    })
}

/// Writes a piece of a stream.
pub async fn write(stream: &byte_stream::Client, data: &[u8]) -> Result<(), Error> {
    let mut request = stream.write_request();
    request.get().set_data(data);
    request.send().await
}

/// Says how long a stream will be.
pub async fn expect_size(stream: &byte_stream::Client, size: u64) -> Result<(), Error> {
    let mut request = stream.expect_size_request();
    request.get().set_size(size);
    request.send().promise.await.map(|_| ())
}

/// Ends a stream.
pub async fn done(stream: &byte_stream::Client) -> Result<(), Error> {
    stream.done_request().send().promise.await.map(|_| ())
}

/// What happened to sessions of one script.
#[derive(Default)]
pub struct Seen {
    /// Calls as text.
    pub calls: RefCell<Vec<String>>,
    /// A response's handle was dropped.
    pub handle_dropped: Notify,
    /// Messages written to WebSockets.
    pub socket_input: RefCell<Vec<u8>>,
    /// The other ends of WebSockets.
    pub sockets: RefCell<Vec<web_socket_stream::Client>>,
    /// A WebSocket was dropped.
    pub socket_closed: Notify,
}

impl Seen {
    fn call(&self, text: &str) {
        self.calls.borrow_mut().push(text.to_owned());
    }
}

/// Whether a session takes bodies in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// It does.
    #[default]
    Yes,
    /// The methods are not implemented.
    No,
    /// The same, said in the words of old apps.
    OldNo,
}

/// The session.
pub struct Session {
    /// What it does with each call.
    pub script: Script,
    /// Where it writes them down.
    pub seen: Rc<Seen>,
    /// Whether uploads can be streamed.
    pub streams: Streams,
}

impl Session {
    /// A capability for it.
    pub fn client(self) -> web_session::Client {
        capnp_rpc::new_client(self)
    }

    async fn run(
        &self,
        method: &'static str,
        path: capnp::text::Reader<'_>,
        detail: String,
        body: Vec<u8>,
        context: context::Reader<'_>,
        results: web_session::GetResults,
    ) -> Result<(), Error> {
        let path = path.to_string()?;
        let mut text = format!("{method} {path}");
        for more in [detail, describe::context(context)?] {
            if !more.is_empty() {
                text.push_str(&format!("\n{more}"));
            }
        }
        let stream =
            context.has_response_stream().then(|| context.get_response_stream()).transpose()?;
        self.seen.call(&text);
        let call = Call { path, text, body, stream, seen: self.seen.clone() };
        (self.script)(call, Reply(results)).await
    }

    /// An upload, if the session can.
    fn upload(
        &self,
        method: &'static str,
        path: capnp::text::Reader<'_>,
        context: context::Reader<'_>,
    ) -> Result<web_session::request_stream::Client, Error> {
        match self.streams {
            Streams::Yes => {}
            Streams::No => return Err(Error::unimplemented("no streams".into())),
            Streams::OldNo => return Err(Error::failed("method not implemented".into())),
        }
        Ok(capnp_rpc::new_client(Upload {
            method,
            path: path.to_string()?,
            stream: context.get_response_stream()?,
            script: self.script.clone(),
            seen: self.seen.clone(),
            got: RefCell::default(),
            expected: Cell::new(None),
            finished: watch::channel(false).0,
        }))
    }
}

impl spk_schema::grain_capnp::ui_session::Server for Session {}

macro_rules! methods {
    ($($method:ident $verb:literal $Params:ident $Results:ident |$p:ident| $detail:expr, $body:expr;)*) => {$(
        async fn $method(
            self: Rc<Self>,
            params: web_session::$Params,
            results: web_session::$Results,
        ) -> Result<(), Error> {
            let $p = params.get()?;
            let (detail, body) = ($detail, $body);
            self.run($verb, $p.get_path()?, detail, body, $p.get_context()?, results).await
        }
    )*};
}

impl web_session::Server for Session {
    methods! {
        delete "DELETE" DeleteParams DeleteResults |p| String::new(), Vec::new();
        patch "PATCH" PatchParams PatchResults
            |p| content!(p.get_content()?), p.get_content()?.get_content()?.to_vec();
        post "POST" PostParams PostResults
            |p| content!(p.get_content()?), p.get_content()?.get_content()?.to_vec();
        put "PUT" PutParams PutResults
            |p| content!(p.get_content()?), p.get_content()?.get_content()?.to_vec();
        mkcol "MKCOL" MkcolParams MkcolResults |p| content!(p.get_content()?), Vec::new();
        report "REPORT" ReportParams ReportResults |p| content!(p.get_content()?), Vec::new();
        propfind "PROPFIND" PropfindParams PropfindResults
            |p| format!("depth={:?} {}", p.get_depth()?, xml(p.get_xml_content()?)), Vec::new();
        proppatch "PROPPATCH" ProppatchParams ProppatchResults
            |p| xml(p.get_xml_content()?), Vec::new();
        acl "ACL" AclParams AclResults |p| xml(p.get_xml_content()?), Vec::new();
        lock "LOCK" LockParams LockResults
            |p| format!("shallow={} {}", p.get_shallow(), xml(p.get_xml_content()?)), Vec::new();
        unlock "UNLOCK" UnlockParams UnlockResults
            |p| format!("token={}", p.get_lock_token()?.to_str()?), Vec::new();
        copy "COPY" CopyParams CopyResults
            |p| format!("to={} no-overwrite={} shallow={}", p.get_destination()?.to_str()?,
                p.get_no_overwrite(), p.get_shallow()), Vec::new();
        move_ "MOVE" MoveParams MoveResults
            |p| format!("to={} no-overwrite={}", p.get_destination()?.to_str()?,
                p.get_no_overwrite()), Vec::new();
    }

    async fn get(
        self: Rc<Self>,
        params: web_session::GetParams,
        results: web_session::GetResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        let method = if p.get_ignore_body() { "HEAD" } else { "GET" };
        self.run(method, p.get_path()?, String::new(), Vec::new(), p.get_context()?, results).await
    }

    async fn options(
        self: Rc<Self>,
        params: web_session::OptionsParams,
        mut results: web_session::OptionsResults,
    ) -> Result<(), Error> {
        let path = params.get()?.get_path()?.to_string()?;
        self.seen.call(&format!("OPTIONS {path}"));
        match path.as_str() {
            "unimplemented" => return Err(Error::unimplemented("options".into())),
            "old" => return Err(Error::failed("method not implemented".into())),
            _ => {}
        }
        let mut options = results.get();
        if path == "dav" {
            options.set_dav_class1(true);
            options.set_dav_class2(true);
            let mut list = options.init_dav_extensions(2);
            list.set(0, "calendar-access");
            list.set(1, "addressbook");
        }
        Ok(())
    }

    async fn post_streaming(
        self: Rc<Self>,
        params: web_session::PostStreamingParams,
        mut results: web_session::PostStreamingResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        results.get().set_stream(self.upload("POST", p.get_path()?, p.get_context()?)?);
        Ok(())
    }

    async fn put_streaming(
        self: Rc<Self>,
        params: web_session::PutStreamingParams,
        mut results: web_session::PutStreamingResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        results.get().set_stream(self.upload("PUT", p.get_path()?, p.get_context()?)?);
        Ok(())
    }

    async fn open_web_socket(
        self: Rc<Self>,
        params: web_session::OpenWebSocketParams,
        mut results: web_session::OpenWebSocketResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        let path = p.get_path()?.to_string()?;
        let mut offered = Vec::new();
        for protocol in p.get_protocol()? {
            offered.push(protocol?.to_string()?);
        }
        self.seen.call(&format!("WEBSOCKET {path} {}", offered.join("|")));
        if path == "refused" {
            return Err(Error::failed("status 400".into()));
        }
        let to_browser = p.get_client_stream()?;
        if !offered.is_empty() {
            results.get().init_protocol(1).set(0, offered[0].as_str());
        }
        if path == "greets" {
            let mut request = to_browser.send_bytes_request();
            request.get().set_message(b"hello");
            request.send().await?;
        }
        self.seen.sockets.borrow_mut().push(to_browser.clone());
        results.get().set_server_stream(capnp_rpc::new_client(Socket {
            echo: (path == "echo").then_some(to_browser),
            seen: self.seen.clone(),
        }));
        Ok(())
    }
}

struct Socket {
    echo: Option<web_socket_stream::Client>,
    seen: Rc<Seen>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.seen.sockets.borrow_mut().clear();
        self.seen.socket_closed.notify_one();
    }
}

impl web_socket_stream::Server for Socket {
    async fn send_bytes(
        self: Rc<Self>,
        params: web_socket_stream::SendBytesParams,
    ) -> Result<(), Error> {
        let message = params.get()?.get_message()?;
        self.seen.socket_input.borrow_mut().extend_from_slice(message);
        if let Some(echo) = &self.echo {
            let mut request = echo.send_bytes_request();
            request.get().set_message(message);
            request.send().await?;
        }
        Ok(())
    }
}

/// A streamed upload.
struct Upload {
    method: &'static str,
    path: String,
    stream: byte_stream::Client,
    script: Script,
    seen: Rc<Seen>,
    got: RefCell<Vec<u8>>,
    expected: Cell<Option<u64>>,
    finished: watch::Sender<bool>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !*self.finished.borrow() {
            self.seen.call("UPLOAD dropped");
        }
    }
}

impl byte_stream::Server for Upload {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), Error> {
        self.got.borrow_mut().extend_from_slice(params.get()?.get_data()?);
        if self.path == "breaks" {
            return Err(Error::disconnected("app is gone".into()));
        }
        Ok(())
    }

    async fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> Result<(), Error> {
        self.finished.send_replace(true);
        Ok(())
    }

    async fn expect_size(
        self: Rc<Self>,
        params: byte_stream::ExpectSizeParams,
        _: byte_stream::ExpectSizeResults,
    ) -> Result<(), Error> {
        self.expected.set(Some(params.get()?.get_size()));
        Ok(())
    }
}

impl web_session::request_stream::Server for Upload {
    async fn get_response(
        self: Rc<Self>,
        _: web_session::request_stream::GetResponseParams,
        results: web_session::request_stream::GetResponseResults,
    ) -> Result<(), Error> {
        if self.path != "early" && self.path != "breaks" {
            let mut finished = self.finished.subscribe();
            finished.wait_for(|finished| *finished).await.unwrap();
        }
        let body = self.got.borrow().clone();
        let text = format!(
            "{} {} streamed length={} expected={:?}",
            self.method,
            self.path,
            body.len(),
            self.expected.get()
        );
        self.seen.call(&text);
        let call = Call {
            path: self.path.clone(),
            text,
            body,
            stream: Some(self.stream.clone()),
            seen: self.seen.clone(),
        };
        (self.script)(call, Reply(results)).await
    }
}

/// A handle that says when it is dropped.
struct Handle(Rc<Seen>);

impl handle::Server for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.handle_dropped.notify_one();
    }
}
