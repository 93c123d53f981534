//! The log: what the program does, told by all crates through `tracing`, for whoever looks for a
//! fault. It is off unless asked for, and then costs a look at a number for each event.
//!
//! What opens doors is in no event: no key, token or cookie, no URL of a session, no header and no
//! body.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter, time};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::error::{CliError, Result};
use crate::ui;

/// Says more exactly than `-v` what is logged.
const VARIABLE: &str = "SPK_LOG";

/// Begins what each of our crates is called, which is where its events come from.
const OURS: [&str; 3] = ["spk", "fuse_tracer", "sandstorm"];

/// Logs to stderr what `$SPK_LOG` asks for, or how often `-v` was given.
pub fn start(verbose: u8) -> Result<()> {
    let asked = std::env::var_os(VARIABLE).filter(|asked| !asked.is_empty());
    let targets = match (asked, verbose) {
        (Some(asked), _) => parse(&asked.to_string_lossy())?,
        (None, 0) => return Ok(()),
        (None, 1) => of_ours(LevelFilter::INFO),
        (None, _) => of_ours(LevelFilter::DEBUG),
    };
    let layer = fmt::layer()
        .with_timer(time::uptime())
        .with_writer(Stderr)
        // It would print, and so panic where stderr is closed.
        .log_internal_errors(false)
        .with_filter(targets);
    // This is the only place that sets one.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
    Ok(())
}

/// A level for all of ours, or levels by crate or module: `spk_host=debug,fuse_tracer=trace`.
fn parse(asked: &str) -> Result<Targets> {
    if let Ok(level) = asked.trim().parse() {
        return Ok(of_ours(level));
    }
    asked.parse().map_err(|_| {
        CliError::usage(format!("{VARIABLE} makes no sense: {asked:?}"))
            .hint("a level (info, debug, trace), or e.g. spk_host=debug,fuse_tracer=trace")
    })
}

fn of_ours(level: LevelFilter) -> Targets {
    Targets::new().with_targets(OURS.map(|name| (name, level)))
}

/// Takes one event at a time. It never fails: those who tell an event may be serving files to a
/// process that waits for nothing else.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        ui::log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Stderr;

    fn make_writer(&self) -> Stderr {
        Stderr
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_all_of_ours_and_for_nobody_else() {
        let debug = parse("debug").unwrap_or_default();
        assert!(debug.would_enable("spk_host::serve", &Level::DEBUG));
        assert!(debug.would_enable("fuse_tracer::watch", &Level::DEBUG));
        assert!(!debug.would_enable("spk_host::serve", &Level::TRACE));
        assert!(!debug.would_enable("hyper::proto", &Level::ERROR));
        let one = parse("spk_package=trace").unwrap_or_default();
        assert!(one.would_enable("spk_package::pack", &Level::TRACE));
        assert!(!one.would_enable("spk_host::serve", &Level::ERROR));
        assert!(parse("spk_host=loud").is_err());
    }
}
