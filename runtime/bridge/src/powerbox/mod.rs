//! HTTP APIs that the app exports through the powerbox (http-bridge §8.3).

mod chooser;
mod page;

pub use chooser::Chooser;

use std::rc::Rc;

use capnp::{Error, struct_list};
use spk_schema::package_capnp::bridge_config::powerbox_api;
use spk_schema::powerbox_capnp::powerbox_descriptor;
use spk_schema::sandstorm_http_bridge_internal_capnp::{bridge_http_session, bridge_object_id};
use spk_schema::util_capnp::static_asset::Protocol;

use crate::bridge::Bridge;
use crate::identities;
use crate::main_view::API_SESSION;
use crate::session::{Common, Fixed, PowerboxApi, Session, SessionType, User, pronouns, user_id};

/// What a capability for an HTTP API stands for, frozen when it was chosen.
#[derive(Clone)]
pub struct HttpApi {
    /// Its name in the configuration.
    pub name: Vec<u8>,
    /// Prefix of its paths, without the slash at the end.
    pub path: Vec<u8>,
    /// The permissions its requests have.
    pub permissions: Vec<bool>,
    /// Who chose it; empty for guests.
    pub identity_id: Vec<u8>,
}

impl HttpApi {
    /// Takes it out of an object ID.
    pub fn from_reader(reader: bridge_object_id::http_api::Reader<'_>) -> Result<HttpApi, Error> {
        Ok(HttpApi {
            name: reader.get_name()?.as_bytes().to_vec(),
            path: reader.get_path()?.as_bytes().to_vec(),
            permissions: reader.get_permissions()?.iter().collect(),
            identity_id: reader.get_identity_id()?.to_vec(),
        })
    }

    /// Puts it into an object ID.
    pub fn fill(&self, mut builder: bridge_object_id::http_api::Builder<'_>) {
        builder.set_name(capnp::text::Reader(&self.name));
        builder.set_path(capnp::text::Reader(&self.path));
        builder.set_identity_id(&self.identity_id);
        fill_permissions(
            builder.init_permissions(self.permissions.len() as u32),
            &self.permissions,
        );
    }
}

/// Writes permission bits.
fn fill_permissions(mut list: capnp::primitive_list::Builder<'_, bool>, bits: &[bool]) {
    for (index, bit) in bits.iter().enumerate() {
        // The list was made with this length.
        list.set(index as u32, *bit);
    }
}

/// Writes the descriptor of an API: one tag, with the API's own as its value.
pub fn describe(
    descriptor: powerbox_descriptor::Builder<'_>,
    api: powerbox_api::Reader<'_>,
) -> Result<(), Error> {
    let mut tag = descriptor.init_tags(1).get(0);
    tag.set_id(API_SESSION);
    tag.init_value().set_as(api.get_tag()?)
}

/// Whether the bridge can answer a request itself: every tag of every descriptor is that of HTTP
/// APIs, also if there are none at all.
pub fn only_http_apis(
    descriptors: struct_list::Reader<'_, powerbox_descriptor::Owned>,
) -> Result<bool, Error> {
    for descriptor in descriptors {
        for tag in descriptor.get_tags()? {
            if tag.get_id() != API_SESSION {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A capability for an API. It works once the app listens and the user's profile is known.
pub fn open_http_api(bridge: Rc<Bridge>, api: HttpApi) -> bridge_http_session::Client {
    capnp_rpc::new_future_client(async move {
        bridge.wait_for_app().await;
        let user = profile(&bridge, &api.identity_id).await?;
        let permissions = bridge.config.permission_names(api.permissions.iter().copied());
        let fixed = Fixed::powerbox(
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
        let session = Session::new(bridge.port, fixed, None).persistent(api, label);
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
