//! The HTTP front end: loopback only, one origin per session.

mod api_origin;
pub(crate) mod body;
mod descriptors;
mod headers;
pub(crate) mod hosts;
mod identicon;
mod io;
mod listen;
pub(crate) mod pages;
mod patience;
mod policy;
mod published;
mod questions;
mod range;
pub(crate) mod route;
mod websocket;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use spk_web_session::values;

use super::error::Error;
use super::exchange::Recorder;
use super::grain::{App, Grain};
use super::permissions::Unknown;
pub(crate) use super::printable as plain;
use super::session::{Access, Browser, Kind, OpenError, Session};
use super::site::ShellSite;
use super::user::User;
use super::{Event, Notes, Settings};
use crate::store::capabilities::Assignment;
pub(super) use hosts::PARENT;
pub(super) use listen::{Sockets, listen, serve};
pub(super) use patience::Patience;
use spk_package::causes::in_one_line;

/// One front end.
pub(crate) struct Front {
    grain: Rc<Grain>,
    notes: Notes,
    port: u16,
    title: String,
    user: User,
    explain: bool,
    patience: Patience,
    bridge_port: Option<u16>,
    recorder: Recorder,
    /// Users other than `user` whose sessions are announced.
    others: Vec<User>,
    /// What session names and the shell's token are derived from; lives as long as this run.
    secret: [u8; 32],
    /// Who answers on the shell's origin; without one it is the page around one app.
    site: std::cell::OnceCell<Rc<dyn ShellSite>>,
    /// Sessions by ID.
    sessions: RefCell<HashMap<String, Rc<Session>>>,
    /// Sessions for requests and offers, the oldest first.
    passing: RefCell<std::collections::VecDeque<String>>,
    /// The app's `/var`, for what it publishes.
    var: Option<std::path::PathBuf>,
    /// Grains besides `grain` that are served here.
    also: RefCell<Vec<std::rc::Weak<Grain>>>,
    /// Sessions of programs.
    programs: api_origin::Programs,
    /// The API token that was asked for.
    token: RefCell<Option<super::ApiAccess>>,
    /// Choices made in advance, by the name of what was granted: what claims them.
    granted: RefCell<Vec<(String, String)>>,
    /// Set when nothing will be answered any more: why.
    failed: tokio::sync::watch::Sender<Option<String>>,
    closing: tokio::sync::watch::Sender<bool>,
    connections: RefCell<tokio::task::JoinSet<()>>,
}

/// How long the end of the app is waited for after its connection broke, to say how it ended.
const END_KNOWN: Duration = Duration::from_secs(3);

impl Front {
    pub fn new(
        settings: &Settings,
        sockets: &Sockets,
        grain: Rc<Grain>,
        notes: Notes,
    ) -> Result<Rc<Front>, Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| Error::Random(error.to_string()))?;
        let front = Front {
            grain,
            notes,
            port: sockets.port,
            title: settings.title.clone(),
            user: User::named(&settings.user),
            explain: settings.explain,
            patience: settings.patience.clone(),
            bridge_port: settings.bridge_port,
            recorder: Recorder::new(settings.exchanges.clone()),
            others: settings.other_users.iter().map(|name| User::named(name)).collect(),
            secret,
            site: std::cell::OnceCell::new(),
            sessions: RefCell::default(),
            passing: RefCell::default(),
            var: settings.var.clone(),
            also: RefCell::default(),
            programs: api_origin::Programs::default(),
            token: RefCell::default(),
            granted: RefCell::default(),
            failed: tokio::sync::watch::channel(None).0,
            closing: tokio::sync::watch::channel(false).0,
            connections: RefCell::default(),
        };
        let front = Rc::new(front);
        front.session_of(&front.user);
        Ok(front)
    }

    /// Lets `site` answer on the shell's origin from now on.
    pub fn set_site(&self, site: Rc<dyn ShellSite>) {
        // There is one at most: `run_with` makes it.
        let _ = self.site.set(site);
    }

    /// From now on this grain has tokens of its own, as long as it lives.
    pub fn serve_also(&self, grain: &Rc<Grain>) {
        let mut also = self.also.borrow_mut();
        also.retain(|grain| grain.strong_count() > 0);
        also.push(Rc::downgrade(grain));
    }

    /// All grains that are served here.
    fn grains(&self) -> Vec<Rc<Grain>> {
        let also = self.also.borrow();
        std::iter::once(self.grain.clone()).chain(also.iter().filter_map(|g| g.upgrade())).collect()
    }

    /// The port of all sites.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whom the grain is served for: who looks at it unless somebody else is named.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The session of a user in any grain, with an origin of its own; `chosen`: what is to count
    /// instead of what the user may do there.
    pub fn session_for(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        chosen: Option<&Assignment>,
    ) -> Rc<Session> {
        let what = serde_json::json!([grain.id(), user.key(), chosen]);
        let id = self.derive(&format!("session of {what}"));
        let mut sessions = self.sessions.borrow_mut();
        let known = sessions.get(&id).filter(|session| Rc::ptr_eq(session.grain(), grain));
        if let Some(session) = known {
            return session.clone();
        }
        let host = format!("ui-{id}.{}:{}", hosts::PARENT, self.port);
        let base = format!("http://{host}");
        let access = chosen.map_or(Access::Own, |role| Access::Chosen(role.clone()));
        let session = Session::new(grain.clone(), user.clone(), Kind::Ui, access, &host, base);
        sessions.insert(id, session.clone());
        session
    }

    /// Forgets the sessions of a grain that is served no more.
    pub fn forget_sessions(&self, grain: &Rc<Grain>) {
        self.sessions.borrow_mut().retain(|_, session| !Rc::ptr_eq(session.grain(), grain));
        self.programs.forget_grain(grain);
    }

    /// 32 hex characters that only this front end can make.
    pub fn derive(&self, what: &str) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(what.as_bytes());
        hash.finalize()[..hosts::ID_LENGTH / 2].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn shell_origin(&self) -> String {
        format!("http://{}:{}", hosts::PARENT, self.port)
    }

    /// What opens the shell: whoever has it is signed in.
    pub fn shell_token(&self) -> String {
        self.derive("shell token")
    }

    /// The session of a user in the grain that the front end was started for.
    fn session_of(&self, user: &User) -> Rc<Session> {
        self.session_for(&self.grain, user, None)
    }

    /// What a person opens.
    pub fn url(&self) -> String {
        format!("{}/?token={}", self.shell_origin(), self.shell_token())
    }

    /// Where the other users' sessions are.
    pub fn other_sessions(&self) -> Vec<Event> {
        let session = |user: &User| Event::Session {
            user: user.key().to_owned(),
            url: format!("{}/", self.session_of(user).base()),
        };
        self.others.iter().map(session).collect()
    }

    /// The event that says where everything is.
    pub fn ready(&self) -> Event {
        Event::Ready {
            url: self.url(),
            session_url: format!("{}/", self.session_of(&self.user).base()),
            address: format!("127.0.0.1:{}", self.port),
            api: self.token.borrow().clone(),
            grants: self.granted.borrow().clone(),
        }
    }

    /// Starts the app and waits until it answers a GET of its first page.
    pub async fn wait_until_ready(&self, limit: Duration) -> Result<(), Error> {
        let answered = self.first_answer();
        let result = match tokio::time::timeout(limit, answered).await {
            Ok(result) => result,
            Err(_) => Err(Error::NeverAnswered {
                waited: limit,
                port: self.bridge_port,
                tail: self.grain.log.tail(),
            }),
        };
        if let Err(error) = &result {
            // Whoever waits for an answer learns why there is none.
            self.failed.send_replace(Some(in_one_line(error)));
        }
        result
    }

    async fn first_answer(&self) -> Result<(), Error> {
        let browser = Browser {
            user_agent: concat!("spk/", env!("CARGO_PKG_VERSION")).into(),
            languages: values::languages(&http::HeaderMap::new()),
            address: None,
        };
        let session = self.session_of(&self.user);
        let opened = match session.web(&browser).await {
            Ok(opened) => opened,
            Err(OpenError::Start(error)) => return Err(Error::shared(error)),
            Err(OpenError::Unknown(Unknown::Permission { name, known })) => {
                return Err(Error::UnknownPermission { name, known });
            }
            Err(OpenError::Unknown(Unknown::Role { name, known })) => {
                return Err(Error::UnknownRole { name, known });
            }
            Err(OpenError::App(error)) => return Err(self.refused(error).await),
        };
        let (stream, incoming) = spk_web_session::pair();
        let mut request = opened.web.get_request();
        request.get().set_path("");
        request.get().init_context().set_response_stream(stream);
        let answer = request.send().promise.await;
        drop(incoming);
        match answer {
            // Also an app that answers nonsense answers; the browser will show what it said.
            Ok(_) => Ok(()),
            Err(error) if error.kind != capnp::ErrorKind::Disconnected && opened.app.is_alive() => {
                self.notes.say(&format!("the app's first answer was an error: {}", plain(&error)));
                Ok(())
            }
            Err(error) => Err(self.refused(error).await),
        }
    }

    /// The app ended, or said no.
    async fn refused(&self, error: capnp::Error) -> Error {
        if error.kind == capnp::ErrorKind::Disconnected
            && let Ok(ended) = tokio::time::timeout(END_KNOWN, self.grain.app_ended()).await
        {
            return Error::AppEnded { ended, tail: self.grain.last_words().await };
        }
        Error::Refused { reason: plain(&error), tail: self.grain.log.tail() }
    }

    /// Lets requests under way finish, for a moment, and closes every connection.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut connections = std::mem::take(&mut *self.connections.borrow_mut());
        let drained = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.patience.drain, drained).await;
        connections.shutdown().await;
    }
}

/// Whether an app that just broke a call is really gone: its connection's end may be noticed a
/// moment after the call's.
async fn is_gone(app: &App) -> bool {
    tokio::time::timeout(Duration::from_millis(100), app.gone()).await.is_ok()
}
