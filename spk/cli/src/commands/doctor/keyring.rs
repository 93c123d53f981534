//! The keyring: it is whole, only its owner should read it, and somebody should have a copy.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use spk_package::keyring::{Error, Keyring};

use super::Check;
use crate::global::Global;
use crate::keyring::of_vagrant;

/// Permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;

/// The app keys.
pub fn check(global: &Global) -> Check {
    let name = "keyring";
    let path = match global.keyring_path(None) {
        Ok((path, _)) => path,
        Err(_) => return Check::warning(name, "$HOME is not set", "name it with -k"),
    };
    let shown = path.display();
    let found = match path.metadata() {
        Ok(found) => found,
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Check::warning(name, format!("{shown}: {error}"), "name the right one with -k");
        }
        Err(_) => {
            if let Some(dir) = missing_target(&path) {
                return Check::warning(
                    name,
                    format!("{shown} is a link into {}, which is not there", dir.display()),
                    "mount or make that directory, or name another keyring with -k",
                );
            }
            return Check::ok(name, format!("{shown} is made by the first keygen{}", other(&path)));
        }
    };
    if found.mode() & OTHERS != 0 {
        return Check::warning(
            name,
            format!("{shown} can be read by others"),
            format!("chmod 600 {shown}"),
        );
    }
    match Keyring::open(&path) {
        Ok(keyring) => Check::ok(
            name,
            format!(
                "{shown}, {}; whoever loses it cannot publish updates: keep a copy{}",
                keys(&keyring),
                other(&path)
            ),
        ),
        Err(error @ Error::Damaged { .. }) => Check::warning(
            name,
            error.to_string(),
            "copy its whole keys with spk getkey ID >copy, and put the copy in its place",
        ),
        Err(error) => Check::warning(name, described(&error), "name the right one with -k"),
    }
}

/// The directory that a link leads into, where it is not there: an encrypted disk that is not
/// mounted, say.
fn missing_target(path: &Path) -> Option<PathBuf> {
    let target = path.parent()?.join(path.read_link().ok()?);
    target.parent().filter(|dir| !dir.is_dir()).map(Path::to_owned)
}

fn keys(keyring: &Keyring) -> String {
    match keyring.keys().len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    }
}

/// The error with its cause, in one line.
fn described(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// That there are keys elsewhere.
fn other(used: &Path) -> String {
    match of_vagrant(used) {
        Some(path) => {
            format!("; vagrant-spk's keys are in {0}: use them with -k {0}", path.display())
        }
        None => String::new(),
    }
}
