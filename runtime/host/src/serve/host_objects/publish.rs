//! The name under which the files in `/var/www` are published (http-bridge §7.15).

use capnp::Error;
use spk_files::random;

use super::Objects;
use crate::serve::hosts::{PARENT, PUBLIC_ID_LENGTH};

/// Where the app's files are.
pub(super) struct Site {
    pub id: String,
    pub host: String,
}

impl Objects {
    /// The grain's site; it gets its ID when it is first asked for.
    pub(super) async fn publish(&self) -> Result<Site, Error> {
        const METHOD: &str = "HackSessionContext.getPublicId";
        let known = self.records.read(|records| records.public_id.clone());
        let id = match known {
            Some(id) => id,
            None => {
                let id = new_id().map_err(|error| self.failed(METHOD, &error))?;
                // Another call may have been faster.
                let kept = self
                    .records
                    .change(|records| records.public_id.get_or_insert(id).clone())
                    .await;
                let id = kept.map_err(|error| self.failed(METHOD, &error.to_string()))?;
                let host = self.site_host(&id);
                self.notes.say(&format!("the app publishes its /var/www at http://{host}/"));
                id
            }
        };
        Ok(Site { host: self.site_host(&id), id })
    }

    fn site_host(&self, id: &str) -> String {
        format!("{id}.{}:{}", PARENT, self.port)
    }
}

fn new_id() -> Result<String, String> {
    const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    random::characters(ALPHABET, PUBLIC_ID_LENGTH)
        .map_err(|error| format!("no random numbers: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ids_are_20_lower_case_letters_and_digits() {
        let id = new_id().unwrap();
        assert_eq!(id.len(), PUBLIC_ID_LENGTH);
        assert!(id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{id}");
        assert_ne!(id, new_id().unwrap());
    }
}
