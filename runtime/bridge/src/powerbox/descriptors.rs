//! By which descriptors the powerbox knows the app's HTTP APIs.

use capnp::{Error, struct_list};
use spk_schema::package_capnp::bridge_config::powerbox_api;
use spk_schema::powerbox_capnp::powerbox_descriptor;

use crate::session_types::API_SESSION;

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
