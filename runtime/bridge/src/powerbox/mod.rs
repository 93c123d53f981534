//! HTTP APIs that the app exports through the powerbox (http-bridge §8.3).

mod chooser;
mod descriptors;
mod open;
mod page;

pub use chooser::Chooser;
pub use descriptors::{describe, only_http_apis};
pub use open::open_http_api;
