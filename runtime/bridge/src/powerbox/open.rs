//! Sessions for those who hold a capability for one of the app's HTTP APIs.

use std::rc::Rc;

use capnp::Error;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_http_session;
use spk_schema::util_capnp::static_asset::Protocol;

use crate::bridge::Bridge;
use crate::http_api::HttpApi;
use crate::identities;
use crate::session::{Common, FixedHead, PowerboxApi, Session, SessionType};
use crate::user::{User, pronouns, user_id};

/// A capability for an API. It works once the app listens and the user's profile is known.
pub fn open_http_api(bridge: Rc<Bridge>, api: HttpApi) -> bridge_http_session::Client {
    capnp_rpc::new_future_client(async move {
        bridge.wait_for_app().await;
        let user = profile(&bridge, &api.identity_id).await?;
        let permissions = bridge.config.permission_names(api.permissions.iter().copied());
        let fixed = FixedHead::powerbox(
            PowerboxApi { root: [&api.path[..], b"/"].concat(), name: api.name.clone() },
            &Common {
                user: &user,
                session_type: SessionType::Normal,
                permissions: &permissions,
                tab_id: &[],
                session_id: "",
            },
        );
        let label = label(&bridge, &api.name)?;
        let session =
            Session::new(bridge.port, bridge.underway.clone(), fixed, None).persistent(api, label);
        Ok(spk_rpc::new_client::<bridge_http_session::Client, _>(session))
    })
}

/// The current profile of a user whose identity was saved.
async fn profile(bridge: &Rc<Bridge>, identity_id: &[u8]) -> Result<User, Error> {
    if identity_id.is_empty() {
        return Ok(User { name: b"Anonymous User".to_vec(), ..User::default() });
    }
    let id = user_id(identity_id)?;
    let identity = identities::saved(bridge, id.as_bytes()).await?;
    let response = identity.get_profile_request().send().promise.await?;
    let profile = response.get()?.get_profile()?;
    let mut user = User {
        name: profile.get_display_name()?.get_default_text()?.as_bytes().to_vec(),
        id: Some(id),
        handle: profile.get_preferred_handle()?.as_bytes().to_vec(),
        picture: Vec::new(),
        pronouns: pronouns(profile.get_pronouns()),
    };
    if profile.has_picture() {
        let url = profile.get_picture()?.get_url_request().send().promise.await?;
        let url = url.get()?;
        user.picture = match url.get_protocol()? {
            Protocol::Https => b"https://".to_vec(),
            Protocol::Http => b"http://".to_vec(),
        };
        user.picture.extend_from_slice(url.get_host_path()?.as_bytes());
    }
    Ok(user)
}

/// The title under which a capability is saved.
fn label(bridge: &Bridge, name: &[u8]) -> Result<Vec<u8>, Error> {
    for api in bridge.config.reader()?.get_powerbox_apis()? {
        if api.get_name()?.as_bytes() == name {
            let title = api.get_display_info()?.get_title()?.get_default_text()?;
            return Ok(title.as_bytes().to_vec());
        }
    }
    Ok(name.to_vec())
}
