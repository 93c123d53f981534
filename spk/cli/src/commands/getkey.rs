//! `spk getkey`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Write keys of the keyring to stdout
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk getkey: not built yet"))
}
