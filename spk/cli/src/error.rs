//! The one error type at the rim: what failed, why, what to do about it, and the exit status.

use std::error::Error;
use std::process::ExitCode;

use crate::ui::Ui;

/// A failure as the user sees it. Any library error turns into one with `?`.
#[derive(Debug)]
pub struct CliError {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    status: u8,
}

/// Result of a subcommand.
pub type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// An ordinary failure, exit status 1.
    pub fn new(message: impl Into<String>) -> Self {
        CliError { message: message.into(), causes: Vec::new(), hint: None, status: 1 }
    }

    /// Arguments that make no sense together, exit status 2 (as for arguments that do not parse).
    pub fn usage(message: impl Into<String>) -> Self {
        CliError { status: 2, ..Self::new(message) }
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

    /// Prints it on stderr and gives the exit status.
    pub fn report(&self, ui: &Ui) -> ExitCode {
        ui.error(&self.message);
        for cause in &self.causes {
            ui.detail("caused by", cause);
        }
        if let Some(hint) = &self.hint {
            ui.detail("hint", hint);
        }
        ExitCode::from(self.status)
    }
}

impl<E: Error> From<E> for CliError {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        CliError { message: error.to_string(), causes, hint: None, status: 1 }
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
