//! Serves one grain: starts its app in the sandbox, opens sessions on it, and gives each session
//! an origin of its own on a loopback port.
//!
//! Everything here lives on one thread: Cap'n Proto objects cannot leave theirs, and one grain's
//! front end needs no second one. [`run`] wants a tokio `LocalSet`; [`block_on`] makes one.

pub(crate) mod caps;
mod denied;
mod error;
mod exchange;
mod exit;
pub(crate) mod front;
pub(crate) mod grain;
mod keeper;
mod launch;
mod limits;
mod log;
pub(crate) mod permissions;
mod powerbox;
mod rpc;
pub(crate) mod sandboxed;
mod session;
pub(crate) mod site;
mod user;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashSet;
use std::future::Future;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

pub use caps::grants::GRANTS;
pub use error::Error;
pub use exchange::{Exchange, ExchangeHook, KEPT_BODY};
pub use limits::{Counts, HELD_BYTES, HostLimits, MESSAGE_BYTES, STREAM_BYTES};
pub use log::{Followed, LOG_CAP, Log};
pub use site::SiteMaker;
pub use spk_sandbox::Exit;
pub use user::{KNOWN, User};

use caps::{Objects, Parts};
use denied::Tally;
use front::{Front, PARENT};
use futures::FutureExt;
use grain::{Activity, Grain};
use keeper::Keeper;
use launch::Launch;
use spk_sandbox::Denied;

use crate::signals::EndSignals;

/// How long `run` waits for the app's first answer unless told otherwise: a JVM with a database
/// takes half of it on a slow machine.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// After this long without a request the app is stopped; the next request starts it again. The
/// original's figure lies between 90 and 180 s (grain-runtime §A.13).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// `sessionType` of a browser session, and an interface's ID (http-bridge §3.2).
pub(crate) const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;

/// `sessionType` of a session of programs, and the powerbox tag of HTTP APIs.
pub(crate) const API_SESSION: u64 = 0xc879_e379_c625_cdc7;

/// The powerbox tag of identities.
pub(crate) const IDENTITY: u64 = 0xc084_987a_a951_dd18;

/// The powerbox tag of whole grains.
pub(crate) const UI_VIEW: u64 = 0xdbb4_d798_ea67_e2e7;

/// The powerbox tag of ports for mail.
pub(crate) const EMAIL_SEND_PORT: u64 = 0xec83_1dbf_4cc9_bcca;

/// Requests through the control socket that wait at a time; their senders wait, too.
const CONTROL_QUEUE: usize = 8;

/// How long the app may take to end after SIGTERM before it is killed. The original gives none;
/// this saves the databases of those who listen.
pub const GRACE: Duration = Duration::from_secs(2);

/// What is served, to whom, and where.
pub struct Options {
    /// The grain.
    pub grain_id: String,
    /// The app it belongs to.
    pub app_id: String,
    /// Shown on the page a person opens.
    pub title: String,
    /// Where the app's root comes from.
    pub rootfs: Rootfs,
    /// What is executed.
    pub program: Program,
    /// The directory that becomes the app's `/var`.
    pub var: PathBuf,
    /// The grain's log.
    pub log: PathBuf,
    /// Started by a developer's tool: see `spk_sandbox::Spec::dev`.
    pub dev: bool,
    /// Whether the app sees `/proc`.
    pub proc: bool,
    /// What the app may use.
    pub limits: spk_sandbox::Limits,
    /// What the host takes from it.
    pub host_limits: HostLimits,
    /// Loopback port of the front end; 0: any free one.
    pub port: u16,
    /// Who opens the session that is announced: see [`User::named`].
    pub user: String,
    /// Names of the permissions this user has; `None`: all.
    pub permissions: Option<Vec<String>>,
    /// Where users' identity IDs are kept; `None`: they are derived from the grain's ID.
    pub identities: Option<IdentityHook>,
    /// Where saved capabilities and API tokens are kept; `None`: until the end of the run.
    pub capabilities: Option<crate::store::CapabilityFile>,
    /// Where the mail goes that the app sends, one file for each message; `None`: it sends none.
    pub mail: Option<PathBuf>,
    /// Names of the host's objects for tests ([`GRANTS`]) that the app may be given.
    pub grants: Vec<String>,
    /// Role of the user of [`Options::user`], by title or number; `None`: all permissions.
    pub role: Option<String>,
    /// Make an API token with these permissions; `Some(None)`: with all.
    pub api_token: Option<Option<Vec<String>>>,
    /// The grain's control socket: through it other processes freeze and stop the grain.
    pub control: Option<crate::store::control::Listener>,
    /// How long to wait for the app's first answer.
    pub start_timeout: Duration,
    /// Stop the app after so long without a request; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Report dropped headers and denied system calls.
    pub explain: bool,
    /// Is told of every request to the app and the head of its answer.
    pub exchanges: Option<ExchangeHook>,
    /// Each reason that arrives here is told, and the app is stopped and started again.
    pub restarts: Option<tokio::sync::mpsc::UnboundedReceiver<String>>,
    /// Further users whose sessions are announced ([`Event::Session`]).
    pub other_users: Vec<String>,
    /// Who answers on the shell's origin: see [`crate::shell::attach`].
    pub site: Option<SiteMaker>,
}

impl Options {
    /// The options of an ordinary run; the rest is set on the fields.
    pub fn new(
        grain_id: impl Into<String>,
        app_id: impl Into<String>,
        rootfs: Rootfs,
        program: Program,
        var: PathBuf,
        log: PathBuf,
    ) -> Options {
        Options {
            grain_id: grain_id.into(),
            app_id: app_id.into(),
            title: "app".into(),
            rootfs,
            program,
            var,
            log,
            dev: false,
            proc: false,
            limits: spk_sandbox::Limits::default(),
            host_limits: HostLimits::default(),
            port: 0,
            user: "alice".into(),
            permissions: None,
            identities: None,
            capabilities: None,
            mail: None,
            grants: Vec::new(),
            role: None,
            api_token: None,
            control: None,
            start_timeout: START_TIMEOUT,
            idle_timeout: None,
            explain: false,
            exchanges: None,
            restarts: None,
            other_users: Vec::new(),
            site: None,
        }
    }
}

/// A program, as the manifest names it: executed as it stands, no shell, no search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Program and arguments.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment.
    pub environ: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Program {
    /// The port the app is expected on, when the program is the HTTP bridge.
    fn port(&self) -> Option<u16> {
        let mut argv = self.argv.iter().map(|argument| String::from_utf8_lossy(argument));
        argv.next()?.ends_with("sandstorm-http-bridge").then_some(())?;
        argv.find(|argument| !argument.starts_with('-'))?.parse().ok()
    }
}

/// Serves the app's root over FUSE: called with the descriptor each time a sandbox was made and
/// before the app starts. It begins to serve, on threads of its own, and returns.
pub type FuseHook = Box<dyn FnMut(OwnedFd) -> Result<(), Box<dyn std::error::Error + Send + Sync>>>;

/// Gives the identity ID of a signed-in user by name (see `store::Grain::identity`); `None` if
/// that fails: one derived from the grain's ID is used then.
pub type IdentityHook = Box<dyn FnMut(&str) -> Option<[u8; 32]>>;

/// Where the app's root comes from.
pub enum Rootfs {
    /// An unpacked package.
    Package(PathBuf),
    /// A file system somebody serves (`spk dev`, `spk check`).
    Fuse {
        /// What serves it.
        hook: FuseHook,
        /// See [`Root::Fuse`](spk_sandbox::Root::Fuse).
        writes_reach_server: bool,
    },
}

/// What happens while an app is served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The app answered its first request. Sent once.
    Ready {
        /// What a person opens.
        url: String,
        /// The app's own origin for the user of [`Options::user`].
        session_url: String,
        /// `address:port` of the front end, for clients that cannot resolve names below
        /// `localhost`: connect here and send the URL's host as `Host`.
        address: String,
        /// The token of [`Options::api_token`].
        api: Option<ApiAccess>,
        /// What the app may claim of [`Options::grants`]: name, and token for `claimRequest`.
        grants: Vec<(String, String)>,
    },
    /// Another user's session, before [`Event::Ready`]; for those of [`Options::other_users`].
    Session {
        /// Who: see [`User::key`].
        user: String,
        /// This user's own origin.
        url: String,
    },
    /// Something the developer should know. Text from the app is made printable.
    Note(String),
    /// A header that the protocol between host and app does not carry (`--explain`).
    DroppedHeader {
        /// Its name, lower case.
        name: String,
    },
    /// A system call that the sandbox denied, the first of its kind (`--explain`).
    Denied(Denied),
    /// All denied system calls, summed up; the last event, with `--explain`.
    DeniedInAll(Vec<Denied>),
}

/// How a program gets at the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAccess {
    /// Short name of the token, to revoke it by.
    pub id: String,
    /// The secret.
    pub token: String,
    /// `http://api-….spk.localhost:PORT`: the token's own origin.
    pub url: String,
}

impl ApiAccess {
    /// URL and token in one, as people pass them on (`URL#TOKEN`).
    pub fn webkey(&self) -> String {
        format!("{}#{}", self.url, self.token)
    }
}

/// An exception of the app's as one printable line, of bounded length.
pub(crate) fn printable(error: &capnp::Error) -> String {
    const LONGEST: usize = 500;
    let text = error.to_string();
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}

/// Where events go.
#[derive(Clone)]
pub(crate) struct Notes {
    inner: Rc<RefCell<NotesInner>>,
}

struct NotesInner {
    observer: Box<dyn FnMut(Event)>,
    said: HashSet<String>,
    denied: Tally,
}

/// How many different notes are remembered so as not to say them twice; an app that makes up
/// reasons must not fill memory.
const REMEMBERED_NOTES: usize = 1000;

impl Notes {
    pub(crate) fn new(observer: impl FnMut(Event) + 'static) -> Notes {
        let inner = NotesInner {
            observer: Box::new(observer),
            said: HashSet::new(),
            denied: Tally::default(),
        };
        Notes { inner: Rc::new(RefCell::new(inner)) }
    }

    fn event(&self, event: Event) {
        // An observer that calls back into the host would find it borrowed; such an event is lost.
        if let Ok(mut inner) = self.inner.try_borrow_mut() {
            (inner.observer)(event);
        }
    }

    pub(crate) fn say(&self, text: &str) {
        self.event(Event::Note(text.to_owned()));
    }

    /// Says it the first time only.
    fn once(&self, text: &str) {
        let new = self.inner.try_borrow_mut().is_ok_and(|mut inner| {
            inner.said.len() < REMEMBERED_NOTES && inner.said.insert(text.to_owned())
        });
        if new {
            self.say(text);
        }
    }

    /// Takes note of denied calls, and says which are new.
    fn denied(&self, calls: Vec<Denied>) {
        for call in calls {
            let first = self.inner.try_borrow_mut().ok().and_then(|mut i| i.denied.add(call));
            if let Some(first) = first {
                self.event(Event::Denied(first));
            }
        }
    }

    fn denied_in_all(&self) {
        let Ok(total) = self.inner.try_borrow_mut().map(|inner| inner.denied.total()) else {
            return;
        };
        self.event(Event::DeniedInAll(total));
    }

    fn dropped_header(&self, name: &str) {
        let key = format!("\0header {name}");
        let new = self
            .inner
            .try_borrow_mut()
            .is_ok_and(|mut inner| inner.said.len() < REMEMBERED_NOTES && inner.said.insert(key));
        if new {
            self.event(Event::DroppedHeader { name: name.to_owned() });
        }
    }
}

/// Serves until `stop` resolves or the app fails to start; then ends the app, orderly first, and
/// returns when none of its processes is left. `stop` resolving to `true` skips the orderly part.
///
/// Must run inside a [`tokio::task::LocalSet`].
///
/// # Errors
///
/// Everything that keeps the app from answering its first request: see [`Error`].
pub async fn run(
    options: Options,
    observer: impl FnMut(Event) + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (settings, launcher) = sandboxed::split(options)?;
    run_with(settings, launcher, observer, stop).await
}

/// [`Options`] without how the app is started.
pub(crate) struct Settings {
    pub grain_id: String,
    pub title: String,
    pub log: PathBuf,
    pub var: Option<PathBuf>,
    pub port: u16,
    pub user: String,
    pub permissions: Option<Vec<String>>,
    pub identities: Option<IdentityHook>,
    pub capabilities: Option<crate::store::CapabilityFile>,
    pub mail: Option<PathBuf>,
    pub grants: Vec<String>,
    pub role: Option<String>,
    pub api_token: Option<Option<Vec<String>>>,
    pub control: Option<crate::store::control::Listener>,
    pub start_timeout: Duration,
    pub idle_timeout: Option<Duration>,
    /// When a `WebSession` that nobody uses is closed.
    pub session_idle: Duration,
    pub explain: bool,
    /// With slow clients.
    pub patience: front::Patience,
    pub limits: HostLimits,
    pub exchanges: Option<ExchangeHook>,
    pub restarts: Option<tokio::sync::mpsc::UnboundedReceiver<String>>,
    pub other_users: Vec<String>,
    pub bridge_port: Option<u16>,
    pub site: Option<SiteMaker>,
}

/// A grain with all that its app may ask for; `port` is the front end's.
pub(crate) fn make_grain(
    settings: &mut Settings,
    launcher: Box<dyn Launch>,
    log: Log,
    notes: Notes,
    port: u16,
) -> Result<Rc<Grain>, Error> {
    let keeper = Keeper::open(settings.capabilities.take()).map_err(Error::Capabilities)?;
    let activity = Rc::new(Activity::new());
    let objects = Objects::new(Parts {
        notes,
        keeper,
        activity: activity.clone(),
        grain_id: settings.grain_id.clone(),
        identities: settings.identities.take(),
        port,
        mail: settings.mail.clone(),
        granted: settings.grants.clone(),
    });
    Ok(Grain::new(settings, launcher, log, objects, activity))
}

/// Runs the grain's scheduled jobs, for ever.
pub(crate) async fn run_jobs(grain: Rc<Grain>) {
    caps::schedule::run(grain).await;
}

pub(crate) async fn run_with(
    mut settings: Settings,
    launcher: Box<dyn Launch>,
    observer: impl FnMut(Event) + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let site: Rc<std::cell::OnceCell<Rc<dyn site::ShellSite>>> = Rc::default();
    let notes = Notes::new({
        let (site, mut observer) = (site.clone(), observer);
        move |event: Event| {
            if let Some(site) = site.get() {
                site.event(&event);
            }
            observer(event);
        }
    });
    // The port first: that it is taken must show before an app was started in vain.
    let sockets = front::listen(settings.port).await?;
    let log = Log::open(&settings.log, settings.limits.log_bytes)
        .map_err(|source| Error::Log { path: settings.log.clone(), source })?;
    tokio::task::spawn_local({
        let (rotated, notes, cap) = (log.rotated(), notes.clone(), settings.limits.log_bytes);
        async move {
            rotated.await;
            notes.say(&limits::log_rotated(cap));
        }
    });
    let grain = make_grain(&mut settings, launcher, log, notes.clone(), sockets.port)?;
    let front = Front::new(&settings, &sockets, grain.clone(), notes.clone())?;
    if let Some(SiteMaker(make)) = settings.site.take() {
        let made = make(&front, &grain);
        front.set_site(made.clone());
        let _ = site.set(made);
    }
    if let Some(mut restarts) = settings.restarts.take() {
        let grain = grain.clone();
        tokio::task::spawn_local(async move {
            while let Some(reason) = restarts.recv().await {
                grain.restart(&reason).await;
            }
        });
    }
    let stop_asked = Rc::new(tokio::sync::Notify::new());
    if let Some(control) = settings.control.take() {
        let (sender, requests) = tokio::sync::mpsc::channel(CONTROL_QUEUE);
        let (grain, stop, notes) = (grain.clone(), stop_asked.clone(), notes.clone());
        let (url, shell) = (front.url(), front.clone());
        tokio::task::spawn_local(async move {
            let ask = |question| {
                let shell = shell.clone();
                async move { shell.ask(question).await }.boxed_local()
            };
            grain.obey(requests, stop, url, ask).await;
        });
        tokio::task::spawn_local(async move {
            if let Err(error) = control.serve(sender).await {
                notes.say(&format!("other processes cannot reach this grain: {error}"));
            }
        });
    }
    let stop = std::pin::pin!(stop);
    let served = async {
        let serving = front::serve(front.clone(), sockets);
        let ready = async {
            front.wait_until_ready(settings.start_timeout).await?;
            front.other_sessions().into_iter().for_each(|event| notes.event(event));
            front.announce(&settings).await?;
            tokio::task::spawn_local(run_jobs(grain.clone()));
            notes.event(front.ready());
            grain.stop_when_idle().await
        };
        tokio::select! {
            never = serving => never,
            result = ready => result,
        }
    };
    let result = tokio::select! {
        result = served => result,
        () = stop => Ok(()),
        () = stop_asked.notified() => Ok(()),
    };
    if let Some(site) = site.get() {
        site.clone().close().await;
    }
    front.close().await;
    grain.stop(GRACE).await;
    if settings.explain {
        notes.denied_in_all();
    }
    result
}

/// [`run`] on a runtime of its own. SIGINT, SIGTERM and SIGHUP stop it orderly, and so does an
/// observer that breaks; a second signal ends the app at once.
///
/// # Errors
///
/// As [`run`].
pub fn block_on(
    options: Options,
    mut observer: impl FnMut(Event) -> ControlFlow<()> + 'static,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let mut signals = EndSignals::new().map_err(Error::Runtime)?;
        let stop = Rc::new(tokio::sync::Notify::new());
        let (stop_now, asked) = (stop.clone(), stop.clone());
        let observer = move |event| {
            if observer(event).is_break() {
                asked.notify_one();
            }
        };
        let serving = run(options, observer, async move { stop.notified().await });
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            result = &mut serving => return result,
            _ = signals.recv() => {}
        }
        stop_now.notify_one();
        tokio::select! {
            result = &mut serving => result,
            // Dropping what runs kills every process of the app.
            _ = signals.recv() => Ok(()),
        }
    });
    drop(local);
    result
}
