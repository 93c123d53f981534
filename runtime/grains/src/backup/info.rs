//! `GrainInfo`, the member `metadata` of a backup (grain-runtime §C.7 and §E.2).

use capnp::message::{Builder, ReaderOptions};
use capnp::serialize;
use spk_package::app_id::AppId;
use spk_schema::grain_capnp::grain_info;
use spk_schema::identity_capnp::profile::Pronouns;

use super::error::Error;
use crate::store::{GrainMeta, User};

/// Largest metadata read (grain-runtime §E.7).
pub const METADATA_LIMIT: u64 = 1 << 20;

/// Users read from one backup: far more than share a grain; they are kept in its metadata.
const USER_LIMIT: u32 = 10_000;

/// What a backup says about its grain. All text is untrusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The app that can open the data.
    pub app_id: AppId,
    /// Its version when the backup was made.
    pub app_version: u32,
    /// The grain's title.
    pub title: String,
    /// The owner's identity in the grain, in hex.
    pub owner_identity_id: Option<String>,
    /// Everybody known in the grain.
    pub users: Vec<User>,
    /// The grain it was made from.
    pub original_grain_id: Option<String>,
}

/// The message for a grain.
pub fn write(meta: &GrainMeta) -> Vec<u8> {
    let mut message = Builder::new_default();
    let mut info = message.init_root::<grain_info::Builder<'_>>();
    info.set_app_id(meta.app_id.to_string());
    info.set_app_version(meta.app_version);
    info.set_title(&meta.title);
    if let Some(owner) = &meta.owner_identity_id {
        info.set_owner_identity_id(owner);
    }
    let count = meta.users.len().min(USER_LIMIT as usize);
    let mut users = info.reborrow().init_users(count as u32);
    for (index, user) in meta.users.iter().take(count).enumerate() {
        let mut out = users.reborrow().get(index as u32);
        out.set_identity_id(&user.identity_id);
        let mut ids = out.reborrow().init_credential_ids(user.credential_ids.len() as u32);
        for (index, id) in user.credential_ids.iter().enumerate() {
            ids.set(index as u32, id);
        }
        let mut profile = out.init_profile();
        profile.reborrow().init_display_name().set_default_text(&user.display_name);
        profile.set_preferred_handle(&user.preferred_handle);
        profile.set_pronouns(Pronouns::try_from(user.pronouns).unwrap_or(Pronouns::Neutral));
    }
    // One segment, like everything the original writes.
    serialize::write_message_to_words(&message)
}

/// Reads the message of a backup.
///
/// # Errors
/// [`Error::BadMetadata`].
pub fn read(bytes: &[u8]) -> Result<Info, Error> {
    let options = ReaderOptions {
        traversal_limit_in_words: Some(8 * METADATA_LIMIT as usize / 8),
        nesting_limit: 16,
    };
    let bad = |error: capnp::Error| Error::BadMetadata(error.to_string());
    let message = serialize::read_message(&mut &bytes[..], options).map_err(bad)?;
    let info = message.get_root::<grain_info::Reader<'_>>().map_err(bad)?;
    let app_id = text(info.get_app_id().map_err(bad)?);
    if app_id.is_empty() {
        return Err(Error::BadMetadata("it names no app".into()));
    }
    let app_id = app_id.parse().map_err(|error| Error::BadMetadata(format!("{error}")))?;
    let optional = |has: bool, value: capnp::Result<capnp::text::Reader<'_>>| -> Result<_, Error> {
        Ok(has.then(|| value.map(text)).transpose().map_err(bad)?.filter(|text| !text.is_empty()))
    };
    let list = info.get_users().map_err(bad)?;
    if list.len() > USER_LIMIT {
        return Err(Error::BadMetadata(format!("it lists more than {USER_LIMIT} users")));
    }
    let mut users = Vec::new();
    for user in list {
        let profile = user.get_profile().map_err(bad)?;
        let ids = user.get_credential_ids().map_err(bad)?;
        users.push(User {
            identity_id: text(user.get_identity_id().map_err(bad)?),
            credential_ids: ids
                .iter()
                .map(|id| id.map(text).map_err(bad))
                .collect::<Result<_, _>>()?,
            display_name: text(
                profile.get_display_name().map_err(bad)?.get_default_text().map_err(bad)?,
            ),
            preferred_handle: text(profile.get_preferred_handle().map_err(bad)?),
            pronouns: profile.get_pronouns().unwrap_or(Pronouns::Neutral) as u16,
        });
    }
    Ok(Info {
        app_id,
        app_version: info.get_app_version(),
        title: text(info.get_title().map_err(bad)?),
        owner_identity_id: optional(info.has_owner_identity_id(), info.get_owner_identity_id())?,
        users,
        original_grain_id: optional(info.has_original_grain_id(), info.get_original_grain_id())?,
    })
}

fn text(text: capnp::text::Reader<'_>) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}
