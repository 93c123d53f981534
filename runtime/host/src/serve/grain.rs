//! The running app of a grain: started when needed, watched, stopped when idle or at the end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use spk_package::causes::in_one_line;
use spk_sandbox::Exit;
use spk_schema::grain_capnp::ui_view;
use spk_schema::powerbox_capnp::powerbox_descriptor;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::caps::Objects;
use super::caps::api::Api;
use super::error::Error;
use super::launch::{Launch, Process};
use super::limits::{BODIES, SMALL_BODY};
use super::log::Log;
use super::permissions::{self, Held, Said, Unknown, asked};
use super::user::User;
use super::{HostLimits, Notes, Settings, rpc};
use crate::store::control::{Info, Op, Request};

/// An app that closes its connection without exiting gets this long to exit (grain-runtime §A.13).
const AFTER_DISCONNECT: Duration = Duration::from_secs(1);

/// What the app says about itself: the result of `getViewInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ViewInfo {
    /// Names of the permissions, in order of their bits.
    pub permissions: Vec<String>,
    /// What people call them, in the same order; may be empty.
    pub permission_titles: Vec<String>,
    /// Roles, in order of their IDs.
    pub roles: Vec<RoleDef>,
    /// Powerbox requests that the app can fulfil: the IDs of the tags of each.
    pub match_requests: Vec<Vec<u64>>,
    /// Powerbox offers that it takes, in the same form.
    pub match_offers: Vec<Vec<u64>>,
}

/// One role of the app's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoleDef {
    /// What it is called.
    pub title: String,
    /// What whoever has it can do: "can edit".
    pub verb_phrase: String,
    /// Its permission bits.
    pub permissions: Vec<bool>,
    /// Not for new shares.
    pub obsolete: bool,
    /// For shares that name no role.
    pub default: bool,
}

/// Permissions, roles and powerbox descriptors that are read of each; what an app lists beyond it
/// is as good as not there.
const LISTED: usize = 1000;

/// Characters of a name or title that are read.
const NAME: usize = 1000;

/// One life of the app.
pub(crate) struct App {
    pub view: ui_view::Client,
    pub info: ViewInfo,
    ended: watch::Receiver<Option<Exit>>,
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
    ended: watch::Receiver<Option<Exit>>,
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
    pub objects: Rc<Objects>,
    pub log: Log,
    pub notes: Notes,
    pub activity: Rc<Activity>,
    said: Said,
    idle_timeout: Option<Duration>,
    /// When a `WebSession` that nobody uses is closed.
    pub session_idle: Duration,
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
        settings: &Settings,
        launcher: Box<dyn Launch>,
        log: Log,
        objects: Rc<Objects>,
        activity: Rc<Activity>,
    ) -> Rc<Grain> {
        Rc::new(Grain {
            log,
            notes: objects.notes.clone(),
            objects,
            activity,
            said: Said {
                user: User::named(&settings.user).key().to_owned(),
                role: asked(settings.permissions.as_deref(), settings.role.as_deref()),
            },
            idle_timeout: settings.idle_timeout,
            session_idle: settings.session_idle,
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
        &self.objects.grain_id
    }

    /// What a user may do in this grain.
    pub fn permissions_of(&self, info: &ViewInfo, user: &User) -> Result<Held, Unknown> {
        let keeper = &self.objects.keeper;
        keeper.read(|records| permissions::permissions_of(info, records, &self.said, user.key()))
    }

    /// Who owns it.
    pub fn owner(&self) -> String {
        self.objects.keeper.read(|records| permissions::owner(records, &self.said).to_owned())
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
                        ended: Exit::Killed,
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
        let api = capnp_rpc::new_client(Api { objects: self.objects.clone() });
        let (view, disconnected) = rpc::connect(launched.rpc, api, &self.limits, &self.notes)?;
        self.objects.set_view(view.clone());
        tokio::task::spawn_local({
            // The view holds the connection, which holds what the host gives the app.
            let (objects, mut gone, view) =
                (self.objects.clone(), disconnected.clone(), view.clone());
            async move {
                let _ = gone.wait_for(|gone| *gone).await;
                objects.forget_view(&view);
            }
        });
        let pid = launched.process.pid();
        tracing::info!(pid, "app started");
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
    pub async fn app_ended(&self) -> Exit {
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
            self.notes.say(&format!("the app does not start: {}", in_one_line(&error)));
        }
    }

    /// Does what other processes ask for through the grain's control socket: see
    /// [`crate::store::control`]. Ends when nobody can ask any more.
    pub async fn obey(
        &self,
        mut requests: mpsc::Receiver<Request>,
        stop: Rc<Notify>,
        url: String,
        ask: impl Fn(serde_json::Value) -> LocalBoxFuture<'static, Result<serde_json::Value, String>>,
    ) {
        let mut closed = self.closed.subscribe();
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                _ = closed.wait_for(|closed| *closed) => return,
            };
            let Some(mut request) = request else { return };
            match std::mem::replace(&mut request.op, Op::Info) {
                Op::Ask(question) => {
                    let answer = ask(question);
                    // What takes long must not keep others from stopping the grain.
                    tokio::task::spawn_local(async move { request.answer_ask(answer.await) });
                }
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

async fn wait_for_end(ended: &mut watch::Receiver<Option<Exit>>) -> Exit {
    match ended.wait_for(Option::is_some).await {
        Ok(ended) => ended.unwrap_or(Exit::Lost),
        Err(_) => Exit::Lost,
    }
}

/// Owns the processes until they have ended.
async fn look_after(
    mut process: Box<dyn Process>,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ended: watch::Sender<Option<Exit>>,
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
    let how = if asked { Exit::Killed } else { how };
    tracing::info!(?how, "app ended");
    let _ = ended.send(Some(how));
}

/// `getViewInfo`; an app that does not offer it has no permissions and no roles
/// (grain-runtime §C.4).
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
    let text = |text: capnp::text::Reader<'_>| -> String {
        String::from_utf8_lossy(text.as_bytes()).chars().take(NAME).collect()
    };
    let tags = |descriptor: powerbox_descriptor::Reader<'_>| -> Result<Vec<u64>, capnp::Error> {
        Ok(descriptor.get_tags()?.iter().take(LISTED).map(|tag| tag.get_id()).collect())
    };
    let mut read = ViewInfo::default();
    for permission in info.get_permissions()?.iter().take(LISTED) {
        read.permissions.push(text(permission.get_name()?));
        read.permission_titles.push(text(permission.get_title()?.get_default_text()?));
    }
    for role in info.get_roles()?.iter().take(LISTED) {
        read.roles.push(RoleDef {
            title: text(role.get_title()?.get_default_text()?),
            verb_phrase: text(role.get_verb_phrase()?.get_default_text()?),
            permissions: role.get_permissions()?.iter().take(LISTED).collect(),
            obsolete: role.get_obsolete(),
            default: role.get_default(),
        });
    }
    for descriptor in info.get_match_requests()?.iter().take(LISTED) {
        read.match_requests.push(tags(descriptor)?);
    }
    for descriptor in info.get_match_offers()?.iter().take(LISTED) {
        read.match_offers.push(tags(descriptor)?);
    }
    Ok(read)
}

/// Signs of life: what keeps a grain from being stopped as idle.
pub(crate) struct Activity {
    last: Cell<Instant>,
    busy: Cell<usize>,
    /// Room for whole bodies on their way to clients, in KiB.
    bodies: Arc<Semaphore>,
}

impl Activity {
    pub fn new() -> Activity {
        let bodies = Arc::new(Semaphore::new(BODIES as usize));
        Activity { last: Cell::new(Instant::now()), busy: Cell::new(0), bodies }
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

impl Busy {
    /// Waits until so many bytes of a body can be held for a client; `None` for a small one, which
    /// never waits. One larger than all there may be waits until it is alone.
    pub async fn room_for(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL_BODY {
            return None;
        }
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(BODIES).min(BODIES);
        // The semaphore is never closed.
        self.activity.bodies.clone().acquire_many_owned(kibibytes).await.ok()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.activity.busy.set(self.activity.busy.get() - 1);
        self.activity.last.set(Instant::now());
    }
}
