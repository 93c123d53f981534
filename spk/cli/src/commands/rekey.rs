//! `spk rekey`.

use std::path::PathBuf;

use serde_json::json;
use spk_package::keyring::Key;
use spk_package::pkgdef::Rekey;

use crate::definition::{self, locate};
use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::keyring;
use crate::ui::Ui;

/// Give the app a new key, and print its new app ID
///
/// A new key is added to the keyring, and its app ID is written into the package definition in
/// place of the old one; nothing else in that file changes. Packages made from then on are another
/// app: grains of the old one are not updated by them. The old key stays in the keyring.
#[derive(clap::Args)]
pub struct Args {
    /// Keyring to add the key to instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Package definition, as FILE:CONSTANT
    #[arg(short = 'p', long, value_name = "FILE:NAME")]
    pkg_def: Option<String>,
    /// Further directory to search for imported schema files (may be repeated)
    #[arg(short = 'I', long, value_name = "DIR")]
    import_path: Vec<PathBuf>,
    /// Only say what would be changed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do it without asking
    #[arg(short = 'y', long)]
    yes: bool,
    /// Print JSON: an object with the new and the old app ID
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let located = locate(args.pkg_def.as_deref(), global)?;
    let (file, shown) = (&located.file, located.file.display());
    let rekey = Rekey::prepare(file, &located.constant)?;
    // A definition that is wrong elsewhere is better mended first.
    let import_path = [&global.import_path[..], &args.import_path[..]].concat();
    definition::load(&located, &import_path, ui)?;

    let (keyring, _) = global.keyring_path(args.keyring.as_ref())?;
    let old = rekey.old_id.as_deref().filter(|id| !id.is_empty()).unwrap_or("no app ID");
    let mut value = json!({
        "oldAppId": rekey.old_id.as_deref().filter(|id| !id.is_empty()),
        "definition": file, "keyring": keyring,
    });
    if args.dry_run && args.json {
        value["dryRun"] = json!(true);
        return ui.line(value.to_string());
    }
    if args.dry_run {
        ui.line(format!(
            "would replace {old} in {shown} by the ID of a new key in {}",
            keyring.display()
        ))?;
        return Ok(());
    }
    if !ui.confirm(args.yes, &format!("make {shown} another app, with a new key?"))? {
        return Ok(());
    }
    let key = Key::generate()?;
    let id = key.app_id().to_string();
    let staged = rekey.stage(&id).context(format!("cannot write {shown}"))?;
    let ring = keyring::addition(&keyring)?;
    // The key first: a definition whose key is nowhere could not be packed.
    ring.append(&key)?;
    staged
        .commit()
        .context(format!("cannot write {shown}; the new key {id} is in {}", keyring.display()))?;
    ui.note(format!(
        "replaced {old} in {shown}; the key is in {}\nkeep a copy of that file: without it nobody \
         can release new versions of the app, and whoever has it can",
        keyring.display()
    ));
    let hint = format!("the new app ID is {id}");
    value["appId"] = json!(id);
    ui.line(if args.json { value.to_string() } else { id }).hint(hint)
}
