//! Tests that cannot run here say so.

use std::io::Write;

/// Says loudly that `test` did not run, and why; the test runner prints the count at the end
/// (`SPK_SKIP_LOG` names the file it counts in).
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    if let Some(path) = std::env::var_os("SPK_SKIP_LOG") {
        let line = format!("{test}: {}\n", reason.replace('\n', " "));
        std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .unwrap_or_else(|error| panic!("cannot note a skipped test in {path:?}: {error}"));
    }
}
