//! The objects the host gives to the app.

pub(super) mod api;
pub(super) mod context;
pub(super) mod identity;
