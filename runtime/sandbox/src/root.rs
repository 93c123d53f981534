//! The app's view of the file system, built from descriptors and entered by `pivot_root`.
//!
//! grain-runtime A.6 says what is in it: the package as a read-only `/`, and over its directories
//! `/tmp`, `/dev`, `/dev/shm`, `/var` and `/proc/cpuinfo`. A directory that the package does not
//! have is left out; a symbolic link in such a place is refused, since following it would let the
//! package choose where we mount.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

use crate::error::{Failure, Step};
use crate::spec::Limits;
use crate::sys::mount::{self, Attributes, Context};

/// The device nodes; `random` is the non-blocking one, as in Sandstorm.
const NODES: &[(&CStr, &CStr)] = &[
    (c"null", c"/dev/null"),
    (c"zero", c"/dev/zero"),
    (c"full", c"/dev/full"),
    (c"random", c"/dev/urandom"),
    (c"urandom", c"/dev/urandom"),
];

/// `/dev` holds five nodes and one directory; the kernel counts its root too, and some room.
const DEV_INODES: u64 = 16;
/// One page would do.
const DEV_BYTES: u64 = 1 << 20;

const NEVER_SETUID: Attributes = Attributes::NOSUID.and(Attributes::NODEV);
const READ_ONLY: Attributes = NEVER_SETUID.and(Attributes::RDONLY);

/// A detached bind of `path`.
pub(crate) fn bind(path: &CStr) -> Result<OwnedFd, Failure> {
    mount::clone_tree(path).map_err(|errno| Failure::new(Step::Bind, path.to_string_lossy(), errno))
}

/// A detached FUSE file system over `device`, which must have been opened in this user namespace.
pub(crate) fn fuse(device: &OwnedFd, uid: u32, gid: u32) -> Result<OwnedFd, Failure> {
    use std::os::fd::AsRawFd as _;
    let number = |value: u32| CString::new(value.to_string()).map_err(|_| Errno::EINVAL);
    let make = || -> Result<OwnedFd, Errno> {
        let context = Context::open(c"fuse")?;
        context.set(c"source", c"spk")?;
        context.set(c"subtype", c"spk")?;
        context.set(c"fd", &number(device.as_raw_fd().cast_unsigned())?)?;
        context.set(c"rootmode", c"40000")?;
        context.set(c"user_id", &number(uid)?)?;
        context.set(c"group_id", &number(gid)?)?;
        context.flag(c"allow_other")?;
        context.flag(c"ro")?;
        context.mount(READ_ONLY)
    };
    make().map_err(|errno| Failure::new(Step::FuseMount, "", errno))
}

/// Makes a detached mount fit to be the app's `/`.
pub(crate) fn harden_root(root: &OwnedFd) -> Result<(), Failure> {
    restrict(root, READ_ONLY, "/")
}

/// Makes a detached mount fit to be the app's `/var`.
pub(crate) fn harden_var(var: &OwnedFd) -> Result<(), Failure> {
    restrict(var, NEVER_SETUID, "/var")
}

/// Builds the tree on `root` and `var` (both detached and hardened), and makes it the root of this process.
pub(crate) fn enter(
    root: OwnedFd,
    var: OwnedFd,
    limits: &Limits,
    proc: bool,
) -> Result<(), Failure> {
    // Over the old root, which is only this namespace's copy.
    let slash = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|errno| Failure::new(Step::Pivot, "/", errno))?;
    attach(&root, &slash, "/")?;

    if let Some(tmp) = place(&root, "tmp", SFlag::S_IFDIR)? {
        let made = tmpfs(limits.tmp_bytes, limits.tmpfs_inodes, c"770", "/tmp")?;
        attach(&made, &tmp, "/tmp")?;
    }
    if let Some(dev) = place(&root, "dev", SFlag::S_IFDIR)? {
        devices(&dev, limits)?;
    }
    if let Some(place) = place(&root, "var", SFlag::S_IFDIR)? {
        attach(&var, &place, "/var")?;
    }
    let procfs = if proc { place(&root, "proc", SFlag::S_IFDIR)? } else { None };
    if let Some(place) = procfs {
        let made = Context::open(c"proc")
            .and_then(|context| context.mount(NEVER_SETUID.and(Attributes::NOEXEC)))
            .map_err(|errno| Failure::new(Step::Proc, "/proc", errno))?;
        attach(&made, &place, "/proc")?;
    } else if let Some(place) = place(&root, "proc/cpuinfo", SFlag::S_IFREG)? {
        let cpuinfo = bind(c"/proc/cpuinfo")?;
        restrict(&cpuinfo, READ_ONLY.and(Attributes::NOEXEC), "/proc/cpuinfo")?;
        attach(&cpuinfo, &place, "/proc/cpuinfo")?;
    }
    pivot(&root)
}

/// `/dev`: a small read-only tmpfs with the nodes of the host bound in (a user namespace cannot
/// make nodes), and `/dev/shm`.
fn devices(place: &OwnedFd, limits: &Limits) -> Result<(), Failure> {
    let failed = |errno| Failure::new(Step::MountPoint, "/dev", errno);
    let dev = tmpfs(DEV_BYTES, DEV_INODES, c"755", "/dev")?;
    attach(&dev, place, "/dev")?;
    for (name, source) in NODES {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        drop(openat(&dev, *name, flags, Mode::from_bits_truncate(0o666)).map_err(failed)?);
        let target =
            openat(&dev, *name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
        let node = bind(source)?;
        // Not nodev: that would make it useless.
        restrict(&node, Attributes::NOSUID.and(Attributes::NOEXEC), "/dev")?;
        attach(&node, &target, &source.to_string_lossy())?;
    }
    mkdirat(&dev, c"shm", Mode::from_bits_truncate(0o700)).map_err(failed)?;
    let target =
        openat(&dev, c"shm", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
    let shm = tmpfs(limits.shm_bytes, limits.tmpfs_inodes, c"770", "/dev/shm")?;
    attach(&shm, &target, "/dev/shm")?;
    restrict(&dev, READ_ONLY.and(Attributes::NOEXEC), "/dev")
}

fn tmpfs(bytes: u64, inodes: u64, mode: &CStr, what: &str) -> Result<OwnedFd, Failure> {
    let text = |value: u64| CString::new(value.to_string()).map_err(|_| Errno::EINVAL);
    let make = || -> Result<OwnedFd, Errno> {
        let context = Context::open(c"tmpfs")?;
        context.set(c"size", &text(bytes)?)?;
        // The kernel does not count inodes exactly when there are 0, which means no limit.
        context.set(c"nr_inodes", &text(inodes.max(1))?)?;
        context.set(c"mode", mode)?;
        context.mount(NEVER_SETUID)
    };
    make().map_err(|errno| Failure::new(Step::Tmpfs, what, errno))
}

fn restrict(mount: &OwnedFd, set: Attributes, what: &str) -> Result<(), Failure> {
    mount::restrict(mount.as_fd(), set, None)
        .map_err(|errno| Failure::new(Step::Restrict, what, errno))
}

fn attach(mount: &OwnedFd, place: &OwnedFd, what: &str) -> Result<(), Failure> {
    mount::attach(mount.as_fd(), place.as_fd())
        .map_err(|errno| Failure::new(Step::Attach, what, errno))
}

/// The directory or file `path` below `root`, without following any link. `None`: it is not there.
fn place(root: &OwnedFd, path: &str, kind: SFlag) -> Result<Option<OwnedFd>, Failure> {
    let failed = |errno| Failure::new(Step::MountPoint, format!("/{path}"), errno);
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let fd = match openat2(root, path, how) {
        Ok(fd) => fd,
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        Err(errno) => return Err(failed(errno)),
    };
    let found = SFlag::from_bits_truncate(fstat(&fd).map_err(failed)?.st_mode) & SFlag::S_IFMT;
    if found == kind {
        return Ok(Some(fd));
    }
    Err(failed(if kind == SFlag::S_IFDIR { Errno::ENOTDIR } else { Errno::EINVAL }))
}

/// Swaps the stacked new root for the old one, and lets go of the old one.
fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    let failed = |errno| Failure::new(Step::Pivot, "", errno);
    nix::unistd::fchdir(root).map_err(failed)?;
    // With both arguments the same, the old root ends up on top of the new one; so `.` is it.
    nix::unistd::pivot_root(".", ".").map_err(failed)?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed)?;
    nix::unistd::chdir("/").map_err(failed)
}
