//! `spk unpack`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Verify a package and extract it
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk unpack: not built yet"))
}
