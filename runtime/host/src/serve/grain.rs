//! The running app of a grain: started when needed, watched, stopped when idle or at the end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use spk_package::causes::in_one_line;
use spk_sandbox::Exit;
use tokio::sync::watch;

use super::activity::Activity;
use super::app::{App, GRACE, Life, wait_for_end};
use super::error::Error;
use super::exit;
use super::host_objects::Objects;
use super::host_objects::api::Api;
use super::launch::Launch;
use super::limits::HostLimits;
use super::log::Log;
use super::notes::Notes;
use super::options::{Policy, Visit};
use super::permissions::{self, Held, Said, Unknown, asked};
use super::rpc;
use super::user::User;
use super::view_info::{ViewInfo, view_info};

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
    /// Whether it is told what does not get through.
    pub explain: bool,
    /// When a `WebSession` that nobody uses is closed.
    pub session_idle: Duration,
    launcher: RefCell<Box<dyn Launch>>,
    state: RefCell<State>,
    life: RefCell<Option<Life>>,
    starts: Cell<u64>,
    /// What was said last of an end that it did not recover from yet.
    failing: RefCell<Option<String>>,
    /// Whether it was started again since anybody was answered.
    started_again: Cell<bool>,
    limits: HostLimits,
    /// Whether the grain's data must not change now: no app is started meanwhile.
    held: watch::Sender<bool>,
    /// Whether it will not be started again.
    closed: watch::Sender<bool>,
}

impl Grain {
    pub fn new(
        visit: &Visit,
        policy: &Policy,
        session_idle: Duration,
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
                user: User::named(&visit.user).key().to_owned(),
                role: asked(visit.permissions.as_deref(), visit.role.as_deref()),
            },
            idle_timeout: policy.idle_timeout,
            explain: policy.explain,
            session_idle,
            launcher: RefCell::new(launcher),
            state: RefCell::new(State::Stopped),
            life: RefCell::new(None),
            starts: Cell::new(0),
            failing: RefCell::new(None),
            started_again: Cell::new(false),
            limits: policy.host_limits.clone(),
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
        let records = &self.objects.records;
        records.read(|records| permissions::permissions_of(info, records, &self.said, user.key()))
    }

    /// Who owns it.
    pub fn owner(&self) -> String {
        self.objects.records.read(|records| permissions::owner(records, &self.said).to_owned())
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
        life.as_ref().filter(|life| !life.is_over())?.pid
    }

    /// Waits for the start that goes on, if one does.
    async fn started(&self) {
        let starting = match &*self.state.borrow() {
            State::Starting(starting) => Some(starting.clone()),
            _ => None,
        };
        if let Some(starting) = starting {
            let _ = starting.await;
        }
    }

    /// Stops the app; the next request starts it again.
    pub async fn halt(&self, reason: &str) {
        self.notes.say(reason);
        self.log.note(reason);
        self.started().await;
        if !matches!(&*self.state.borrow(), State::Closed) {
            *self.state.borrow_mut() = State::Stopped;
        }
        self.end_app(GRACE).await;
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
        if self.starts.replace(self.starts.get() + 1) > 0 && !self.started_again.replace(true) {
            self.notes.say("starting the app again");
            self.log.note("started again");
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
        let life = Life::begin(launched.process, disconnected.clone());
        let ended = life.ended.clone();
        *self.life.borrow_mut() = Some(life);
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

    /// Says why nobody is answered, unless that was said already and nobody was answered since: an app
    /// that ends again and again would say nothing else.
    pub fn say_failing(&self, text: &str) {
        self.say_once_failing(text.lines().next().unwrap_or_default(), text);
    }

    /// The same of an app that ended, whatever it wrote to its log meanwhile.
    pub fn say_ended(&self, ended: Exit, tail: Vec<String>) {
        let how = format!("the app {}", exit::of_the_app(ended, &tail));
        self.say_once_failing(&how, &Error::AppEnded { ended, tail }.to_string());
    }

    /// Says `text` unless `what` was said last; that is for the log, whose last lines `text` may have.
    fn say_once_failing(&self, what: &str, text: &str) {
        let said = self.failing.replace(Some(what.to_owned()));
        if said.as_deref() != Some(what) {
            self.notes.say(text);
            self.log.note(what);
        }
    }

    /// Somebody was answered.
    pub fn is_fine(&self) {
        self.failing.take();
        self.started_again.set(false);
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
            Some(mut life) => life.over().await,
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
                self.end_app(GRACE).await;
            }
            tokio::time::sleep(limit).await;
        }
    }

    /// Stops the app and starts it again. A start that goes on is not disturbed: what it reads
    /// already is as it is now, or the next change comes.
    pub async fn restart(self: &Rc<Self>, reason: &str) {
        self.notes.say(reason);
        self.log.note(reason);
        self.started().await;
        if matches!(&*self.state.borrow(), State::Closed) {
            return;
        }
        *self.state.borrow_mut() = State::Stopped;
        self.end_app(GRACE).await;
        match self.app().await {
            Ok(app) => {
                // A bridge has answered, which knows nothing of the app behind it yet.
                let grain = self.clone();
                tokio::task::spawn_local(async move {
                    let ended = app.how_it_ended().await;
                    if ended != Exit::Killed {
                        grain.say_ended(ended, grain.last_words().await);
                    }
                });
            }
            Err(error) => {
                self.say_failing(&format!("the app does not start: {}", in_one_line(&error)));
            }
        }
    }

    /// Stops every process of the app where it is, and lets none start, so that the grain's data
    /// does not change.
    pub async fn freeze(&self) -> io::Result<()> {
        self.held.send_replace(true);
        let life = self.life.borrow().clone();
        match life {
            Some(life) => life.freeze().await,
            None => Ok(()),
        }
    }

    /// Lets them go on.
    pub async fn thaw(&self) -> io::Result<()> {
        let life = self.life.borrow().clone();
        let thawed = match life {
            Some(life) => life.thaw().await,
            None => Ok(()),
        };
        self.held.send_replace(false);
        thawed
    }

    /// Resolves when it will not be started again.
    pub async fn closed(&self) {
        // An error would mean that the sender, which is ours, is gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Ends the app for good and waits until it is gone.
    pub async fn stop(&self, grace: Duration) {
        *self.state.borrow_mut() = State::Closed;
        self.closed.send_replace(true);
        self.end_app(grace).await;
    }

    async fn end_app(&self, grace: Duration) {
        let life = self.life.borrow_mut().take();
        if let Some(life) = life {
            life.end(grace).await;
        }
    }
}

/// How long the last lines of an ended app's log are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
