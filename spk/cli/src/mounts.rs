//! Our mounts in this namespace, as the kernel's table shows them (proc_pid_mountinfo(5)): those of
//! `spk dev -m`, and what older versions left behind.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use spk_package::package_id::PackageId;

use crate::error::{CliError, Result, ResultExt};

fn table() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// All places where one of our file systems is mounted last.
pub fn ours() -> Vec<PathBuf> {
    places(&table())
}

/// What was mounted for an app inside of a package, and came to light here: it did where `/` is a
/// shared mount, when root started an app with an older spk. In the order to unmount them.
pub fn left_in_packages() -> Vec<PathBuf> {
    in_packages(&table())
}

fn in_packages(table: &str) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        table.lines().filter_map(|line| line.split(' ').nth(4)).map(unescaped).collect();
    places.retain(|place| is_in_package(place));
    // Whatever is mounted on another comes after it.
    places.reverse();
    places
}

/// Whether it is a place where an app has something mounted, in a package of a store.
fn is_in_package(place: &Path) -> bool {
    let names: Vec<&str> = place.iter().filter_map(|name| name.to_str()).collect();
    names.windows(3).any(|names| {
        let [packages, id, top] = names else { return false };
        *packages == "packages"
            && id.parse::<PackageId>().is_ok()
            && ["tmp", "dev", "var", "proc"].contains(top)
    })
}

fn places(table: &str) -> Vec<PathBuf> {
    // mount(2) as root makes plain `fuse`, fusermount3 the subtype.
    let name = fuse_tracer::SUBTYPE;
    let kinds = [format!(" - fuse.{name} {name} "), format!(" - fuse {name} ")];
    let mut places: Vec<(PathBuf, bool)> = Vec::new();
    for line in table.lines() {
        let Some(place) = line.split(' ').nth(4).map(unescaped) else { continue };
        let ours = kinds.iter().any(|kind| line.contains(kind));
        // What is mounted above another hides it.
        places.retain(|(known, _)| *known != place);
        places.push((place, ours));
    }
    places.into_iter().filter(|(_, ours)| *ours).map(|(place, _)| place).collect()
}

/// Whether nobody serves the file system any more. What the kernel has cached of it can still be
/// looked at, but how full it is the server is always asked.
pub fn is_dead(place: &Path) -> bool {
    matches!(nix::sys::statvfs::statvfs(place), Err(nix::errno::Errno::ENOTCONN))
}

/// Unmounts one of ours, also where it is in use.
pub fn unmount(place: &Path) -> Result<()> {
    if nix::unistd::geteuid().is_root() {
        nix::mount::umount2(place, nix::mount::MntFlags::MNT_DETACH)
            .context(format!("cannot unmount {}", place.display()))?;
        return Ok(());
    }
    let status = Command::new("fusermount3")
        .args(["-u", "-z", "-q"])
        .arg(place)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| CliError::program("fusermount3", "fuse3", error))?;
    if status.success() {
        return Ok(());
    }
    Err(CliError::new(format!("fusermount3 could not unmount {}", place.display())))
}

/// A path of the table, where blanks and the like are octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|three| std::str::from_utf8(three).ok());
        match (first, digits.and_then(|three| u8::from_str_radix(three, 8).ok())) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_app_had_is_found_in_packages_only() {
        let table = "\
22 1 0:20 / /proc rw - proc proc rw
30 1 0:31 / /packages rw - tmpfs tmpfs rw
31 1 0:31 / /packages/tmp rw - tmpfs tmpfs rw
40 1 0:41 / /s/packages/0123456789abcdef0123456789abcdef/dev rw shared:1 - tmpfs none rw
41 1 0:42 /null /s/packages/0123456789abcdef0123456789abcdef/dev/null rw - devtmpfs udev rw
42 1 0:43 / /s/packages/0123456789abcdef0123456789abcdef/opt rw - tmpfs tmpfs rw
43 1 8:1 /s/grains/x /s/packages/0123456789abcdef0123456789abcdef/var rw - ext4 /dev/a rw
";
        let package = "/s/packages/0123456789abcdef0123456789abcdef";
        let expected: Vec<PathBuf> =
            ["var", "dev/null", "dev"].map(|name| format!("{package}/{name}").into()).into();
        assert_eq!(in_packages(table), expected);
    }

    #[test]
    fn only_ours_and_only_on_top() {
        let table = "\
22 1 0:20 / /proc rw - proc proc rw
30 1 0:31 / /home/a/my\\040mount rw,nosuid shared:5 - fuse.spk spk ro,user_id=1000
31 1 0:32 / /mnt/covered rw - fuse spk ro
32 1 0:33 / /mnt/covered rw - tmpfs tmpfs rw
33 1 0:34 / /mnt/other rw - fuse.sshfs host: rw
34 1 0:35 / /mnt/root rw - fuse spk rw,user_id=0
";
        let expected: Vec<PathBuf> = vec!["/home/a/my mount".into(), "/mnt/root".into()];
        assert_eq!(places(table), expected);
    }
}
