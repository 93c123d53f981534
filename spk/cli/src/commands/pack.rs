//! `spk pack`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Make and sign a package
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk pack: not built yet"))
}
