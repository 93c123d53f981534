//! What the end-to-end tests share: the real binaries run as root and as an ordinary user, a
//! started `spk run`/`spk dev`, a plain HTTP client, and looks at processes and mounts.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod bins;
pub mod browser;
pub mod guest;
pub mod http;
pub mod memory;
pub mod procs;
pub mod projects;
pub mod server;
pub mod signed;
pub mod skip;
pub mod sources;
pub mod web;
pub mod who;

pub use bins::Stage;
pub use browser::Browser;
pub use server::Server;
pub use who::Who;
