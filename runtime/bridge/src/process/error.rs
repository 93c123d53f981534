//! Why the bridge cannot start, or ended.

use std::io;
use std::path::PathBuf;

use super::exit::Exit;
use crate::{config, launch};

/// Why the bridge cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Descriptor 3 cannot be taken over.
    #[error("descriptor 3 is not a socket to a host: {0}")]
    Inherit(io::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// What the package wants prepared cannot be.
    #[error(transparent)]
    Launch(#[from] launch::Error),
    /// The async runtime or its signal handlers cannot be set up.
    #[error("setting up the event loop failed: {0}")]
    Runtime(io::Error),
    /// The socket for the app's Cap'n Proto connections cannot be bound.
    #[error("binding the app's socket '{path}' failed: {reason}")]
    ApiSocket {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The port for the app's outgoing HTTP cannot be bound.
    #[error("listening on 127.0.0.1:{port} for the app's outgoing requests failed: {reason}")]
    ProxyPort {
        /// The port.
        port: u16,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The directories for identities cannot be made.
    #[error("{}", .0.extra)]
    Identities(capnp::Error),
    /// The app's command cannot be executed.
    #[error("executing '{command}' failed: {reason}{lacks}")]
    Exec {
        /// The command.
        command: String,
        /// What the kernel said.
        reason: io::Error,
        /// What it needs that is not there, behind a colon; may be empty.
        lacks: String,
    },
    /// The app ended by itself.
    #[error("the app {0}")]
    AppEnded(Exit),
    /// The host closed its connection.
    #[error("the host closed its connection; the app was ended")]
    HostGone,
}
