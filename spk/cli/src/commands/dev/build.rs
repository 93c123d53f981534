//! `spk dev --build`: `.sandstorm/build.sh` first, as `vagrant-spk dev` does.

use std::fs;
use std::io::stderr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{CliError, Result, ResultExt};
use crate::machine;
use crate::ui::Ui;

/// The script's name in [`machine::DIRECTORY`].
pub const SCRIPT: &str = "build.sh";

/// Runs the script of the project whose definition is `definition`, and waits for it. What it prints
/// goes to stderr: stdout is for what spk itself says.
///
/// # Errors
/// When there is no such script, when its namespace cannot be made, or when it fails.
pub fn run(definition: &Path, ui: &Ui) -> Result<()> {
    let file = std::path::absolute(definition)?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    let Some(project) = dir.parent().filter(|_| dir.ends_with(machine::DIRECTORY)) else {
        return Err(CliError::usage(format!(
            "--build runs {}/{SCRIPT}, and {} is not in a directory of that name",
            machine::DIRECTORY,
            definition.display()
        ))
        .hint("build the app before spk dev"));
    };
    let script = dir.join(SCRIPT);
    let shown = script.display();
    if !script.exists() {
        return Err(CliError::new(format!("there is no {shown}"))
            .hint("without --build nothing is built first"));
    }
    ui.note(format!("running {shown}, with the project at /opt/app"));
    let spk = std::env::current_exe().context("cannot find this program")?;
    let output = stderr().as_fd().try_clone_to_owned()?;
    let status = Command::new(spk)
        .arg("build-project")
        .arg(project)
        .stdout(Stdio::from(output))
        .status()
        .context(format!("cannot run {shown}"))?;
    tidy(&dir.join(machine::OPT));
    if status.success() {
        return Ok(());
    }
    Err(CliError::new(format!("{shown} failed: {status}")))
}

/// Removes the places that were made for what this machine has in `/opt`: they are empty, if the
/// script did not fill them.
fn tidy(kept: &Path) {
    for entry in fs::read_dir("/opt").into_iter().flatten().flatten() {
        let place = kept.join(entry.file_name());
        if entry.file_name() != "app" {
            // Not there, not empty, a file: all the same, it is not ours.
            let _ = fs::remove_dir(place);
        }
    }
}
