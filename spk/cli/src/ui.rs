//! What is printed and how: stdout is data, stderr is talk. No print here can panic, and text
//! from packages is made printable before it reaches a terminal.

use std::io::{self, IsTerminal, Write};

use spk_files::printable;

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::stdout::{self, Stdout};

/// The terminal as the subcommands see it.
#[derive(Clone, Debug)]
pub struct Ui {
    quiet: bool,
    colour: bool,
    progress: bool,
    stdout: Stdout,
}

impl Ui {
    /// Colour only on a terminal and without `NO_COLOR` (<https://no-color.org>).
    ///
    /// Progress only on a terminal, and not where the output is for a program.
    pub fn new(global: &Global) -> Self {
        let quiet = global.quiet;
        let terminal = io::stderr().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let progress = terminal && !quiet && !global.json;
        Ui { quiet, colour, progress, stdout: Stdout::default() }
    }

    /// Data for the caller, exactly as given. What cannot be written is an error, which the program
    /// tells unless it is that nobody reads any more: see [`Ui::reader_gone`].
    pub fn data(&self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.pipe().write_all(bytes.as_ref()).map_err(stdout::failure)
    }

    /// Stdout for a lot of data.
    pub fn pipe(&self) -> Stdout {
        self.stdout.clone()
    }

    /// Whether writing data has failed because its reader has gone, as in `spk ls … | head`: then
    /// nothing is to be said of it, and nothing has failed.
    pub fn reader_gone(&self) -> bool {
        self.stdout.reader_gone()
    }

    /// One line of data, or several; also JSON, which nothing has made printable before.
    pub fn line(&self, line: impl AsRef<str>) -> Result<()> {
        match io::stdout().is_terminal() {
            true => self.data(format!("{}\n", printable::json(line.as_ref()))),
            false => self.data(format!("{}\n", line.as_ref())),
        }
    }

    /// One line of data that came out of a package: exactly as it is into a file or a pipe, and
    /// printable onto a terminal.
    pub fn bytes_line(&self, line: &[u8]) -> Result<()> {
        if io::stdout().is_terminal() {
            self.line(printable::line(line))
        } else {
            self.data([line, b"\n"].concat())
        }
    }

    /// Something to know while it happens; silent with `--quiet`.
    pub fn note(&self, message: impl AsRef<str>) {
        if !self.quiet {
            say(&printable::text(message.as_ref()));
        }
    }

    /// Something that may be wrong; shown even with `--quiet`.
    pub fn warn(&self, message: impl AsRef<str>) {
        say(&format!("{} {}", self.paint("33", "warning:"), printable::text(message.as_ref())));
    }

    /// What failed.
    pub fn error(&self, message: &str) {
        say(&format!("{} {}", self.paint("31", "error:"), printable::text(message)));
    }

    /// A line below an error: its cause, or a hint.
    pub fn detail(&self, label: &str, message: &str) {
        say(&format!("  {} {}", self.paint("36", &format!("{label}:")), printable::text(message)));
    }

    /// Whether to go on: said before with `--yes`, or asked on the terminal, where just Enter is a
    /// yes. Where nobody can be asked, `--yes` is needed.
    pub fn confirm(&self, yes: bool, question: &str) -> Result<bool> {
        if yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(CliError::usage(format!(
                "{}: nobody can be asked here",
                printable::text(question)
            ))
            .hint("--yes does it without asking, --dry-run only shows it"));
        }
        let _ = write!(io::stderr().lock(), "{} [Y/n] ", printable::text(question));
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "" | "y" | "yes") && !answer.is_empty())
    }

    /// Whether there is somebody to see a progress bar.
    pub fn shows_progress(&self) -> bool {
        self.progress
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn say(message: &str) {
    // Nothing sensible can be done when stderr is gone; above all, not panic.
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// A line of the log, whose end it brings along.
pub fn log(line: &[u8]) {
    say(&printable::line(line.strip_suffix(b"\n").unwrap_or(line)));
}
