//! What the store knows about a grain, in `grain.json` beside its data: small, readable, and
//! replaced as a whole so that a crash leaves the old one or the new one.

use std::io::{self, Read};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use spk_package::app_id::AppId;
use spk_package::package_id::PackageId;

use spk_files::{Dir, atomic};

/// File name in the grain's directory.
pub(crate) const META: &str = "grain.json";

/// Only the owner reads it; whoever writes it has the grain's lock.
const OPTIONS: atomic::Options = atomic::Options::mode(0o600).only_writer();

/// Version of the file's format.
pub(crate) const FORMAT: u32 = 1;

/// Largest file read. It holds a title and the users of one grain; a restored backup's metadata
/// is limited to 1 MiB (grain-runtime §E.7) and grows at most sixfold by JSON escapes.
pub(crate) const META_LIMIT: u64 = 8 << 20;

/// Everything known about a grain apart from its data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrainMeta {
    /// Version of this file's format.
    pub format: u32,
    /// The app whose packages may run the grain.
    #[serde(with = "text")]
    pub app_id: AppId,
    /// The package it runs with; none while only `spk dev` has run it.
    #[serde(default, with = "optional_text", skip_serializing_if = "Option::is_none")]
    pub package_id: Option<PackageId>,
    /// That package's `appVersion`.
    pub app_version: u32,
    /// What its owner calls it. Untrusted text when it comes from a backup.
    pub title: String,
    /// When it was made or restored, Unix time in seconds.
    pub created: u64,
    /// When it last ran, Unix time in seconds.
    pub last_used: u64,
    /// Whether it has ever been started: the first start uses the app's "new" command.
    #[serde(default)]
    pub started: bool,
    /// The owner's identity in this grain, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_identity_id: Option<String>,
    /// The local user who is the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Everybody known in this grain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// The grain this one is a copy of, if its backup said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_grain_id: Option<String>,
    /// The project that `spk dev` runs in the grain: the path of its definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Whether it was made for one session of `spk dev`, which may be over for good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub for_one_session: bool,
}

/// Somebody who has used the grain (`GrainInfo.User`, grain-runtime §C.7 and §E.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Identity within this grain, in hex.
    pub identity_id: String,
    /// Credentials that may claim the identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credential_ids: Vec<String>,
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// Name for machines.
    #[serde(default)]
    pub preferred_handle: String,
    /// `Profile.Pronouns`: 0 neutral, 1 male, 2 female, 3 robot.
    #[serde(default)]
    pub pronouns: u16,
}

impl GrainMeta {
    /// Those of a grain made now, which no package runs yet.
    pub(crate) fn new(app_id: AppId, app_version: u32, title: &str) -> GrainMeta {
        let now = now();
        GrainMeta {
            format: FORMAT,
            app_id,
            package_id: None,
            app_version,
            title: super::shorten(title),
            created: now,
            last_used: now,
            started: false,
            owner_identity_id: None,
            owner: None,
            users: Vec::new(),
            original_grain_id: None,
            project: None,
            for_one_session: false,
        }
    }
}

/// What is left of the metadata of the grain in `dir`, which cannot be read as a whole; nothing if
/// the app is neither `known` nor to be found there.
pub(crate) fn salvage(dir: &Dir, known: Option<AppId>) -> io::Result<Option<GrainMeta>> {
    let mut text = Vec::new();
    match dir.open_file(META.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        opened => opened?.take(META_LIMIT).read_to_end(&mut text)?,
    };
    let text = String::from_utf8_lossy(&text);
    let found = || salvaged::<String>(&text, "appId")?.parse().ok();
    Ok(known.or_else(found).map(|app_id| {
        let version = salvaged(&text, "appVersion").unwrap_or_default();
        let title = salvaged(&text, "title").unwrap_or_else(|| "salvaged grain".to_owned());
        GrainMeta { started: true, ..GrainMeta::new(app_id, version, &title) }
    }))
}

/// The value of the first field of that name in what may be no JSON as a whole.
fn salvaged<T: serde::de::DeserializeOwned>(text: &str, name: &str) -> Option<T> {
    let (_, rest) = text.split_once(&format!("\"{name}\""))?;
    let rest = rest.trim_start().strip_prefix(':')?;
    serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::salvaged;

    #[test]
    fn fields_are_found_in_what_is_left() {
        let text =
            "{\"format\": 1,\n \"appVersion\" : 7, \"title\": \"a \\\"b\\\"\", \"users\": [{";
        assert_eq!(salvaged(text, "title"), Some("a \"b\"".to_owned()));
        assert_eq!(salvaged(text, "appVersion"), Some(7));
        assert_eq!(salvaged::<u32>(text, "title"), None);
        assert_eq!(salvaged::<String>(text, "users"), None);
        assert_eq!(salvaged::<String>("{\"title\": \"cut o", "title"), None);
        assert_eq!(salvaged::<String>("\"title\"", "title"), None);
    }
}

/// Reads the metadata of the grain in `dir`.
pub(crate) fn read(dir: &Dir) -> Result<GrainMeta, ReadError> {
    let mut text = Vec::new();
    dir.open_file(META.as_bytes())?.take(META_LIMIT).read_to_end(&mut text)?;
    /// Read first, so that a newer format is called that, and not damaged.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(&text)?;
    if format > FORMAT {
        return Err(ReadError::Newer(format));
    }
    Ok(serde_json::from_slice(&text)?)
}

/// Why it could not be read; the caller adds the path.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    Json(serde_json::Error),
    Newer(u32),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        ReadError::Io(error)
    }
}

impl From<serde_json::Error> for ReadError {
    fn from(error: serde_json::Error) -> Self {
        ReadError::Json(error)
    }
}

/// Replaces the metadata of the grain in `dir`, which the caller has locked.
pub(crate) fn write(dir: &Dir, meta: &GrainMeta) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(meta)?;
    text.push(b'\n');
    OPTIONS.write_in(dir, META.as_bytes(), &text)
}

/// IDs as the text people see.
mod text {
    use super::*;
    use std::fmt::Display;
    use std::str::FromStr;

    pub fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The same for what may be missing.
mod optional_text {
    use super::*;
    use std::fmt::Display;
    use std::str::FromStr;

    pub fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.collect_str(value),
            None => to.serialize_none(),
        }
    }

    pub fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
    }
}

/// Unix time in seconds, now.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
