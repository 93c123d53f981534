//! What `spk dev -m` leaves behind for the case that it is killed.

use std::io::Read;
use std::path::PathBuf;

use crate::error::Result;
use crate::mounts;

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
    if mounts::ours().contains(&args.dir) {
        mounts::unmount(&args.dir)?;
    }
    Ok(())
}
