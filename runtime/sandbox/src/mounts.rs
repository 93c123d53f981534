//! Mounts in the app's tree: made from descriptors where the kernel can (Linux 5.12, the first with
//! `mount_setattr`), by mount(2) where it cannot.
//!
//! The classic call takes paths; it gets `/proc/self/fd/N`, so that here, too, nothing the package
//! holds is followed. A classic mount can only be restricted once it has its place, so what is
//! asked of it is kept until then.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::sys::mount::{self as api, Attributes, Context};

/// A mount that is made, or will be.
#[derive(Debug)]
pub(crate) enum Mount {
    /// Made, and nowhere attached.
    Detached(OwnedFd),
    /// In its place: the descriptor is its root.
    Attached(OwnedFd),
    /// To be made in its place: what, and what it shall forbid.
    Classic(Classic, Attributes),
}

/// What the classic call makes.
#[derive(Debug)]
pub(crate) enum Classic {
    /// The same as at this descriptor.
    Bind(OwnedFd),
    /// A new file system.
    New(&'static CStr, CString),
}

/// Whether this kernel has the calls on descriptors, all of them.
pub(crate) fn by_descriptor() -> bool {
    static HAVE: LazyLock<bool> = LazyLock::new(api::can_restrict);
    *HAVE
}

const PLACE: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

impl Mount {
    /// What is at `path` now, without anything mounted below it.
    pub fn bind(path: &CStr) -> Result<Mount, Errno> {
        if by_descriptor() {
            return api::clone_tree(path).map(Mount::Detached);
        }
        let source = open(path, PLACE, Mode::empty())?;
        Ok(Mount::Classic(Classic::Bind(source), Attributes::NONE))
    }

    /// A new file system of type `kind`.
    pub fn fresh(
        kind: &'static CStr,
        options: &[(&CStr, &CStr)],
        attributes: Attributes,
    ) -> Result<Mount, Errno> {
        if by_descriptor() {
            let context = Context::open(kind)?;
            for (key, value) in options {
                if value.is_empty() {
                    context.flag(key)?;
                } else {
                    context.set(key, value)?;
                }
            }
            return context.mount(attributes).map(Mount::Detached);
        }
        Ok(Mount::Classic(Classic::New(kind, joined(options)?), attributes))
    }

    /// Adds to what it forbids.
    pub fn restrict(&mut self, set: Attributes) -> Result<(), Errno> {
        match self {
            Mount::Detached(fd) => api::restrict(fd.as_fd(), set),
            Mount::Attached(fd) => restrict(fd, set),
            Mount::Classic(_, attributes) => {
                *attributes = attributes.and(set);
                Ok(())
            }
        }
    }

    /// Mounts it at `place`; `again` looks the same place up anew, where the mount now is. Its root.
    pub fn attach(
        self,
        place: &OwnedFd,
        again: impl FnOnce() -> Result<OwnedFd, Errno>,
    ) -> Result<OwnedFd, Errno> {
        match self {
            Mount::Attached(fd) => Ok(fd),
            Mount::Detached(fd) => {
                api::attach(fd.as_fd(), place.as_fd())?;
                Ok(fd)
            }
            Mount::Classic(Classic::Bind(source), attributes) => {
                let none = None::<&CStr>;
                let (from, to) = (path(&source), path(place));
                mount(Some(from.as_str()), to.as_str(), none, MsFlags::MS_BIND, none)?;
                let made = again()?;
                restrict(&made, attributes)?;
                Ok(made)
            }
            Mount::Classic(Classic::New(kind, options), attributes) => {
                let options = Some(options.as_c_str());
                mount(Some(c"spk"), path(place).as_str(), Some(kind), flags(attributes), options)?;
                again()
            }
        }
    }
}

/// Options as mount(2) takes them.
fn joined(options: &[(&CStr, &CStr)]) -> Result<CString, Errno> {
    let mut text = Vec::new();
    // What the classic call gets otherwise, or not at all.
    let others = [c"source", c"subtype", c"ro"];
    for (key, value) in options.iter().filter(|(key, _)| !others.contains(key)) {
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(key.to_bytes());
        if !value.is_empty() {
            text.push(b'=');
            text.extend_from_slice(value.to_bytes());
        }
    }
    CString::new(text).map_err(|_| Errno::EINVAL)
}

fn path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn flags(attributes: Attributes) -> MsFlags {
    let mut flags = MsFlags::empty();
    for (attribute, flag) in [
        (Attributes::RDONLY, MsFlags::MS_RDONLY),
        (Attributes::NOSUID, MsFlags::MS_NOSUID),
        (Attributes::NODEV, MsFlags::MS_NODEV),
        (Attributes::NOEXEC, MsFlags::MS_NOEXEC),
    ] {
        flags.set(flag, attributes.has(attribute));
    }
    flags
}

/// Adds to what the mount whose root is `fd` forbids.
pub(crate) fn restrict(fd: &OwnedFd, set: Attributes) -> Result<(), Errno> {
    if by_descriptor() {
        return api::restrict(fd.as_fd(), set);
    }
    // A remount states all flags anew, and in a user namespace must not take any away.
    let now = fstatvfs(fd)?.flags();
    let mut all = flags(set) | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    for (found, flag) in [
        (FsFlags::ST_RDONLY, MsFlags::MS_RDONLY),
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ] {
        if now.contains(found) {
            all |= flag;
        }
    }
    let none = None::<&CStr>;
    mount(none, path(fd).as_str(), none, all, none)
}

/// The root of what is mounted over the root directory of this process.
pub(crate) fn over_root() -> Result<OwnedFd, Errno> {
    // Going up from `/` stays there, and then goes on to whatever is mounted on it.
    open("/..", PLACE | OFlag::O_DIRECTORY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_joined_as_the_classic_call_wants_them() {
        let options =
            [(c"source", c"spk"), (c"size", c"1"), (c"ro", c""), (c"a", c""), (c"b", c"2")];
        assert_eq!(joined(&options), Ok(c"size=1,a,b=2".to_owned()));
        assert_eq!(joined(&[]), Ok(CString::default()));
    }
}
