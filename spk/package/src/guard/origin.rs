//! Whose a file is: the packager's own, a library's that was downloaded, or the system's.
//!
//! Libraries carry test keys, and so does the distribution (`python3/test`, for one): everybody has
//! them, they are nobody's secret. A real app would drown in refusals if they counted as such.

use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whose a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The packager's: whatever is none of the others.
    Project,
    /// Of a package that a package manager of some language put there.
    Library,
    /// The distribution's, the same on every machine.
    System,
}

/// Directories that package managers fill.
const LIBRARIES: [&[u8]; 6] =
    [b"node_modules", b"site-packages", b"dist-packages", b"gems", b"vendor", b"bower_components"];

/// Debian's key that nobody trusts, of the package ssl-cert.
const SNAKE_OIL: &[u8] = b"ssl-cert-snakeoil.key";

/// Where distributions keep their files, without the first slash. `/etc` is this machine's own.
const SYSTEM: [&[u8]; 7] =
    [b"usr/", b"lib/", b"lib32/", b"lib64/", b"bin/", b"sbin/", b"nix/store/"];

/// Below these what the administrator of this machine has put there.
const LOCAL: [&[u8]; 3] = [b"usr/local/", b"usr/src/", b"usr/home/"];

/// Whether a path below the root of a system is one of the distribution's, by the path alone.
pub fn is_system_path(path: &[u8]) -> bool {
    SYSTEM.iter().any(|system| path.starts_with(system))
        && !LOCAL.iter().any(|local| path.starts_with(local))
}

/// Whether a file of this machine is the distribution's: there, root's, for everybody to read.
pub fn is_system_file(path: &Path, metadata: &Metadata) -> bool {
    let path = path.as_os_str().as_bytes();
    path.strip_prefix(b"/").is_some_and(is_system_path)
        && metadata.uid() == 0
        && metadata.mode() & 0o022 == 0
        && metadata.mode() & 0o004 != 0
}

/// Whether a package path is one of a downloaded library, or of a Python's own.
pub fn is_library_path(path: &[u8]) -> bool {
    let components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let python = |pair: &[&[u8]]| {
        pair[0] == b"lib" && pair[1].starts_with(b"python") && pair[1].contains(&b'.')
    };
    components.iter().any(|name| LIBRARIES.contains(name))
        || components.windows(2).any(python)
        || components.last().is_some_and(|name| *name == SNAKE_OIL)
}

/// Whose what lies at a package path is, where nothing but the path is known: in a package. A path
/// of the distribution's proves nothing there, so it counts as one that a library brought along.
pub fn of_package_path(path: &[u8]) -> Origin {
    match is_system_path(path) || is_library_path(path) {
        true => Origin::Library,
        false => Origin::Project,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn paths() {
        for (path, origin) in [
            ("usr/lib/python3.13/test/certdata/keycert.pem", Origin::Library),
            ("lib/x86_64-linux-gnu/libc.so.6", Origin::Library),
            ("nix/store/abc-python/key.pem", Origin::Library),
            ("usr/local/etc/key.pem", Origin::Project),
            ("usr/src/app/key.pem", Origin::Project),
            ("opt/app/node_modules/tls/test/key.pem", Origin::Library),
            ("opt/venv/lib/python3.13/site-packages/x/test.key", Origin::Library),
            ("opt/pyenv/lib/python3.13/test/keycert.pem", Origin::Library),
            ("opt/app/vendor/bundle/key.pem", Origin::Library),
            ("rootfs/etc/ssl/private/ssl-cert-snakeoil.key", Origin::Library),
            ("opt/app/key.pem", Origin::Project),
            ("opt/app/lib/pythonic/key.pem", Origin::Project),
            ("etc/ssl/private/key.pem", Origin::Project),
            ("usr", Origin::Project),
        ] {
            assert_eq!(of_package_path(path.as_bytes()), origin, "{path}");
        }
    }

    #[test]
    fn the_distributions_files_are_roots() {
        let path = Path::new("/usr/bin/env");
        assert!(is_system_file(path, &path.metadata().unwrap()));
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(!is_system_file(path, &dir.path().metadata().unwrap()), "writable or another's");
        assert!(!is_system_file(dir.path(), &path.metadata().unwrap()));
    }
}
