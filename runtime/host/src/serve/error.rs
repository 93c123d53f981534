//! What can go wrong while an app is served.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use spk_sandbox::Exit;

use super::exit;
use super::listening::Listening;

/// A failure that ends `serve`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port asked for belongs to somebody else.
    #[error("port {port} is taken on {address}")]
    PortTaken {
        /// The port.
        port: u16,
        /// The loopback address it is taken on.
        address: std::net::IpAddr,
    },
    /// Listening failed for another reason.
    #[error("cannot listen on {address} port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// The loopback address.
        address: std::net::IpAddr,
        /// Why.
        source: io::Error,
    },
    /// The grain's log cannot be written.
    #[error("cannot open the log {}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The app's sandbox cannot be made, or the app cannot be executed in it.
    #[error(transparent)]
    Sandbox(#[from] spk_sandbox::Error),
    /// A descriptor or thread that a start needs is not to be had.
    #[error("cannot {action}")]
    Start {
        /// What was tried.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A program name, argument or environment entry that no process can be given.
    #[error("the app's command has a NUL byte in {part:?}")]
    Command {
        /// The part.
        part: String,
    },
    /// The hook that serves the file system failed.
    #[error("cannot serve the app's file system")]
    FileSystem(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The app's first process ended before it answered.
    #[error("the app {} before it answered{}", exit::in_words(*ended), last_lines(tail))]
    AppEnded {
        /// How.
        ended: Exit,
        /// Its last log lines, printable.
        tail: Vec<String>,
    },
    /// The app runs but did not answer in time.
    #[error(
        "the app did not answer within {} s{}{}",
        waited.as_secs_f64(), nobody_listens(*port, listening.as_ref()), last_lines(tail)
    )]
    NeverAnswered {
        /// How long it was waited for.
        waited: Duration,
        /// The port its bridge connects to, when that is how it is started.
        port: Option<u16>,
        /// What the app listens on, where that can be seen.
        listening: Option<Listening>,
        /// Its last log lines, printable.
        tail: Vec<String>,
    },
    /// The app answered the first call with an error.
    #[error("the app refused to open a session: {reason}{}", last_lines(tail))]
    Refused {
        /// Its words.
        reason: String,
        /// Its last log lines, printable.
        tail: Vec<String>,
    },
    /// `--permissions` names something the app does not know.
    #[error("the app has no permission {name:?}; it has: {}", known_names(known))]
    UnknownPermission {
        /// The name.
        name: String,
        /// The names it has.
        known: Vec<String>,
    },
    /// The user has no such role.
    #[error("the app has no role {name:?}; it has: {}", known_names(known))]
    UnknownRole {
        /// The name.
        name: String,
        /// The titles of those it has.
        known: Vec<String>,
    },
    /// The grain's saved capabilities cannot be read or written.
    #[error("cannot keep the grain's capabilities")]
    Capabilities(#[source] spk_grains::store::Error),
    /// The API token that was asked for cannot be made.
    #[error("cannot make an API token: {0}")]
    Token(String),
    /// The machine gives no random numbers.
    #[error("cannot get random numbers: {0}")]
    Random(String),
    /// The same failure is reported to several.
    #[error(transparent)]
    Shared(std::sync::Arc<Error>),
    /// The runtime cannot be made.
    #[error("cannot start the event loop")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// A failure others may hold too.
    pub(super) fn shared(error: std::sync::Arc<Error>) -> Error {
        std::sync::Arc::try_unwrap(error).unwrap_or_else(Error::Shared)
    }

    /// How the app ended and the last lines of its log, if that is what it is.
    pub(super) fn of_its_end(&self) -> Option<(Exit, &[String])> {
        match self {
            Error::AppEnded { ended, tail } => Some((*ended, tail)),
            Error::Shared(error) => error.of_its_end(),
            _ => None,
        }
    }

    /// The sandbox's error, if it is one: that knows whether the machine is to blame.
    pub fn of_the_sandbox(&self) -> Option<&spk_sandbox::Error> {
        match self {
            Error::Sandbox(error) => Some(error),
            Error::Shared(error) => error.of_the_sandbox(),
            _ => None,
        }
    }

    /// What the user can do about it, when that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Error::PortTaken { .. } => {
                Some("choose another with --port, or let the system choose: --port 0".into())
            }
            Error::Sandbox(error) => error.remedy(),
            Error::Shared(error) => error.remedy(),
            Error::NeverAnswered { port: Some(port), .. } => Some(format!(
                "the app must listen on 127.0.0.1:{port}, the port its command names; \
                 --start-timeout SECONDS waits longer"
            )),
            Error::NeverAnswered { .. } => Some("--start-timeout SECONDS waits longer".into()),
            _ => None,
        }
    }
}

fn last_lines(tail: &[String]) -> String {
    if tail.is_empty() {
        return "; it wrote nothing to its log".to_owned();
    }
    let mut text = "; the last lines of its log:".to_owned();
    for line in tail {
        text.push_str("\n    ");
        text.push_str(line);
    }
    text
}

fn nobody_listens(port: Option<u16>, listening: Option<&Listening>) -> String {
    match (port, listening) {
        (Some(port), Some(listening)) => listening.instead_of(port),
        (Some(port), None) => format!(": nobody answers on port {port}"),
        (None, _) => String::new(),
    }
}

fn known_names(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}
