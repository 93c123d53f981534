//! Who the app is: the ids it sees, and the ids it has outside.

use std::ffi::CStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};

use crate::error::{Failure, Step};
use crate::sys::{self, Forked, mount};

/// What an app sees itself as, user and group, as on a Sandstorm server.
///
/// Also in a developer session, for which the original draws others (grain-runtime §A.5): a user that
/// has a name only in the package would make programs fail while they are developed.
pub const ID_INSIDE: u32 = 1000;
/// First of the ids that a root launcher gives to apps outside: the range above is used by no
/// distribution's allocation (systemd's list of ids calls it unused).
const FOREIGN_FIRST: u32 = 0x7000_0000;
/// How many there are; each grain gets one by the hash of its storage's path.
const FOREIGN_COUNT: u32 = 0x0f00_0000;

/// One app's user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// User inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// User as the launcher's user namespace knows it.
    pub outside_uid: u32,
    /// Group as the launcher's user namespace knows it.
    pub outside_gid: u32,
}

impl Ids {
    /// The launcher's own ids, seen as [`ID_INSIDE`].
    pub fn own() -> Ids {
        let (outside_uid, outside_gid) = (geteuid().as_raw(), getegid().as_raw());
        Ids { uid: ID_INSIDE, gid: ID_INSIDE, outside_uid, outside_gid }
    }

    /// An id that owns nothing on this machine, for a launcher that is root.
    pub fn foreign(var: &Path) -> Ids {
        let mut hash: u32 = 0x811c_9dc5;
        for byte in var.as_os_str().as_encoded_bytes() {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
        let id = FOREIGN_FIRST + hash % FOREIGN_COUNT;
        Ids { outside_uid: id, outside_gid: id, ..Ids::own() }
    }

    /// Writes the maps of `child`'s user namespace: one id each, and no way to change groups.
    pub fn write_maps(&self, child: i32) -> Result<(), Failure> {
        write(child, "setgroups", "deny")?;
        write(child, "uid_map", &format!("{} {} 1", self.uid, self.outside_uid))?;
        write(child, "gid_map", &format!("{} {} 1", self.gid, self.outside_gid))
    }
}

fn write(child: i32, file: &str, text: &str) -> Result<(), Failure> {
    let path = format!("/proc/{child}/{file}");
    fs::write(&path, text).map_err(|error| {
        Failure::new(Step::IdMap, path, Errno::from_raw(error.raw_os_error().unwrap_or_default()))
    })
}

/// Makes mounts on which somebody else's files belong to an app's outside ids.
#[derive(Debug)]
pub(crate) struct Translator {
    ids: Ids,
    /// The namespace made last, and whose files it translates: a package and the storage of a
    /// grain have the same owner, and each namespace costs a process.
    last: Option<((u32, u32), OwnedFd)>,
}

impl Translator {
    pub fn new(ids: Ids) -> Translator {
        Translator { ids, last: None }
    }

    /// A detached mount of `path`, on which what the owner of `path` has is the app's.
    ///
    /// Needs to be root of the machine, and a file system that can be idmapped (ext4, xfs, btrfs,
    /// tmpfs since 6.3, …).
    pub fn mount(&mut self, path: &CStr) -> Result<OwnedFd, Errno> {
        let owner = fs::metadata(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))
            .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
        let owner = (owner.uid(), owner.gid());
        let tree = mount::clone_tree(path)?;
        let map = match self.last.take() {
            Some((known, map)) if known == owner => map,
            _ => map_namespace(
                &format!("{} {} 1", owner.0, self.ids.outside_uid),
                &format!("{} {} 1", owner.1, self.ids.outside_gid),
            )?,
        };
        mount::translate(tree.as_fd(), map.as_fd())?;
        self.last = Some((owner, map));
        Ok(tree)
    }
}

/// A user namespace that exists only for its maps.
fn map_namespace(uids: &str, gids: &str) -> Result<OwnedFd, Errno> {
    let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let parent = nix::unistd::getpid();
    match sys::clone_into(libc::CLONE_NEWUSER)? {
        Forked::Child => {
            // Nobody else would ever end it, should the helper be killed just now.
            let asked = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            while asked.is_ok() && nix::unistd::getppid() == parent {
                nix::unistd::pause();
            }
            sys::exit_now(1)
        }
        Forked::Parent(pid, pidfd) => {
            let made = (|| {
                fs::write(format!("/proc/{pid}/uid_map"), uids).map_err(errno)?;
                fs::write(format!("/proc/{pid}/gid_map"), gids).map_err(errno)?;
                fs::File::open(format!("/proc/{pid}/ns/user")).map_err(errno)
            })();
            sys::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL)?;
            nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)?;
            made.map(OwnedFd::from)
        }
    }
}
