//! Who a local test user is within a grain: an ID that stays the same for the life of the grain's
//! data, also through backup and restore (grain-runtime §E.2).

use sha2::{Digest, Sha256};
use spk_files::hex;

use super::id::GrainId;
use super::meta::{GrainMeta, User};

/// Credentials of local test users begin with this. Credentials from elsewhere in a restored
/// backup are claims we cannot check (grain-runtime §H.1 item 40) and never match a local user.
const CREDENTIAL: &str = "spk-local:";

/// The identity of `user` in this grain; whether `meta` changed and must be written.
pub(crate) fn identity(meta: &mut GrainMeta, id: &GrainId, user: &str) -> ([u8; 32], bool) {
    let credential = format!("{CREDENTIAL}{user}");
    if let Some(known) = meta.users.iter().find(|u| u.credential_ids.contains(&credential)) {
        return (bytes(&known.identity_id), false);
    }
    let inherits = meta.owner.is_none();
    let identity_id = match &meta.owner_identity_id {
        Some(owner) if inherits => owner.clone(),
        _ => hex::encode(derive(id, user)),
    };
    if inherits {
        meta.owner = Some(user.to_owned());
        meta.owner_identity_id = Some(identity_id.clone());
    }
    // A restored backup lists its owner; the local user takes that place instead of another one.
    match meta.users.iter_mut().find(|u| inherits && u.identity_id == identity_id) {
        Some(known) => known.credential_ids.push(credential),
        None => meta.users.push(User {
            identity_id: identity_id.clone(),
            credential_ids: vec![credential],
            display_name: user.to_owned(),
            preferred_handle: user.to_owned(),
            pronouns: 0,
        }),
    }
    (bytes(&identity_id), true)
}

fn derive(id: &GrainId, user: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"spk identity\0");
    hash.update(id.as_str());
    hash.update(b"\0");
    hash.update(user);
    hash.finalize().into()
}

/// 32 bytes from the text of an identity ID: hex, padded with zeros when it is shorter (apps see
/// the first 16 bytes), hashed when it is something else.
fn bytes(text: &str) -> [u8; 32] {
    let mut id = [0; 32];
    match hex::decode(text) {
        Some(decoded) if (1..=32).contains(&decoded.len()) => {
            id[..decoded.len()].copy_from_slice(&decoded);
            id
        }
        _ => Sha256::digest(text).into(),
    }
}
