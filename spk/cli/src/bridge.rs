//! Where `sandstorm-http-bridge` is, which is packed into HTTP apps.

use std::path::PathBuf;

use spk_package::programs;

use crate::error::{CliError, Result};

/// Name of the program.
pub const NAME: &str = "sandstorm-http-bridge";

/// Below the directory of `spk`: beside it (cargo, a tarball), or where a distribution's package
/// puts programs that people do not call.
const PLACES: &[&str] = &["", "../libexec/spk", "../lib/spk"];

/// Finds it: `$SPK_BRIDGE`, else near the running `spk`.
pub fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SPK_BRIDGE") {
        let path = PathBuf::from(path);
        if !path.is_file() {
            return Err(CliError::new(format!("SPK_BRIDGE names no file: {}", path.display())));
        }
        return match programs::is_static(&path) {
            Ok(true) => Ok(path),
            Ok(false) => Err(CliError::new(format!(
                "SPK_BRIDGE names no bridge: {} is no static program for this machine",
                path.display()
            ))
            .hint(format!("unset it, or name a {NAME}"))),
            Err(error) => {
                Err(CliError::from(error).context(format!("cannot read {}", path.display())))
            }
        };
    }
    let exe = std::env::current_exe()?;
    let dir = exe.parent().map(PathBuf::from).unwrap_or_default();
    PLACES.iter().map(|place| dir.join(place).join(NAME)).find(|path| path.is_file()).ok_or_else(
        || {
            CliError::new(format!("{NAME} is not beside {}", exe.display()))
                .hint("install it there, or name it with SPK_BRIDGE")
        },
    )
}
