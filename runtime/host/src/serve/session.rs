//! Sessions: one user, one origin, one `WebSession` of the app per browser (http-bridge §7.4); and
//! those of programs, which have a token instead (http-bridge §7.9).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use spk_grains::store::capabilities::{Assignment, Object};
use spk_schema::api_session_capnp::api_session;
use spk_schema::hack_session_capnp::hack_session_context;
use spk_schema::losses_capnp::session_params;
use spk_schema::powerbox_capnp::powerbox_descriptor;
use spk_schema::web_session_capnp::web_session;

use super::app::App;
use super::error::Error;
use super::grain::Grain;
use super::host_objects::context::Context;
use super::interfaces::{API_SESSION, WEB_SESSION};
use super::losses;
use super::permissions::{self, Held, Unknown, Why};
use super::token;
use super::user::User;
use super::view_info::ViewInfo;

/// A `WebSession` that nobody used for this long is closed; the next request opens another
/// (http-bridge §7.3).
pub(crate) const SESSION_IDLE: Duration = Duration::from_secs(120);

/// Different browsers that may use one session at a time: each has a `WebSession` of its own,
/// because the app learns the browser's name and languages when the session opens.
const BROWSERS: usize = 16;

/// What the base path is for apps that know no API sessions (http-bridge §7.9).
const SANDBOX: &str = "https://sandbox";

/// What a `WebSession` is opened with besides user and origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Browser {
    /// `User-Agent`.
    pub user_agent: Vec<u8>,
    /// `Accept-Language`, split at commas.
    pub languages: Vec<Vec<u8>>,
    /// The client's address, when a program lets the app know it (http-bridge §4.11).
    pub address: Option<IpAddr>,
}

/// What a session is for.
pub(crate) enum Kind {
    /// A person uses the app.
    Ui,
    /// A person chooses something in the app for somebody who asked (http-bridge §7.12).
    Request {
        /// The powerbox's number of the request.
        number: u64,
        /// The request: a message with a `List(PowerboxDescriptor)`.
        query: Vec<u8>,
        /// Origin of the page that asks, which shows it.
        page: String,
    },
    /// A person brings the app something.
    Offer {
        /// What.
        object: Object,
        /// Its descriptor, serialized.
        descriptor: Vec<u8>,
    },
    /// A program uses the app.
    Api,
}

/// What the user may do.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    /// What they may do in this grain, wherever they appear: see [`permissions`].
    Own,
    /// This, whoever the user is: it was chosen for the session.
    Chosen(Assignment),
    /// What a token allows of what the user may do.
    Within(Assignment),
}

/// A user at an origin.
pub(crate) struct Session {
    grain: Rc<Grain>,
    user: User,
    kind: Kind,
    access: Access,
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
    /// A permission or role was asked for that the app does not have.
    Unknown(Unknown),
}

/// Fills what the parameters of all three methods have.
macro_rules! fill {
    ($session:ident, $params:expr, $bits:expr, $type:expr, $context:expr) => {{
        let mut params = $params;
        $session.listen(params.reborrow().init_session_params());
        let mut info = params.reborrow().init_user_info();
        let (user, objects) = (&$session.user, &$session.grain.objects);
        let picture = objects.picture_url(user);
        user.describe(objects.identity_id(user), $bits, picture.as_deref(), info.reborrow());
        if !user.is_anonymous() {
            info.set_identity(objects.identity(user));
        }
        params.set_context(capnp::capability::FromClientHook::new($context.client.hook));
        params.set_session_type($type);
        params.set_tab_id(&$session.tab_id);
        params
    }};
}

/// Sends the request and takes the session out of the answer.
macro_rules! opened {
    ($request:expr) => {{
        let response = $request.send().promise.await?;
        let session = response.get()?.get_session()?;
        Ok(capnp::capability::FromClientHook::new(session.client.hook))
    }};
}

impl Session {
    /// A session; `tab` is what its tab ID is derived from.
    pub fn new(
        grain: Rc<Grain>,
        user: User,
        kind: Kind,
        access: Access,
        tab: &str,
        base: String,
    ) -> Rc<Session> {
        let tab_id = token::half_hash(&format!("tab:{tab}"));
        Rc::new(Session { grain, user, kind, access, base, tab_id, open: RefCell::default() })
    }

    /// What it is a session of.
    pub fn grain(&self) -> &Rc<Grain> {
        &self.grain
    }

    /// Whose it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// What was chosen for it, whatever the user may do in the grain.
    pub fn chosen(&self) -> Option<&Assignment> {
        match &self.access {
            Access::Chosen(assignment) => Some(assignment),
            Access::Own | Access::Within(_) => None,
        }
    }

    /// Whether it is an ordinary session of a person's.
    pub fn is_for_people(&self) -> bool {
        matches!(self.kind, Kind::Ui)
    }

    /// The session's origin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The origin of the page that shows it in a frame.
    pub fn page(&self) -> String {
        match &self.kind {
            Kind::Request { page, .. } => page.clone(),
            _ => format!("http://{}", self.site()),
        }
    }

    /// Whether the page that shows it is of another site, for which cookies need to be made.
    pub fn is_foreign(&self) -> bool {
        self.page() != format!("http://{}", self.site())
    }

    /// The host of the page of its site: what follows the session's own label.
    fn site(&self) -> &str {
        self.base.split_once('.').map_or("", |(_, site)| site)
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
        let permissions = self.permissions(&app.info).map_err(OpenError::Unknown)?;
        let web = self.open_web(&app, &permissions.bits, browser).await.map_err(OpenError::App)?;
        tracing::info!(user = self.user.key(), "session opened");
        let opened = Rc::new(Opened { web, app, used: Cell::new(Instant::now()) });
        self.open.borrow_mut().insert(browser.clone(), opened.clone());
        Ok(opened)
    }

    /// What the user may do, by the app's own account of its permissions.
    pub fn permissions(&self, info: &ViewInfo) -> Result<Held, Unknown> {
        let own = || self.grain.permissions_of(info, &self.user);
        match &self.access {
            Access::Own => own(),
            Access::Chosen(role) => {
                Ok(Held { bits: permissions::assigned(info, role)?, why: Why::Chosen })
            }
            Access::Within(role) => {
                let (given, own) = (permissions::assigned(info, role)?, own()?);
                let bits = given.iter().zip(own.bits).map(|(given, held)| *given && held).collect();
                Ok(Held { bits, why: own.why })
            }
        }
    }

    /// Forgets a `WebSession` that turned out to be dead.
    pub fn forget(&self, opened: &Rc<Opened>) {
        self.open.borrow_mut().retain(|_, known| !Rc::ptr_eq(known, opened));
    }

    /// Lets go of every `WebSession`: what the user may do has changed (http-bridge §7.6).
    pub fn close(&self) {
        self.open.borrow_mut().clear();
    }

    /// Whether nobody has used it for a while.
    pub fn is_unused(&self) -> bool {
        self.close_unused();
        self.open.borrow().is_empty()
    }

    fn close_unused(&self) {
        let mut open = self.open.borrow_mut();
        // One that is in use has another reference.
        open.retain(|_, opened| {
            Rc::strong_count(opened) > 1
                || (opened.app.is_alive() && opened.used.get().elapsed() < self.grain.session_idle)
        });
        if open.len() >= BROWSERS
            && let Some(oldest) =
                open.iter().min_by_key(|(_, opened)| opened.used.get()).map(|(key, _)| key.clone())
        {
            open.remove(&oldest);
        }
    }

    fn context(&self, permissions: &[bool]) -> hack_session_context::Client {
        capnp_rpc::new_client(Context {
            objects: self.grain.objects.clone(),
            user: self.user.clone(),
            permissions: permissions.to_vec(),
            request: match self.kind {
                Kind::Request { number, .. } => Some(number),
                _ => None,
            },
        })
    }

    async fn open_web(
        &self,
        app: &App,
        permissions: &[bool],
        browser: &Browser,
    ) -> Result<web_session::Client, capnp::Error> {
        match &self.kind {
            Kind::Ui => self.open_ui(app, permissions, browser, &self.base).await,
            Kind::Api => match self.open_api(app, permissions, browser).await {
                Ok(web) => Ok(web),
                Err(error) if error.kind == capnp::ErrorKind::Disconnected => Err(error),
                // An app from before there were API sessions (P16).
                Err(_) => self.open_ui(app, permissions, browser, SANDBOX).await,
            },
            Kind::Request { query, .. } => {
                let mut request = app.view.new_request_session_request();
                let context = self.context(permissions);
                let mut params = fill!(self, request.get(), permissions, WEB_SESSION, context);
                let message = read(query)?;
                let query: capnp::struct_list::Reader<'_, powerbox_descriptor::Owned> =
                    message.get_root::<capnp::any_pointer::Reader<'_>>()?.get_as()?;
                params.set_request_info(query)?;
                self.fill_web(params.get_session_params().get_as()?, browser, &self.base);
                opened!(request)
            }
            Kind::Offer { object, descriptor } => {
                let offered = self.grain.objects.restore(object).await?;
                let mut request = app.view.new_offer_session_request();
                let context = self.context(permissions);
                let mut params = fill!(self, request.get(), permissions, WEB_SESSION, context);
                params.reborrow().init_offer().set_as_capability(offered.hook);
                let message = read(descriptor)?;
                params.set_descriptor(message.get_root()?)?;
                self.fill_web(params.get_session_params().get_as()?, browser, &self.base);
                opened!(request)
            }
        }
    }

    async fn open_ui(
        &self,
        app: &App,
        permissions: &[bool],
        browser: &Browser,
        base: &str,
    ) -> Result<web_session::Client, capnp::Error> {
        let mut request = app.view.new_session_request();
        let context = self.context(permissions);
        let params = fill!(self, request.get(), permissions, WEB_SESSION, context);
        self.fill_web(params.get_session_params().get_as()?, browser, base);
        opened!(request)
    }

    async fn open_api(
        &self,
        app: &App,
        permissions: &[bool],
        browser: &Browser,
    ) -> Result<web_session::Client, capnp::Error> {
        let mut request = app.view.new_session_request();
        let context = self.context(permissions);
        let params = fill!(self, request.get(), permissions, API_SESSION, context);
        let mut api: api_session::params::Builder<'_> = params.get_session_params().get_as()?;
        if let Some(address) = browser.address {
            let bits = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
                IpAddr::V6(v6) => v6.to_bits(),
            };
            let mut to = api.reborrow().init_remote_address();
            to.set_upper64((bits >> 64) as u64);
            to.set_lower64(bits as u64);
        }
        opened!(request)
    }

    /// Lets a bridge tell what of its app's answers clients do not get, if anybody wants to know. What
    /// is Sandstorm's comes into the same struct, which is larger then.
    fn listen(&self, params: capnp::any_pointer::Builder<'_>) {
        if self.grain.explain {
            let mut params: session_params::Builder<'_> = params.init_as();
            params.set_losses(losses::listener(&self.grain.notes));
        }
    }

    fn fill_web(&self, mut web: web_session::params::Builder<'_>, browser: &Browser, base: &str) {
        web.set_base_path(base);
        web.set_user_agent(capnp::text::Reader(&browser.user_agent));
        let mut languages = web.init_acceptable_languages(browser.languages.len() as u32);
        for (index, language) in browser.languages.iter().enumerate() {
            languages.set(index as u32, capnp::text::Reader(language));
        }
    }
}

fn read(
    bytes: &[u8],
) -> Result<capnp::message::Reader<capnp::serialize::OwnedSegments>, capnp::Error> {
    capnp::serialize::read_message(bytes, capnp::message::ReaderOptions::new())
}
