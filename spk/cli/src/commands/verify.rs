//! `spk verify`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Check a package and describe it
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk verify: not built yet"))
}
