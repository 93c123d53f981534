//! Images of all forms, read and unpacked; what their layers make; hostile ones.

#![allow(clippy::unwrap_used)]

mod build;
mod hostile;
mod layers;
mod layouts;
mod umoci;
