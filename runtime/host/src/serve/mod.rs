//! Serves one grain: starts its app in the sandbox, opens sessions on it, and gives each session
//! an origin of its own on a loopback port.
//!
//! Everything here lives on one thread: Cap'n Proto objects cannot leave theirs, and one grain's
//! front end needs no second one. [`run`] wants a tokio `LocalSet`; [`block_on`] makes one.

mod activity;
pub(crate) mod app;
mod containment;
pub(crate) mod control_requests;
mod denied;
mod error;
mod event;
mod exception;
mod exchange;
mod exit;
pub(crate) mod front;
pub(crate) mod grain;
pub(crate) mod host_objects;
pub(crate) mod hosts;
mod interfaces;
pub(crate) mod jobs;
pub(crate) mod launch;
mod limits;
mod listening;
pub(crate) mod log;
mod log_lines;
mod losses;
mod notes;
mod options;
pub(crate) mod permissions;
mod powerbox;
pub mod question;
mod record_store;
mod rpc;
mod run;
pub(crate) mod sandboxed;
mod session;
pub(crate) mod settings;
pub(crate) mod site;
mod throttle;
mod token;
mod user;
pub(crate) mod view_info;

#[cfg(test)]
mod tests;

pub use app::GRACE;
pub use containment::is_contained;
pub use error::Error;
pub use event::{ApiAccess, Event};
pub use exchange::{Exchange, ExchangeHook, KEPT_ANSWER, KEPT_BODY};
pub use host_objects::grants::GRANTS;
pub use limits::{Counts, HELD_BYTES, HostLimits, MESSAGE_BYTES, STREAM_BYTES};
pub use listening::Listening;
pub use log::{Followed, LOG_CAP, Log};
pub use losses::{Loss, WhyNoCookie};
pub use options::{
    AppOptions, FuseHook, GrainOptions, IDLE_TIMEOUT, IdentityHook, Policy, Program, Rootfs,
    START_TIMEOUT, Visit, Visitor,
};
pub use run::{block_on, run};
pub use settings::{Options, SiteMaker};
pub use spk_sandbox::Exit;
pub use user::{KNOWN, User};

pub(crate) use notes::Notes;
pub(crate) use run::make_grain;
