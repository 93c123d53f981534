//! `spk init`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Start a package in this directory
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk init: not built yet"))
}
