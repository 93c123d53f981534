//! `/sandstorm-http-bridge-config`: one Cap'n Proto message with `BridgeConfig` as its root
//! (http-bridge §2.5).

use std::fs;
use std::path::{Path, PathBuf};

use capnp::message::ReaderOptions;
use capnp::serialize::{self, OwnedSegments};
use spk_schema::package_capnp::bridge_config;

/// Where the packaging tool puts the file.
pub const PATH: &str = "/sandstorm-http-bridge-config";

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("reading '{path}' failed: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        reason: std::io::Error,
    },
    /// The file is not a configuration.
    #[error("'{path}' is not a bridge configuration: {reason}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: capnp::Error,
    },
}

/// The configuration, read once and kept.
pub struct Config {
    message: capnp::message::TypedReader<OwnedSegments, bridge_config::Owned>,
    permission_names: Vec<Vec<u8>>,
    /// Prefix of the paths of API sessions; empty if the app has none.
    pub api_path: Vec<u8>,
    /// Whether to store each visitor's identity capability.
    pub save_identity_caps: bool,
    /// Whether the first peer on the app's socket provides hooks.
    pub expect_app_hooks: bool,
}

impl Config {
    /// Reads the file.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let bytes =
            fs::read(path).map_err(|reason| Error::Read { path: path.to_path_buf(), reason })?;
        Config::from_bytes(&bytes)
            .map_err(|reason| Error::Decode { path: path.to_path_buf(), reason })
    }

    /// Reads a message in the standard unpacked framing.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Config, capnp::Error> {
        // The message is traversed on every request, and belongs to the package.
        let mut options = ReaderOptions::new();
        options.traversal_limit_in_words(None);
        let message =
            serialize::read_message(&mut bytes, options)?.into_typed::<bridge_config::Owned>();
        let root = message.get()?;
        let mut permission_names = Vec::new();
        for permission in root.get_view_info()?.get_permissions()? {
            permission_names.push(permission.get_name()?.as_bytes().to_vec());
        }
        let api_path = root.get_api_path()?.as_bytes().to_vec();
        let (save_identity_caps, expect_app_hooks) =
            (root.get_save_identity_caps(), root.get_expect_app_hooks());
        Ok(Config { message, permission_names, api_path, save_identity_caps, expect_app_hooks })
    }

    /// The configuration itself.
    pub fn reader(&self) -> Result<bridge_config::Reader<'_>, capnp::Error> {
        self.message.get()
    }

    /// Names of the permissions whose bit is set, joined with commas, in the order they are defined
    /// in. Bits without a definition are ignored.
    pub fn permission_names(&self, bits: impl IntoIterator<Item = bool>) -> Vec<u8> {
        let set = self.permission_names.iter().zip(bits).filter(|(_, bit)| *bit);
        set.map(|(name, _)| name.as_slice()).collect::<Vec<_>>().join(&b","[..])
    }

    /// Names of all permissions, in the order they are defined in.
    pub fn permissions(&self) -> &[Vec<u8>] {
        &self.permission_names
    }
}
