//! What an app says about itself: its permissions, roles, and what it can do with the powerbox.

use spk_schema::grain_capnp::ui_view;
use spk_schema::powerbox_capnp::powerbox_descriptor;

/// What the app says about itself: the result of `getViewInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ViewInfo {
    /// Names of the permissions, in order of their bits.
    pub permissions: Vec<String>,
    /// What people call them, in the same order; may be empty.
    pub permission_titles: Vec<String>,
    /// Roles, in order of their IDs.
    pub roles: Vec<RoleDef>,
    /// Powerbox requests that the app can fulfil: the IDs of the tags of each.
    pub match_requests: Vec<Vec<u64>>,
    /// Powerbox offers that it takes, in the same form.
    pub match_offers: Vec<Vec<u64>>,
}

/// One role of the app's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoleDef {
    /// What it is called.
    pub title: String,
    /// What whoever has it can do: "can edit".
    pub verb_phrase: String,
    /// Its permission bits.
    pub permissions: Vec<bool>,
    /// Not for new shares.
    pub obsolete: bool,
    /// For shares that name no role.
    pub default: bool,
}

/// Permissions, roles and powerbox descriptors that are read of each; what an app lists beyond it
/// is as good as not there.
const LISTED: usize = 1000;

/// Characters of a name or title that are read.
const NAME: usize = 1000;

/// `getViewInfo`; an app that does not offer it has no permissions and no roles (grain-runtime
/// §C.4).
pub(super) async fn view_info(view: &ui_view::Client) -> Result<ViewInfo, capnp::Error> {
    let response = match view.get_view_info_request().send().promise.await {
        Ok(response) => response,
        Err(error) if error.kind == capnp::ErrorKind::Disconnected => return Err(error),
        Err(_) => return Ok(ViewInfo::default()),
    };
    // What cannot be read counts as not said.
    Ok(response.get().and_then(read_view_info).unwrap_or_default())
}

fn read_view_info(info: ui_view::view_info::Reader<'_>) -> Result<ViewInfo, capnp::Error> {
    let text = |text: capnp::text::Reader<'_>| -> String {
        String::from_utf8_lossy(text.as_bytes()).chars().take(NAME).collect()
    };
    let tags = |descriptor: powerbox_descriptor::Reader<'_>| -> Result<Vec<u64>, capnp::Error> {
        Ok(descriptor.get_tags()?.iter().take(LISTED).map(|tag| tag.get_id()).collect())
    };
    let mut read = ViewInfo::default();
    for permission in info.get_permissions()?.iter().take(LISTED) {
        read.permissions.push(text(permission.get_name()?));
        read.permission_titles.push(text(permission.get_title()?.get_default_text()?));
    }
    for role in info.get_roles()?.iter().take(LISTED) {
        read.roles.push(RoleDef {
            title: text(role.get_title()?.get_default_text()?),
            verb_phrase: text(role.get_verb_phrase()?.get_default_text()?),
            permissions: role.get_permissions()?.iter().take(LISTED).collect(),
            obsolete: role.get_obsolete(),
            default: role.get_default(),
        });
    }
    for descriptor in info.get_match_requests()?.iter().take(LISTED) {
        read.match_requests.push(tags(descriptor)?);
    }
    for descriptor in info.get_match_offers()?.iter().take(LISTED) {
        read.match_offers.push(tags(descriptor)?);
    }
    Ok(read)
}
