//! What is served, to whom, and where: values that are handed on as they are.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use spk_grains::store::CapabilityFile;
use spk_grains::store::capabilities::Assignment;
use spk_grains::store::control::Listener;

use super::exchange::ExchangeHook;
use super::limits::HostLimits;

/// How long `run` waits for the app's first answer unless told otherwise: a JVM with a database
/// takes half of it on a slow machine.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);

/// After this long without a request the app is stopped; the next request starts it again. The
/// original's figure lies between 90 and 180 s (grain-runtime §A.13).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(180);

/// An app: its files, its program, and what of the machine it sees.
pub struct AppOptions {
    /// Where the app's root comes from.
    pub rootfs: Rootfs,
    /// What is executed.
    pub program: Program,
    /// Whether the app sees `/proc`.
    pub proc: bool,
}

impl AppOptions {
    /// An app as on a server.
    pub fn new(rootfs: Rootfs, program: Program) -> AppOptions {
        AppOptions { rootfs, program, proc: false }
    }
}

/// A grain: where its data is, and what is kept for it.
pub struct GrainOptions {
    /// Its ID.
    pub id: String,
    /// Shown on the page a person opens.
    pub title: String,
    /// The directory that becomes the app's `/var`.
    pub var: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Where users' identity IDs are kept; `None`: they are derived from the grain's ID.
    pub identities: Option<IdentityHook>,
    /// Where saved capabilities and API tokens are kept; `None`: until the end of the run.
    pub capabilities: Option<CapabilityFile>,
    /// The grain's control socket: through it other processes freeze and stop the grain.
    pub control: Option<Listener>,
}

impl GrainOptions {
    /// A grain for which nothing is kept but its data and log.
    pub fn new(id: impl Into<String>, var: PathBuf, log: PathBuf) -> GrainOptions {
        GrainOptions {
            id: id.into(),
            title: "app".into(),
            var,
            log,
            identities: None,
            capabilities: None,
            control: None,
        }
    }

    /// The grain of a store.
    pub fn of(grain: &spk_grains::store::Grain) -> GrainOptions {
        let options = GrainOptions::new(grain.id().as_str(), grain.var_path(), grain.log_path());
        GrainOptions { title: grain.meta().title.clone(), ..options }
    }
}

/// What goes for every grain that is served by one process.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What an app may use.
    pub limits: spk_sandbox::Limits,
    /// What the host takes from it.
    pub host_limits: HostLimits,
    /// How long to wait for the app's first answer.
    pub start_timeout: Duration,
    /// Stop the app after so long without a request; `None`: never.
    pub idle_timeout: Option<Duration>,
    /// Report dropped headers and denied system calls.
    pub explain: bool,
    /// Where the mail goes that apps send, one file for each message; `None`: they send none.
    pub mail: Option<PathBuf>,
    /// Names of the host's objects for tests ([`GRANTS`](super::GRANTS)) that apps may be given.
    pub grants: Vec<String>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            limits: spk_sandbox::Limits::default(),
            host_limits: HostLimits::default(),
            start_timeout: START_TIMEOUT,
            idle_timeout: None,
            explain: false,
            mail: None,
            grants: Vec::new(),
        }
    }
}

/// To whom a grain is served, and where.
#[derive(Clone)]
pub struct Visit {
    /// Loopback port of the front end; 0: any free one.
    pub port: u16,
    /// Who opens the session that is announced: see [`User::named`](super::User::named).
    pub user: String,
    /// Names of the permissions this user has; `None`: nothing is said of them.
    pub permissions: Option<Vec<String>>,
    /// Role of this user, by title or number; `None`: nothing is said of it.
    pub role: Option<String>,
    /// Make an API token with these permissions; `Some(None)`: with all.
    pub api_token: Option<Option<Vec<String>>>,
    /// Further users whose sessions are announced ([`Event::Session`](super::Event::Session)).
    pub other_users: Vec<Visitor>,
    /// Whether a session in each role of the app, and one of an anonymous visitor's, are announced
    /// likewise.
    pub every_role: bool,
    /// Is told of every request to the app and the head of its answer.
    pub exchanges: Option<ExchangeHook>,
}

/// Who visits a grain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Visitor {
    /// See [`User::named`](super::User::named).
    pub user: String,
    /// What they may do in this session, whatever they may do elsewhere.
    pub chosen: Option<Assignment>,
}

impl Default for Visit {
    fn default() -> Visit {
        Visit {
            port: 0,
            user: super::user::KNOWN[0].into(),
            permissions: None,
            role: None,
            api_token: None,
            other_users: Vec::new(),
            every_role: false,
            exchanges: None,
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
    pub(super) fn port(&self) -> Option<u16> {
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
