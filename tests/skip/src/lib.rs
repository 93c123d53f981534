//! Tests that cannot run here say so, all in the same way: on stderr, and in the file that
//! `SPK_SKIP_LOG` names, which `tests/all.sh` reads at its end.
//!
//! A line there has five fields, with tabs between them: the test program, its working directory,
//! the test's name for that program (`-`: all of its tests), `root` if nothing but root is missing,
//! and what is told. Each line is written in one piece, since tests run at the same time.
#![forbid(unsafe_code)]

use std::fs::OpenOptions;
use std::io::Write;

/// What a line says when nothing is missing but root's rights.
pub const ROOT: &str = "root";

/// Says loudly that `test`, or the part of it that `reason` names, did not run, and why.
///
/// # Panics
/// When the file of `SPK_SKIP_LOG` cannot be written: a skip that nobody hears of is a lie.
pub fn skip(test: &str, reason: &str) {
    note(test, &format!("{test}: {}", in_one_line(reason)), false);
}

/// The same for what only root can do, said by `reason`. `tests/all.sh` runs these again as root,
/// where that may be.
///
/// # Panics
/// As [`skip`].
pub fn needs_root(test: &str, reason: &str) {
    note(test, &format!("{test}: {}", in_one_line(reason)), true);
}

fn note(test: &str, said: &str, root: bool) {
    let told = format!("SKIPPED {said}\n");
    // In one piece, too: stderr has no buffer of its own.
    let _ = std::io::stderr().write_all(told.as_bytes());
    let Some(log) = std::env::var_os("SPK_SKIP_LOG") else { return };
    let program = std::env::current_exe().unwrap_or_default();
    let directory = std::env::current_dir().unwrap_or_default();
    let line = line(
        &program.display().to_string(),
        &directory.display().to_string(),
        std::thread::current().name(),
        said,
        root,
    );
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(&log)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| {
            panic!("cannot note in {} that {test} was skipped: {error}", log.display())
        });
}

/// A line of the log. The standard test runner names a test's thread after it; other threads have
/// no name that could be asked for.
fn line(program: &str, directory: &str, thread: Option<&str>, said: &str, root: bool) -> String {
    let name = thread.filter(|name| *name != "main" && !name.contains(char::is_whitespace));
    let needs = if root { ROOT } else { "-" };
    format!("{program}\t{directory}\t{}\t{needs}\t{said}\n", name.unwrap_or("-"))
}

fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_five_fields_whatever_is_said() {
        let said = in_one_line("one: two\n\tthree");
        assert_eq!(
            line("/t/a-1", "/p", Some("mod::test"), &said, true),
            "/t/a-1\t/p\tmod::test\troot\tone: two three\n"
        );
        assert_eq!(line("/t/a-1", "/p", Some("main"), "x: y", false), "/t/a-1\t/p\t-\t-\tx: y\n");
        assert_eq!(line("/t/a-1", "/p", None, "x: y", true), "/t/a-1\t/p\t-\troot\tx: y\n");
    }
}
