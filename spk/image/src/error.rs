//! What can be wrong with an image, each with its own words.

use std::io;
use std::path::PathBuf;

/// A failure of reading an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image itself could not be read.
    #[error("cannot read the image")]
    Read(#[source] io::Error),
    /// A part of it could not be read.
    #[error("cannot read '{part}' of the image")]
    ReadPart {
        /// Its name in the archive or layout.
        part: String,
        /// Why not.
        source: io::Error,
    },
    /// Something could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path below the directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Neither form.
    #[error("this is no container image: it has neither an index.json nor a manifest.json")]
    NoImage,
    /// Names of parts that make no sense.
    #[error("the archive has a part with an unusable name: '{0}'")]
    PartName(String),
    /// Twice the same part.
    #[error("the archive has '{0}' twice")]
    DuplicatePart(String),
    /// What is named is not there.
    #[error("the image lacks '{0}', which it names")]
    NoPart(String),
    /// JSON that is not what it should be.
    #[error("'{part}' of the image makes no sense")]
    Document {
        /// The part.
        part: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// JSON that contradicts itself, or asks for what is not known.
    #[error("'{part}' of the image: {what}")]
    Contradiction {
        /// The part.
        part: String,
        /// What is wrong.
        what: String,
    },
    /// Other bytes than the digest says.
    #[error("'{0}' of the image is damaged: its digest is another one")]
    Digest(String),
    /// A digest of an unknown kind.
    #[error("'{0}' is not a digest in sha256 or sha512")]
    UnknownDigest(String),
    /// More than one image, and no word which.
    #[error("the image file has several images: {}; --image-name chooses one", names.join(", "))]
    Several {
        /// What they are called.
        names: Vec<String>,
    },
    /// None of that name.
    #[error("the image file has no image '{wanted}'; it has: {}", names.join(", "))]
    NoSuchName {
        /// What was asked for.
        wanted: String,
        /// What there is.
        names: Vec<String>,
    },
    /// None for this machine.
    #[error("the image is not made for {wanted}, but for {}; --platform chooses another", found.join(", "))]
    Platform {
        /// What was asked for.
        wanted: String,
        /// What there is.
        found: Vec<String>,
    },

    /// `..` in a name.
    #[error("layer {layer}: '{name}' climbs out of the image with '..'")]
    Climbs {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
    },
    /// Begins with a slash.
    #[error("layer {layer}: '{name}' is an absolute path")]
    Absolute {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
    },
    /// What no file can be called.
    #[error("layer {layer}: '{name}' is not a usable name ({what})")]
    BadName {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A link, and things below it.
    #[error("layer {layer}: '{name}' leads through the symbolic link '{link}', which {what}")]
    ThroughLink {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
        /// The link.
        link: String,
        /// Why it is not followed.
        what: &'static str,
    },
    /// A file, and things below it.
    #[error("layer {layer}: '{name}' is below '{file}', which is no directory")]
    BelowFile {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
        /// What is in the way.
        file: String,
    },
    /// Twice the same name.
    #[error("layer {layer}: '{name}' is in it twice")]
    Duplicate {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
    },
    /// A hard link to what is not there.
    #[error("layer {layer}: '{name}' is a hard link to '{target}', {what}")]
    HardLink {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
        /// What it should be the same as.
        target: String,
        /// What is wrong with that.
        what: &'static str,
    },
    /// A symbolic link without a usable target.
    #[error("layer {layer}: the target of the symbolic link '{name}' is not usable")]
    BadLink {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
    },
    /// An entry of a type that is not known.
    #[error("layer {layer}: '{name}' is of an unknown type ({kind})")]
    UnknownType {
        /// Counted from 1.
        layer: usize,
        /// The entry.
        name: String,
        /// Its type flag.
        kind: char,
    },
    /// No tar, or cut off.
    #[error("layer {layer} is damaged{}", behind(name))]
    Layer {
        /// Counted from 1.
        layer: usize,
        /// The entry at which this was found; empty for none.
        name: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Other contents than the configuration says.
    #[error("layer {0} is damaged: its uncompressed contents are not what the configuration says")]
    DiffId(usize),

    /// A limit was exceeded.
    #[error("{what}: more than the limit of {limit}; {flag} raises it")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// A limit that nothing raises was exceeded.
    #[error("{what}: more than {limit}")]
    TooMany {
        /// What is limited.
        what: String,
        /// The limit.
        limit: u64,
    },
    /// More than such an archive can mean.
    #[error(
        "{what} grows to more than {limit} times its size: not unpacked; --max-ratio raises this limit"
    )]
    Bomb {
        /// The layer or the archive.
        what: String,
        /// How many times.
        limit: u64,
    },
}

fn behind(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" at '{name}'"),
    }
}
