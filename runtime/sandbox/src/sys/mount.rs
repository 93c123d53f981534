//! The mount calls that work on descriptors (Linux 5.2 and 5.12).

use std::ffi::{CStr, c_int, c_long, c_uint};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::null;

use nix::errno::Errno;

use super::{check, owned};

/// `MOUNT_ATTR_…` of `mount_setattr` and `fsmount`: what a mount forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(pub u64);

impl Attributes {
    /// Nothing beyond what it forbids already.
    pub const NONE: Attributes = Attributes(0);
    /// No writing.
    pub const RDONLY: Attributes = Attributes(0x1);
    /// Set-user-ID bits mean nothing.
    pub const NOSUID: Attributes = Attributes(0x2);
    /// Device nodes mean nothing.
    pub const NODEV: Attributes = Attributes(0x4);
    /// Nothing is executed.
    pub const NOEXEC: Attributes = Attributes(0x8);

    /// Whether all of `other` is among them.
    pub const fn has(self, other: Attributes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    pub const fn and(self, other: Attributes) -> Attributes {
        Attributes(self.0 | other.0)
    }
}

const OPEN_TREE_CLONE: c_uint = 1;
const OPEN_TREE_CLOEXEC: c_uint = libc::O_CLOEXEC as c_uint;
const MOVE_MOUNT_F_EMPTY_PATH: c_uint = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: c_uint = 0x40;
const FSOPEN_CLOEXEC: c_uint = 1;
const FSMOUNT_CLOEXEC: c_uint = 1;
const FSCONFIG_SET_FLAG: c_uint = 0;
const FSCONFIG_SET_STRING: c_uint = 1;
const FSCONFIG_CMD_CREATE: c_uint = 6;

/// A detached copy of the one mount that holds `path`, starting there (a bind mount to be).
pub fn clone_tree(path: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` is a C string that lives through the call.
    owned(unsafe {
        libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC,
        )
    })
}

/// Attaches the detached mount `from` at the directory or file `to` refers to.
pub fn attach(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both paths are empty C strings; the flags say that the descriptors are meant.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            from.as_raw_fd(),
            c"".as_ptr(),
            to.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// Whether the kernel has `mount_setattr`, the latest of the calls in this file.
pub fn can_restrict() -> bool {
    // SAFETY: with a size of 0 the kernel refuses before it looks at anything.
    let done = check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1 as c_long, c"".as_ptr(), 0, null::<u8>(), 0)
    });
    done != Err(Errno::ENOSYS)
}

/// Adds `set` to what the mount at `mount` forbids.
pub fn restrict(mount: BorrowedFd<'_>, set: Attributes) -> Result<(), Errno> {
    change(mount, &MountAttr { set: set.0, clear: 0, propagation: 0, userns_fd: 0 })
}

/// Has the detached mount `mount` show its files with the ids that `userns` gives them, and takes it
/// out of the group that it was copied from.
///
/// Where that is a shared mount (`/` below systemd), whatever is mounted on the copy would otherwise
/// appear at the original, too, for the whole machine and for good.
pub fn translate(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> Result<(), Errno> {
    let userns_fd = u64::try_from(userns.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let (set, propagation) = (IDMAP, libc::MS_PRIVATE);
    change(mount, &MountAttr { set, clear: 0, propagation, userns_fd })
}

/// `MOUNT_ATTR_IDMAP`: ids are translated by a user namespace.
const IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr`, in its first published version.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

fn change(mount: BorrowedFd<'_>, attr: &MountAttr) -> Result<(), Errno> {
    // SAFETY: the empty path and AT_EMPTY_PATH name the descriptor; `attr` has the layout of the
    // first published version of the structure, whose size is passed.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH as c_uint,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// A file system being configured.
pub struct Context(OwnedFd);

impl Context {
    /// Begins with a file system of type `kind`.
    pub fn open(kind: &CStr) -> Result<Context, Errno> {
        // SAFETY: `kind` is a C string that lives through the call.
        owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
            .map(Context)
    }

    fn config(&self, command: c_uint, key: *const i8, value: *const i8) -> Result<(), Errno> {
        // SAFETY: callers pass null or C strings that live through the call, as the command asks.
        check(unsafe {
            libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, 0 as c_int)
        })
        .map(drop)
    }

    /// Sets `key` to `value`.
    pub fn set(&self, key: &CStr, value: &CStr) -> Result<(), Errno> {
        self.config(FSCONFIG_SET_STRING, key.as_ptr().cast(), value.as_ptr().cast())
    }

    /// Switches `key` on.
    pub fn flag(&self, key: &CStr) -> Result<(), Errno> {
        self.config(FSCONFIG_SET_FLAG, key.as_ptr().cast(), null())
    }

    /// Makes the file system, and a detached mount of it.
    pub fn mount(self, attributes: Attributes) -> Result<OwnedFd, Errno> {
        self.config(FSCONFIG_CMD_CREATE, null(), null())?;
        // SAFETY: numbers only.
        owned(unsafe {
            libc::syscall(
                libc::SYS_fsmount,
                self.0.as_raw_fd(),
                FSMOUNT_CLOEXEC,
                attributes.0 as c_long,
            )
        })
    }
}
