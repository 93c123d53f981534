//! `spk grain log`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};

use spk_host::store::Store;

use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// Bytes shown at first: the app owns its log, and could have made it of any size.
const MOST: u64 = 1 << 20;

/// Print what a grain's app has printed
///
/// On a terminal control characters are left out.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let id = store.resolve(&args.id)?;
    let terminal = io::stdout().is_terminal();
    for part in store.logs(&id)? {
        show(part, terminal, ui).context(format!("cannot read the log of grain {id}"))?;
    }
    Ok(())
}

/// Prints the end of one part of the log.
fn show(mut part: File, terminal: bool, ui: &Ui) -> Result<()> {
    let length = part.metadata().map_err(CliError::from)?.len();
    part.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
    let mut bytes = Vec::new();
    part.take(MOST).read_to_end(&mut bytes)?;
    print(&bytes, terminal, ui);
    Ok(())
}

/// Prints a piece of a log: exactly as it is, or safe for a terminal.
fn print(bytes: &[u8], terminal: bool, ui: &Ui) {
    if terminal {
        ui.data(crate::ui::printable(&String::from_utf8_lossy(bytes)));
    } else {
        ui.data(bytes);
    }
}
