//! The keyring as commands read it: whole keys of a damaged one stay usable, and whoever moves here
//! from vagrant-spk is told where the keys are.

use std::path::{Path, PathBuf};

use spk_package::app_id::AppId;
use spk_package::keyring::{Addition, Error, Key, Keyring};

use crate::error::{CliError, Result};
use crate::global;
use crate::ui::Ui;

/// Where vagrant-spk keeps keys, below the home directory.
const VAGRANT: &str = ".sandstorm/sandstorm-keyring";

/// Reads the keyring at `path`, and warns if it is damaged.
pub fn open(path: &Path, ui: &Ui) -> Result<Keyring, Error> {
    let keyring = Keyring::open_lenient(path)?;
    if let Some(damage) = keyring.damage() {
        ui.warn(damage.to_string());
    }
    Ok(keyring)
}

/// The keyring at `path`, to add a key to it.
pub fn addition(path: &Path) -> Result<Addition> {
    Addition::prepare(path).map_err(|error| match error {
        Error::Damaged { .. } => CliError::from(error).hint(
            "its whole keys can be copied with spk getkey ID >copy; name another keyring with -k",
        ),
        Error::Foreign { .. } => CliError::from(error).hint("name another file with -k"),
        other => other.into(),
    })
}

/// The key for `id`.
///
/// # Errors
/// Where it is not found, that the keyring is damaged: it may have been there.
pub fn find(keyring: &Keyring, id: &AppId) -> Result<Option<Key>, Error> {
    match (keyring.find(id)?, keyring.damage()) {
        (None, Some(damage)) => Err(damage),
        (found, _) => Ok(found),
    }
}

/// The keyring of vagrant-spk, where there is one besides that at `used`.
pub fn of_vagrant(used: &Path) -> Option<PathBuf> {
    let path = global::home().ok()?.join(VAGRANT);
    let same = || matches!((path.canonicalize(), used.canonicalize()), (Ok(a), Ok(b)) if a == b);
    (path.metadata().is_ok_and(|found| found.len() > 0) && !same()).then_some(path)
}

/// What to add to a hint for who looks for a key, perhaps that for `id`, in the keyring at `used`.
pub fn elsewhere(id: Option<&AppId>, used: &Path) -> String {
    let Some(path) = of_vagrant(used) else { return String::new() };
    let shown = path.display();
    let keyring = Keyring::open_lenient(&path).ok();
    let has =
        |id| keyring.as_ref().is_some_and(|ring| ring.keys().iter().any(|key| key.app_id() == id));
    match id {
        Some(id) if has(*id) => format!("; vagrant-spk's keyring has it: -k {shown}"),
        _ => format!("; vagrant-spk's keyring is {shown}"),
    }
}
