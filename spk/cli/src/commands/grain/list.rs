//! `spk grain list`.

use serde_json::json;
use spk_files::printable;
use spk_grains::store::{GrainInfo, Store};
use spk_package::causes::in_one_line;

use crate::error::Result;
use crate::ui::Ui;

/// List the grains: ID, app version, state, when it was last used, title
#[derive(clap::Args)]
pub struct Args {
    /// Show sizes on the disk and app IDs too
    #[arg(short, long)]
    long: bool,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let grains = store.grains()?;
    if args.json {
        let mut all = Vec::new();
        for grain in &grains {
            let mut value = json(grain);
            if args.long {
                value["size"] = json!(store.grain_size(&grain.id)?);
            }
            all.push(value);
        }
        ui.line(serde_json::to_string(&all)?)?;
        return Ok(());
    }
    if grains.is_empty() {
        ui.note("no grains; `spk run FILE` makes one");
    }
    for grain in &grains {
        match &grain.meta {
            Ok(meta) => {
                let mut line = format!(
                    "{}  v{:<4} {:<9} {:>9}  ",
                    grain.id,
                    meta.app_version,
                    state(grain),
                    age(meta.last_used)
                );
                if args.long {
                    let size = store.grain_size(&grain.id)?;
                    line.push_str(&format!("{size:>13} {}  ", meta.app_id));
                }
                ui.line(line + &printable::line(&meta.title))?;
            }
            Err(error) => ui.warn(format!("{}: {}", grain.id, in_one_line(error))),
        }
    }
    Ok(())
}

/// What is going on with a grain: "stopped", or what the process that holds it does.
pub fn state(grain: &GrainInfo) -> &str {
    match &grain.busy {
        None => "stopped",
        Some(Some(holder)) if holder.what == "run" => "running",
        Some(Some(holder)) => &holder.what,
        Some(None) => "busy",
    }
}

/// How long ago a Unix time was, in the largest unit that fits.
pub fn age(time: u64) -> String {
    // Clocks may have been set back; then it is now.
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ago = now.map_or(0, |now| now.as_secs()).saturating_sub(time);
    match UNITS.iter().find(|(seconds, _)| ago >= *seconds) {
        Some((seconds, unit)) => format!("{} {unit} ago", ago / seconds),
        None => "now".to_owned(),
    }
}

/// A grain for scripts.
pub fn json(grain: &GrainInfo) -> serde_json::Value {
    let mut value = match &grain.meta {
        Ok(meta) => serde_json::to_value(meta).unwrap_or_default(),
        Err(error) => json!({ "problem": in_one_line(error) }),
    };
    value["grainId"] = json!(grain.id.as_str());
    value["state"] = json!(state(grain));
    if let Some(Some(holder)) = &grain.busy {
        value["pid"] = json!(holder.pid);
    }
    value
}
