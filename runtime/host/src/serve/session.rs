//! Sessions: one user, one origin, one `WebSession` of the app per browser (http-bridge
//! specification, 7.4).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use spk_schema::grain_capnp::ui_view;
use spk_schema::hack_session_capnp::hack_session_context;
use spk_schema::web_session_capnp::web_session;

use super::caps::context::Context;
use super::caps::identity::IdentityCap;
use super::error::Error;
use super::grain::{App, Grain};
use super::user::User;

/// `sessionType` of a browser session: the interface's ID (specification, 3.2).
const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;

/// A `WebSession` that nobody used for this long is closed; the next request opens another (7.3).
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(120);

/// Different browsers that may use one session at a time: each has a `WebSession` of its own,
/// because the app learns the browser's name and languages when the session opens.
const BROWSERS: usize = 16;

/// What a `WebSession` is opened with besides user and origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Browser {
    /// `User-Agent`.
    pub user_agent: Vec<u8>,
    /// `Accept-Language`, split at commas.
    pub languages: Vec<Vec<u8>>,
}

/// A user at an origin.
pub(crate) struct Session {
    grain: Rc<Grain>,
    user: User,
    /// Names of the permissions the user has; `None`: all.
    permissions: Option<Vec<String>>,
    /// `http://<host>:<port>`.
    base: String,
    tab_id: [u8; 16],
    open: RefCell<HashMap<Browser, Rc<Opened>>>,
}

/// An open `WebSession`.
pub(crate) struct Opened {
    pub web: web_session::Client,
    pub app: Rc<App>,
    used: Cell<Instant>,
}

/// Why no `WebSession` could be had.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The app does not start.
    Start(Arc<Error>),
    /// `newSession` failed.
    App(capnp::Error),
    /// `--permissions` names one the app does not have.
    Permission { name: String, known: Vec<String> },
}

impl Session {
    pub fn new(
        grain: Rc<Grain>,
        user: User,
        permissions: Option<Vec<String>>,
        host: &str,
        base: String,
    ) -> Rc<Session> {
        let mut tab_id = [0; 16];
        tab_id.copy_from_slice(&Sha256::digest(format!("tab:{host}"))[..16]);
        let open = RefCell::default();
        Rc::new(Session { grain, user, permissions, base, tab_id, open })
    }

    /// What it is a session of.
    pub fn grain(&self) -> &Rc<Grain> {
        &self.grain
    }

    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// The session's origin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The `WebSession` for this browser; opens one, and starts the app, if needed.
    pub async fn web(&self, browser: &Browser) -> Result<Rc<Opened>, OpenError> {
        self.close_unused();
        let known = self.open.borrow().get(browser).cloned();
        if let Some(opened) = known.filter(|opened| opened.app.is_alive()) {
            opened.used.set(Instant::now());
            return Ok(opened);
        }
        let app = self.grain.app().await.map_err(OpenError::Start)?;
        let web = self.open_web(&app, browser).await?;
        let opened = Rc::new(Opened { web, app, used: Cell::new(Instant::now()) });
        self.open.borrow_mut().insert(browser.clone(), opened.clone());
        Ok(opened)
    }

    /// Forgets a `WebSession` that turned out to be dead.
    pub fn forget(&self, opened: &Rc<Opened>) {
        self.open.borrow_mut().retain(|_, known| !Rc::ptr_eq(known, opened));
    }

    fn close_unused(&self) {
        let mut open = self.open.borrow_mut();
        // One that is in use has another reference.
        open.retain(|_, opened| {
            Rc::strong_count(opened) > 1
                || (opened.app.is_alive() && opened.used.get().elapsed() < SESSION_IDLE)
        });
        if open.len() >= BROWSERS
            && let Some(oldest) =
                open.iter().min_by_key(|(_, opened)| opened.used.get()).map(|(key, _)| key.clone())
        {
            open.remove(&oldest);
        }
    }

    async fn open_web(
        &self,
        app: &App,
        browser: &Browser,
    ) -> Result<web_session::Client, OpenError> {
        let permissions = self.permission_bits(&app.info.permissions)?;
        let mut request = app.view.new_session_request();
        self.fill(request.get(), &permissions, browser);
        let response = request.send().promise.await.map_err(OpenError::App)?;
        let session = response.get().and_then(|results| results.get_session());
        let session = session.map_err(OpenError::App)?;
        Ok(capnp::capability::FromClientHook::new(session.client.hook))
    }

    fn fill(
        &self,
        mut params: ui_view::new_session_params::Builder<'_>,
        permissions: &[bool],
        browser: &Browser,
    ) {
        let mut info = params.reborrow().init_user_info();
        self.user.describe(self.grain.identity_id(&self.user), permissions, None, info.reborrow());
        if !self.user.is_anonymous() {
            info.set_identity(capnp_rpc::new_client(IdentityCap { user: self.user.clone() }));
        }
        let context: hack_session_context::Client =
            capnp_rpc::new_client(Context { notes: self.grain.notes.clone() });
        params.set_context(capnp::capability::FromClientHook::new(context.client.hook));
        params.set_session_type(WEB_SESSION);
        params.set_tab_id(&self.tab_id);
        let mut web: web_session::params::Builder<'_> = params.init_session_params().init_as();
        web.set_base_path(self.base.as_str());
        web.set_user_agent(capnp::text::Reader(&browser.user_agent));
        let mut languages = web.init_acceptable_languages(browser.languages.len() as u32);
        for (index, language) in browser.languages.iter().enumerate() {
            languages.set(index as u32, capnp::text::Reader(language));
        }
    }

    fn permission_bits(&self, known: &[String]) -> Result<Vec<bool>, OpenError> {
        let Some(wanted) = &self.permissions else { return Ok(vec![true; known.len()]) };
        if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
            return Err(OpenError::Permission { name: name.clone(), known: known.to_vec() });
        }
        Ok(known.iter().map(|name| wanted.contains(name)).collect())
    }
}
