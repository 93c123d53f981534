//! The app as the host sees it: `MainView` (http-bridge §1, §7.12, §8.1).

use std::rc::Rc;

use capnp::capability::FromClientHook;
use capnp::{Error, ErrorKind, any_pointer};
use spk_schema::api_session_capnp::api_session;
use spk_schema::grain_capnp::{main_view, session_context, ui_session, ui_view};
use spk_schema::identity_capnp::user_info;
use spk_schema::losses_capnp::losses;
use spk_schema::package_capnp::bridge_config;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;
use spk_schema::web_session_capnp::web_session;

use crate::bridge::Bridge;
use crate::http_api::HttpApi;
use crate::mail::Mailbox;
use crate::powerbox::{Chooser, open_http_api};
use crate::session::{
    ApiClient, Browser, Common, FixedHead, Session, SessionType, address_text, asked_for,
};
use crate::session_types::{API_SESSION, EMAIL_SESSION, WEB_SESSION};
use crate::sessions::{Entry, Kind};
use crate::user::User;
use crate::{identities, powerbox};

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
    kind: Kind,
}

impl MainView {
    /// The view of this bridge's app.
    pub fn new(bridge: Rc<Bridge>) -> MainView {
        MainView { bridge }
    }

    fn opening<'a>(
        &self,
        info: user_info::Reader<'_>,
        context: session_context::Client,
        tab_id: &'a [u8],
        kind: Kind,
    ) -> Result<Opening<'a>, Error> {
        let user = User::from_info(info)?;
        let permissions = self.bridge.config.permission_names(info.get_permissions()?);
        Ok(Opening { user, permissions, context, tab_id, kind })
    }

    /// Looks after the identity of the user, if the package wants that.
    fn remember(&self, user: &User, info: user_info::Reader<'_>) -> Result<(), Error> {
        if let (true, true, Some(id)) =
            (self.bridge.config.save_identity_caps, info.has_identity(), &user.id)
        {
            identities::remember(&self.bridge, id, info.get_identity()?);
        }
        Ok(())
    }

    /// A session that begins to work when the app listens: calls made earlier wait.
    fn open<C: FromClientHook + 'static>(
        &self,
        opening: Opening<'_>,
        listener: Option<losses::Client>,
        fixed: impl FnOnce(&Common<'_>) -> Result<FixedHead, Error>,
        client: impl FnOnce(Session) -> C + 'static,
    ) -> Result<ui_session::Client, Error> {
        let bridge = self.bridge.clone();
        let session_id = bridge.sessions.reserve();
        let fixed = fixed(&Common {
            user: &opening.user,
            session_type: match opening.kind {
                Kind::Normal => SessionType::Normal,
                Kind::Request(_) => SessionType::Request,
                Kind::Offer { .. } => SessionType::Offer,
            },
            permissions: &opening.permissions,
            tab_id: opening.tab_id,
            session_id: &session_id,
        })?;
        let entry = Entry { context: opening.context, kind: opening.kind };
        let registration = bridge.sessions.register(session_id, entry);
        let session = Session::new(bridge.port, bridge.underway.clone(), fixed, Some(registration))
            .heard_by(listener);
        if bridge.app_listens() {
            return Ok(spk_rpc::answered(client(session)).cast_to());
        }
        Ok(spk_rpc::answered(capnp_rpc::new_future_client(async move {
            bridge.wait_for_app().await;
            Ok(client(session).cast_to::<ui_session::Client>())
        })))
    }

    fn open_web(
        &self,
        opening: Opening<'_>,
        params: any_pointer::Reader<'_>,
    ) -> Result<ui_session::Client, Error> {
        let listener = asked_for(params);
        let params: web_session::params::Reader<'_> = params.get_as()?;
        self.open(
            opening,
            listener,
            |common| FixedHead::browser(Browser(params), common),
            capnp_rpc::new_client::<web_session::Client, Session>,
        )
    }

    fn open_api(
        &self,
        opening: Opening<'_>,
        params: any_pointer::Reader<'_>,
    ) -> Result<ui_session::Client, Error> {
        let listener = asked_for(params);
        let params: api_session::params::Reader<'_> = params.get_as()?;
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
            listener,
            |common| Ok(FixedHead::api(ApiClient { root, address }, common)),
            capnp_rpc::new_client::<api_session::Client, Session>,
        )
    }

    /// The configured view, whose powerbox requests are those for the HTTP APIs if there are any.
    fn configured_view(&self, mut results: ui_view::GetViewInfoResults) -> Result<(), Error> {
        let config: bridge_config::Reader<'_> = self.bridge.config.reader()?;
        results.set(config.get_view_info()?)?;
        let apis = config.get_powerbox_apis()?;
        if !apis.is_empty() {
            let mut requests = results.get().init_match_requests(apis.len());
            for (index, api) in apis.iter().enumerate() {
                // Both lists have the same length, which fits 29 bits.
                powerbox::describe(requests.reborrow().get(index as u32), api)?;
            }
        }
        Ok(())
    }
}

fn unsupported(why: &str) -> Error {
    Error::failed(format!("unsupported session type: {why}"))
}

impl ui_view::Server for MainView {
    async fn get_view_info(
        self: Rc<Self>,
        _: ui_view::GetViewInfoParams,
        mut results: ui_view::GetViewInfoResults,
    ) -> Result<(), Error> {
        let Some(hooks) = self.bridge.hooks().await else {
            return self.configured_view(results);
        };
        match hooks.get_view_info_request().send().promise.await {
            Ok(response) => results.set(response.get()?),
            Err(error) if error.kind == ErrorKind::Unimplemented => self.configured_view(results),
            Err(error) => Err(error),
        }
    }

    async fn new_session(
        self: Rc<Self>,
        params: ui_view::NewSessionParams,
        mut results: ui_view::NewSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let session_params = params.get_session_params();
        let info = params.get_user_info()?;
        let session_type = params.get_session_type();
        if session_type == EMAIL_SESSION {
            let mailbox = Mailbox::new(&self.bridge.var);
            results.get().set_session(
                spk_rpc::new_client::<
                    spk_schema::hack_session_capnp::hack_email_session::Client,
                    _,
                >(mailbox)
                .cast_to(),
            );
            return Ok(());
        }
        let opening =
            self.opening(info, params.get_context()?, params.get_tab_id()?, Kind::Normal)?;
        self.remember(&opening.user, info)?;
        let session = match session_type {
            WEB_SESSION => self.open_web(opening, session_params)?,
            API_SESSION => self.open_api(opening, session_params)?,
            other => return Err(unsupported(&format!("{other:#018x}"))),
        };
        results.get().set_session(session);
        Ok(())
    }

    async fn new_request_session(
        self: Rc<Self>,
        params: ui_view::NewRequestSessionParams,
        mut results: ui_view::NewRequestSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        if params.get_session_type() != WEB_SESSION {
            return Err(unsupported("powerbox requests need a browser"));
        }
        let (info, descriptors) = (params.get_user_info()?, params.get_request_info()?);
        let (context, tab_id) = (params.get_context()?, params.get_tab_id()?);
        let session = if powerbox::only_http_apis(descriptors)? {
            self.remember(&User::from_info(info)?, info)?;
            spk_rpc::new_client::<web_session::Client, _>(Chooser::new(
                self.bridge.clone(),
                info,
                context,
            )?)
            .cast_to()
        } else {
            let kind = Kind::request(descriptors)?;
            let opening = self.opening(info, context, tab_id, kind)?;
            self.remember(&opening.user, info)?;
            self.open_web(opening, params.get_session_params())?
        };
        results.get().set_session(session);
        Ok(())
    }

    /// Any session type is taken for a browser's, and identities are not saved (http-bridge §7.12).
    async fn new_offer_session(
        self: Rc<Self>,
        params: ui_view::NewOfferSessionParams,
        mut results: ui_view::NewOfferSessionResults,
    ) -> Result<(), Error> {
        let params = params.get()?;
        let offer: capnp::capability::Client = params.get_offer().get_as_capability()?;
        let kind = Kind::offer(offer, params.get_descriptor()?)?;
        let (context, tab_id) = (params.get_context()?, params.get_tab_id()?);
        let opening = self.opening(params.get_user_info()?, context, tab_id, kind)?;
        results.get().set_session(self.open_web(opening, params.get_session_params())?);
        Ok(())
    }
}

impl main_view::Server<bridge_object_id::Owned> for MainView {
    async fn restore(
        self: Rc<Self>,
        params: main_view::RestoreParams<bridge_object_id::Owned>,
        mut results: main_view::RestoreResults<bridge_object_id::Owned>,
    ) -> Result<(), Error> {
        match params.get()?.get_object_id()?.which()? {
            bridge_object_id::Application(object_id) => {
                let hooks = self.app_objects().await?;
                let mut request = hooks.restore_request();
                request.get().init_object_id().set_as(object_id)?;
                let response = request.send().promise.await?;
                let restored: capnp::capability::Client =
                    response.get()?.get_cap().get_as_capability()?;
                results.get().init_cap().set_as_capability(restored.hook);
            }
            bridge_object_id::HttpApi(api) => {
                let api = HttpApi::from_reader(api?)?;
                let session = open_http_api(self.bridge.clone(), api);
                results.get().init_cap().set_as_capability(session.into_client_hook());
            }
        }
        Ok(())
    }

    async fn drop(
        self: Rc<Self>,
        params: main_view::DropParams<bridge_object_id::Owned>,
        _: main_view::DropResults<bridge_object_id::Owned>,
    ) -> Result<(), Error> {
        match params.get()?.get_object_id()?.which()? {
            bridge_object_id::Application(object_id) => {
                let hooks = self.app_objects().await?;
                let mut request = hooks.drop_request();
                request.get().init_object_id().set_as(object_id)?;
                request.send().promise.await?;
            }
            // Nothing is kept for them.
            bridge_object_id::HttpApi(_) => {}
        }
        Ok(())
    }
}

impl MainView {
    async fn app_objects(&self) -> Result<crate::bridge::Hooks, Error> {
        let hooks = self.bridge.hooks().await;
        hooks.ok_or_else(|| Error::failed("the app has no objects of its own: no hooks".into()))
    }
}
