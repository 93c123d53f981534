//! The author's PGP signature, checked with `gpg` (format, "author PGP signature").

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::app_id::AppId;
use crate::info::AuthorSignature;
use crate::limits::MAX_GPG_OUTPUT;

/// Why a signature does not show who the author is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `gpg` could not be run.
    #[error("cannot run gpg to check the author's PGP signature (it is in Debian's package gpg)")]
    Run(#[source] io::Error),
    /// Temporary files could not be written.
    #[error("cannot write the author's PGP signature to a temporary file")]
    Temporary(#[source] io::Error),
    /// `gpg` refuses the signature.
    #[error("the author's PGP signature is not valid; gpg says: {0}")]
    Refused(String),
    /// It signs something else.
    #[error(
        "the author's PGP signature signs another text: expected '{expected}', found '{actual}'"
    )]
    Text {
        /// What should have been signed.
        expected: String,
        /// What was.
        actual: String,
    },
    /// `gpg` read it, but it is no signature.
    #[error("the author's PGP signature has a text, but nobody signed it")]
    Unsigned,
}

/// The text an author signs.
pub fn statement(app_id: &AppId) -> String {
    format!("I am the author of the Sandstorm.io app with the following ID: {app_id}")
}

/// Checks that `author` signed the statement for `app_id`; gives the primary key's fingerprint.
pub fn check(app_id: &AppId, author: &AuthorSignature) -> Result<String, Error> {
    let home = tempfile::Builder::new()
        .prefix("spk-gpg-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(Error::Temporary)?;
    let file = |name: &str| home.path().join(name);
    std::fs::write(file("keyring"), &author.keyring).map_err(Error::Temporary)?;
    std::fs::write(file("signature"), &author.signature).map_err(Error::Temporary)?;
    let mut child = Command::new("gpg")
        .args(["--batch", "--no-tty", "--quiet", "--no-options", "--no-autostart"])
        .args(["--no-auto-key-retrieve", "--no-default-keyring", "--trust-model", "always"])
        .arg("--homedir")
        .arg(home.path())
        .arg("--status-file")
        .arg(file("status"))
        .arg("--keyring")
        .arg(file("keyring"))
        .arg("--decrypt")
        .arg(file("signature"))
        .env("LC_ALL", "C")
        .env_remove("GNUPGHOME")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::Run)?;
    let talk = child.stderr.take();
    let talk = std::thread::spawn(move || limited(talk));
    let text = limited(child.stdout.take());
    // Whoever wrote more than the statement has lost: nothing reads the rest, and gpg ends.
    if text.len() as u64 >= MAX_GPG_OUTPUT {
        let _ = child.kill();
    }
    let status = child.wait().map_err(Error::Run)?;
    let talk = talk.join().unwrap_or_default();
    let clean = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let actual = clean(&text);
    let expected = statement(app_id);
    if !status.success() {
        return Err(Error::Refused(clean(&talk)));
    }
    if actual != expected {
        let actual = actual.chars().take(400).collect();
        return Err(Error::Text { expected, actual });
    }
    let status = std::fs::read(file("status")).map_err(Error::Temporary)?;
    fingerprint(&String::from_utf8_lossy(&status)).ok_or(Error::Unsigned)
}

/// The primary key's fingerprint from `gpg`'s status lines.
fn fingerprint(status: &str) -> Option<String> {
    status.lines().find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        (words.starts_with(&["[GNUPG:]", "VALIDSIG"]))
            .then(|| words.get(11).or(words.get(2)).map(|word| (*word).to_owned()))?
    })
}

fn limited(input: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(input) = input {
        // A reading error leaves what came before it; gpg's status then decides.
        let _ = input.take(MAX_GPG_OUTPUT).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_valid_signature_counts() {
        let long = "[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG AA 2026-01-01 1 0 4 0 22 8 00 BB\n\
                    [GNUPG:] VALIDSIG CC 2026-01-01 1 0 4 0 22 8 00 DD\n";
        assert_eq!(fingerprint(long).as_deref(), Some("BB"));
        assert_eq!(fingerprint("[GNUPG:] VALIDSIG AA x").as_deref(), Some("AA"));
        assert_eq!(fingerprint("[GNUPG:] GOODSIG AA"), None);
    }
}
