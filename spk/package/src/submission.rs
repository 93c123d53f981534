//! The app index's protocol, without its transport (format, "publish wire protocol").

use blake2::Blake2b;
use blake2::digest::consts::U16;
use capnp::message::{Builder, ReaderOptions};
use ed25519_dalek::Signer;
use sha2::Digest;
use spk_schema::submit_capnp::{SubmissionState, submission_request, submission_status};

use crate::keyring::Key;
use crate::package_id::PackageId;

/// Largest answer read, in bytes: a status with a reviewer's text.
pub const MAX_ANSWER: u64 = 1 << 20;

/// What goes wrong with requests and answers.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not `URL#TOKEN`.
    #[error("'{0}' is no webkey: it must be URL#TOKEN, with http:// or https://")]
    Webkey(String),
    /// The index answered with a text instead of a status.
    #[error("the index answered: {0}")]
    Refused(String),
    /// The status cannot be read.
    #[error("the index's answer cannot be read")]
    Answer(#[source] capnp::Error),
    /// A request could not be encoded.
    #[error("cannot encode the request to the index")]
    Request(#[source] capnp::Error),
}

/// An index and the right to talk to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webkey {
    url: String,
    token: String,
}

impl std::str::FromStr for Webkey {
    type Err = Error;
    fn from_str(text: &str) -> Result<Webkey, Error> {
        let wrong = || Error::Webkey(text.split('#').next().unwrap_or_default().to_owned());
        let (url, token) = text.split_once('#').ok_or_else(wrong)?;
        let web = url.starts_with("http://") || url.starts_with("https://");
        // Neither may break out of the line of a request.
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if !web
            || token.contains('#')
            || !plain(url)
            || !plain(token)
            || url.contains('"')
            || token.contains(['"', '\\'])
        {
            return Err(wrong());
        }
        Ok(Webkey { url: url.trim_end_matches('/').to_owned(), token: token.to_owned() })
    }
}

impl Webkey {
    /// Where to ask for, or set, a package's state.
    pub fn status_url(&self) -> String {
        format!("{}/status", self.url)
    }

    /// Where to upload packages.
    pub fn upload_url(&self) -> String {
        format!("{}/upload", self.url)
    }

    /// The header that grants the right.
    pub fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.token)
    }

    fn hash(&self) -> [u8; 16] {
        Blake2b::<U16>::digest(format!("{}#{}", self.url, self.token)).into()
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Only how things are.
    Status,
    /// Withdraw the package.
    Remove,
    /// Have it reviewed, but not published.
    Embargo,
    /// Have it published.
    Publish,
}

/// The request with its signature, ready to be sent. `sequence` is the time in seconds since 1970.
pub fn request(
    package: &PackageId,
    wish: Wish,
    sequence: u64,
    webkey: &Webkey,
    key: &Key,
) -> Result<Vec<u8>, Error> {
    let mut message = Builder::new_default();
    let mut root = message.init_root::<submission_request::Builder<'_>>();
    let word = |at: usize| {
        package.0[at..at + 8].iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))
    };
    let mut id = root.reborrow().init_package_id();
    id.set_id0(word(0));
    id.set_id1(word(8));
    root.set_app_index_webkey_hash(&webkey.hash());
    let state = match wish {
        Wish::Status => None,
        Wish::Remove => Some(SubmissionState::Ignore),
        Wish::Embargo => Some(SubmissionState::Review),
        Wish::Publish => Some(SubmissionState::Publish),
    };
    match state {
        None => root.set_check_status(()),
        Some(state) => {
            let mut set = root.init_set_state();
            set.set_new_state(state);
            set.set_sequence_number(sequence);
        }
    }
    let mut bytes = Vec::new();
    capnp::serialize_packed::write_message(&mut bytes, &message).map_err(Error::Request)?;
    let signature = key.signing_key().sign(&bytes).to_bytes();
    bytes.extend(signature);
    Ok(bytes)
}

/// What the reviewers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Review {
    /// Nothing yet.
    Pending,
    /// There is a problem.
    NeedsUpdate(String),
    /// It is, or will be, listed at this address.
    Approved(String),
    /// The index does not have the package.
    NotUploaded,
}

/// The index's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What the author asked for last.
    pub wish: Wish,
    /// What the reviewers say.
    pub review: Review,
}

/// Reads an answer to a request.
pub fn status(answer: &[u8]) -> Result<Status, Error> {
    let Some((0, packed)) = answer.split_first() else {
        return Err(Error::Refused(String::from_utf8_lossy(answer).trim().to_owned()));
    };
    let not_in_schema = || capnp::Error::failed("unknown state".to_owned());
    let message = capnp::serialize_packed::read_message(packed, ReaderOptions::new())
        .map_err(Error::Answer)?;
    let root: submission_status::Reader<'_> = message.get_root().map_err(Error::Answer)?;
    let wish = match root.get_request_state() {
        Ok(SubmissionState::Ignore) => Wish::Remove,
        Ok(SubmissionState::Review) => Wish::Embargo,
        Ok(SubmissionState::Publish) => Wish::Publish,
        Err(_) => return Err(Error::Answer(not_in_schema())),
    };
    let text = |text: capnp::Result<capnp::text::Reader<'_>>| {
        text.map(|text| String::from_utf8_lossy(text.as_bytes()).into_owned())
            .map_err(Error::Answer)
    };
    let review = match root.which() {
        Ok(submission_status::Pending(())) => Review::Pending,
        Ok(submission_status::NeedsUpdate(why)) => Review::NeedsUpdate(text(why)?),
        Ok(submission_status::Approved(place)) => Review::Approved(text(place)?),
        Ok(submission_status::NotUploaded(())) => Review::NotUploaded,
        Err(_) => return Err(Error::Answer(not_in_schema())),
    };
    Ok(Status { wish, review })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_captured_request_comes_out_byte_for_byte() {
        let captured = "10095002020501020f5977046b110402110982ffb8ab6ff762e05f94\
                        0353871739d8fc0961b776fcb1a6d564cd70b36faeaa5af7e8";
        let package = "b8ab6ff762e05f9453871739d8fc0961".parse().unwrap();
        let webkey = "http://127.0.0.1:18099#tok".parse().unwrap();
        let key = Key::from_seed([1; 32]);
        let bytes = request(&package, Wish::Publish, 0x6b04_7759, &webkey, &key).unwrap();
        let (message, signature) = bytes.split_at(bytes.len() - 64);
        assert_eq!(spk_files::hex::encode(message), captured);
        let signature = signature.try_into().unwrap();
        key.signing_key().verifying_key().verify_strict(message, &signature).unwrap();
        assert!(bytes.len() < 1024);
    }

    #[test]
    fn webkeys_are_checked_and_slashes_dropped() {
        let webkey: Webkey = "https://index.example/x//#t".parse().unwrap();
        assert_eq!(webkey.status_url(), "https://index.example/x/status");
        for bad in
            ["", "https://a", "ftp://a#b", "https://a#b#c", "https://a#b\nc", "https://a#b\"c"]
        {
            assert!(bad.parse::<Webkey>().is_err(), "{bad}");
        }
        let shown = "ftp://a#secret".parse::<Webkey>().unwrap_err().to_string();
        assert!(!shown.contains("secret"));
    }

    #[test]
    fn answers_without_the_leading_zero_are_errors() {
        assert!(matches!(status(b""), Err(Error::Refused(_))));
        assert!(
            matches!(status(b"no such app\n"), Err(Error::Refused(text)) if text == "no such app")
        );
        assert!(matches!(status(&[0, 1, 2, 3]), Err(Error::Answer(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(bytes: Vec<u8>) {
            let _ = status(&bytes);
        }
    }
}
