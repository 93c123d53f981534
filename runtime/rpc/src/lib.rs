//! What the Cap'n Proto RPC library would leave behind on a connection that lives long, put in
//! order from outside: calls that are given up get an answer ([`answered`]), and streams end
//! ([`ending`]). [`Tidy`] does both on a connection.
#![forbid(unsafe_code)]

mod answers;
mod network;
mod streams;
mod table;

pub use answers::{GivenUp, answered, new_client};
pub use network::Tidy;
pub use streams::ending;
