//! The people a local host knows: the development accounts of the original, any other name, and
//! the visitor without a name (http-bridge §7.5, §7.7, §7.8).

use sha2::{Digest, Sha256};
use spk_schema::identity_capnp::{profile::Pronouns, user_info};

/// Who opens a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What was asked for, in lower case; the key of everything derived from it.
    key: String,
    display_name: String,
    handle: String,
    pronouns: Pronouns,
    anonymous: bool,
}

/// The accounts offered by name; `anonymous` is the visitor without an account.
pub const KNOWN: [&str; 6] = ["alice", "bob", "carol", "dave", "eve", "anonymous"];

impl User {
    /// The account called `name`: one of [`KNOWN`], or anybody else with a profile made as the
    /// original's free text field makes it (http-bridge §7.8).
    pub fn named(name: &str) -> User {
        let key = name.trim().to_lowercase();
        let (display_name, pronouns) = match key.as_str() {
            "alice" => ("Alice Dev Admin".to_owned(), Pronouns::Female),
            "bob" => ("Bob Dev User".to_owned(), Pronouns::Male),
            "carol" => ("Carol Dev User".to_owned(), Pronouns::Female),
            "dave" => ("Dave Dev User".to_owned(), Pronouns::Male),
            "eve" => ("Eve".to_owned(), Pronouns::Female),
            "anonymous" | "" => ("Anonymous User".to_owned(), Pronouns::Neutral),
            _ => (name.trim().to_owned(), Pronouns::Neutral),
        };
        let anonymous = key == "anonymous" || key.is_empty();
        let handle = if anonymous { "anonymous".to_owned() } else { handle_of(&key) };
        User { key, display_name, handle, pronouns, anonymous }
    }

    /// The name it was asked for by, in lower case.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A name by which [`User::named`] makes the same user again.
    pub fn name(&self) -> &str {
        if KNOWN.contains(&self.key.as_str()) { &self.key } else { &self.display_name }
    }

    /// The name shown to people.
    pub fn display_name(&self) -> &str {
        &self.display_name
    }

    /// The Unix-like nickname.
    pub fn handle(&self) -> &str {
        &self.handle
    }

    /// How to speak of them.
    pub fn pronouns(&self) -> Pronouns {
        self.pronouns
    }

    /// Whether this visitor has no account: no identity reaches the app.
    pub fn is_anonymous(&self) -> bool {
        self.anonymous
    }

    /// The 32 bytes by which the app of one grain knows this user; derived, so that it survives
    /// restarts, and different in every grain (http-bridge §7.5). `None` for a visitor without
    /// account.
    pub fn identity_id(&self, grain_id: &str) -> Option<[u8; 32]> {
        if self.anonymous {
            return None;
        }
        let mut hash = Sha256::new();
        hash.update(b"spk identity\0");
        hash.update(grain_id.as_bytes());
        hash.update(b"\0");
        hash.update(self.key.as_bytes());
        Some(hash.finalize().into())
    }

    /// Fills everything of a `UserInfo` but the identity capability.
    pub(crate) fn describe(
        &self,
        id: Option<[u8; 32]>,
        permissions: &[bool],
        picture: Option<&str>,
        mut info: user_info::Builder<'_>,
    ) {
        info.reborrow().init_display_name().set_default_text(self.display_name.as_str());
        info.set_preferred_handle(self.handle.as_str());
        info.set_pronouns(self.pronouns);
        if let Some(id) = id {
            info.set_identity_id(&id);
        }
        if let Some(picture) = picture.filter(|_| !self.anonymous) {
            info.set_picture_url(picture);
        }
        let mut list = info.reborrow().init_permissions(permissions.len() as u32);
        for (index, held) in permissions.iter().enumerate() {
            list.set(index as u32, *held);
        }
        info.set_deprecated_permissions_blob(&permission_blob(permissions));
    }
}

/// First word; what is not a letter, digit or underscore becomes one (http-bridge §7.8).
fn handle_of(key: &str) -> String {
    key.split_whitespace()
        .next()
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// The same bits as bytes, least significant bit first (http-bridge §7.5).
fn permission_blob(permissions: &[bool]) -> Vec<u8> {
    permissions
        .chunks(8)
        .map(|bits| {
            bits.iter().enumerate().fold(0, |byte, (bit, held)| byte | (u8::from(*held) << bit))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_development_accounts_have_their_profiles() {
        let alice = User::named("Alice");
        assert_eq!((alice.key(), alice.handle()), ("alice", "alice"));
        assert_eq!(alice.display_name(), "Alice Dev Admin");
        assert!(alice.pronouns() == Pronouns::Female);
        let other = User::named("Zoë  Q");
        assert_eq!((other.display_name(), other.handle()), ("Zoë  Q", "zo_"));
        assert!(other.pronouns() == Pronouns::Neutral);
    }

    #[test]
    fn l10_an_identity_is_stable_in_a_grain_and_differs_between_grains() {
        let alice = User::named("alice");
        assert_eq!(alice.identity_id("g1"), User::named("ALICE").identity_id("g1"));
        assert_ne!(alice.identity_id("g1"), alice.identity_id("g2"));
        assert_ne!(alice.identity_id("g1"), User::named("bob").identity_id("g1"));
        assert_eq!(User::named("anonymous").identity_id("g1"), None);
    }

    #[test]
    fn the_blob_has_the_first_permission_in_the_lowest_bit() {
        assert_eq!(permission_blob(&[true, false, true]), [0b101]);
        let mut nine = [false; 9];
        nine[8] = true;
        assert_eq!(permission_blob(&nine), [0, 1]);
        assert!(permission_blob(&[]).is_empty());
    }
}
