//! `spk keygen`.

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Make a new app key
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_args: Args, _global: &Global, _ui: &Ui) -> Result<()> {
    Err(CliError::new("spk keygen: not built yet"))
}

/// Makes a key.
pub fn make_key(
    _keyring: Option<&std::path::PathBuf>,
    _global: &Global,
    _ui: &Ui,
) -> Result<String> {
    Err(CliError::new("spk keygen: not built yet"))
}
