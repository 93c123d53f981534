//! `spk run`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Run a package in the sandbox and serve it
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk run: not built yet"))
}
