//! A panic is an internal error like any other: told in a few lines, with its own exit status.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo};

use super::Kind;
use spk_files::printable;

/// From here on a panic, in whichever thread, ends the process with the status of an internal
/// error; but for those that the host [contains](spk_host::serve::is_contained).
pub fn end_the_process() {
    std::panic::set_hook(Box::new(|info| {
        let backtrace = Backtrace::capture();
        let mut text = said(info);
        let contained = spk_host::serve::is_contained();
        if contained {
            text.push_str("  what it was at is given up; all else goes on\n");
        }
        if backtrace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{backtrace}\n"));
        }
        // Without stderr there is still the status.
        let _ = std::io::stderr().write_all(text.as_bytes());
        if !contained {
            std::process::exit(Kind::Internal.status().into());
        }
    }));
}

/// Runs the command. A panic that was contained, but in what everything else hangs on, ends the
/// process after all.
pub fn caught<T>(command: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(AssertUnwindSafe(command))
        .unwrap_or_else(|_| std::process::exit(Kind::Internal.status().into()))
}

fn said(info: &PanicHookInfo<'_>) -> String {
    let words = info.payload();
    let what = match words.downcast_ref::<&str>() {
        Some(text) => text,
        None => words.downcast_ref::<String>().map_or("a panic without words", String::as_str),
    };
    let place = info.location().map(|place| format!(" ({place})")).unwrap_or_default();
    format!(
        "error: internal error: spk panicked: {}{place}\n  hint: this is a fault of spk's: please report it, with \
         the command and these lines; RUST_BACKTRACE=1 says more\n",
        printable::text(what)
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set in the process that is to panic.
    const ASKED: &str = "SPK_TEST_PANICS";

    #[test]
    fn a_panic_in_any_thread_is_an_internal_error() {
        if std::env::var_os(ASKED).is_some() {
            end_the_process();
            let thread = std::thread::spawn(|| panic!("number \x1b[31m{}", 7));
            // The other thread ends this one, too.
            let _ = thread.join();
            std::process::exit(0);
        }
        let name = "error::panics::tests::a_panic_in_any_thread_is_an_internal_error";
        let exe = std::env::current_exe().expect("this program is there");
        let panics = |backtrace: &str| {
            let mut command = Command::new(&exe);
            command.args(["--exact", name, "--nocapture"]).env(ASKED, "1");
            command.env("RUST_BACKTRACE", backtrace).output().expect("this program runs")
        };
        let output = panics("0");
        assert_eq!(output.status.code(), Some(70), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let first = "error: internal error: spk panicked: number \\u{1b}[31m7 (spk/cli/src/error/panics.rs:";
        assert!(said.contains(first) && said.contains("please report it"), "{said}");
        assert!(!said.contains("  0: "), "{said}");
        assert!(String::from_utf8_lossy(&panics("1").stderr).contains("  0: "));
    }
}
