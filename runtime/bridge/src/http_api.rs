//! What a capability for one of the app's HTTP APIs is restored from (http-bridge §8.3).

use capnp::Error;
use spk_schema::sandstorm_http_bridge_internal_capnp::bridge_object_id;

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
pub(crate) fn fill_permissions(mut list: capnp::primitive_list::Builder<'_, bool>, bits: &[bool]) {
    for (index, bit) in bits.iter().enumerate() {
        // The list was made with this length.
        list.set(index as u32, *bit);
    }
}
