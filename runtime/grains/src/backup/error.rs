//! What can be wrong with a backup, each with its own words.

use std::io;
use std::path::PathBuf;

use spk_files::printable;

use crate::store;

/// A failure of export or restore.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store said no.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file or directory could not be worked with.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The backup itself could not be read or written.
    #[error("cannot {0} the backup")]
    Archive(&'static str, #[source] io::Error),
    /// What was just written does not read back.
    #[error("the backup that was just written does not read back; nothing was kept")]
    Unverified(#[source] Box<Error>),
    /// The grain runs and could not be held still.
    #[error("grain {id} is running and could not be frozen: {reason}")]
    Frozen {
        /// The grain.
        id: store::GrainId,
        /// Why not.
        reason: String,
    },

    /// A running grain's data could not be copied in the time given.
    #[error(
        "the running grain would have to be frozen for too long; stop it, allow more time with          --freeze-limit, or take what is there with --live"
    )]
    TooSlow,

    /// The grain has a path that zip files cannot hold.
    #[error("cannot pack {name}: its path has {length} bytes, more than zip files can hold")]
    LongPath {
        /// The beginning of the path in the backup.
        name: String,
        /// Its length.
        length: usize,
    },

    /// Not a zip file at all.
    #[error("this is not a zip file")]
    NotAZip,
    /// Begins like a zip file, and does not end.
    #[error("the backup is cut off: its end is missing")]
    Truncated,
    /// More bytes behind the end.
    #[error("the backup has {0} bytes behind its end")]
    TrailingData(u64),
    /// Bytes before the first member, or between members.
    #[error("the backup has {length} bytes at offset {offset} that belong to no member")]
    Stray {
        /// Where.
        offset: u64,
        /// How many.
        length: u64,
    },
    /// More than one record could be the end.
    #[error("the backup has more than one end record")]
    AmbiguousEnd,
    /// Split over several files.
    #[error("the backup is one part of several; put them together first (zip -s 0)")]
    MultiPart,
    /// The central directory contradicts itself.
    #[error("the backup's central directory is damaged ({0})")]
    BadDirectory(&'static str),
    /// The two headers of a member disagree.
    #[error("the two headers of '{name}' disagree about its {what}")]
    Mismatch {
        /// The member.
        name: String,
        /// "name", "size", ….
        what: &'static str,
    },
    /// Two members share bytes.
    #[error("'{0}' overlaps what comes after it")]
    Overlap(String),
    /// Twice the same name.
    #[error("'{0}' is in the backup twice")]
    Duplicate(String),
    /// A file, and things below it.
    #[error("'{0}' is a file, but there are members below it")]
    FileAndDirectory(String),
    /// A link, and things below it.
    #[error("'{0}' is a symbolic link, but there are members below it")]
    ThroughLink(String),
    /// A second name of another member.
    #[error("'{0}' is a hard link to another member; backups hold each file whole")]
    HardLink(String),
    /// Two names for one member.
    #[error("'{0}' has another name in its field for Unicode paths")]
    OtherName(String),
    /// Password needed.
    #[error("'{0}' is encrypted; make the zip without a password")]
    Encrypted(String),
    /// Not stored, not deflated.
    #[error("'{name}' is compressed by method {method}; only store and deflate are known")]
    Method {
        /// The member.
        name: String,
        /// The number.
        method: u16,
    },
    /// A device, FIFO or socket.
    #[error("'{name}' is a {kind}; only files, directories and symbolic links are restored")]
    Special {
        /// The member.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// The type and the name or size say different things.
    #[error("'{name}': {what}")]
    Kind {
        /// The member.
        name: String,
        /// What does not fit.
        what: &'static str,
    },
    /// `..` in a name.
    #[error("'{0}' climbs out of the backup with '..'")]
    Climbs(String),
    /// Begins with a slash or a drive letter.
    #[error("'{0}' is an absolute path")]
    Absolute(String),
    /// Backslashes where they would be separators.
    #[error("'{0}' has backslashes that could be meant as separators")]
    Backslash(String),
    /// An empty component, `.` or a NUL.
    #[error("'{name}' is not a usable name ({what})")]
    BadName {
        /// The member.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A symbolic link without a usable target.
    #[error("the target of the symbolic link '{0}' is not usable")]
    BadLink(String),
    /// The data is not what the checksum says.
    #[error("'{0}' is damaged: its checksum is wrong")]
    Checksum(String),
    /// The compressed data is no deflate stream.
    #[error("'{0}' is damaged: its compressed data makes no sense")]
    BadDeflate(String),
    /// More or fewer bytes than declared.
    #[error("'{0}' does not have the size its header declares")]
    LyingSize(String),

    /// A limit was exceeded.
    #[error("{what}: {found}, more than the limit of {limit}; {flag} raises it")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// What was found.
        found: u64,
        /// The limit.
        limit: u64,
        /// The option.
        flag: &'static str,
    },
    /// It expands too much.
    #[error(
        "'{name}' brings the backup to more than {limit} times its size, as zip bombs do; \
         --max-ratio raises the limit"
    )]
    Bomb {
        /// The member.
        name: String,
        /// The ratio.
        limit: u64,
    },

    /// No `metadata`.
    #[error("there is no member 'metadata': this is not a backup of a grain")]
    NoMetadata,
    /// `metadata` is one level too deep.
    #[error(
        "there is no member 'metadata', but '{folder}/metadata': zip what is in '{folder}', not \
         '{folder}' itself"
    )]
    InFolder {
        /// The folder.
        folder: String,
    },
    /// Nothing in `data/`.
    #[error("there is no member below 'data/': this is not a backup of a grain")]
    NoData,
    /// `metadata` cannot be understood.
    #[error("the backup's metadata is damaged: {0}")]
    BadMetadata(String),
    /// No package for the app.
    #[error(
        "the backup is of app {app_id}, which is not in the store; put it there with \
         `spk run FILE` or name it with --package FILE"
    )]
    NoApp {
        /// The app.
        app_id: String,
    },
    /// Only older packages of the app.
    #[error(
        "the backup was made with version {needed} of its app, the newest in the store is \
         version {newest}; add a newer package"
    )]
    OlderApp {
        /// Version in the backup.
        needed: u32,
        /// Newest version there is.
        newest: u32,
    },
    /// The package named is of another app.
    #[error("the backup is of app {backup}, the package of app {package}")]
    OtherApp {
        /// In the backup.
        backup: String,
        /// Of the package.
        package: String,
    },
    /// The package cannot take over data this old.
    #[error(
        "the backup was made with version {found} of its app, which the package does not \
         upgrade (it does from version {minimum} on); --force tries anyway"
    )]
    TooOld {
        /// In the backup.
        found: u32,
        /// `minUpgradableAppVersion`.
        minimum: u32,
    },
}

/// A name for messages.
pub(crate) fn shown(name: &[u8]) -> String {
    printable::line(name)
}
