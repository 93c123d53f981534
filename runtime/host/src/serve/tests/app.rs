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
use spk_sandbox::Exit;
use spk_schema::api_session_capnp::api_session;
use spk_schema::grain_capnp::{app_persistent, main_view, sandstorm_api, session_context, ui_view};
use spk_schema::identity_capnp::{identity, user_info};
use spk_schema::web_session_capnp::web_session;
use spk_web_session_conformance::session::{Script, Seen, Session, Streams};
use tokio::sync::watch;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use crate::serve::launch::{Launch, Launched, Process};
use crate::serve::log::Log;

/// One life of the app.
pub(super) struct Life {
    pub ended: watch::Sender<Option<Exit>>,
    pub api: RefCell<Option<sandstorm_api::Client<capnp::any_pointer::Owned>>>,
    pub context: RefCell<Option<session_context::Client>>,
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
    /// What its sessions saw.
    pub seen: Rc<Seen>,
    /// Whether they take bodies in pieces.
    pub streams: Cell<Streams>,
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
            seen: Rc::default(),
            streams: Cell::default(),
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
            identity: RefCell::default(),
            offered: RefCell::default(),
            runs: RefCell::default(),
        });
        launches.lives.borrow_mut().push(life.clone());
        let manner = launches.manner.get();
        if !matches!(manner, Manner::Ordinary | Manner::NoApi) {
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
        if params.get_session_type() == crate::serve::interfaces::API_SESSION {
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
        let session = Session {
            script: self.launches.script.clone(),
            seen: self.launches.seen.clone(),
            streams: self.launches.streams.get(),
        };
        let session = session.client();
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
