//! The running app of a grain: started when needed, watched, stopped when idle or at the end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use capnp_rpc::{RpcSystem, rpc_twoparty_capnp, twoparty};
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use spk_schema::grain_capnp::{sandstorm_api, ui_view};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

use super::caps::api::Api;
use super::error::Error;
use super::launch::{Ended, Launch, Process};
use super::log::Log;
use super::user::User;
use super::{HostLimits, IdentityHook, Notes, Settings};
use crate::store::control::{Info, Op, Request};

/// Bytes of a Cap'n Proto word, in which its limits count.
const WORD: u64 = 8;

/// An app that closes its connection without exiting gets this long to exit (A.13).
const AFTER_DISCONNECT: Duration = Duration::from_secs(1);

/// What the app says about itself: the result of `getViewInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ViewInfo {
    /// Names of the permissions, in order of their bits.
    pub permissions: Vec<String>,
    /// What people call them, in the same order; may be empty.
    pub permission_titles: Vec<String>,
    /// Roles, in the order of their numbers.
    pub roles: Vec<RoleDef>,
}

/// A role, as the app names it. Text is the app's: untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoleDef {
    /// "editor".
    pub title: String,
    /// "can edit".
    pub verb_phrase: String,
    /// By permission bit.
    pub permissions: Vec<bool>,
    /// What a share without a role gets.
    pub default: bool,
    /// Kept for old shares only.
    pub obsolete: bool,
}

/// One life of the app.
pub(crate) struct App {
    pub view: ui_view::Client,
    pub info: ViewInfo,
    ended: watch::Receiver<Option<Ended>>,
    disconnected: watch::Receiver<bool>,
}

impl App {
    /// Whether calls can still be answered.
    pub fn is_alive(&self) -> bool {
        !*self.disconnected.borrow() && self.ended.borrow().is_none()
    }

    /// Resolves when calls cannot be answered any more.
    pub async fn gone(&self) {
        let (mut ended, mut disconnected) = (self.ended.clone(), self.disconnected.clone());
        tokio::select! {
            _ = ended.wait_for(Option::is_some) => {}
            _ = disconnected.wait_for(|gone| *gone) => {}
        }
    }
}

/// The processes of the app that was started last, also while they do not answer yet.
#[derive(Clone)]
struct Life {
    /// The app's first process as the host sees it, where there is one.
    pid: Option<i32>,
    ended: watch::Receiver<Option<Ended>>,
    orders: mpsc::UnboundedSender<Order>,
}

enum Order {
    Terminate(Duration),
    Kill,
    Freeze(oneshot::Sender<io::Result<()>>),
    Thaw(oneshot::Sender<io::Result<()>>),
}

type Starting = Shared<LocalBoxFuture<'static, Result<Rc<App>, Arc<Error>>>>;

enum State {
    Stopped,
    Starting(Starting),
    Running(Rc<App>),
    /// No more starts.
    Closed,
}

/// A grain being served.
pub(crate) struct Grain {
    id: String,
    identities: RefCell<Option<IdentityHook>>,
    pub log: Log,
    pub notes: Notes,
    pub activity: Rc<Activity>,
    idle_timeout: Option<Duration>,
    launcher: RefCell<Box<dyn Launch>>,
    state: RefCell<State>,
    life: RefCell<Option<Life>>,
    starts: Cell<u64>,
    limits: HostLimits,
    /// Whether the grain's data must not change now: no app is started meanwhile.
    held: watch::Sender<bool>,
    /// Whether it will not be started again.
    closed: watch::Sender<bool>,
}

impl Grain {
    pub fn new(
        settings: &mut Settings,
        launcher: Box<dyn Launch>,
        log: Log,
        notes: Notes,
    ) -> Rc<Grain> {
        Rc::new(Grain {
            id: settings.grain_id.clone(),
            identities: RefCell::new(settings.identities.take()),
            log,
            notes,
            activity: Rc::new(Activity::new()),
            idle_timeout: settings.idle_timeout,
            launcher: RefCell::new(launcher),
            state: RefCell::new(State::Stopped),
            life: RefCell::new(None),
            starts: Cell::new(0),
            limits: settings.limits.clone(),
            held: watch::channel(false).0,
            closed: watch::channel(false).0,
        })
    }

    /// Its ID.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The app, if it runs and has answered.
    pub fn running(&self) -> Option<Rc<App>> {
        match &*self.state.borrow() {
            State::Running(app) if app.is_alive() => Some(app.clone()),
            _ => None,
        }
    }

    /// The app's first process as the host sees it, while there is one.
    pub fn pid(&self) -> Option<i32> {
        let life = self.life.borrow();
        life.as_ref().filter(|life| life.ended.borrow().is_none())?.pid
    }

    /// Stops the app; the next request starts it again.
    pub async fn halt(&self, reason: &str) {
        self.notes.say(reason);
        self.log.note(reason);
        let starting = match &*self.state.borrow() {
            State::Starting(starting) => Some(starting.clone()),
            _ => None,
        };
        if let Some(starting) = starting {
            let _ = starting.await;
        }
        if !matches!(&*self.state.borrow(), State::Closed) {
            *self.state.borrow_mut() = State::Stopped;
        }
        self.end_app(super::GRACE).await;
    }

    /// The 32 bytes by which the app knows a user; `None` for a visitor without account.
    pub fn identity_id(&self, user: &User) -> Option<[u8; 32]> {
        if user.is_anonymous() {
            return None;
        }
        let mut hook = self.identities.borrow_mut();
        let known = hook.as_mut().and_then(|hook| hook(user.key()));
        known.or_else(|| user.identity_id(&self.id))
    }

    /// The running app; starts it if there is none. Whoever waits may go away: the start goes on
    /// for the others.
    pub async fn app(self: &Rc<Self>) -> Result<Rc<App>, Arc<Error>> {
        let starting = {
            let mut state = self.state.borrow_mut();
            match &*state {
                State::Running(app) if app.is_alive() => return Ok(app.clone()),
                State::Starting(starting) => starting.clone(),
                State::Closed => {
                    return Err(Arc::new(Error::AppEnded {
                        ended: Ended::Stopped,
                        tail: Vec::new(),
                    }));
                }
                State::Running(_) | State::Stopped => {
                    let starting = self.clone().start().boxed_local().shared();
                    *state = State::Starting(starting.clone());
                    tokio::task::spawn_local(starting.clone());
                    starting
                }
            }
        };
        starting.await
    }

    async fn start(self: Rc<Self>) -> Result<Rc<App>, Arc<Error>> {
        let result = self.start_now().await.map_err(Arc::new);
        let mut state = self.state.borrow_mut();
        if !matches!(*state, State::Closed) {
            *state = match &result {
                Ok(app) => State::Running(app.clone()),
                Err(_) => State::Stopped,
            };
        }
        result
    }

    async fn start_now(&self) -> Result<Rc<App>, Error> {
        // An error would mean that the sender, which is ours, is gone.
        let _ = self.held.subscribe().wait_for(|held| !*held).await;
        if self.starts.replace(self.starts.get() + 1) > 0 {
            self.notes.say("starting the app again");
        }
        self.log.forget_tail();
        let launched = self.launcher.borrow_mut().start(&self.log, &self.notes)?;
        let (view, disconnected) = connect(launched.rpc, &self.limits, &self.notes)?;
        let pid = launched.process.pid();
        let (ended_sender, ended) = watch::channel(None);
        let (orders, order_receiver) = mpsc::unbounded_channel();
        tokio::task::spawn_local(look_after(
            launched.process,
            order_receiver,
            ended_sender,
            disconnected.clone(),
        ));
        *self.life.borrow_mut() = Some(Life { pid, ended: ended.clone(), orders });
        let mut watch_end = ended.clone();
        let info = tokio::select! {
            info = view_info(&view) => info,
            ended = wait_for_end(&mut watch_end) => {
                return Err(Error::AppEnded { ended, tail: self.last_words().await });
            }
        };
        match info {
            Ok(info) => Ok(Rc::new(App { view, info, ended, disconnected })),
            // Its end explains more than the broken connection it left behind.
            Err(_) => {
                let ended = wait_for_end(&mut watch_end).await;
                Err(Error::AppEnded { ended, tail: self.last_words().await })
            }
        }
    }

    /// The end of the log of an app that ended, complete.
    pub async fn last_words(&self) -> Vec<String> {
        // Bounded, in case a process outside the sandbox holds the pipe.
        let _ = tokio::time::timeout(LAST_WORDS, self.log.drained()).await;
        self.log.tail()
    }

    /// Resolves with how the app that was started last ended; never, if none was.
    pub async fn app_ended(&self) -> Ended {
        let life = self.life.borrow().clone();
        match life {
            Some(mut life) => wait_for_end(&mut life.ended).await,
            None => std::future::pending().await,
        }
    }

    /// Stops the app whenever nothing asked for it for the idle time-out. Never returns.
    pub async fn stop_when_idle(self: &Rc<Self>) -> Result<(), Error> {
        let Some(limit) = self.idle_timeout else { std::future::pending().await };
        loop {
            let idle = self.activity.idle_for();
            if idle < limit {
                tokio::time::sleep(limit - idle).await;
                continue;
            }
            if matches!(&*self.state.borrow(), State::Running(app) if app.is_alive()) {
                self.notes.say("the app is idle: stopped until the next request");
                self.log.note("stopped: idle");
                *self.state.borrow_mut() = State::Stopped;
                self.end_app(super::GRACE).await;
            }
            tokio::time::sleep(limit).await;
        }
    }

    /// Stops the app and starts it again. A start that goes on is not disturbed: what it reads
    /// already is as it is now, or the next change comes.
    pub async fn restart(self: &Rc<Self>, reason: &str) {
        self.notes.say(reason);
        self.log.note(reason);
        let starting = match &*self.state.borrow() {
            State::Starting(starting) => Some(starting.clone()),
            _ => None,
        };
        if let Some(starting) = starting {
            let _ = starting.await;
        }
        if matches!(&*self.state.borrow(), State::Closed) {
            return;
        }
        *self.state.borrow_mut() = State::Stopped;
        self.end_app(super::GRACE).await;
        if let Err(error) = self.app().await {
            self.notes.say(&format!("the app does not start: {error}"));
        }
    }

    /// Does what other processes ask for through the grain's control socket: see
    /// [`crate::store::control`]. Ends when nobody can ask any more.
    pub async fn obey(&self, mut requests: mpsc::Receiver<Request>, stop: Rc<Notify>, url: String) {
        let mut closed = self.closed.subscribe();
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                _ = closed.wait_for(|closed| *closed) => return,
            };
            let Some(request) = request else { return };
            match request.op {
                Op::Freeze => {
                    self.held.send_replace(true);
                    let frozen = self.order(Order::Freeze).await;
                    request.answer(frozen.map_err(|error| error.to_string()));
                }
                Op::Thaw => {
                    let thawed = self.order(Order::Thaw).await;
                    self.held.send_replace(false);
                    request.answer(thawed.map_err(|error| error.to_string()));
                }
                Op::Stop => {
                    request.answer(Ok(()));
                    stop.notify_one();
                }
                Op::Info => request.answer_info(Info { url: Some(url.clone()), app_pid: None }),
            }
        }
    }

    /// Gives an order to the app's processes; when there are none it is carried out.
    async fn order(
        &self,
        order: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Order,
    ) -> io::Result<()> {
        let Some(life) = self.life.borrow().clone() else { return Ok(()) };
        let (done, answer) = oneshot::channel();
        if life.orders.send(order(done)).is_err() {
            return Ok(());
        }
        // Without an answer the app has ended meanwhile.
        answer.await.unwrap_or(Ok(()))
    }

    /// Ends the app for good and waits until it is gone.
    pub async fn stop(&self, grace: Duration) {
        *self.state.borrow_mut() = State::Closed;
        self.closed.send_replace(true);
        self.end_app(grace).await;
    }

    async fn end_app(&self, grace: Duration) {
        let Some(mut life) = self.life.borrow_mut().take() else { return };
        let _ = life.orders.send(Order::Terminate(grace));
        // The sandbox kills after the grace period itself; this is for one that does not.
        let limit = grace + GRACE_MARGIN;
        if tokio::time::timeout(limit, wait_for_end(&mut life.ended)).await.is_err() {
            let _ = life.orders.send(Order::Kill);
            wait_for_end(&mut life.ended).await;
        }
    }
}

/// How long the last lines of an ended app's log are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the kill at the end of the grace period may take.
const GRACE_MARGIN: Duration = Duration::from_secs(2);

async fn wait_for_end(ended: &mut watch::Receiver<Option<Ended>>) -> Ended {
    match ended.wait_for(Option::is_some).await {
        Ok(ended) => ended.clone().unwrap_or(Ended::Unknown),
        Err(_) => Ended::Unknown,
    }
}

/// Owns the processes until they have ended.
async fn look_after(
    mut process: Box<dyn Process>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ended: watch::Sender<Option<Ended>>,
    mut disconnected: watch::Receiver<bool>,
) {
    let mut asked = false;
    let mut disconnect_seen = false;
    let how = loop {
        tokio::select! {
            how = process.ended() => break how,
            order = orders.recv() => {
                let last = order.is_none();
                let done = match order {
                    // Whoever asked may be gone.
                    Some(Order::Freeze(done)) => {
                        let _ = done.send(process.freeze());
                        continue;
                    }
                    Some(Order::Thaw(done)) => {
                        let _ = done.send(process.thaw());
                        continue;
                    }
                    Some(Order::Terminate(grace)) => process.terminate(grace),
                    // Nobody holds this app any more.
                    Some(Order::Kill) | None => process.kill(),
                };
                asked = true;
                if done.is_err() || last {
                    break process.ended().await;
                }
            }
            _ = disconnected.wait_for(|gone| *gone), if !disconnect_seen => {
                disconnect_seen = true;
                if let Ok(how) =
                    tokio::time::timeout(AFTER_DISCONNECT, process.ended()).await
                {
                    break how;
                }
                let _ = process.kill();
            }
        }
    };
    drop(process);
    let _ = ended.send(Some(if asked { Ended::Stopped } else { how }));
}

/// Speaks Cap'n Proto on the app's descriptor 3 (grain-runtime specification, C.1): we are the
/// server side and offer `SandstormApi`; the app offers its `UiView`.
fn connect(
    rpc: std::os::unix::net::UnixStream,
    limits: &HostLimits,
    notes: &Notes,
) -> Result<(ui_view::Client, watch::Receiver<bool>), Error> {
    let action = "use the connection to the app";
    rpc.set_nonblocking(true).map_err(|source| Error::Start { action, source })?;
    let stream =
        tokio::net::UnixStream::from_std(rpc).map_err(|source| Error::Start { action, source })?;
    let (reader, writer) = stream.into_split();
    let mut options = capnp::message::ReaderOptions::new();
    let words = usize::try_from(limits.message_bytes / WORD).unwrap_or(usize::MAX);
    options.traversal_limit_in_words(Some(words));
    let mut network = twoparty::VatNetwork::new(
        futures::io::BufReader::with_capacity(READ_BUFFER, reader.compat()),
        writer.compat_write(),
        rpc_twoparty_capnp::Side::Server,
        options,
    );
    network.set_window_size(usize::try_from(limits.stream_bytes).unwrap_or(usize::MAX));
    let api: sandstorm_api::Client<capnp::any_pointer::Owned> =
        capnp_rpc::new_client(Api { notes: notes.clone() });
    let mut system = RpcSystem::new(Box::new(network), Some(api.client));
    let view = system.bootstrap(rpc_twoparty_capnp::Side::Client);
    let (sender, disconnected) = watch::channel(false);
    let (notes, largest) = (notes.clone(), limits.message_bytes);
    tokio::task::spawn_local(async move {
        if let Err(error) = system.await
            && error.kind != capnp::ErrorKind::Disconnected
        {
            notes.say(&broken(&error, largest));
        }
        let _ = sender.send(true);
    });
    Ok((view, disconnected))
}

/// Why the connection to the app was given up.
fn broken(error: &capnp::Error, largest: u64) -> String {
    let hint = match error.kind {
        capnp::ErrorKind::MessageTooLarge(_) => true,
        _ => error.extra.contains("too large"),
    };
    let hint = match hint {
        true => format!(" (at most {largest} bytes; --limit-message allows more)"),
        false => String::new(),
    };
    format!("the app broke its connection to the host: {error}{hint}")
}

/// How much is read from the app's connection at a time.
const READ_BUFFER: usize = 64 * 1024;

/// `getViewInfo`; an app that does not offer it has no permissions and no roles (C.4).
async fn view_info(view: &ui_view::Client) -> Result<ViewInfo, capnp::Error> {
    let response = match view.get_view_info_request().send().promise.await {
        Ok(response) => response,
        Err(error) if error.kind == capnp::ErrorKind::Disconnected => return Err(error),
        Err(_) => return Ok(ViewInfo::default()),
    };
    // What cannot be read counts as not said.
    Ok(response.get().and_then(read_view_info).unwrap_or_default())
}

fn read_view_info(info: ui_view::view_info::Reader<'_>) -> Result<ViewInfo, capnp::Error> {
    let text =
        |text: capnp::text::Reader<'_>| String::from_utf8_lossy(text.as_bytes()).into_owned();
    let mut permissions = Vec::new();
    let mut permission_titles = Vec::new();
    for permission in info.get_permissions()? {
        permissions.push(text(permission.get_name()?));
        permission_titles.push(text(permission.get_title()?.get_default_text()?));
    }
    let mut roles = Vec::new();
    for role in info.get_roles()? {
        roles.push(RoleDef {
            title: text(role.get_title()?.get_default_text()?),
            verb_phrase: text(role.get_verb_phrase()?.get_default_text()?),
            permissions: role.get_permissions()?.iter().collect(),
            default: role.get_default(),
            obsolete: role.get_obsolete(),
        });
    }
    Ok(ViewInfo { permissions, permission_titles, roles })
}

/// Signs of life: what keeps a grain from being stopped as idle.
pub(crate) struct Activity {
    last: Cell<Instant>,
    busy: Cell<usize>,
}

impl Activity {
    fn new() -> Activity {
        Activity { last: Cell::new(Instant::now()), busy: Cell::new(0) }
    }

    /// The grain is busy until the result is dropped: a request, a response being read, a
    /// WebSocket.
    pub fn begin(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy { activity: self.clone() }
    }

    fn idle_for(&self) -> Duration {
        if self.busy.get() > 0 { Duration::ZERO } else { self.last.get().elapsed() }
    }
}

/// See [`Activity::begin`].
pub(crate) struct Busy {
    activity: Rc<Activity>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.busy.set(self.activity.busy.get() - 1);
        self.activity.last.set(Instant::now());
    }
}
