//! `spk listkeys`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use spk_files::printable;
use spk_grains::store::Store;
use spk_package::app_id::AppId;
use spk_package::keyring::Keyring;
use spk_package::manifest::Manifest;

use crate::definition;
use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::keyring;
use crate::ui::Ui;

/// List the app IDs in the keyring
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to read instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Also say which app each key is for, behind a tab, as far as the packages kept on this machine
    /// and the definition here tell
    #[arg(long)]
    apps: bool,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let (path, _) = global.keyring_path(args.keyring.as_ref())?;
    let hint = || format!("make a key with: spk keygen{}", keyring::elsewhere(None, &path));
    let keyring = Keyring::open_lenient(&path).hint(hint())?;
    let titles = if args.apps { titles(global, ui) } else { BTreeMap::new() };
    let keys = keyring.keys().iter().map(|key| (key.app_id(), titles.get(&key.app_id())));
    if args.json {
        let keys: Vec<_> = keys
            .map(|(id, title)| match args.apps {
                true => serde_json::json!({ "appId": id.to_string(), "appTitle": title }),
                false => serde_json::json!({ "appId": id.to_string() }),
            })
            .collect();
        ui.line(serde_json::to_string(&keys)?)?;
    } else {
        for (id, title) in keys {
            match title {
                Some(title) => ui.line(format!("{id}\t{}", printable::line(title)))?,
                None => ui.line(id.to_string())?,
            }
        }
    }
    // What could be read has been listed, as the original does.
    match keyring.damage() {
        Some(error) => Err(error.into()),
        None => Ok(()),
    }
}

/// The titles of the apps that this machine knows. What cannot be read tells nothing.
fn titles(global: &Global, ui: &Ui) -> BTreeMap<AppId, String> {
    let mut titles = BTreeMap::new();
    // Looking makes no store where there is none.
    let state = global.state_dir().ok().filter(|state| state.join("grains").is_dir());
    if let Some(store) = state.and_then(|state| Store::open(&state).ok()) {
        let mut newest: BTreeMap<AppId, u32> = BTreeMap::new();
        for id in store.packages().unwrap_or_default() {
            let Ok(package) = store.package(&id) else { continue };
            let version = package.manifest.app_version;
            if newest.get(&package.app_id).is_none_or(|known| *known <= version) {
                newest.insert(package.app_id, version);
                titles.insert(package.app_id, package.manifest.app_title.clone());
            }
        }
    }
    if let Ok(located) = definition::locate(None, global)
        && let Ok(definition) = definition::load(&located, &global.import_path, ui)
        && let Ok(id) = definition.id.parse()
        && let Ok(manifest) = Manifest::from_bytes(&definition.manifest)
    {
        titles.insert(id, manifest.app_title);
    }
    titles.retain(|_, title| !title.is_empty());
    titles
}
