//! The tracing file system behind `spk dev`: serves a [`View`](spk_package::view::View) over FUSE
//! as a read-only file system, and records which paths are used, how, and by whom.
//!
//! ```text
//!  app ── kernel ──▶ fs (requests) ──▶ nodes (inode ↔ path) ──▶ view ──▶ sources
//!            ▲            └──▶ record                                      │
//!            └── notifier ◀── follow_changes (its own thread) ◀── watch ───┘
//! ```
//!
//! What makes it fast is that the kernel may keep names, attributes, listings, link texts and
//! contents for a long time; what makes that safe is that it is told when a source changes
//! ([`watch`], [`follow_changes`]), and that opens, which always arrive, check the source again
//! ([`open`]). Opens always arriving is also what makes the record complete.
//!
//! Nothing here prints, and a handler that panics must end the process, by a panic hook of whoever
//! serves (that of `spk` does): a dead handler thread would hang its clients beyond SIGKILL
//! (dev-mode §19.9). The process that serves must not reach its own mount: mount in another
//! namespace.
// One ioctl, in `device`.
#![deny(unsafe_code)]

mod asked;
mod attr;
mod caller;
mod device;
mod follow_changes;
mod fs;
mod handles;
mod implied;
mod kept;
mod list;
mod lock;
mod look_up;
pub mod looked_at;
mod nodes;
mod notifier;
mod open;
mod open_files;
mod options;
mod pushes;
mod record;
mod request_counts;
mod shared;
pub mod trace_file;
mod tracer;
mod watch;

pub use caller::Callers;
pub use implied::with_implied;
pub use options::{Cache, Options};
pub use record::{Record, Usage, Use, is_kernels};
pub use request_counts::Request;
pub use tracer::{Error, SUBTYPE, Tracer};
