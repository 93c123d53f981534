//! `spk grain`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// List, export, restore and delete grains
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk grain: not built yet"))
}
