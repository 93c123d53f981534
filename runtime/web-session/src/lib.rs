//! HTTP as a `WebSession` carries it, on the side that calls: a request becomes one call
//! ([`Request`]), and what the call returns becomes a response ([`Body`]). Two programs do this: the
//! host's front end for browsers and programs, and the bridge's proxy for what its app asks others.
//!
//! What differs between them is a parameter: what of answers passes and comes to them ([`Policy`]),
//! what a call keeps of its caller ([`Hold`]), where a request's body comes from ([`Source`]), which
//! cookie is the caller's own, and how much of a body is collected. Nothing here opens a connection
//! or knows who asks; timers and tasks are those of a tokio `LocalSet` that the caller runs.
#![forbid(unsafe_code)]

mod answer;
mod body;
mod call;
mod context;
mod cut_late;
mod dav;
mod failure;
mod hold;
mod source;
pub mod status;
mod stream;
pub mod tag;
mod upload;
pub mod values;

pub use answer::{APP_HEAD, Policy, check_head};
pub use body::Body;
pub use call::Request;
pub use context::Described;
pub use cut_late::{Counted, CutLate, Flushes};
pub use dav::destination;
pub use failure::{Failure, Refusal, is_unimplemented, status_of};
pub use hold::Hold;
pub use source::{Broken, Source};
pub use stream::{CutShort, HELD, Incoming, StreamBody, pair};
pub use upload::SMALL;
