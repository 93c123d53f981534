//! The app of the tests: a `UiView` that does what a script says and writes down every call.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use capnp::Error;
use capnp_rpc::{RpcSystem, rpc_twoparty_capnp, twoparty};
use futures::future::LocalBoxFuture;
use spk_sandbox::Exit;
use spk_schema::api_session_capnp::api_session;
use spk_schema::grain_capnp::{app_persistent, main_view, sandstorm_api, session_context, ui_view};
use spk_schema::identity_capnp::{identity, user_info};
use spk_schema::util_capnp::{byte_stream, handle};
use spk_schema::web_session_capnp::web_session::{self, context, response, web_socket_stream};
use tokio::sync::watch;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::serve::launch::{Launch, Launched, Process};
use crate::serve::log::Log;

/// A call on the session, as the script sees it.
pub(super) struct Call {
    pub path: String,
    /// Everything the call carries, one item per line.
    pub text: String,
    pub body: Vec<u8>,
    pub stream: Option<byte_stream::Client>,
    pub life: Rc<Life>,
}

/// What the app does with a call.
pub(super) type Script = Rc<dyn Fn(Call, Reply) -> LocalBoxFuture<'static, Result<(), Error>>>;

/// Where the answer goes.
pub(super) enum Reply {
    Response(web_session::GetResults),
}

impl Reply {
    pub fn response(&mut self) -> response::Builder<'_> {
        let Reply::Response(results) = self;
        results.get()
    }

    /// A small text.
    pub fn text(&mut self, text: &str) {
        let mut content = self.response().init_content();
        content.set_mime_type("text/plain");
        content.get_body().set_bytes(text.as_bytes());
    }
}

/// A script that answers every call with what the call said.
pub(super) fn echo() -> Script {
    script(|call, mut reply| async move {
        reply.text(&call.text);
        Ok(())
    })
}

pub(super) fn script<F>(run: impl Fn(Call, Reply) -> F + 'static) -> Script
where
    F: Future<Output = Result<(), Error>> + 'static,
{
    Rc::new(move |call, reply| Box::pin(run(call, reply)))
}

/// One life of the app.
pub(super) struct Life {
    pub ended: watch::Sender<Option<Exit>>,
    pub api: RefCell<Option<sandstorm_api::Client<capnp::any_pointer::Owned>>>,
    pub context: RefCell<Option<session_context::Client>>,
    /// Messages written by the browser to WebSockets.
    pub socket_input: RefCell<Vec<u8>>,
    pub sockets: RefCell<Vec<web_socket_stream::Client>>,
    pub socket_closed: Rc<tokio::sync::Notify>,
    pub handles_dropped: Rc<tokio::sync::Notify>,
    /// The identity of the last session's user.
    pub identity: RefCell<Option<identity::Client>>,
    /// What `newOfferSession` brought.
    pub offered: RefCell<Option<capnp::capability::Client>>,
    /// Runs of callbacks, by name of the object.
    pub runs: RefCell<Vec<String>>,
}

/// Starts of the app and what it was asked.
pub(super) struct Launches {
    script: Script,
    pub count: Cell<u32>,
    pub calls: RefCell<Vec<String>>,
    pub sessions: RefCell<Vec<String>>,
    pub lives: RefCell<Vec<Rc<Life>>>,
    /// What `getViewInfo` and starting do.
    pub manner: Cell<Manner>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Manner {
    Ordinary,
    /// Says something and ends before it answers anything.
    EndsAtOnce,
    /// Never answers `getViewInfo`.
    Silent,
    /// Refuses streamed uploads, in old words.
    NoStreaming,
    /// The log says why the session is refused.
    RefusesSessions,
    /// Knows no API sessions.
    NoApi,
}

impl Launches {
    pub fn new(script: Script) -> Rc<Launches> {
        Rc::new(Launches {
            script,
            count: Cell::new(0),
            calls: RefCell::default(),
            sessions: RefCell::default(),
            lives: RefCell::default(),
            manner: Cell::new(Manner::Ordinary),
        })
    }

    pub fn launcher(self: &Rc<Self>) -> Box<dyn Launch> {
        Box::new(Launcher(self.clone()))
    }

    pub fn life(&self) -> Rc<Life> {
        self.lives.borrow().last().unwrap().clone()
    }
}

thread_local! {
    /// The manner of apps made by the next test on this thread.
    pub(super) static MANNER: Cell<Manner> = const { Cell::new(Manner::Ordinary) };
}

struct Launcher(Rc<Launches>);

impl Launch for Launcher {
    fn start(
        &mut self,
        log: &Log,
        _: &crate::serve::Notes,
    ) -> Result<Launched, crate::serve::Error> {
        let launches = self.0.clone();
        launches.manner.set(MANNER.get());
        launches.count.set(launches.count.get() + 1);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (output, mut input) = io::pipe().unwrap();
        log.drain(output).unwrap();
        let (ended, _) = watch::channel(None);
        let life = Rc::new(Life {
            ended,
            api: RefCell::default(),
            context: RefCell::default(),
            socket_input: RefCell::default(),
            sockets: RefCell::default(),
            socket_closed: Rc::default(),
            handles_dropped: Rc::default(),
            identity: RefCell::default(),
            offered: RefCell::default(),
            runs: RefCell::default(),
        });
        launches.lives.borrow_mut().push(life.clone());
        let manner = launches.manner.get();
        if !matches!(manner, Manner::Ordinary | Manner::NoStreaming | Manner::NoApi) {
            use std::io::Write;
            input.write_all(b"app: something is \x1b[31mwrong\n").unwrap();
        }
        if manner == Manner::EndsAtOnce {
            life.ended.send_replace(Some(Exit::Code(3)));
        }
        theirs.set_nonblocking(true).unwrap();
        let (reader, writer) = tokio::net::UnixStream::from_std(theirs).unwrap().into_split();
        let network = twoparty::VatNetwork::new(
            reader.compat(),
            writer.compat_write(),
            rpc_twoparty_capnp::Side::Client,
            Default::default(),
        );
        let view: main_view::Client<capnp::any_pointer::Owned> =
            capnp_rpc::new_client(View { launches: launches.clone(), life: life.clone() });
        let mut system = RpcSystem::new(Box::new(network), Some(view.client));
        *life.api.borrow_mut() = Some(system.bootstrap(rpc_twoparty_capnp::Side::Server));
        let mut ended = life.ended.subscribe();
        tokio::task::spawn_local(async move {
            let _log = input;
            tokio::select! {
                _ = system => {}
                _ = ended.wait_for(Option::is_some) => {}
            }
        });
        Ok(Launched { rpc: ours, process: Box::new(AppProcess(life)) })
    }
}

struct AppProcess(Rc<Life>);

impl Process for AppProcess {
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = Exit> + '_>> {
        let mut ended = self.0.ended.subscribe();
        Box::pin(async move { ended.wait_for(Option::is_some).await.unwrap().unwrap() })
    }

    fn terminate(&mut self, _: Duration) -> io::Result<()> {
        self.kill()
    }

    fn freeze(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn thaw(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn kill(&mut self) -> io::Result<()> {
        self.0.ended.send_replace(Some(Exit::Signal(15)));
        Ok(())
    }
}

impl Drop for AppProcess {
    fn drop(&mut self) {
        self.0.ended.send_if_modified(|ended| {
            let running = ended.is_none();
            ended.get_or_insert(Exit::Killed);
            running
        });
    }
}

struct View {
    launches: Rc<Launches>,
    life: Rc<Life>,
}

impl ui_view::Server for View {
    async fn get_view_info(
        self: Rc<Self>,
        _: ui_view::GetViewInfoParams,
        mut results: ui_view::GetViewInfoResults,
    ) -> Result<(), Error> {
        if self.launches.manner.get() == Manner::Silent {
            std::future::pending::<()>().await;
        }
        let mut list = results.get().init_permissions(3);
        for (index, name) in ["view", "comment", "edit"].into_iter().enumerate() {
            list.reborrow().get(index as u32).set_name(name);
        }
        let mut roles = results.get().init_roles(2);
        for (index, title, count) in [(0, "Editor", 3), (1, "Viewer", 1)] {
            let mut role = roles.reborrow().get(index);
            role.reborrow().init_title().set_default_text(title);
            role.set_default(index == 1);
            let mut bits = role.init_permissions(3);
            (0..count).for_each(|bit| bits.set(bit, true));
        }
        let matches = results.get().init_match_requests(1).get(0);
        matches.init_tags(1).get(0).set_id(TAG);
        Ok(())
    }

    async fn new_session(
        self: Rc<Self>,
        params: ui_view::NewSessionParams,
        mut results: ui_view::NewSessionResults,
    ) -> Result<(), Error> {
        if self.launches.manner.get() == Manner::RefusesSessions {
            return Err(Error::failed("no sessions today".into()));
        }
        let params = params.get()?;
        let info = params.get_user_info()?;
        let identity = info.has_identity().then(|| info.get_identity()).transpose()?;
        *self.life.identity.borrow_mut() = identity;
        if params.get_session_type() == crate::serve::API_SESSION {
            if self.launches.manner.get() == Manner::NoApi {
                return Err(Error::failed("unsupported session type".into()));
            }
            let api: api_session::params::Reader<'_> = params.get_session_params().get_as()?;
            let address = api.has_remote_address().then(|| api.get_remote_address()).transpose()?;
            let address = address
                .map(|address| format!("{:x}:{:x}", address.get_upper64(), address.get_lower64()));
            *self.life.context.borrow_mut() = Some(params.get_context()?);
            self.launches.sessions.borrow_mut().push(format!(
                "{} API address={} tab={}",
                describe_user(params.get_user_info()?)?,
                address.unwrap_or_else(|| "none".into()),
                params.get_tab_id()?.len(),
            ));
            results.get().set_session(self.session());
            return Ok(());
        }
        let web: web_session::params::Reader<'_> = params.get_session_params().get_as()?;
        let mut languages = Vec::new();
        for language in web.get_acceptable_languages()? {
            languages.push(language?.to_string()?);
        }
        *self.life.context.borrow_mut() = Some(params.get_context()?);
        let described = format!(
            "{} type={:x} base={} agent={} languages={} tab={}",
            describe_user(params.get_user_info()?)?,
            params.get_session_type(),
            web.get_base_path()?.to_str()?,
            web.get_user_agent()?.to_str()?,
            languages.join(","),
            params.get_tab_id()?.len(),
        );
        self.launches.sessions.borrow_mut().push(described);
        results.get().set_session(self.session());
        Ok(())
    }

    async fn new_request_session(
        self: Rc<Self>,
        params: ui_view::NewRequestSessionParams,
        mut results: ui_view::NewRequestSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let mut tags = Vec::new();
        for descriptor in params.get_request_info()? {
            for tag in descriptor.get_tags()? {
                tags.push(tag.get_id());
            }
        }
        *self.life.context.borrow_mut() = Some(params.get_context()?);
        self.launches.sessions.borrow_mut().push(format!(
            "{} REQUEST tags={tags:?} tab={}",
            describe_user(params.get_user_info()?)?,
            params.get_tab_id()?.len(),
        ));
        results.get().set_session(self.session());
        Ok(())
    }

    async fn new_offer_session(
        self: Rc<Self>,
        params: ui_view::NewOfferSessionParams,
        mut results: ui_view::NewOfferSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let tags = params.get_descriptor()?.get_tags()?;
        let tags: Vec<u64> = tags.iter().map(|tag| tag.get_id()).collect();
        *self.life.offered.borrow_mut() = Some(params.get_offer().get_as_capability()?);
        *self.life.context.borrow_mut() = Some(params.get_context()?);
        self.launches
            .sessions
            .borrow_mut()
            .push(format!("{} OFFER tags={tags:?}", describe_user(params.get_user_info()?)?,));
        results.get().set_session(self.session());
        Ok(())
    }
}

impl View {
    fn session(&self) -> spk_schema::grain_capnp::ui_session::Client {
        let session: web_session::Client = capnp_rpc::new_client(Session {
            launches: self.launches.clone(),
            life: self.life.clone(),
        });
        capnp::capability::FromClientHook::new(session.client.hook)
    }
}

/// The powerbox tag of what the app has to give.
pub(super) const TAG: u64 = 7;

impl main_view::Server<capnp::any_pointer::Owned> for View {
    async fn restore(
        self: Rc<Self>,
        params: main_view::RestoreParams<capnp::any_pointer::Owned>,
        mut results: main_view::RestoreResults<capnp::any_pointer::Owned>,
    ) -> Result<(), Error> {
        let name: capnp::text::Reader<'_> = params.get()?.get_object_id()?.get_as()?;
        let thing = thing(&self.life, name.to_str()?);
        results.get().init_cap().set_as_capability(thing.hook);
        Ok(())
    }
}

/// An object of the app's that can be saved: its object ID is its name. It is a callback, too.
pub(super) fn thing(life: &Rc<Life>, name: &str) -> capnp::capability::Client {
    let client: AnyClient = capnp_rpc::new_client(Thing { life: life.clone(), name: name.into() });
    client.0
}

pub(super) struct Thing {
    life: Rc<Life>,
    name: String,
}

struct AnyClient(capnp::capability::Client);

impl capnp::capability::FromClientHook for AnyClient {
    fn new(hook: Box<dyn capnp::private::capability::ClientHook>) -> AnyClient {
        AnyClient(capnp::capability::Client::new(hook))
    }

    fn into_client_hook(self) -> Box<dyn capnp::private::capability::ClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &dyn capnp::private::capability::ClientHook {
        &*self.0.hook
    }
}

#[derive(Clone)]
struct Dispatch(Rc<Thing>);

impl std::ops::Deref for Dispatch {
    type Target = Thing;

    fn deref(&self) -> &Thing {
        &self.0
    }
}

impl capnp::capability::FromServer<Thing> for AnyClient {
    type Dispatch = Dispatch;

    fn from_server(thing: Rc<Thing>) -> Dispatch {
        Dispatch(thing)
    }
}

impl capnp::capability::Server for Dispatch {
    fn dispatch_call(
        self,
        interface: u64,
        _: u16,
        _: capnp::capability::Params<capnp::any_pointer::Owned>,
        mut results: capnp::capability::Results<capnp::any_pointer::Owned>,
    ) -> capnp::capability::DispatchCallResult {
        let Thing { life, name } = &*self.0;
        let answer = match interface {
            // AppPersistent.save
            0xaffa_789a_dd87_47b8 if name == "large" => {
                let mut saved: app_persistent::save_results::Builder<
                    '_,
                    capnp::any_pointer::Owned,
                > = results.get().init_as();
                saved.reborrow().init_object_id().set_as("x".repeat(1 << 20).as_str())
            }
            0xaffa_789a_dd87_47b8 if name == "transient" => {
                Err(Error::unimplemented("save".into()))
            }
            0xaffa_789a_dd87_47b8 => {
                let mut saved: app_persistent::save_results::Builder<
                    '_,
                    capnp::any_pointer::Owned,
                > = results.get().init_as();
                saved.reborrow().init_label().set_default_text("a thing");
                saved.init_object_id().set_as(name.as_str())
            }
            // ScheduledJob.Callback.run
            0xab61_9ad5_a8fb_7e11 => {
                life.runs.borrow_mut().push(name.clone());
                Ok(())
            }
            _ => Err(Error::unimplemented("no such interface".into())),
        };
        capnp::capability::DispatchCallResult::new(
            capnp::capability::Promise::from_future(std::future::ready(answer)),
            false,
        )
    }

    fn as_ptr(&self) -> usize {
        Rc::as_ptr(&self.0) as usize
    }
}

fn describe_user(info: user_info::Reader<'_>) -> Result<String, Error> {
    let permissions: String =
        info.get_permissions()?.iter().map(|held| if held { '1' } else { '0' }).collect();
    Ok(format!(
        "user={} handle={} id={} identity={} permissions={permissions}",
        info.get_display_name()?.get_default_text()?.to_str()?,
        info.get_preferred_handle()?.to_str()?,
        info.get_identity_id()?.len(),
        info.has_identity(),
    ))
}

struct Session {
    launches: Rc<Launches>,
    life: Rc<Life>,
}

/// One line per thing a context says.
fn describe(context: context::Reader<'_>) -> Result<String, Error> {
    let mut lines = Vec::new();
    for cookie in context.get_cookies()? {
        lines.push(format!(
            "cookie {}={}",
            cookie.get_key()?.to_str()?,
            cookie.get_value()?.to_str()?
        ));
    }
    for accept in context.get_accept()? {
        lines.push(format!(
            "accept {};{}",
            accept.get_mime_type()?.to_str()?,
            accept.get_q_value()
        ));
    }
    for accept in context.get_accept_encoding()? {
        let coding = accept.get_content_coding()?.to_str()?;
        lines.push(format!("accept-encoding {coding};{}", accept.get_q_value()));
    }
    for header in context.get_additional_headers()? {
        lines.push(format!(
            "header {}: {}",
            header.get_name()?.to_str()?,
            header.get_value()?.to_str()?
        ));
    }
    let tags = |list: capnp::struct_list::Reader<'_, web_session::e_tag::Owned>| {
        let mut text = String::new();
        for tag in list {
            let weak = if tag.get_weak() { "W/" } else { "" };
            text.push_str(&format!(" {weak}<{}>", tag.get_value()?.to_str()?));
        }
        Ok::<_, Error>(text)
    };
    use context::e_tag_precondition::Which;
    match context.get_e_tag_precondition().which()? {
        Which::None(()) => {}
        Which::Exists(()) => lines.push("exists".into()),
        Which::DoesntExist(()) => lines.push("doesn't exist".into()),
        Which::MatchesOneOf(list) => lines.push(format!("match{}", tags(list?)?)),
        Which::MatchesNoneOf(list) => lines.push(format!("none-match{}", tags(list?)?)),
    }
    Ok(lines.join("\n"))
}

impl Session {
    async fn run(
        &self,
        method: &'static str,
        path: capnp::text::Reader<'_>,
        detail: String,
        body: Vec<u8>,
        context: context::Reader<'_>,
        reply: Reply,
    ) -> Result<(), Error> {
        let path = path.to_string()?;
        let mut text = format!("{method} {path}");
        if !detail.is_empty() {
            text.push_str(&format!("\n{detail}"));
        }
        let described = describe(context)?;
        if !described.is_empty() {
            text.push_str(&format!("\n{described}"));
        }
        let stream =
            context.has_response_stream().then(|| context.get_response_stream()).transpose()?;
        self.launches.calls.borrow_mut().push(text.clone());
        let life = self.life.clone();
        (self.launches.script)(Call { path, text, body, stream, life }, reply).await
    }
}

impl spk_schema::grain_capnp::ui_session::Server for Session {}

fn content_detail(content: web_session::post_content::Reader<'_>) -> Result<String, Error> {
    let optional = |has, text: capnp::text::Reader<'_>| {
        if has { format!("{:?}", String::from_utf8_lossy(text.as_bytes())) } else { "none".into() }
    };
    Ok(format!(
        "type={} encoding={} length={}",
        optional(content.has_mime_type(), content.get_mime_type()?),
        optional(content.has_encoding(), content.get_encoding()?),
        content.get_content()?.len()
    ))
}

macro_rules! methods {
    ($($method:ident $verb:literal $Params:ident $Results:ident |$p:ident| $detail:expr, $body:expr;)*) => {$(
        async fn $method(
            self: Rc<Self>,
            params: web_session::$Params,
            results: web_session::$Results,
        ) -> Result<(), Error> {
            let $p = params.get()?;
            let (detail, body) = ($detail, $body);
            self.run($verb, $p.get_path()?, detail, body, $p.get_context()?, Reply::Response(results)).await
        }
    )*};
}

fn xml(text: capnp::text::Reader<'_>) -> String {
    format!("xml={}", String::from_utf8_lossy(text.as_bytes()))
}

impl web_session::Server for Session {
    methods! {
        delete "DELETE" DeleteParams DeleteResults |p| String::new(), Vec::new();
        patch "PATCH" PatchParams PatchResults
            |p| content_detail(p.get_content()?)?, p.get_content()?.get_content()?.to_vec();
        post "POST" PostParams PostResults
            |p| content_detail(p.get_content()?)?, p.get_content()?.get_content()?.to_vec();
        mkcol "MKCOL" MkcolParams MkcolResults
            |p| content_detail(p.get_content()?)?, Vec::new();
        report "REPORT" ReportParams ReportResults
            |p| content_detail(p.get_content()?)?, Vec::new();
        propfind "PROPFIND" PropfindParams PropfindResults
            |p| format!("depth={:?} {}", p.get_depth()? as u16, xml(p.get_xml_content()?)), Vec::new();
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
        let reply = Reply::Response(results);
        self.run(method, p.get_path()?, String::new(), Vec::new(), p.get_context()?, reply).await
    }

    async fn put(
        self: Rc<Self>,
        params: web_session::PutParams,
        results: web_session::PutResults,
    ) -> Result<(), Error> {
        let p = params.get()?;
        let content = p.get_content()?;
        let detail = format!(
            "type={} length={}",
            if content.has_mime_type() { content.get_mime_type()?.to_str()? } else { "none" },
            content.get_content()?.len()
        );
        let body = content.get_content()?.to_vec();
        self.run("PUT", p.get_path()?, detail, body, p.get_context()?, Reply::Response(results))
            .await
    }

    async fn options(
        self: Rc<Self>,
        params: web_session::OptionsParams,
        mut results: web_session::OptionsResults,
    ) -> Result<(), Error> {
        let path = params.get()?.get_path()?.to_string()?;
        self.launches.calls.borrow_mut().push(format!("OPTIONS {path}"));
        if path == "unimplemented" {
            return Err(Error::unimplemented("options".into()));
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
        if self.launches.manner.get() == Manner::NoStreaming {
            return Err(Error::failed("method not implemented".into()));
        }
        let p = params.get()?;
        let upload = Upload {
            path: p.get_path()?.to_string()?,
            stream: p.get_context()?.get_response_stream()?,
            life: self.life.clone(),
            launches: self.launches.clone(),
            got: RefCell::default(),
            writes: Cell::new(0),
            expected: Cell::new(None),
            finished: watch::channel(false).0,
        };
        results.get().set_stream(capnp_rpc::new_client(upload));
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
        self.launches.calls.borrow_mut().push(format!("WEBSOCKET {path} {}", offered.join("|")));
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
        self.life.sockets.borrow_mut().push(to_browser.clone());
        results.get().set_server_stream(capnp_rpc::new_client(Socket {
            echo: (path == "echo").then_some(to_browser),
            life: self.life.clone(),
        }));
        Ok(())
    }
}

struct Socket {
    echo: Option<web_socket_stream::Client>,
    life: Rc<Life>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.life.sockets.borrow_mut().clear();
        self.life.socket_closed.notify_one();
    }
}

impl web_socket_stream::Server for Socket {
    async fn send_bytes(
        self: Rc<Self>,
        params: web_socket_stream::SendBytesParams,
    ) -> Result<(), Error> {
        let message = params.get()?.get_message()?;
        self.life.socket_input.borrow_mut().extend_from_slice(message);
        if let Some(echo) = &self.echo {
            let mut request = echo.send_bytes_request();
            request.get().set_message(message);
            request.send().await?;
        }
        Ok(())
    }
}

/// A streamed upload.
pub(super) struct Upload {
    path: String,
    stream: byte_stream::Client,
    life: Rc<Life>,
    launches: Rc<Launches>,
    got: RefCell<Vec<u8>>,
    writes: Cell<u32>,
    expected: Cell<Option<u64>>,
    finished: watch::Sender<bool>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !*self.finished.borrow() {
            self.launches.calls.borrow_mut().push("UPLOAD dropped".into());
        }
    }
}

impl byte_stream::Server for Upload {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), Error> {
        self.writes.set(self.writes.get() + 1);
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
        let got = self.got.borrow().clone();
        let text = format!(
            "POST {} streamed length={} expected={:?}",
            self.path,
            got.len(),
            self.expected.get()
        );
        self.launches.calls.borrow_mut().push(text.clone());
        let call = Call {
            path: self.path.clone(),
            text,
            body: got,
            stream: Some(self.stream.clone()),
            life: self.life.clone(),
        };
        (self.launches.script)(call, Reply::Response(results)).await
    }
}

/// A handle that says when it is dropped.
pub(super) struct Handle(pub Rc<tokio::sync::Notify>);

impl handle::Server for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Announces a streamed body; what is written to the result comes out at the client.
pub(super) fn stream(call: &Call, reply: &mut Reply) -> byte_stream::Client {
    let handle = capnp_rpc::new_client(Handle(call.life.handles_dropped.clone()));
    reply.response().init_content().get_body().set_stream(handle);
    call.stream.clone().unwrap()
}

pub(super) async fn write(stream: &byte_stream::Client, data: &[u8]) -> Result<(), Error> {
    let mut request = stream.write_request();
    request.get().set_data(data);
    request.send().await
}
