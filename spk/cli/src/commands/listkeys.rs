//! `spk listkeys`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// List the app IDs in the keyring
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk listkeys: not built yet"))
}
