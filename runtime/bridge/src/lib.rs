//! `sandstorm-http-bridge`: stands between the host's Cap'n Proto calls and an app that speaks HTTP.
//!
//! [`process`] is the life of the program: command line, start of the app, signals, end. Everything
//! else serves calls: [`main_view`] opens sessions, [`session`] turns their methods into HTTP
//! requests, [`http`] is HTTP/1 over bytes.
#![forbid(unsafe_code)]

pub mod app_socket;
pub mod bridge;
pub mod config;
pub mod error;
mod fifo_lock;
pub mod http;
mod http_api;
pub mod identities;
pub mod launch;
pub mod limits;
mod mail;
pub mod main_view;
pub mod membrane;
mod percent;
mod powerbox;
pub mod process;
pub mod proxy;
pub mod session;
pub mod session_types;
pub mod sessions;
pub mod underway;
mod user;
