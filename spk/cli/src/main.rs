//! `spk`: builds, checks and runs Sandstorm app packages on one Linux machine, without root.
//!
//! One file per subcommand below [`commands`]; what they share is in [`global`] (options known
//! everywhere), [`ui`] (what is printed and how) and [`error`] (what a failure looks like).
#![forbid(unsafe_code)]

mod bridge;
mod commands;
#[allow(dead_code)]
mod definition;
mod developer;
mod error;
mod global;
mod huge_pages;
mod limits;
mod missing;
mod package_tracer;
mod progress;
mod requests;
mod serving;
mod templates;
mod ui;

use clap::Parser;

use crate::global::Global;
use crate::ui::Ui;

/// Build, check and run Sandstorm app packages on this machine, without root
#[derive(Parser)]
#[command(name = "spk", version, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> std::process::ExitCode {
    // Starting a sandbox re-executes this binary as a small single-threaded helper.
    spk_sandbox::run_helper_if_asked();
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.quiet, cli.global.verbose);
    match commands::run(cli.command, &cli.global, &ui) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => error.report(&ui),
    }
}
