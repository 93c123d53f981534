//! All that one run is made of: the options, and what only tests change.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use super::front::{ClientLimits, Front};
use super::grain::Grain;
use super::options::{AppOptions, GrainOptions, Policy, Visit};
use super::session::SESSION_IDLE;
use super::site::ShellSite;

/// What [`run`](super::run) serves.
pub struct Options {
    /// How the app is started.
    pub app: AppOptions,
    /// The grain it works in.
    pub grain: GrainOptions,
    /// What goes for every grain of this process.
    pub policy: Policy,
    /// To whom and where it is served.
    pub visit: Visit,
    /// Each reason that arrives here is told, and the app is stopped and started again.
    pub restarts: Option<UnboundedReceiver<String>>,
    /// Who answers on the shell's origin: see [`crate::shell::attach`].
    pub site: Option<SiteMaker>,
}

impl Options {
    /// The options of an ordinary run; the rest is set on the fields.
    pub fn new(app: AppOptions, grain: GrainOptions) -> Options {
        let (policy, visit) = (Policy::default(), Visit::default());
        Options { app, grain, policy, visit, restarts: None, site: None }
    }
}

/// Makes the shell when there are a front end and the grain it was started for.
pub struct SiteMaker(pub(crate) Make);

pub(crate) type Make = Box<dyn FnOnce(&Rc<Front>, &Rc<Grain>) -> Rc<dyn ShellSite>>;

/// [`Options`] without how the app is started, and with what only tests change.
pub(crate) struct Settings {
    pub grain: GrainOptions,
    pub policy: Policy,
    pub visit: Visit,
    pub restarts: Option<UnboundedReceiver<String>>,
    pub site: Option<SiteMaker>,
    /// The port the bridge expects the app on.
    pub bridge_port: Option<u16>,
    /// When a `WebSession` that nobody uses is closed.
    pub session_idle: Duration,
    /// With slow clients.
    pub client_limits: ClientLimits,
}

impl Settings {
    pub fn new(grain: GrainOptions) -> Settings {
        Settings {
            grain,
            policy: Policy::default(),
            visit: Visit::default(),
            restarts: None,
            site: None,
            bridge_port: None,
            session_idle: SESSION_IDLE,
            client_limits: ClientLimits::default(),
        }
    }
}
