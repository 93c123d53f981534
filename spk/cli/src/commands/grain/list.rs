//! `spk grain list`.

use serde_json::json;
use spk_host::store::{GrainInfo, Store};

use crate::error::Result;
use crate::ui::{Ui, printable};

/// List the grains: ID, app version, state, title
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let grains = store.grains()?;
    if args.json {
        let all: Vec<_> = grains.iter().map(json).collect();
        ui.line(serde_json::to_string(&all)?);
        return Ok(());
    }
    if grains.is_empty() {
        ui.note("no grains; `spk run FILE` makes one");
    }
    for grain in &grains {
        match &grain.meta {
            Ok(meta) => ui.line(format!(
                "{}  v{:<4} {:<9} {}",
                grain.id,
                meta.app_version,
                state(grain),
                printable(&meta.title).replace('\n', " ")
            )),
            Err(error) => ui.warn(format!("{}: {error}", grain.id)),
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

/// A grain for scripts.
pub fn json(grain: &GrainInfo) -> serde_json::Value {
    let mut value = match &grain.meta {
        Ok(meta) => serde_json::to_value(meta).unwrap_or_default(),
        Err(error) => json!({ "problem": error.to_string() }),
    };
    value["grainId"] = json!(grain.id.as_str());
    value["state"] = json!(state(grain));
    if let Some(Some(holder)) = &grain.busy {
        value["pid"] = json!(holder.pid);
    }
    value
}
