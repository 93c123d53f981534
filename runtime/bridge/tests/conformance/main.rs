//! The conformance cases of `http-bridge` section 10 that concern the bridge, each test named after
//! its case: a scripted TCP server as the app, and an RPC client over a socket pair as the host.
#![allow(clippy::unwrap_used, reason = "a test ends where something is wrong")]

mod app;
mod host;
mod platform;
mod rig;

mod app_objects;
mod bodies;
mod framing;
mod given_up;
mod headers;
mod heads;
mod losses;
mod mapping;
mod powerbox;
mod process;
mod statuses;
mod websockets;
