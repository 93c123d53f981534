//! The evaluated definition as plain values, and the checks every package must pass.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use capnp::Word;
use capnp::message::{Builder, HeapAllocator, Reader, ReaderOptions, SegmentArray};
use capnp::serialize;
use capnp::traits::{Owned, SetterInput};
use spk_schema::package_capnp::{bridge_config, manifest, package_definition, source_map};

use super::error::Error;
use super::limits::{MAX_MANIFEST_WORDS, MAX_VALUE_DEPTH};
use crate::causes::in_one_line;
use crate::manifest::Manifest;
use crate::source_map::{Mapping, SourceMap};

/// Who worked out the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluator {
    /// This crate.
    Own,
    /// An installed `capnp`, because of something this crate does not know.
    Capnp {
        /// What that was.
        reason: String,
    },
}

/// What a package definition says.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The file, as it was given to [`super::load`].
    pub file: PathBuf,
    /// The constant.
    pub constant: String,
    /// The app ID as written: not checked, empty when it is not given.
    pub id: String,
    /// `sandstorm-manifest`: a framed message of one segment.
    pub manifest: Vec<u8>,
    /// `sandstorm-http-bridge-config` as a framed message of one segment, if the definition has it.
    pub bridge_config: Option<Vec<u8>>,
    /// Whether any command runs the HTTP bridge: then the package needs it and its configuration.
    pub commands_use_bridge: bool,
    /// Whether including everything (`"."`) includes the bridge, as the original decides it: the
    /// definition has a `bridgeConfig`, or `continueCommand` runs the bridge (package-format §6.3).
    pub uses_bridge: bool,
    /// Where files come from.
    pub source_map: SourceMap,
    /// Name of the file list, relative to the working directory, if there is one.
    pub file_list: Option<String>,
    /// Package paths that are included with all below them.
    pub always_include: Vec<String>,
    /// Who evaluated the definition.
    pub evaluator: Evaluator,
    /// Files that were read: imports and embedded files on disk.
    pub inputs: Vec<PathBuf>,
}

impl Definition {
    /// What the package's `sandstorm-http-bridge-config` holds: the definition's `bridgeConfig`,
    /// or an empty one where it gives none (package-format §6.2).
    pub fn bridge_config_file(&self) -> Vec<u8> {
        /// A message whose root is a struct with nothing in it.
        const EMPTY: [u8; 16] = [0, 0, 0, 0, 1, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        self.bridge_config.clone().unwrap_or_else(|| EMPTY.to_vec())
    }
}

/// Reads the value in `words`, a segment whose first word is the root pointer.
pub(super) fn read(
    file: &Path,
    constant: &str,
    words: &[u64],
    evaluator: Evaluator,
    inputs: Vec<PathBuf>,
) -> Result<Definition, Error> {
    let mut aligned = Word::allocate_zeroed_vec(words.len());
    for (place, word) in Word::words_to_bytes_mut(&mut aligned).chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    let segments = [Word::words_to_bytes(&aligned)];
    let options = ReaderOptions {
        // The message is our own or `capnp`'s, its size is bounded, and nothing is followed twice
        // without need.
        traversal_limit_in_words: None,
        nesting_limit: MAX_VALUE_DEPTH as i32 + 1,
    };
    let message = Reader::new(SegmentArray::new(&segments), options);
    let unreadable = |source| Error::Unreadable { file: file.to_owned(), source };
    let root = message.get_root::<package_definition::Reader<'_>>().map_err(unreadable)?;
    check(file, constant, root)?;
    let value = Value { file, root };
    value.read(constant, evaluator, inputs).map_err(|failure| match failure {
        Failure::Wire(source) => unreadable(source),
        Failure::Unfit(message) => Error::Unfit { file: file.to_owned(), message, hint: None },
    })
}

/// What every package needs, in the order in which the original looks (package-format §8.6).
fn check(file: &Path, constant: &str, root: package_definition::Reader<'_>) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { file: file.to_owned(), source };
    let unfit = |message: String, hint: String| Error::Unfit {
        file: file.to_owned(),
        message,
        hint: Some(hint),
    };
    let manifest = root.get_manifest().map_err(unreadable)?;
    if !manifest.has_app_title() {
        return Err(unfit(
            format!("{constant}.manifest has no appTitle"),
            "add a line like appTitle = (defaultText = \"My App\")".to_owned(),
        ));
    }
    if !manifest.has_app_marketing_version() {
        return Err(unfit(
            format!("{constant}.manifest has no appMarketingVersion"),
            "add a line like appMarketingVersion = (defaultText = \"0.1.0\")".to_owned(),
        ));
    }
    // 0 is the only version of the platform's interface so far.
    let (least, most) = (manifest.get_min_api_version(), manifest.get_max_api_version());
    if least > 0 || most > 0 {
        let (name, version) =
            if least > 0 { ("minApiVersion", least) } else { ("maxApiVersion", most) };
        return Err(unfit(
            format!("{constant}.manifest has {name} = {version}, but the newest known is 0"),
            format!("leave {name} out"),
        ));
    }
    let words = manifest.total_size().map_err(unreadable)?.word_count;
    if words > MAX_MANIFEST_WORDS {
        return Err(unfit(
            format!(
                "{constant}.manifest takes {words} words, more than the {MAX_MANIFEST_WORDS} \
                 (8 MiB) that servers accept"
            ),
            "embed smaller icons and screenshots".to_owned(),
        ));
    }
    Ok(())
}

/// The definition while it is read.
struct Value<'a> {
    file: &'a Path,
    root: package_definition::Reader<'a>,
}

enum Failure {
    Wire(capnp::Error),
    Unfit(String),
}

impl From<capnp::Error> for Failure {
    fn from(error: capnp::Error) -> Failure {
        Failure::Wire(error)
    }
}

impl Value<'_> {
    fn read(
        &self,
        constant: &str,
        evaluator: Evaluator,
        inputs: Vec<PathBuf>,
    ) -> Result<Definition, Failure> {
        let root = self.root;
        let wire = root.get_manifest()?;
        let manifest = single_segment::<manifest::Owned>(wire, wire.total_size()?.word_count)?;
        let plain = Manifest::from_bytes(&manifest).map_err(|error| {
            Failure::Unfit(format!("{constant}.manifest: {}", in_one_line(&error)))
        })?;
        let bridge_config = if root.has_bridge_config() {
            let config = root.get_bridge_config()?;
            let words = config.total_size()?.word_count;
            Some(single_segment::<bridge_config::Owned>(config, words)?)
        } else {
            None
        };
        let continues_with_bridge = argv_is_bridge(wire.get_continue_command()?)?;
        let file_list = if root.has_file_list() {
            Some(text(root.get_file_list()?, "fileList")?)
        } else {
            None
        };
        let mut always_include = Vec::new();
        for path in root.get_always_include()? {
            always_include.push(text(path?, "alwaysInclude")?);
        }
        Ok(Definition {
            file: self.file.to_owned(),
            constant: constant.to_owned(),
            id: text(root.get_id()?, "id")?,
            uses_bridge: bridge_config.is_some() || continues_with_bridge,
            commands_use_bridge: plain.uses_bridge(),
            manifest,
            bridge_config,
            source_map: self.source_map(root.get_source_map()?)?,
            file_list,
            always_include,
            evaluator,
            inputs,
        })
    }

    /// The mappings, their sources joined to the directory of the definition.
    fn source_map(&self, wire: source_map::Reader<'_>) -> Result<SourceMap, Failure> {
        let dir = self.file.parent().unwrap_or(Path::new(""));
        let mut mappings = Vec::new();
        for mapping in wire.get_search_path()? {
            let source = mapping.get_source_path()?;
            let mut hide_paths = Vec::new();
            for path in mapping.get_hide_paths()? {
                hide_paths.push(path?.as_bytes().to_vec());
            }
            mappings.push(Mapping {
                package_path: mapping.get_package_path()?.as_bytes().to_vec(),
                source_path: dir.join(OsStr::from_bytes(source.as_bytes())),
                hide_paths,
            });
        }
        SourceMap::new(mappings).map_err(|error| Failure::Unfit(error.to_string()))
    }
}

/// Whether the command's first argument names the bridge; a `deprecatedExecutablePath` is not
/// looked at (package-format §6.3).
fn argv_is_bridge(command: manifest::command::Reader<'_>) -> Result<bool, Failure> {
    let argv = command.get_argv()?;
    if argv.is_empty() {
        return Ok(false);
    }
    let program = argv.get(0)?.as_bytes().to_vec();
    Ok(crate::manifest::Command { argv: vec![program], environ: Vec::new() }.uses_bridge())
}

fn text(value: capnp::text::Reader<'_>, field: &str) -> Result<String, Failure> {
    value
        .to_string()
        .map_err(|_| Failure::Unfit(format!("{field} has a text that is not valid UTF-8")))
}

/// The struct as the root of a framed message of exactly one segment (package-format §6.5).
fn single_segment<T: Owned>(
    value: impl SetterInput<T>,
    words: u64,
) -> Result<Vec<u8>, capnp::Error> {
    // The caller has bounded the size; one word more for the root pointer.
    let words = u32::try_from(words + 1).unwrap_or(u32::MAX);
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(words));
    message.set_root::<T>(value)?;
    Ok(serialize::write_message_to_words(&message))
}
