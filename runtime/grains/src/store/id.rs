//! Grain IDs: 22 random letters and digits (grain-runtime §A.1), about 131 bits.

use std::fmt;
use std::str::FromStr;

use super::error::Error;

/// Length of an ID in characters.
pub const ID_LENGTH: usize = 22;

/// Name of a grain, and of its directory. Whoever has one of these has checked it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrainId(String);

impl GrainId {
    /// A new one that nobody can guess.
    ///
    /// # Errors
    /// When the kernel gives no random bytes.
    pub fn random() -> Result<GrainId, Error> {
        Ok(GrainId(random_name(ID_LENGTH)?))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Random letters and digits, as many as asked for.
///
/// # Errors
/// When the kernel gives no random bytes.
pub fn random_name(length: usize) -> Result<String, Error> {
    spk_files::random::name(length).map_err(Error::Random)
}

impl FromStr for GrainId {
    type Err = Error;
    fn from_str(text: &str) -> Result<GrainId, Error> {
        if text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(GrainId(text.to_owned()))
        } else {
            Err(Error::NotAnId(text.chars().take(80).collect()))
        }
    }
}

impl AsRef<str> for GrainId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GrainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_ids() {
        let id = GrainId::random().unwrap();
        assert_eq!(id.to_string().parse::<GrainId>().unwrap(), id);
        assert_ne!(GrainId::random().unwrap(), id);
        for bad in [
            "",
            "..",
            "../../../../etc/passwd0",
            "0123456789012345678901/",
            ".123456789012345678901",
            "012345678901234567890\0",
            "012345678901234567890é",
            "01234567890123456789012",
            "012345678901234567890-",
        ] {
            assert!(bad.parse::<GrainId>().is_err(), "{bad}");
        }
    }
}
