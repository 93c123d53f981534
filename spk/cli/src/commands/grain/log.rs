//! `spk grain log`.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use spk_grains::store::Store;

use crate::error::{Result, ResultExt};
use crate::ui::Ui;

/// Bytes shown at first: the app owns its log, and could have made it of any size.
const MOST: u64 = 1 << 20;

/// How often `-f` looks for more.
const LOOK: Duration = Duration::from_millis(200);

/// Print what a grain's app has printed
///
/// On a terminal control characters are shown as what they are, and do not act.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    follow: bool,
    /// Print JSON: one object for each line
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let id = store.resolve(&args.id)?;
    let failed = || format!("cannot read the log of grain {id}");
    let mut out = Out { json: args.json, terminal: io::stdout().is_terminal(), line: Vec::new() };
    let mut position = None;
    for mut part in store.logs(&id)? {
        let length = part.metadata().context(failed())?.len();
        let start = length.saturating_sub(MOST);
        let end = copy(&mut part, start, length, &mut out, ui, failed)?;
        position = Some((part.metadata().context(failed())?.ino(), end));
    }
    if !args.follow {
        return out.finish(ui);
    }
    loop {
        std::thread::sleep(LOOK);
        let mut parts = store.logs(&id)?;
        let Some(mut log) = parts.pop() else { continue };
        let stat = log.metadata().context(failed())?;
        if let (Some((inode, end)), Some(old)) = (position, parts.last_mut()) {
            let before = old.metadata().context(failed())?;
            if before.ino() == inode && stat.ino() != inode {
                // What was still written before the log was put aside.
                copy(old, end, before.len(), &mut out, ui, failed)?;
            }
        }
        let start = match position {
            // Cut or replaced meanwhile: from its beginning (grain-runtime §A.14).
            Some((inode, end)) if inode == stat.ino() && end <= stat.len() => end,
            _ => 0,
        };
        let end = copy(&mut log, start, stat.len(), &mut out, ui, failed)?;
        position = Some((stat.ino(), end));
    }
}

/// Prints a log from `start` to `end`, or what there is of it; where that ended.
fn copy(
    log: &mut File,
    start: u64,
    end: u64,
    out: &mut Out,
    ui: &Ui,
    failed: impl Fn() -> String,
) -> Result<u64> {
    log.seek(SeekFrom::Start(start)).context(failed())?;
    let mut rest = log.take(end.saturating_sub(start));
    let mut buffer = vec![0; 64 << 10];
    let mut at = start;
    loop {
        match rest.read(&mut buffer).context(failed())? {
            0 => return Ok(at),
            count => {
                at += count as u64;
                out.print(&buffer[..count], ui)?;
            }
        }
    }
}

/// How pieces of a log are printed: exactly, safe for a terminal, or as JSON lines.
struct Out {
    json: bool,
    terminal: bool,
    /// The line that is not complete yet.
    line: Vec<u8>,
}

/// A line ends here even if the log's goes on: longer than lines of a log are, so that none begins
/// where it did not.
const LONGEST_LINE: usize = 128 << 10;

impl Out {
    fn print(&mut self, bytes: &[u8], ui: &Ui) -> Result<()> {
        if !self.json && !self.terminal {
            return ui.data(bytes);
        }
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(ui)?,
                _ => self.line.push(byte),
            }
            if self.line.len() >= LONGEST_LINE {
                self.end_line(ui)?;
            }
        }
        Ok(())
    }

    fn end_line(&mut self, ui: &Ui) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        match self.json {
            true => {
                let text = String::from_utf8_lossy(&line);
                ui.line(serde_json::json!({ "line": text }).to_string())
            }
            false => ui.line(spk_files::printable::text(&line)),
        }
    }

    fn finish(&mut self, ui: &Ui) -> Result<()> {
        match self.line.is_empty() {
            true => Ok(()),
            false => self.end_line(ui),
        }
    }
}
