//! `spk grain delete`.

use spk_host::store::Store;

use crate::error::Result;
use crate::ui::Ui;

/// Delete grains and all their data
#[derive(clap::Args)]
pub struct Args {
    /// Grains to delete: IDs, or unique beginnings of them
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    for id in &args.ids {
        let grain = store.open_grain_for(&store.resolve(id)?, "delete")?;
        let id = grain.id().clone();
        store.delete(grain)?;
        ui.note(format!("deleted grain {id}"));
    }
    Ok(())
}
