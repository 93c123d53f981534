//! `spk grain size`.

use serde_json::json;
use spk_grains::store::Store;

use crate::error::Result;
use crate::ui::Ui;

/// Print how many bytes grains take on the disk
#[derive(clap::Args)]
pub struct Args {
    /// Grains: IDs, or unique beginnings of them [default: all]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Print JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let ids = match args.ids.is_empty() {
        true => store.grains()?.into_iter().map(|grain| grain.id).collect(),
        false => args.ids.iter().map(|id| store.resolve(id)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut all = Vec::new();
    for id in ids {
        let size = store.grain_size(&id)?;
        match args.json {
            true => all.push(json!({ "grainId": id.as_str(), "size": size })),
            false => ui.line(format!("{id} {size:>15}"))?,
        }
    }
    if args.json {
        ui.line(serde_json::to_string(&all)?)?;
    }
    Ok(())
}
