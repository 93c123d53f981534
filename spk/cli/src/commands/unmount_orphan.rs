//! What `spk dev -m` leaves behind for the case that it is killed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Result;

/// Unmounts DIR when standard input ends, if spk mounted it
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The mount point
    dir: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<()> {
    let mut nothing = Vec::new();
    // The end is what is waited for, however it comes.
    let _ = std::io::stdin().read_to_end(&mut nothing);
    if !is_ours(&args.dir) {
        return Ok(());
    }
    if nix::unistd::geteuid().is_root() {
        nix::mount::umount2(&args.dir, nix::mount::MntFlags::MNT_DETACH)?;
        return Ok(());
    }
    Command::new("fusermount3")
        .args(["-u", "-z", "-q"])
        .arg(&args.dir)
        .stdin(Stdio::null())
        .status()?;
    Ok(())
}

/// Whether what is mounted last at `dir` is one of our file systems (proc_pid_mountinfo(5)).
fn is_ours(dir: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let wanted = escaped(dir);
    let mut at = table.lines().filter(|line| line.split(' ').nth(4) == Some(wanted.as_str()));
    // mount(2) as root makes plain `fuse`, fusermount3 the subtype.
    let name = fuse_tracer::SUBTYPE;
    let kinds = [format!(" - fuse.{name} {name} "), format!(" - fuse {name} ")];
    at.next_back().is_some_and(|line| kinds.iter().any(|kind| line.contains(kind)))
}

/// As the table writes paths.
fn escaped(dir: &Path) -> String {
    let text = dir.to_string_lossy();
    text.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011").replace('\n', "\\012")
}
