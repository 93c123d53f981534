//! The conformance cases of http-bridge §10, that an HTTP client can see:
//! each a test by the name of its row, through the real front end, the sandbox and the real bridge
//! to an app that records what it gets and answers what it is told (`web/main.rs`).
//!
//! `docs/http.md` says where the other rows are tested, and which cannot hold.
#![allow(clippy::unwrap_used)]

mod app;
mod bodies;
mod dav;
mod framing;
mod gateway;
mod headers;
mod heads;
mod statuses;
mod websockets;

use std::process::ExitCode;
use std::sync::Arc;

use app::App;
use libtest_mimic::{Arguments, Trial};

/// A row's name and its test.
type Row = (&'static str, fn(&App));

/// The named functions of a module, with their names.
macro_rules! rows {
    ($($name:ident),* $(,)?) => {
        pub const ROWS: &[crate::Row] = &[$((stringify!($name), $name)),*];
    };
}
pub(crate) use rows;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let rows = [
        heads::ROWS,
        bodies::ROWS,
        dav::ROWS,
        statuses::ROWS,
        headers::ROWS,
        framing::ROWS,
        websockets::ROWS,
        gateway::ROWS,
    ];
    // Asked for a list, nothing is started.
    let served = (!arguments.list).then(app::Served::start);
    let app = served.as_ref().map(|served| Arc::new(served.app()));
    let trial = |(name, test): &Row| {
        let (app, test) = (app.clone(), *test);
        Trial::test(*name, move || {
            if let Some(app) = app {
                test(&app);
            }
            Ok(())
        })
    };
    let trials = rows.iter().flat_map(|rows| rows.iter()).map(trial).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if conclusion.has_failed()
        && let Some(served) = &served
    {
        eprintln!("spk said:\n{}", served.server.said());
    }
    drop(served);
    conclusion.exit_code()
}
