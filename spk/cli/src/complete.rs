//! Candidates for shell completion that only this machine knows. Nothing here fails or makes
//! anything: whoever presses Tab wants candidates, or none.

use std::ffi::OsString;
use std::path::PathBuf;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use spk_grains::store::Store;
use spk_package::keyring::Keyring;

use crate::global::Global;
use crate::templates;

/// IDs of grains, with their titles.
pub fn grains() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Ok(state) = global().state_dir() else { return Vec::new() };
        if !state.join("grains").is_dir() {
            return Vec::new();
        }
        let grains = Store::open(&state).and_then(|store| store.grains()).unwrap_or_default();
        grains
            .into_iter()
            .map(|grain| {
                let title = grain.meta.map(|meta| spk_files::printable::line(&meta.title)).ok();
                CompletionCandidate::new(grain.id.as_str()).help(title.map(Into::into))
            })
            .collect()
    })
}

/// IDs of the apps whose keys are in the keyring.
pub fn apps() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let Ok((keyring, _)) = global().keyring_path(None) else { return Vec::new() };
        let Ok(keyring) = Keyring::open_lenient(&keyring) else { return Vec::new() };
        keyring
            .keys()
            .iter()
            .map(|key| CompletionCandidate::new(key.app_id().to_string()))
            .collect()
    })
}

/// Names of templates.
pub fn templates() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        templates::ALL
            .iter()
            .map(|template| {
                CompletionCandidate::new(template.name).help(Some(template.what.into()))
            })
            .collect()
    })
}

/// What the words so far and the environment say about where state and keys are.
fn global() -> Global {
    let words: Vec<OsString> = std::env::args_os().collect();
    let value = |names: &[&str], variable: &str| -> Option<PathBuf> {
        let at = words.iter().rposition(|word| names.iter().any(|name| word == name));
        at.and_then(|at| words.get(at + 1))
            .cloned()
            .or_else(|| std::env::var_os(variable))
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    Global {
        state: value(&["--state"], "SPK_STATE"),
        keyring: value(&["-k", "--keyring"], "SPK_KEYRING"),
        ..Global::default()
    }
}
