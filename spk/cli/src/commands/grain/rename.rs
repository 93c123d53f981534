//! `spk grain rename`.

use spk_grains::store::Store;

use crate::error::Result;
use crate::ui::Ui;

/// Give a grain another title
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// The new title
    #[arg(value_name = "TITLE")]
    title: String,
    /// Print JSON: the grain as it is now
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let id = store.resolve(&args.id)?;
    store.rename_grain(&id, &args.title)?;
    if args.json {
        ui.line(super::list::json(&store.grain_info(&id)?).to_string())?;
    }
    Ok(())
}
