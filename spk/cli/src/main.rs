//! `spk`: builds, checks and runs Sandstorm app packages on one Linux machine, without root.
//!
//! One file per subcommand below [`commands`]; what they share is in [`global`] (options known
//! everywhere), [`command_line`] (help, examples, completion), [`ui`] (what is printed and how) and [`error`] (what a failure looks like).
#![forbid(unsafe_code)]

mod allocator;
mod bridge;
mod client;
mod command_line;
mod commands;
mod complete;
mod coverage;
mod crawl;
#[allow(dead_code)]
mod definition;
mod developer;
mod driving;
mod error;
mod examples;
mod global;
mod guarding;
mod keyring;
mod limits;
mod log;
mod machine;
mod missing;
mod mounts;
mod names;
mod out_of_reach;
mod package_input;
mod package_tracer;
mod progress;
mod recognise;
mod relay;
mod replacing;
mod requests;
mod serving;
mod stdout;
mod templates;
mod ui;

use crate::ui::Ui;

fn main() -> std::process::ExitCode {
    // Starting a sandbox re-executes this binary as a small single-threaded helper.
    spk_sandbox::run_helper_if_asked();
    error::panics::end_the_process();
    command_line::complete_if_asked();
    let cli = command_line::parse();
    let ui = Ui::new(&cli.global);
    let run = || commands::run(cli.command, &cli.global, &ui);
    let done = log::start(cli.global.verbose).and_then(|()| error::panics::caught(run));
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) if ui.reader_gone() => std::process::ExitCode::SUCCESS,
        Err(error) => error.report(&ui),
    }
}
