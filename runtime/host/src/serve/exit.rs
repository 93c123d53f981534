//! How an app ended, in words.

use spk_sandbox::Exit;

/// What an app did that a bridge started: the bridge ends with status 1 then, and says how that was.
pub(super) fn of_the_app(exit: Exit, tail: &[String]) -> String {
    /// Which begins the last line of its log.
    const BRIDGE: &str = "** sandstorm-http-bridge: the app ";
    /// Characters of it.
    const LONGEST: usize = 100;
    let said = tail.iter().rev().find_map(|line| line.strip_prefix(BRIDGE));
    match (exit, said) {
        (Exit::Code(1), Some(words)) => words.chars().take(LONGEST).collect(),
        _ => in_words(exit),
    }
}

/// What the app did: "exited with status 1". What met a limit names the option that raises it.
pub(super) fn in_words(exit: Exit) -> String {
    match exit {
        Exit::Code(status) => format!("exited with status {status}"),
        Exit::OutOfMemory => {
            "was killed: it used more memory than --limit-memory allows".to_owned()
        }
        Exit::Signal(libc::SIGXFSZ) => {
            "was killed: it wrote a larger file than --limit-file allows".to_owned()
        }
        Exit::Signal(libc::SIGSYS) => {
            "was killed for a system call of a foreign architecture".to_owned()
        }
        Exit::Signal(signal) => format!("was killed by signal {signal}"),
        Exit::Killed => "was stopped".to_owned(),
        Exit::Lost => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_own_status_is_told() {
        let tail = ["a line", "** sandstorm-http-bridge: the app exited with status 3"];
        let tail = tail.map(str::to_owned);
        assert_eq!(of_the_app(Exit::Code(1), &tail), "exited with status 3");
        assert_eq!(of_the_app(Exit::Code(1), &tail[..1]), "exited with status 1");
        assert_eq!(of_the_app(Exit::OutOfMemory, &tail), in_words(Exit::OutOfMemory));
    }
}
