//! Who uses a session, in the form that apps get to see (http-bridge §4.6).

use spk_files::hex;
use spk_schema::identity_capnp::{profile::Pronouns, user_info};

/// Bytes of an identity ID as the host gives it.
const IDENTITY_ID: usize = 32;

/// Bytes of it that make up the user ID apps see.
const USER_ID: usize = 16;

/// Who uses the session, in the form apps get to see.
#[derive(Clone, Default, Debug)]
pub struct User {
    /// Display name, not encoded.
    pub name: Vec<u8>,
    /// 32 lower-case hex digits; `None` for guests.
    pub id: Option<String>,
    /// Nickname, may be empty.
    pub handle: Vec<u8>,
    /// Address of a picture, may be empty.
    pub picture: Vec<u8>,
    /// The word for the pronouns; `None` for the neutral ones.
    pub pronouns: Option<&'static str>,
}

impl User {
    /// Takes the user out of what the host gave. Fails if the identity ID is not 32 bytes long.
    pub fn from_info(info: user_info::Reader<'_>) -> Result<User, capnp::Error> {
        Ok(User {
            name: info.get_display_name()?.get_default_text()?.as_bytes().to_vec(),
            id: match info.has_identity_id() {
                true => Some(user_id(info.get_identity_id()?)?),
                false => None,
            },
            handle: info.get_preferred_handle()?.as_bytes().to_vec(),
            picture: info.get_picture_url()?.as_bytes().to_vec(),
            pronouns: pronouns(info.get_pronouns()),
        })
    }
}

/// The word for `pronouns`, if the app is told.
pub fn pronouns(pronouns: Result<Pronouns, capnp::NotInSchema>) -> Option<&'static str> {
    match pronouns {
        Ok(Pronouns::Male) => Some("male"),
        Ok(Pronouns::Female) => Some("female"),
        Ok(Pronouns::Robot) => Some("robot"),
        Ok(Pronouns::Neutral) | Err(capnp::NotInSchema(_)) => None,
    }
}

/// The user ID apps see for an identity ID: the first half, in hex.
pub fn user_id(identity: &[u8]) -> Result<String, capnp::Error> {
    if identity.len() != IDENTITY_ID {
        return Err(capnp::Error::failed(format!(
            "identity ID is {} bytes long instead of {IDENTITY_ID}",
            identity.len()
        )));
    }
    Ok(hex::encode(&identity[..USER_ID]))
}
