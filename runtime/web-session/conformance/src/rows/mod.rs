//! The table. Functions are named after their rows; where a row is free, the better behaviour is
//! meant. Each returns what one test goes through.

pub mod bodies;
pub mod dav;
pub mod framing;
pub mod headers;
pub mod heads;
pub mod statuses;
