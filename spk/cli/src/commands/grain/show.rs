//! `spk grain show`.

use spk_files::printable;
use spk_grains::backup::automatic;
use spk_grains::store::Store;

use super::list;
use crate::error::Result;
use crate::ui::Ui;

/// Show all that is known about a grain
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let grain = store.grain_info(&store.resolve(&args.id)?)?;
    let size = store.grain_size(&grain.id)?;
    let running = store.control(&grain.id)?.and_then(|mut client| client.info()).ok();
    let backups: Vec<_> =
        automatic::list(store)?.into_iter().filter(|backup| backup.grain == grain.id).collect();
    if args.json {
        let mut value = list::json(&grain);
        value["size"] = serde_json::json!(size);
        value["url"] = serde_json::json!(running.and_then(|info| info.url));
        value["backups"] =
            backups.iter().map(|backup| backup.path.to_string_lossy().into_owned()).collect();
        ui.line(value.to_string())?;
        return Ok(());
    }
    let line = |name: &str, value: &str| ui.line(format!("{name:<11}{}", printable::line(value)));
    line("grain", grain.id.as_str())?;
    line("state", list::state(&grain))?;
    if let Some(url) = running.and_then(|info| info.url) {
        line("url", &url)?;
    }
    let meta = grain.meta?;
    line("title", &meta.title)?;
    line("made", &list::age(meta.created))?;
    line("last used", &list::age(meta.last_used))?;
    line("app", &meta.app_id.to_string())?;
    line("version", &meta.app_version.to_string())?;
    let package = meta.package_id.map_or("none (spk dev)".to_owned(), |id| id.to_string());
    line("package", &package)?;
    line("size", &format!("{size} bytes"))?;
    for user in &meta.users {
        line("user", &format!("{} {}", user.identity_id, user.preferred_handle))?;
    }
    for backup in backups {
        line("backup", &backup.path.to_string_lossy())?;
    }
    Ok(())
}
