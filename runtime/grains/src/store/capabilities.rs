//! What a grain's host remembers for it besides its data, in `capabilities.json` beside
//! `grain.json`: saved capabilities, API tokens, shares and scheduled jobs. As on a server, none
//! of it is in a backup (grain-runtime §E.2): a restored grain starts without.
//!
//! Secrets are kept as their SHA-256 only: who reads the file cannot use them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, IoContext};
use spk_files::{Dir, atomic};

/// File name in the grain's directory.
const FILE: &str = "capabilities.json";

/// Only the owner reads it; whoever writes it has the grain's lock.
const OPTIONS: atomic::Options = atomic::Options::mode(0o600).only_writer();

/// Version of the file's format.
const FORMAT: u32 = 1;

/// Largest file read. The host writes less: see the limits of `serve::record_store`.
const FILE_LIMIT: u64 = 64 << 20;

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Records {
    /// Version of the format.
    pub format: u32,
    /// Saved capabilities, by the hash of their token.
    pub saved: BTreeMap<String, Saved>,
    /// API tokens, by the hash of the token.
    pub tokens: BTreeMap<String, ApiToken>,
    /// Who owned the grain when it was shared first; none while nothing is shared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Who lets whom do what.
    pub shares: Vec<Share>,
    /// Scheduled jobs, by number.
    pub jobs: BTreeMap<u64, Job>,
    /// The name under which `/var/www` is published, once the app asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_id: Option<String>,
}

/// A capability that `SandstormApi.save` saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// What it is.
    pub object: Object,
    /// The app's words for it.
    #[serde(default)]
    pub label: String,
    /// When, Unix time in seconds.
    pub created: u64,
}

/// What a saved capability leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Object {
    /// An object of the app's own: its object ID, a Cap'n Proto message in base64.
    App(String),
    /// The identity of a local user.
    Identity(String),
    /// One of the host's own objects for tests, by name.
    Grant(String),
    /// An object of another grain's app.
    Other {
        /// The grain's ID.
        grain: String,
        /// As in [`Object::App`].
        object: String,
    },
}

/// A token for programs (http-bridge §7.9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiToken {
    /// Short name for people and commands; unique in the grain.
    pub id: String,
    /// What it is for.
    pub label: String,
    /// The label of its API host after `api-`.
    pub host: String,
    /// Who acts; none for a token that is given away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it allows.
    pub role: Assignment,
    /// When it was made, Unix time in seconds.
    pub created: u64,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When it ends if nobody has used it by then; goes away at the first use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_if_unused: Option<u64>,
    /// Whether it was taken back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// What its host answers without the token.
    #[serde(skip_serializing_if = "Unauthenticated::is_empty")]
    pub unauthenticated: Unauthenticated,
}

/// What an API host answers to anybody (http-bridge §7.14).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Unauthenticated {
    /// Tokens of the `DAV` header of OPTIONS.
    pub dav: Vec<String>,
    /// By path.
    pub resources: BTreeMap<String, Resource>,
}

impl Unauthenticated {
    /// Whether it answers nothing.
    pub fn is_empty(&self) -> bool {
        self.dav.is_empty() && self.resources.is_empty()
    }
}

/// A small file of an API host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    /// `Content-Type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// The body.
    pub body: String,
}

/// `ViewSharingLink.RoleAssignment` with the permissions by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Assignment {
    /// The role.
    pub role: Role,
    /// Added afterwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Removed last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// Which role.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The app's default role, or nothing.
    #[default]
    None,
    /// All permissions of the app.
    AllAccess,
    /// By its index.
    Id(u16),
    /// By its title, as a person typed it.
    Titled(String),
}

/// One edge of the sharing graph (http-bridge §7.6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// Who shares.
    pub from: String,
    /// With whom.
    pub to: String,
    /// What.
    pub role: Assignment,
}

/// A scheduled job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The app's words for it.
    pub name: String,
    /// The callback.
    pub object: Object,
    /// When it is due next, Unix time in seconds.
    pub due: u64,
    /// How often it comes again; none: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// `SchedulingPeriod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Period {
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
    /// Every week.
    Weekly,
    /// Every month, of 30 days and some hours: a twelfth of a year.
    Monthly,
    /// Every year.
    Annually,
}

impl Period {
    /// Length in seconds.
    pub fn seconds(self) -> u64 {
        const DAY: u64 = 24 * 60 * 60;
        // A year of the Gregorian calendar has 365.2425 days.
        const YEAR: u64 = 365 * DAY + DAY * 2425 / 10_000;
        match self {
            Period::Hourly => 60 * 60,
            Period::Daily => DAY,
            Period::Weekly => 7 * DAY,
            Period::Monthly => YEAR / 12,
            Period::Annually => YEAR,
        }
    }
}

/// Where one grain's records are kept.
#[derive(Debug)]
pub struct CapabilityFile {
    dir: Dir,
    path: PathBuf,
}

impl CapabilityFile {
    /// In the grain's directory; `path` is what messages call it.
    ///
    /// # Errors
    /// When there is no further descriptor for the directory.
    pub fn new(dir: &Dir, path: &Path) -> Result<CapabilityFile, Error> {
        Ok(CapabilityFile { dir: dir.try_clone().at("open", path)?, path: path.join(FILE) })
    }

    /// Reads the records; those of a grain that has none yet are empty.
    ///
    /// # Errors
    /// When there is a file, and it cannot be read or understood.
    pub fn read(&self) -> Result<Records, Error> {
        let mut text = Vec::new();
        match self.dir.open_file(FILE.as_bytes()) {
            Ok(file) => file.take(FILE_LIMIT).read_to_end(&mut text).at("read", &self.path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Records::default()),
            Err(error) => return Err(error).at("read", &self.path),
        };
        let records: Records = serde_json::from_slice(&text)
            .map_err(|source| Error::Metadata { path: self.path.clone(), source })?;
        if records.format > FORMAT {
            let path = self.path.clone();
            return Err(Error::NewerFormat { path, found: records.format, known: FORMAT });
        }
        Ok(records)
    }

    /// Replaces them; the caller has locked the grain.
    ///
    /// # Errors
    /// When that fails; the old ones are there still.
    pub fn write(&self, records: &Records) -> Result<(), Error> {
        let write = || {
            let mut records = records.clone();
            records.format = FORMAT;
            let mut text = serde_json::to_vec_pretty(&records)?;
            text.push(b'\n');
            OPTIONS.write_in(&self.dir, FILE.as_bytes(), &text)
        };
        write().at("write", &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_an_unfinished_file_is_no_obstacle() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_trusted(place.path()).unwrap();
        let file = CapabilityFile::new(&dir, place.path()).unwrap();
        assert_eq!(file.read().unwrap(), Records::default());
        // A process was killed while it wrote.
        let unfinished = place.path().join(".capabilities.json.new");
        std::fs::write(&unfinished, "{\"saved\":").unwrap();
        let mut records = Records { format: FORMAT, ..Records::default() };
        let saved = Saved { object: Object::Identity("bob".into()), label: "x".into(), created: 7 };
        records.saved.insert("hash".into(), saved);
        let token = ApiToken { id: "1".into(), role: Assignment::default(), ..ApiToken::default() };
        records.tokens.insert("token".into(), token);
        file.write(&records).unwrap();
        assert_eq!(file.read().unwrap(), records);
        assert!(!unfinished.exists());
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(place.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_or_newer_file_is_named_and_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let dir = Dir::open_trusted(place.path()).unwrap();
        let file = CapabilityFile::new(&dir, place.path()).unwrap();
        for text in ["", "3", "{\"saved\": 3}", "{\"format\": 99}"] {
            std::fs::write(place.path().join(FILE), text).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("capabilities.json"), "{text}: {error}");
        }
    }
}
