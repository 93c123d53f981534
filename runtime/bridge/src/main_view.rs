//! The app as the host sees it: `MainView` (http-bridge 1, 7.12, 8.1).

use std::rc::Rc;

use capnp::Error;
use capnp::capability::FromClientHook;
use spk_schema::api_session_capnp::api_session;
use spk_schema::grain_capnp::{main_view, session_context, ui_session, ui_view};
use spk_schema::sandstorm_http_bridge_internal_capnp::{bridge_object_id, session_info};
use spk_schema::web_session_capnp::web_session;

use crate::bridge::Bridge;
use crate::session::{ApiClient, Browser, Common, Fixed, Session, SessionType, User, address_text};
use crate::sessions::{Entry, Info};

/// `sessionType` of sessions for browsers.
pub const WEB_SESSION: u64 = 0xa507_11a1_4d35_a8ce;
/// `sessionType` of sessions for programs, and the powerbox tag of HTTP APIs.
pub const API_SESSION: u64 = 0xc879_e379_c625_cdc7;

/// The bootstrap capability for the host.
pub struct MainView {
    bridge: Rc<Bridge>,
}

/// What opens a session, whatever its kind.
struct Opening<'a> {
    user: User,
    permissions: Vec<u8>,
    context: session_context::Client,
    tab_id: &'a [u8],
    session_type: SessionType,
    info: Info,
}

impl MainView {
    /// The view of this bridge's app.
    pub fn new(bridge: Rc<Bridge>) -> MainView {
        MainView { bridge }
    }

    /// A session that begins to work when the app listens: calls made earlier wait.
    fn open<C: FromClientHook + 'static>(
        &self,
        opening: Opening<'_>,
        fixed: impl FnOnce(&Common<'_>) -> Result<Fixed, Error>,
        client: impl FnOnce(Session) -> C + 'static,
    ) -> Result<ui_session::Client, Error> {
        let bridge = self.bridge.clone();
        let session_id = bridge.sessions.reserve();
        let fixed = fixed(&Common {
            user: &opening.user,
            session_type: opening.session_type,
            permissions: &opening.permissions,
            tab_id: opening.tab_id,
            session_id: &session_id,
        })?;
        let entry = Entry { context: opening.context, info: Some(opening.info) };
        let registration = bridge.sessions.register(session_id, entry);
        let session = Session::new(bridge.port, fixed, Some(registration));
        if bridge.app_listens() {
            return Ok(client(session).cast_to());
        }
        Ok(capnp_rpc::new_future_client(async move {
            bridge.wait_for_app().await;
            Ok(client(session).cast_to::<ui_session::Client>())
        }))
    }

    fn open_web(
        &self,
        opening: Opening<'_>,
        params: web_session::params::Reader<'_>,
    ) -> Result<ui_session::Client, Error> {
        self.open(
            opening,
            |common| Fixed::browser(Browser(params), common),
            capnp_rpc::new_client::<web_session::Client, Session>,
        )
    }

    fn open_api(
        &self,
        opening: Opening<'_>,
        params: api_session::params::Reader<'_>,
    ) -> Result<ui_session::Client, Error> {
        let root = self.bridge.config.api_path.clone();
        if root.is_empty() {
            return Err(unsupported("the app has no apiPath"));
        }
        let address = match params.has_remote_address() {
            true => Some(address_text(params.get_remote_address()?)),
            false => None,
        };
        self.open(
            opening,
            |common| Ok(Fixed::api(ApiClient { root, address }, common)),
            capnp_rpc::new_client::<api_session::Client, Session>,
        )
    }
}

fn unsupported(why: &str) -> Error {
    Error::failed(format!("unsupported session type: {why}"))
}

fn normal_info() -> Info {
    let mut message = capnp::message::TypedBuilder::<session_info::Owned>::new_default();
    message.init_root().set_normal(());
    Rc::new(message)
}

impl ui_view::Server for MainView {
    async fn get_view_info(
        self: Rc<Self>,
        _: ui_view::GetViewInfoParams,
        mut results: ui_view::GetViewInfoResults,
    ) -> Result<(), Error> {
        results.set(self.bridge.config.reader()?.get_view_info()?)
    }

    async fn new_session(
        self: Rc<Self>,
        params: ui_view::NewSessionParams,
        mut results: ui_view::NewSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let info = params.get_user_info()?;
        let opening = Opening {
            user: User::from_info(info)?,
            permissions: self.bridge.config.permission_names(info.get_permissions()?),
            context: params.get_context()?,
            tab_id: params.get_tab_id()?,
            session_type: SessionType::Normal,
            info: normal_info(),
        };
        let session_params = params.get_session_params();
        let session = match params.get_session_type() {
            WEB_SESSION => self.open_web(opening, session_params.get_as()?)?,
            API_SESSION => self.open_api(opening, session_params.get_as()?)?,
            other => return Err(unsupported(&format!("{other:#018x}"))),
        };
        results.get().set_session(session);
        Ok(())
    }
}

impl main_view::Server<bridge_object_id::Owned> for MainView {}
