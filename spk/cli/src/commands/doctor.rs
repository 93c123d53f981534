//! `spk doctor`.

mod kernel;
mod keyring;
mod namespaces;
mod stale;
mod storage;

use serde::Serialize;

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::ui::Ui;

/// Say what this machine lacks, and what to do about it
///
/// One line for every requirement, and below it the remedy where it is not met. Ends with status 3
/// when something is missing that spk run or spk dev cannot do without.
#[derive(clap::Args)]
pub struct Args {
    /// Print a JSON array instead
    #[arg(long)]
    json: bool,
    /// Unmount what nobody serves any more, and remove what was being made by processes that are gone
    #[arg(long, conflicts_with = "json")]
    clean: bool,
    /// Only say what --clean would do
    #[arg(short = 'n', long, requires = "clean")]
    dry_run: bool,
    /// Do it without asking
    #[arg(short = 'y', long, requires = "clean")]
    yes: bool,
    /// Tries what starting a sandbox needs, in this process, and says how far it got
    #[arg(long, hide = true)]
    try_namespaces: bool,
}

/// How a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is met.
    Ok,
    /// Something is weaker than it could be.
    Warning,
    /// `spk run` or `spk dev` will not work.
    Missing,
}

/// One requirement.
#[derive(Debug, Serialize)]
pub struct Check {
    name: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Check {
        Check { name, state: State::Ok, found: found.into(), remedy: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name, state: State::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn missing(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        Check { name, state: State::Missing, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    if args.try_namespaces {
        return namespaces::try_them();
    }
    if args.clean {
        return stale::clean(global, args.dry_run, args.yes, ui);
    }
    let checks = [
        kernel::release(),
        namespaces::user_namespaces(),
        kernel::fuse_device(),
        kernel::seccomp(),
        kernel::landlock(),
        kernel::cgroup(),
        storage::disk(global),
        storage::bridge(),
        keyring::check(global),
        stale::mounts(),
        stale::state(global),
    ];
    if args.json {
        ui.line(serde_json::to_string(&checks)?)?;
    } else {
        for check in &checks {
            let state = match check.state {
                State::Ok => "ok      ",
                State::Warning => "warning ",
                State::Missing => "MISSING ",
            };
            ui.line(format!("{state} {}: {}", check.name, check.found))?;
            if let Some(remedy) = &check.remedy {
                ui.line(format!("          → {remedy}"))?;
            }
        }
    }
    let missing: Vec<&str> = checks
        .iter()
        .filter(|check| check.state == State::Missing)
        .map(|check| check.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(CliError::machine(format!("missing on this machine: {}", missing.join(", "))))
}
