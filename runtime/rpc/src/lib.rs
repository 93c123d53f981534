//! What the Cap'n Proto RPC library would leave behind on a connection that lives long, put in
//! order from outside: calls that are given up get an answer ([`answered`]), and streams end
//! ([`ending`]). [`Tidy`] does both on a connection. And the peer's promises, which it follows to
//! where it panics, are kept from it ([`Network`], [`Unresolved`]).
#![forbid(unsafe_code)]

mod ending_streams;
mod given_up;
mod promises;
mod settled;
mod tidy;
mod unanswered_calls;

pub use ending_streams::ending;
pub use given_up::{GivenUp, answered, new_client};
pub use promises::{Network, Unresolved};
pub use settled::settled;
pub use tidy::Tidy;
