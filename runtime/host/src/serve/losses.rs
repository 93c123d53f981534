//! What does not get through between clients and the app, for who wants to know (`--explain`). Of
//! requests the front end sees it; of answers the bridge, which says so to the [`Hears`] that it gets
//! with each session.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use capnp::Error;
use spk_files::printable;
use spk_schema::losses_capnp::{loss, losses};

use super::notes::Notes;

/// How many different ones are kept: an app that makes up names must not fill memory.
const MAX_KINDS: usize = 1024;

/// Losses of one answer that are listened to.
const OF_AN_ANSWER: u32 = 100;

/// Characters of a name that are kept.
const LONGEST_NAME: usize = 100;

/// Something that does not get through.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Loss {
    /// A request header that no app gets: its name, in lower case.
    RequestHeader(String),
    /// A response header that no client gets: its name, in lower case.
    ResponseHeader(String),
    /// A status that clients get as another one.
    Status {
        /// What the app said.
        said: u16,
        /// What is sent.
        sent: u16,
    },
    /// A cookie that no client keeps.
    Cookie {
        /// Its name.
        name: String,
        /// Why.
        why: WhyNoCookie,
    },
    /// Locks of WebDAV, which the app says it has.
    Locks,
}

/// Why no client keeps a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WhyNoCookie {
    /// It has no name, or no equals sign.
    NoName,
    /// A character in it would end it.
    Separators,
    /// Its name asks for `Secure`.
    Prefix,
    /// The client is a program with an API token.
    Program,
}

impl Loss {
    /// A cookie for a program with an API token, by its name as the app says it.
    pub(crate) fn of_program(cookie: &[u8]) -> Loss {
        Loss::Cookie { name: shown(cookie), why: WhyNoCookie::Program }
    }

    /// Which of them it is, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Loss::RequestHeader(_) => "request-header",
            Loss::ResponseHeader(_) => "response-header",
            Loss::Status { .. } => "status",
            Loss::Cookie { .. } => "cookie",
            Loss::Locks => "locks",
        }
    }

    /// What the bridge says. Names are the app's, and made printable.
    fn read(said: loss::Reader<'_>) -> Result<Option<Loss>, Error> {
        let name = |text: capnp::text::Reader<'_>| shown(text.as_bytes());
        Ok(match said.which() {
            Ok(loss::Status(status)) => {
                Some(Loss::Status { said: status.get_said(), sent: status.get_sent() })
            }
            Ok(loss::Header(header)) => Some(Loss::ResponseHeader(name(header?))),
            Ok(loss::Cookie(cookie)) => {
                let why = match cookie.get_why() {
                    Ok(loss::Problem::NoName) => WhyNoCookie::NoName,
                    Ok(loss::Problem::Separators) => WhyNoCookie::Separators,
                    Ok(loss::Problem::Prefix) => WhyNoCookie::Prefix,
                    Err(capnp::NotInSchema(_)) => return Ok(None),
                };
                Some(Loss::Cookie { name: name(cookie.get_name()?), why })
            }
            // A bridge that is newer than we are may know of others.
            Ok(loss::Other(())) | Err(capnp::NotInSchema(_)) => None,
        })
    }
}

/// A name of the app's, as it is told.
fn shown(name: &[u8]) -> String {
    printable::cut(printable::line(name), LONGEST_NAME)
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::RequestHeader(name) if name == "authorization" => write!(
                f,
                "dropped request header: authorization (no app gets it: Sandstorm logs people in, and \
                 programs have API tokens)"
            ),
            Loss::RequestHeader(name) => {
                write!(f, "dropped request header: {name} (no app gets it)")
            }
            Loss::ResponseHeader(name) if name == "www-authenticate" => write!(
                f,
                "dropped response header: www-authenticate (no client gets it: Sandstorm logs people \
                 in, and tells the app who it is)"
            ),
            Loss::ResponseHeader(name) => {
                write!(f, "dropped response header: {name} (no client gets it)")
            }
            Loss::Status { said, sent } => {
                write!(f, "status {said} arrives as {sent} (the protocol has no {said})")
            }
            Loss::Cookie { name, why } => {
                let why = match why {
                    WhyNoCookie::NoName => "it has no name and equals sign",
                    WhyNoCookie::Separators => "no comma or semicolon may stand in it",
                    WhyNoCookie::Prefix => "its name asks for Secure, which is not passed on",
                    WhyNoCookie::Program => "programs with an API token get none",
                };
                match name.as_str() {
                    "" => write!(f, "a cookie is not kept: {why}"),
                    name => write!(f, "the cookie {name} is not kept: {why}"),
                }
            }
            Loss::Locks => write!(
                f,
                "DAV: 2 is passed on, but locks do not work (the protocol has no Timeout, If and \
                 Lock-Token for them)"
            ),
        }
    }
}

/// All of them, summed up.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Loss, u64>);

impl Tally {
    /// Adds one; tells whether it is the first of its kind.
    pub fn add(&mut self, loss: &Loss) -> bool {
        if let Some(count) = self.0.get_mut(loss) {
            *count = count.saturating_add(1);
            return false;
        }
        self.0.len() < MAX_KINDS && self.0.insert(loss.clone(), 1).is_none()
    }

    /// All of them, with how often.
    pub fn total(&self) -> Vec<(Loss, u64)> {
        self.0.iter().map(|(loss, count)| (loss.clone(), *count)).collect()
    }
}

/// What the bridge is given to tell of answers.
struct Hears(Notes);

/// An object for a new session's parameters.
pub(super) fn listener(notes: &Notes) -> losses::Client {
    capnp_rpc::new_client(Hears(notes.clone()))
}

impl losses::Server for Hears {
    async fn answered(
        self: Rc<Self>,
        params: losses::AnsweredParams,
        _: losses::AnsweredResults,
    ) -> Result<(), Error> {
        let said = params.get()?.get_losses()?;
        for index in 0..said.len().min(OF_AN_ANSWER) {
            if let Some(loss) = Loss::read(said.get(index))? {
                self.0.lost(&loss);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_an_app_makes_up_fill_no_memory() {
        let mut tally = Tally::default();
        for number in 0..MAX_KINDS + 100 {
            let loss = Loss::ResponseHeader(format!("x-{number}"));
            assert_eq!(tally.add(&loss), number < MAX_KINDS);
        }
        assert!(!tally.add(&Loss::ResponseHeader("x-1".into())));
        let total = tally.total();
        assert_eq!(total.len(), MAX_KINDS);
        assert!(total.contains(&(Loss::ResponseHeader("x-1".into()), 2)));
    }

    #[test]
    fn what_a_bridge_says_becomes_one_printable_line() {
        let mut message = capnp::message::Builder::new_default();
        let mut said = message.init_root::<loss::Builder<'_>>();
        let text = format!("a\u{1b}[31m\n** spk: {}", "x".repeat(1000));
        for read in [
            {
                said.set_header(&text[..]);
                Loss::read(said.reborrow().into_reader())
            },
            {
                said.reborrow().init_cookie().set_name(&text[..]);
                Loss::read(said.reborrow().into_reader())
            },
        ] {
            let shown = read.unwrap().unwrap().to_string();
            assert!(!shown.contains(char::is_control), "{shown:?}");
            assert!(shown.chars().count() < 300, "{shown:?}");
        }
        said.set_other(());
        assert_eq!(Loss::read(said.into_reader()).unwrap(), None);
    }
}
