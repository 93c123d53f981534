//! The one error type at the rim: what failed, why, what to do about it, and of which kind it is,
//! which decides the exit status.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use spk_package::causes;

use crate::ui::Ui;

mod kind;
pub mod panics;

pub use kind::Kind;

/// A failure as the user sees it. Any library error turns into one with `?`.
#[derive(Debug)]
pub struct CliError {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    kind: Kind,
}

/// Result of a subcommand.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// An ordinary failure.
    pub fn new(message: impl Into<String>) -> Self {
        CliError { message: message.into(), causes: Vec::new(), hint: None, kind: Kind::Failed }
    }

    /// Arguments that make no sense together.
    pub fn usage(message: impl Into<String>) -> Self {
        CliError { kind: Kind::Usage, ..Self::new(message) }
    }

    /// This machine lacks something.
    pub fn machine(message: impl Into<String>) -> Self {
        CliError { kind: Kind::Machine, ..Self::new(message) }
    }

    /// A command of the user's ended with this status, which becomes ours.
    pub fn command(message: impl Into<String>, status: u8) -> Self {
        CliError { kind: Kind::Command(status), ..Self::new(message) }
    }

    /// Another program could not be started: `package` is Debian's that has it.
    pub fn program(name: &str, package: &str, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::Machine,
            _ => Kind::Failed,
        };
        CliError { kind, ..Self::from(error) }
            .context(format!("cannot run {name}"))
            .hint(format!("Debian: apt install {package}"))
    }

    /// Of which kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Adds what the user can do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts `message` before what went wrong, which becomes its cause.
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The message and its causes in one line, for reports.
    pub fn lines(&self) -> String {
        std::iter::once(&self.message).chain(&self.causes).cloned().collect::<Vec<_>>().join(": ")
    }

    /// Prints it on stderr.
    pub fn say(&self, ui: &Ui) {
        ui.error(&self.message);
        for cause in &self.causes {
            ui.detail("caused by", cause);
        }
        if let Some(hint) = &self.hint {
            ui.detail("hint", hint);
        }
    }

    /// Prints it on stderr and gives the exit status.
    pub fn report(&self, ui: &Ui) -> ExitCode {
        self.say(ui);
        ExitCode::from(self.kind.status())
    }
}

impl<E: Error + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        CliError {
            message: error.to_string(),
            causes: causes::of(&error).map(ToString::to_string).collect(),
            hint: None,
            kind: Kind::of(&error),
        }
    }
}

/// Adds context or a remedy to any result on its way to the rim.
pub trait ResultExt<T> {
    /// See [`CliError::context`].
    fn context(self, message: impl Into<String>) -> Result<T>;
    /// See [`CliError::hint`].
    fn hint(self, hint: impl Into<String>) -> Result<T>;
}

impl<T, E: Into<CliError>> ResultExt<T> for std::result::Result<T, E> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(message))
    }
    fn hint(self, hint: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().hint(hint))
    }
}
