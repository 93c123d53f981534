//! `sandstorm-manifest` as plain values: what a host needs to know to show and start an app.
//!
//! Layout: package-format §7.2; how commands are put together: grain-runtime §A.2.

use capnp::message::ReaderOptions;
use capnp::serialize;
use spk_schema::package_capnp::manifest as wire;
use spk_schema::util_capnp::localized_text;
use thiserror::Error;

/// Largest manifest a server reads, in words of 8 bytes (package-format §19).
pub const SIZE_LIMIT_WORDS: usize = 1_048_576;

/// Levels of pointers followed; Cap'n Proto's usual limit, far more than a manifest has.
const NESTING_LIMIT: i32 = 64;

/// Commands and actions are few; past this a manifest is an attack on who lists them.
const LIST_LIMIT: u32 = 65_536;

/// Why a manifest cannot be read.
#[derive(Debug, Error)]
pub enum Error {
    /// It is larger than any server accepts.
    #[error("the manifest has {0} bytes, more than the {limit} that servers read", limit = SIZE_LIMIT_WORDS * 8)]
    TooLarge(usize),
    /// It is not a valid message.
    #[error("the manifest is not a valid Cap'n Proto message")]
    Malformed(#[from] capnp::Error),
    /// A list in it is absurdly long.
    #[error("the manifest's {0} has more than {LIST_LIMIT} entries")]
    TooMany(&'static str),
}

/// What the package says about its app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the app for people. Untrusted text, as all text here.
    pub app_title: String,
    /// Number that orders the releases of one app.
    pub app_version: u32,
    /// Oldest release whose grains this one can take over.
    pub min_upgradable_app_version: u32,
    /// The version as people write it.
    pub marketing_version: String,
    /// Ways to make a new grain.
    pub actions: Vec<Action>,
    /// Starts an existing grain.
    pub continue_command: Command,
    /// Whether a continue command is there at all.
    pub has_continue_command: bool,
    /// One to three words on what the app is.
    pub short_description: String,
    /// Home page, if given.
    pub website: Option<String>,
    /// Where the source is, if given.
    pub code_url: Option<String>,
}

/// One way to make a new grain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// What is made: "notebook" for "New notebook".
    pub noun_phrase: String,
    /// Obsolete title.
    pub title: String,
    /// Help text.
    pub description: String,
    /// Starts the new grain.
    pub command: Command,
    /// Offered to people, rather than for powerbox offers only.
    pub needs_no_input: bool,
}

/// A program to run. Bytes, because the kernel takes bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; a deprecated executable path already stands in front.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment, in order.
    pub environ: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Command {
    /// Whether the command runs the HTTP bridge that is packed into the app.
    pub fn uses_bridge(&self) -> bool {
        self.argv.first().is_some_and(|program| {
            matches!(
                program.as_slice(),
                b"/sandstorm-http-bridge" | b"./sandstorm-http-bridge" | b"sandstorm-http-bridge"
            )
        })
    }
}

impl Manifest {
    /// Reads a framed message, as `sandstorm-manifest` holds it.
    ///
    /// # Errors
    /// When it is too large, malformed, or holds absurdly long lists.
    pub fn from_bytes(bytes: &[u8]) -> Result<Manifest, Error> {
        if bytes.len() > SIZE_LIMIT_WORDS * 8 + 8 * 512 {
            return Err(Error::TooLarge(bytes.len()));
        }
        let options = ReaderOptions {
            traversal_limit_in_words: Some(SIZE_LIMIT_WORDS),
            nesting_limit: NESTING_LIMIT,
        };
        let message = serialize::read_message(&mut &bytes[..], options)?;
        let manifest = message.get_root::<wire::Reader<'_>>()?;
        let metadata = manifest.get_metadata()?;
        let mut actions = Vec::new();
        let list = manifest.get_actions()?;
        if list.len() > LIST_LIMIT {
            return Err(Error::TooMany("list of actions"));
        }
        for action in list {
            let input = action.get_input().which();
            actions.push(Action {
                noun_phrase: localized(action.get_noun_phrase())?,
                title: localized(action.get_title())?,
                description: localized(action.get_description())?,
                command: command(action.get_command()?)?,
                needs_no_input: matches!(input, Ok(wire::action::input::Which::None(()))),
            });
        }
        Ok(Manifest {
            app_title: localized(manifest.get_app_title())?,
            app_version: manifest.get_app_version(),
            min_upgradable_app_version: manifest.get_min_upgradable_app_version(),
            marketing_version: localized(manifest.get_app_marketing_version())?,
            actions,
            continue_command: command(manifest.get_continue_command()?)?,
            has_continue_command: manifest.has_continue_command(),
            short_description: localized(metadata.get_short_description())?,
            website: metadata
                .has_website()
                .then(|| metadata.get_website())
                .map(text)
                .transpose()?,
            code_url: metadata
                .has_code_url()
                .then(|| metadata.get_code_url())
                .map(text)
                .transpose()?,
        })
    }

    /// Whether any command of the app runs the HTTP bridge.
    pub fn uses_bridge(&self) -> bool {
        self.continue_command.uses_bridge()
            || self.actions.iter().any(|action| action.command.uses_bridge())
    }

    /// The command that starts a new grain: that of the first action offered to people, or of
    /// the first action at all.
    pub fn new_command(&self) -> Option<&Command> {
        self.actions
            .iter()
            .find(|action| action.needs_no_input)
            .or(self.actions.first())
            .map(|action| &action.command)
    }
}

fn command(reader: wire::command::Reader<'_>) -> Result<Command, Error> {
    let mut command = Command::default();
    if reader.has_deprecated_executable_path() {
        command.argv.push(reader.get_deprecated_executable_path()?.as_bytes().to_vec());
    }
    let argv = reader.get_argv()?;
    if argv.len() > LIST_LIMIT {
        return Err(Error::TooMany("list of arguments"));
    }
    for argument in argv {
        command.argv.push(argument?.as_bytes().to_vec());
    }
    let environ = reader.get_environ()?;
    if environ.len() > LIST_LIMIT {
        return Err(Error::TooMany("environment"));
    }
    for pair in environ {
        let key = pair.get_key()?.as_bytes().to_vec();
        command.environ.push((key, pair.get_value()?.as_bytes().to_vec()));
    }
    Ok(command)
}

/// The default text. Servers do not check the encoding, so bad bytes are replaced, not refused.
fn localized(reader: capnp::Result<localized_text::Reader<'_>>) -> Result<String, Error> {
    text(reader?.get_default_text())
}

fn text(reader: capnp::Result<capnp::text::Reader<'_>>) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(reader?.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut message = capnp::message::Builder::new_default();
        let mut manifest = message.init_root::<wire::Builder<'_>>();
        manifest.set_app_version(7);
        manifest.reborrow().init_app_title().set_default_text("Notes");
        let mut actions = manifest.reborrow().init_actions(2);
        let mut offer = actions.reborrow().get(0);
        offer.reborrow().init_input().init_capability(0);
        offer.init_command().init_argv(1).set(0, "/offer");
        let mut make = actions.reborrow().get(1);
        make.reborrow().init_noun_phrase().set_default_text("notebook");
        make.init_command().init_argv(1).set(0, "/sandstorm-http-bridge");
        let mut again = manifest.init_continue_command();
        again.set_deprecated_executable_path("/old");
        again.reborrow().init_argv(1).set(0, "argument");
        let mut environ = again.init_environ(1);
        environ.reborrow().get(0).set_key("PATH");
        environ.get(0).set_value("/bin");
        serialize::write_message_to_words(&message)
    }

    #[test]
    fn reads_what_a_host_needs() {
        let manifest = Manifest::from_bytes(&sample()).unwrap();
        assert_eq!((manifest.app_title.as_str(), manifest.app_version), ("Notes", 7));
        assert_eq!(manifest.continue_command.argv, [b"/old".to_vec(), b"argument".to_vec()]);
        assert_eq!(manifest.continue_command.environ, [(b"PATH".to_vec(), b"/bin".to_vec())]);
        assert_eq!(manifest.new_command().unwrap().argv, [b"/sandstorm-http-bridge".to_vec()]);
        assert!(manifest.uses_bridge());
        assert_eq!(manifest.website, None);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let good = sample();
        for length in 0..good.len() {
            let _ = Manifest::from_bytes(&good[..length]);
        }
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let _ = Manifest::from_bytes(&bad);
            }
        }
        assert!(matches!(Manifest::from_bytes(&[]), Err(Error::Malformed(_))));
        assert!(matches!(Manifest::from_bytes(&vec![0; 9 * 1024 * 1024]), Err(Error::TooLarge(_))));
    }
}
