//! What the HTTP bridge provides before it starts the app: [`PATH`] in a package, spk's own. The
//! original's bridge does not look at it.

use serde::{Deserialize, Serialize};

/// The file's place in a package.
pub const PATH: &str = "opt/spk/launch.json";

/// The directory beside it with what volumes begin with, by their paths below `/var`.
pub const CONTENTS: &str = "opt/spk/var";

/// The file's contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Where the app is started: an absolute path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Paths below `/var` that are filled from [`CONTENTS`] where the grain has nothing there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Directories below `/var` that are made anew at each start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fresh: Vec<String>,
}

impl Launch {
    /// Reads the file.
    ///
    /// # Errors
    /// When it is not this JSON. A field that is not known is an error, too: an older bridge must not do
    /// half of what a package wants.
    pub fn from_bytes(bytes: &[u8]) -> Result<Launch, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// As it is written.
    ///
    /// # Errors
    /// None that strings can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for launch in [
            Launch::default(),
            Launch {
                directory: Some("/app".into()),
                volumes: vec!["lib/x".into()],
                fresh: vec!["run".into()],
            },
        ] {
            assert_eq!(Launch::from_bytes(&launch.to_bytes().unwrap()).unwrap(), launch);
        }
        for bad in ["", "[1]", r#"{"volume": []}"#, r#"{"volumes": [1]}"#, r#"{"directory": 1}"#] {
            assert!(Launch::from_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
