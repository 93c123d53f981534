//! The HTTP front end: loopback only, one origin per session.

mod announce;
mod announced;
mod api_origin;
mod ask_app;
pub(crate) mod body;
mod client_limits;
mod clients;
mod descriptors;
mod file_body;
mod first_answer;
pub(crate) mod grain_api;
mod grains;
mod headers;
mod identicon;
pub(crate) mod listen;
mod origins;
mod paced;
pub(crate) mod pages;
pub(super) mod peers;
mod policy;
mod programs;
mod published;
mod range;
mod route;
mod slots;
mod websocket;
mod write_timeout;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::rc::Rc;

use spk_grains::store::capabilities::Assignment;
use tokio::sync::watch;

use super::error::Error;
pub(crate) use super::exception::printable as plain;
use super::exchange::Recorder;
use super::grain::Grain;
use super::hosts;
use super::notes::Notes;
use super::options::{GrainOptions, Visit};
use super::session::Session;
use super::site::ShellSite;
use super::user::User;
use announced::Announced;
pub(super) use client_limits::ClientLimits;
use clients::Clients;
use grains::Grains;
use origins::Origins;
use programs::Programs;

/// One front end.
pub(crate) struct Front {
    grains: Grains,
    origins: Origins,
    /// Sessions of programs.
    programs: Programs,
    clients: Clients,
    announced: Announced,
    /// Who answers on the shell's origin, if anybody does.
    site: OnceCell<Rc<dyn ShellSite>>,
    /// The app's `/var`, for what it publishes.
    var: PathBuf,
    recorder: Recorder,
    notes: Notes,
    /// Whether it is told which headers no app gets.
    explain: bool,
    /// Set when nothing will be answered any more: why.
    failed: watch::Sender<Option<String>>,
}

impl Front {
    pub fn new(
        grain: Rc<Grain>,
        about: &GrainOptions,
        visit: &Visit,
        explain: bool,
        limits: ClientLimits,
        port: u16,
    ) -> Result<Rc<Front>, Error> {
        let front = Rc::new(Front {
            notes: grain.notes.clone(),
            grains: Grains::new(grain),
            origins: Origins::new(port)?,
            programs: Programs::default(),
            clients: Clients::new(limits),
            announced: Announced::new(&about.title, visit),
            site: OnceCell::new(),
            var: about.var.clone(),
            recorder: Recorder::new(visit.exchanges.clone()),
            explain,
            failed: watch::channel(None).0,
        });
        front.session_of(front.user());
        Ok(front)
    }

    /// Lets `site` answer on the shell's origin from now on.
    pub fn set_site(&self, site: Rc<dyn ShellSite>) {
        // There is one at most: `run_with` makes it.
        let _ = self.site.set(site);
    }

    /// From now on this grain has tokens of its own, as long as it lives.
    pub fn serve_also(&self, grain: &Rc<Grain>) {
        self.grains.add(grain);
    }

    /// The port of all sites.
    pub fn port(&self) -> u16 {
        self.origins.port
    }

    /// Whom the grain is served for: who looks at it unless somebody else is named.
    pub fn user(&self) -> &User {
        &self.announced.user
    }

    /// The session of a user in any grain, with an origin of its own; `chosen`: what is to count
    /// instead of what the user may do there.
    pub fn session_for(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        chosen: Option<&Assignment>,
    ) -> Rc<Session> {
        self.origins.of_person(grain, user, chosen)
    }

    /// The session of a user in the grain that the front end was started for.
    fn session_of(&self, user: &User) -> Rc<Session> {
        self.session_for(&self.grains.first, user, None)
    }

    /// Forgets the sessions of a grain that is served no more.
    pub fn forget_sessions(&self, grain: &Rc<Grain>) {
        self.origins.forget(grain);
        self.programs.forget_grain(grain);
    }

    /// 32 hex characters that only this front end can make.
    pub fn derive(&self, what: &str) -> String {
        self.origins.derive(what)
    }

    /// The shell's origin, for what is of no grain.
    pub fn shell_origin(&self) -> String {
        hosts::origin(hosts::PARENT, self.port())
    }

    /// The shell's origin for a grain, whose page frames the grain's sessions.
    pub fn grain_origin(&self, grain: &str) -> String {
        hosts::origin(&hosts::grain_site(grain), self.port())
    }

    /// Lets requests under way finish, for a moment, and closes every connection.
    pub async fn close(&self) {
        self.clients.close().await;
    }
}
