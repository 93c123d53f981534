//! `spk dev`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Run the app live on the traced file system
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk dev: not built yet"))
}
