//! Installing a filter, and answering the calls it sends to a listener.

use std::ffi::{c_long, c_ulong};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{check, owned};

fn program(filter: &[libc::sock_filter]) -> Result<libc::sock_fprog, Errno> {
    Ok(libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?,
        filter: filter.as_ptr().cast_mut(),
    })
}

/// Puts this process and all it will start under `filter`, for good.
pub fn install(filter: &[libc::sock_filter]) -> Result<(), Errno> {
    let program = program(filter)?;
    // SAFETY: `program` describes `filter`, which lives through the call; the kernel copies it.
    check(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0 as c_ulong,
            &raw const program,
        )
    })
    .map(drop)
}

/// As [`install`], and returns the descriptor on which calls with the notify verdict arrive.
pub fn install_with_listener(filter: &[libc::sock_filter]) -> Result<OwnedFd, Errno> {
    let program = program(filter)?;
    // SAFETY: as in `install`.
    owned(unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const program,
        )
    })
}

/// One call waiting for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Notice {
    /// Names the call in the answer.
    pub id: u64,
    /// The calling thread, as this process's PID namespace numbers it.
    pub pid: u32,
    /// Number of the call.
    pub nr: u32,
    /// `AUDIT_ARCH_…` of the caller.
    pub arch: u32,
    /// The six arguments.
    pub args: [u64; 6],
}

/// Takes the next waiting call from the listener.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notice, Errno> {
    // SAFETY: the structure is plain data, and the kernel demands that it be zeroed.
    let mut notif: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes one seccomp_notif.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV as _, &raw mut notif)
    })?;
    Ok(Notice {
        id: notif.id,
        pid: notif.pid,
        nr: notif.data.nr.cast_unsigned(),
        arch: notif.data.arch,
        args: notif.data.args,
    })
}

/// Answers a waiting call: it returns `-errno` (0: success without having done anything).
pub fn answer(listener: BorrowedFd<'_>, id: u64, errno: i32) -> Result<(), Errno> {
    let response = libc::seccomp_notif_resp { id, val: 0, error: -errno, flags: 0 };
    // SAFETY: the request reads one seccomp_notif_resp.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const response)
    })
    .map(drop)
}

/// Lets a waiting call be done. What its filter decided on must lie in the arguments alone: these
/// cannot have changed since, what they point to can.
pub fn let_pass(listener: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    /// `SECCOMP_USER_NOTIF_FLAG_CONTINUE` (Linux 5.5).
    const CONTINUE: u32 = 1;
    let response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: CONTINUE };
    // SAFETY: as in `answer`.
    Errno::result(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND as _, &raw const response)
    })
    .map(drop)
}

/// Whether the call is still waiting, so that what was read about its process was about it.
pub fn still_waiting(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the request reads one number.
    let done = unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID as _, &raw const id)
    };
    c_long::from(done) == 0
}
