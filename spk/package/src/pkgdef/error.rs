//! What can be wrong with a package definition, and where.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in a schema file, with the line itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it (or as it was imported).
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line's text.
    pub text: String,
    /// How many characters are marked, at least 1.
    pub width: usize,
}

/// Why a package definition could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("no package definition at {}", .0.display())]
    NotFound(PathBuf),
    /// The definition file could not be read.
    #[error("cannot read the package definition {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in the text is wrong.
    #[error("{}", shown(.place, .message, .hint.as_deref()))]
    Invalid {
        /// Where.
        place: Box<Place>,
        /// What.
        message: String,
        /// What to do about it, when known.
        hint: Option<String>,
    },
    /// Something correct that this evaluator does not know, and no `capnp` program to ask instead.
    #[error("{}", shown(.place, .message, Some("install Debian's package `capnproto`: then `capnp eval` is asked")))]
    Unsupported {
        /// Where.
        place: Box<Place>,
        /// What.
        message: String,
    },
    /// The file has no constant of that name.
    #[error("{}: there is no constant `{constant}`{}", .file.display(), suffix(.hint))]
    NoConstant {
        /// The file.
        file: PathBuf,
        /// The name asked for.
        constant: String,
        /// A similar name.
        hint: Option<String>,
    },
    /// The definition says something that no package may say (format, "semantic checks").
    #[error("{}: {message}{}", .file.display(), suffix(.hint))]
    Unfit {
        /// The file.
        file: PathBuf,
        /// What is missing or too large.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// `capnp eval`, asked for what this evaluator does not know, failed.
    #[error("{}: capnp eval failed: {message}", .file.display())]
    Tool {
        /// The file.
        file: PathBuf,
        /// What it said.
        message: String,
    },
    /// The value is not what the schema says; only a schema given with `-I` that differs from the
    /// platform's makes this happen.
    #[error("{}: the definition cannot be read", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: capnp::Error,
    },
}

fn suffix(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default()
}

/// `file:line:column: message`, the line with a mark below, and the hint.
fn shown(place: &Place, message: &str, hint: Option<&str>) -> String {
    // A line of a megabyte helps nobody: show what is around the place.
    const BEFORE: usize = 60;
    const LONGEST: usize = 120;
    let start = if place.column > LONGEST - 20 { place.column - 1 - BEFORE } else { 0 };
    let line: String = place.text.chars().skip(start).take(LONGEST).collect();
    let mark = place.column - 1 - start;
    let padding: String =
        line.chars().take(mark).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let width = place.width.clamp(1, line.chars().count().saturating_sub(mark).max(1));
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let mut text = format!(
        "{}:{}:{}: {message}\n {number} | {line}\n {gutter} | {padding}{}",
        place.file,
        place.line,
        place.column,
        "^".repeat(width)
    );
    if let Some(hint) = hint {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    text
}

/// Bytes of a file, by number: `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

impl Span {
    /// From the start of `self` to the end of `other`.
    pub fn to(self, other: Span) -> Span {
        Span { end: other.end.max(self.start), ..self }
    }
}

/// A failure while its file is known by number only. Boxed: it travels through deep recursions.
#[derive(Debug, Clone)]
pub(super) struct Problem(pub Box<ProblemInner>);

#[derive(Debug, Clone)]
pub(super) struct ProblemInner {
    pub span: Span,
    pub message: String,
    pub hint: Option<String>,
    pub unsupported: bool,
}

pub(super) type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    pub fn new(span: Span, message: impl Into<String>) -> Problem {
        Problem(Box::new(ProblemInner {
            span,
            message: message.into(),
            hint: None,
            unsupported: false,
        }))
    }

    /// Something that `capnp` may know.
    pub fn unsupported(span: Span, message: impl Into<String>) -> Problem {
        let mut problem = Problem::new(span, message);
        problem.0.unsupported = true;
        problem
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.0.hint = Some(hint.into());
        self
    }

    pub fn maybe_hint(mut self, hint: Option<String>) -> Problem {
        self.0.hint = hint;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}
