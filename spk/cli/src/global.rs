//! Options known before any subcommand, as the original tool knew them (`spk -k FILE unpack …`),
//! and where state and keys live.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::error::CliError;

/// Options that may stand before the subcommand.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// Keyring to use instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE", env = "SPK_KEYRING", hide_env_values = true)]
    pub keyring: Option<PathBuf>,
    /// Further directory to search for imported schema files (may be repeated); those of
    /// SPK_IMPORT_PATH, separated by colons, follow
    #[arg(short = 'I', long, value_name = "DIR")]
    pub import_path: Vec<PathBuf>,
    /// Package definition, as FILE:CONSTANT
    #[arg(
        short = 'p',
        long,
        value_name = "FILE:NAME",
        env = "SPK_PKG_DEF",
        hide_env_values = true
    )]
    pub pkg_def: Option<String>,
    /// Say less
    #[arg(short = 'q', long, global = true)]
    pub quiet: bool,
    /// Log on stderr what is done; given twice, in detail
    #[arg(short = 'v', long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Where packages and grains are kept, instead of $XDG_DATA_HOME/spk
    #[arg(long, value_name = "DIR", env = "SPK_STATE", hide_env_values = true, global = true)]
    pub state: Option<PathBuf>,
    /// Whether the subcommand was given `--json`
    #[arg(skip)]
    pub json: bool,
}

impl Global {
    /// Adds what the environment says and `clap` does not read.
    pub fn with_environment(mut self) -> Global {
        if let Some(paths) = std::env::var_os("SPK_IMPORT_PATH") {
            let paths = std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty());
            self.import_path.extend(paths);
        }
        self
    }

    /// The directory of packages and grains: `--state`, else `$XDG_DATA_HOME/spk`, else
    /// `~/.local/share/spk` (XDG base directory specification).
    pub fn state_dir(&self) -> Result<PathBuf, CliError> {
        if let Some(dir) = &self.state {
            return Ok(std::path::absolute(dir)?);
        }
        if let Some(dir) = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from)
            && dir.is_absolute()
        {
            return Ok(dir.join("spk"));
        }
        Ok(home()?.join(".local/share/spk"))
    }

    /// The keyring: the subcommand's `-k`, else this one's, else `~/.sandstorm-keyring`.
    /// The flag says whether it was named by the user (it must then exist).
    pub fn keyring_path(&self, local: Option<&PathBuf>) -> Result<(PathBuf, bool), CliError> {
        match local.or(self.keyring.as_ref()) {
            Some(path) => Ok((path.clone(), true)),
            None => Ok((home()?.join(".sandstorm-keyring"), false)),
        }
    }
}

/// `$HOME`; the original refuses to guess when it is not set, and so do we.
pub fn home() -> Result<PathBuf, CliError> {
    std::env::var_os("HOME")
        .filter(|home| !home.is_empty())
        .map(PathBuf::from)
        .ok_or_else(|| CliError::new("$HOME is not set").hint("name the file with -k or --state"))
}
