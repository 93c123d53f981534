//! `spk completions`.

use clap_complete::env::Shells;

use crate::error::{CliError, Result};
use crate::ui::Ui;

/// Print what makes a shell complete spk's command lines
///
/// The shell asks spk itself, which also knows the grains and app keys of this machine.
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

/// Runs the subcommand.
pub fn run(args: Args, ui: &Ui) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| CliError::usage(format!("no completion for {}", args.shell)))?;
    let mut script = Vec::new();
    // By name, so that whatever is first in the PATH then answers.
    shell.write_registration("COMPLETE", "spk", "spk", "spk", &mut script)?;
    ui.data(script)?;
    Ok(())
}
