//! The app's view of the file system, built from descriptors and entered by `pivot_root`.
//!
//! grain-runtime §A.6 says what is in it: the package as a read-only `/`, and over its directories
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
use crate::mounts::{self, Mount};
use crate::spec::Limits;
use crate::sys::mount::{self as api, Attributes};

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
/// The smallest file system there is.
const PAGE: u64 = 4096;
/// One page would do.
const DEV_BYTES: u64 = 1 << 20;

const NEVER_SETUID: Attributes = Attributes::NOSUID.and(Attributes::NODEV);
const READ_ONLY: Attributes = NEVER_SETUID.and(Attributes::RDONLY);

/// A bind of `path`.
pub(crate) fn bind(path: &CStr) -> Result<Mount, Failure> {
    Mount::bind(path).map_err(|errno| Failure::new(Step::Bind, path.to_string_lossy(), errno))
}

/// A bind of `path` fit to be the app's `/`.
pub(crate) fn bind_root(path: &CStr) -> Result<Mount, Failure> {
    let mut mount = bind(path)?;
    mount.restrict(READ_ONLY).map_err(|errno| Failure::new(Step::Restrict, "/", errno))?;
    Ok(mount)
}

/// A bind of `path` fit to be the app's `/var`.
pub(crate) fn bind_var(path: &CStr) -> Result<Mount, Failure> {
    let mut mount = bind(path)?;
    mount.restrict(NEVER_SETUID).map_err(|errno| Failure::new(Step::Restrict, "/var", errno))?;
    Ok(mount)
}

/// A FUSE file system over `device`, which must have been opened in this user namespace. The device
/// is needed no more afterwards.
///
/// Read-only by its mount, unless `writes_reach_server`: then the server refuses.
pub(crate) fn fuse(
    device: &OwnedFd,
    uid: u32,
    gid: u32,
    writes_reach_server: bool,
) -> Result<Mount, Failure> {
    use std::os::fd::AsRawFd as _;
    let number = |value: u32| CString::new(value.to_string()).map_err(|_| Errno::EINVAL);
    let make = || -> Result<Mount, Errno> {
        let device = number(device.as_raw_fd().cast_unsigned())?;
        let (uid, gid) = (number(uid)?, number(gid)?);
        let mut options: Vec<(&CStr, &CStr)> = vec![
            (c"source", c"spk"),
            (c"subtype", c"spk"),
            (c"fd", &device),
            (c"rootmode", c"40000"),
            (c"user_id", &uid),
            (c"group_id", &gid),
            (c"allow_other", c""),
        ];
        let mut attributes = NEVER_SETUID;
        if !writes_reach_server {
            // `access` and the like are answered by the kernel, from the modes that are shown.
            options.extend([(c"default_permissions", c""), (c"ro", c"")]);
            attributes = READ_ONLY;
        }
        let mount = Mount::fresh(c"fuse", &options, attributes)?;
        if let Mount::Classic(..) = mount {
            // The device is at hand only now.
            return mount.attach(&slash()?, mounts::over_root).map(Mount::Attached);
        }
        Ok(mount)
    };
    make().map_err(|errno| Failure::new(Step::FuseMount, "", errno))
}

/// The root directory as it was.
fn slash() -> Result<OwnedFd, Errno> {
    open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Makes a detached mount fit to be the app's `/`.
pub(crate) fn harden_root(root: &OwnedFd) -> Result<(), Failure> {
    api::restrict(root.as_fd(), READ_ONLY).map_err(|errno| Failure::new(Step::Restrict, "/", errno))
}

/// Makes a detached mount fit to be the app's `/var`.
pub(crate) fn harden_var(var: &OwnedFd) -> Result<(), Failure> {
    api::restrict(var.as_fd(), NEVER_SETUID)
        .map_err(|errno| Failure::new(Step::Restrict, "/var", errno))
}

/// The file systems in memory that the app may write to, to see how full they are.
#[derive(Debug, Default)]
pub(crate) struct Tmpfs {
    pub tmp: Option<OwnedFd>,
    pub shm: Option<OwnedFd>,
}

/// Builds the tree on `root` and `var`, and makes it the root of this process.
pub(crate) fn enter(
    root: Mount,
    var: Mount,
    limits: &Limits,
    proc: bool,
) -> Result<Tmpfs, Failure> {
    // Over the old root, which is only this namespace's copy.
    let slash = slash().map_err(|errno| Failure::new(Step::Pivot, "/", errno))?;
    let root = root
        .attach(&slash, mounts::over_root)
        .map_err(|errno| Failure::new(Step::Attach, "/", errno))?;

    let mut made = Tmpfs::default();
    if let Some(at) = place(&root, "tmp", SFlag::S_IFDIR)? {
        let tmp = tmpfs(limits.tmp_bytes, limits.tmpfs_inodes, c"770", "/tmp")?;
        made.tmp = Some(attach(tmp, &root, "tmp", &at)?);
    }
    if let Some(at) = place(&root, "dev", SFlag::S_IFDIR)? {
        let dev = attach(tmpfs(DEV_BYTES, DEV_INODES, c"755", "/dev")?, &root, "dev", &at)?;
        made.shm = Some(devices(&dev, limits)?);
    }
    if let Some(at) = place(&root, "var", SFlag::S_IFDIR)? {
        attach(var, &root, "var", &at)?;
    }
    let procfs = if proc { place(&root, "proc", SFlag::S_IFDIR)? } else { None };
    if let Some(at) = procfs {
        Mount::fresh(c"proc", &[], NEVER_SETUID.and(Attributes::NOEXEC))
            .and_then(|mount| mount.attach(&at, || child(&root, "proc")))
            .map_err(|errno| Failure::new(Step::Proc, "/proc", errno))?;
    } else if let Some(at) = place(&root, "proc/cpuinfo", SFlag::S_IFREG)? {
        let mut cpuinfo = bind(c"/proc/cpuinfo")?;
        restrict(&mut cpuinfo, READ_ONLY.and(Attributes::NOEXEC), "/proc/cpuinfo")?;
        attach(cpuinfo, &root, "proc/cpuinfo", &at)?;
    }
    pivot(&root)?;
    Ok(made)
}

/// Fills `/dev`, a small tmpfs: the nodes of the host bound in (a user namespace cannot make
/// nodes), and `/dev/shm`, whose mount it returns; then it is made read-only.
fn devices(dev: &OwnedFd, limits: &Limits) -> Result<OwnedFd, Failure> {
    let failed = |errno| Failure::new(Step::MountPoint, "/dev", errno);
    for (name, source) in NODES {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        drop(openat(dev, *name, flags, Mode::from_bits_truncate(0o666)).map_err(failed)?);
        let path = format!("{}", name.to_string_lossy());
        let at = child(dev, &path).map_err(failed)?;
        let mut node = bind(source)?;
        // Not nodev: that would make it useless. Read-only forbids nothing of the device, but to
        // change the host's node: an app that is uid 0 outside owns it.
        let only = Attributes::RDONLY.and(Attributes::NOSUID).and(Attributes::NOEXEC);
        restrict(&mut node, only, "/dev")?;
        attach(node, dev, &path, &at)?;
    }
    mkdirat(dev, c"shm", Mode::from_bits_truncate(0o700)).map_err(failed)?;
    let at = child(dev, "shm").map_err(failed)?;
    let shm = tmpfs(limits.shm_bytes, limits.tmpfs_inodes, c"770", "/dev/shm")?;
    let shm = attach(shm, dev, "shm", &at)?;
    mounts::restrict(dev, READ_ONLY.and(Attributes::NOEXEC))
        .map_err(|errno| Failure::new(Step::Restrict, "/dev", errno))?;
    Ok(shm)
}

fn tmpfs(bytes: u64, inodes: u64, mode: &CStr, what: &str) -> Result<Mount, Failure> {
    let text = |value: u64| CString::new(value.to_string()).map_err(|_| Errno::EINVAL);
    let make = || -> Result<Mount, Errno> {
        // For both numbers 0 would mean: no limit.
        let (size, inodes) = (text(bytes.max(PAGE))?, text(inodes.max(1))?);
        let options: &[(&CStr, &CStr)] =
            &[(c"size", &size), (c"nr_inodes", &inodes), (c"mode", mode)];
        Mount::fresh(c"tmpfs", options, NEVER_SETUID)
    };
    make().map_err(|errno| Failure::new(Step::Tmpfs, what, errno))
}

fn restrict(mount: &mut Mount, set: Attributes, what: &str) -> Result<(), Failure> {
    mount.restrict(set).map_err(|errno| Failure::new(Step::Restrict, what, errno))
}

/// Mounts at `place`, which is `path` below `dir`.
fn attach(mount: Mount, dir: &OwnedFd, path: &str, place: &OwnedFd) -> Result<OwnedFd, Failure> {
    mount
        .attach(place, || child(dir, path))
        .map_err(|errno| Failure::new(Step::Attach, format!("/{path}"), errno))
}

/// The directory or file `path` below `root`, without following any link. `None`: it is not there.
fn place(root: &OwnedFd, path: &str, kind: SFlag) -> Result<Option<OwnedFd>, Failure> {
    let failed = |errno| Failure::new(Step::MountPoint, format!("/{path}"), errno);
    let fd = match child(root, path) {
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

/// What is at `path` below `dir` (or mounted there), without following any link.
fn child(dir: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let how = OpenHow::new()
        .flags(flags)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    match openat2(dir, path, how) {
        Err(Errno::ENOSYS) => {}
        other => return other,
    }
    // Before Linux 5.6: step by step. `path` is ours and has no `..`.
    let mut at = dir.try_clone().map_err(|_| Errno::EMFILE)?;
    let mut names = path.split('/').peekable();
    while let Some(name) = names.next() {
        at = openat(&at, name, flags, Mode::empty())?;
        let kind = SFlag::from_bits_truncate(fstat(&at)?.st_mode) & SFlag::S_IFMT;
        if kind == SFlag::S_IFLNK && names.peek().is_some() {
            return Err(Errno::ELOOP);
        }
    }
    Ok(at)
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
