//! The keyring: only its owner should read it, and somebody should have a copy.

use std::os::unix::fs::MetadataExt;

use super::Check;
use crate::global::Global;

/// Permission bits of everyone but the owner.
const OTHERS: u32 = 0o077;

/// The app keys.
pub fn check(global: &Global) -> Check {
    let name = "keyring";
    let path = match global.keyring_path(None) {
        Ok((path, _)) => path,
        Err(_) => return Check::warning(name, "$HOME is not set", "name it with -k"),
    };
    match path.metadata() {
        Ok(found) if found.mode() & OTHERS != 0 => Check::warning(
            name,
            format!("{} can be read by others", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(_) => Check::ok(
            name,
            format!("{}; whoever loses it cannot publish updates: keep a copy", path.display()),
        ),
        Err(_) => Check::ok(name, format!("{} is made by the first keygen", path.display())),
    }
}
