//! What cannot be done, in words for the person who asked.

use http::StatusCode;
use spk_files::printable;
use spk_grains::{backup, store};
use spk_package::causes::in_one_line;

use crate::serve;

/// Why a request of the shell's page failed. The texts may hold names from packages; the page
/// shows them as text.
#[derive(Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub text: String,
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, text: impl Into<String>) -> Problem {
        Problem { status, text: printable(&text.into()), hint: None }
    }

    pub fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// Something that is not here.
    pub fn missing(what: &str) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, format!("no such {what}"))
    }

    /// A request that the page would not make.
    pub fn bad(text: &str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, text)
    }

    /// Something about the state of things forbids it.
    pub fn conflict(text: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, text)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        use store::Error as E;
        match &error {
            E::NoGrain(_) | E::NoPackage(_) => Problem::new(StatusCode::NOT_FOUND, chain(&error)),
            E::Busy { .. } => Problem::conflict(chain(&error))
                .hint("another spk process uses it: end that one first"),
            E::TooOld { .. } => Problem::conflict(chain(&error))
                .hint("`spk grain upgrade --force` tries anyway, after a backup"),
            _ => Problem::conflict(chain(&error)),
        }
    }
}

impl From<backup::Error> for Problem {
    fn from(error: backup::Error) -> Problem {
        match error {
            backup::Error::Store(error) => error.into(),
            backup::Error::NoApp { .. } => Problem::conflict(chain(&error))
                .hint("upload the app's package (.spk) first, then the backup again"),
            error => Problem::conflict(chain(&error)),
        }
    }
}

impl From<&serve::Error> for Problem {
    fn from(error: &serve::Error) -> Problem {
        let problem = Problem::new(StatusCode::BAD_GATEWAY, chain(error));
        match error.remedy() {
            Some(remedy) => problem.hint(remedy),
            None => problem,
        }
    }
}

/// An error with its causes, in one text.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    printable(&in_one_line(error))
}

/// Longest text that is sent to the page, in characters.
const LONGEST: usize = 4000;

/// Text of others for the page; of bounded length.
pub(super) fn printable(text: &str) -> String {
    printable::cut(printable::text(text), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_codes_and_direction_marks_do_not_get_through() {
        assert_eq!(printable("a\x1b[31mb\u{202e}c\nd"), "a\\u{1b}[31mb\\u{202e}c\nd");
        assert_eq!(printable(&"x".repeat(5000)).chars().count(), LONGEST + 1);
    }
}
