//! Where packages and grains go, and whether the bridge is there.

use nix::sys::statvfs::statvfs;

use super::Check;
use crate::global::Global;

/// Room for unpacking one package of the largest size and a grain (package-format §19).
const WANTED: u64 = 3 << 30;

/// Free space where packages and grains are kept.
pub fn disk(global: &Global) -> Check {
    let name = "disk";
    let state = match global.state_dir() {
        Ok(state) => state,
        Err(_) => return Check::missing(name, "$HOME is not set", "set $HOME, or pass --state"),
    };
    let Some(existing) = state.ancestors().find(|dir| dir.is_dir()) else {
        return Check::missing(name, format!("no directory above {}", state.display()), "--state");
    };
    let writable = nix::unistd::access(existing, nix::unistd::AccessFlags::W_OK).is_ok();
    match statvfs(existing) {
        Ok(_) if !writable => Check::missing(
            name,
            format!("{} cannot be written", existing.display()),
            "name another directory with --state or SPK_STATE",
        ),
        Ok(found) => {
            let free = found.blocks_available() * found.fragment_size();
            let text = format!("{} MiB free for {}", free >> 20, state.display());
            if free < WANTED {
                Check::warning(name, text, "the largest package needs up to 3 GiB to unpack")
            } else {
                Check::ok(name, text)
            }
        }
        Err(errno) => Check::warning(name, format!("{}: {errno}", existing.display()), "--state"),
    }
}

/// The bridge that is packed into HTTP apps.
pub fn bridge() -> Check {
    let name = "http bridge";
    match crate::bridge::find() {
        Ok(path) => Check::ok(name, path.display().to_string()),
        Err(_) => Check::missing(
            name,
            "sandstorm-http-bridge is not beside spk",
            "install it beside spk, or name it with SPK_BRIDGE",
        ),
    }
}
