//! What can go wrong in the store. Every variant names the action, and the path or ID.

use std::io;
use std::path::PathBuf;

use spk_package::app_id::AppId;
use spk_package::package_id::PackageId;

use super::id::GrainId;
use super::lock::Holder;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory of the store could not be worked with.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted: "create", "read", ….
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The text is not a grain ID.
    #[error("'{0}' is not a grain ID (22 letters and digits)")]
    NotAnId(String),
    /// No grain has this ID, or begins with these characters.
    #[error("no grain '{0}'; `spk grain list` shows what there is")]
    NoGrain(String),
    /// More than one grain begins with these characters.
    #[error("'{text}' is the beginning of {count} grain IDs; give more of it")]
    Ambiguous {
        /// The beginning.
        text: String,
        /// How many grains have it.
        count: usize,
    },
    /// Another process works with the grain.
    #[error("grain {id} is in use{}", held_by(.holder))]
    Busy {
        /// The grain.
        id: GrainId,
        /// Who, when that is known.
        holder: Option<Holder>,
    },
    /// The grain's own description cannot be understood.
    #[error("the metadata in {} is damaged", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// Where it stops making sense.
        source: serde_json::Error,
    },
    /// It was written by a later version of this program.
    #[error("{} was written by a newer spk (format {found}, this one knows {known})", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its number.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The package is not in the store.
    #[error("package {0} is not in the store; `spk run FILE` puts it there")]
    NoPackage(PackageId),
    /// The package file is not good.
    #[error("cannot take {} into the store", path.display())]
    BadPackage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What lies in the store as a package is damaged.
    #[error("package {id} in the store is damaged; remove it with `spk grain gc` and add it again")]
    DamagedPackage {
        /// The package.
        id: PackageId,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A grain can only run packages of its own app.
    #[error("grain {id} belongs to app {grain}, but the package is of app {package}")]
    OtherApp {
        /// The grain.
        id: GrainId,
        /// The grain's app.
        grain: AppId,
        /// The package's.
        package: AppId,
    },
    /// The package is older than the one the grain has run with.
    #[error(
        "grain {id} has run with version {grain} of its app, the package is version {package}; \
         an older app may damage newer data"
    )]
    OlderApp {
        /// The grain.
        id: GrainId,
        /// Version the grain has.
        grain: u32,
        /// Version of the package.
        package: u32,
    },
    /// The package cannot take over data this old.
    #[error(
        "grain {id} is from version {grain} of its app, the package upgrades from version \
         {minimum} on; upgrade to a version in between first"
    )]
    TooOld {
        /// The grain.
        id: GrainId,
        /// Version the grain has.
        grain: u32,
        /// The package's `minUpgradableAppVersion`.
        minimum: u32,
    },
    /// No randomness from the kernel.
    #[error("cannot make a new id")]
    Random(#[source] io::Error),
}

impl Error {
    /// Whether a grain's own description is damaged or gone, so that
    /// [`Store::open_damaged`](super::Store::open_damaged) may help.
    pub fn is_damaged_grain(&self) -> bool {
        match self {
            Error::Metadata { .. } => true,
            Error::Io { path, source, .. } => {
                source.kind() == io::ErrorKind::NotFound && path.ends_with(super::meta::META)
            }
            _ => false,
        }
    }
}

fn held_by(holder: &Option<Holder>) -> String {
    match holder {
        Some(holder) => format!(" by process {} ({})", holder.pid, holder.what),
        None => " by another process".to_owned(),
    }
}

/// Turns an I/O error into ours.
pub(crate) trait IoContext<T> {
    /// Adds the action and the path.
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, Error>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T, Error> {
        self.map_err(|source| Error::Io { action, path: path.into(), source })
    }
}
