//! A grain's life while it is served: how the app is started, what it and browsers can ask for, and
//! the shell around it. Where grains are kept is `spk_grains`. See `docs/architecture.md`.
#![forbid(unsafe_code)]

#[doc(hidden)]
pub mod fuzz;
pub mod serve;
pub mod shell;
pub mod signals;
