//! The system calls that no safe library offers, each behind a safe function.
//!
//! All `unsafe` of the crate is here and where [`crate::wire`] takes over received descriptors. Descriptors go in borrowed and come out owned;
//! strings are C strings, so that nothing here can allocate or fail on its own.

use std::ffi::{CStr, c_int, c_long, c_ulong};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

pub mod mount;
pub mod seccomp;

/// Turns the return value of `libc::syscall` into a result.
fn check(value: c_long) -> Result<c_long, Errno> {
    if value < 0 { Err(Errno::last()) } else { Ok(value) }
}

/// Takes ownership of the descriptor that a system call just returned.
fn owned(value: c_long) -> Result<OwnedFd, Errno> {
    let raw = RawFd::try_from(check(value)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Descriptor 0 of this process, taken over. Call it once, first thing in a process of ours.
///
/// `None` if it is not open.
pub fn take_stdin() -> Option<OwnedFd> {
    // SAFETY: F_GETFD on a number has no effect on memory.
    if unsafe { libc::fcntl(0, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open (checked above), and the helper process, the only caller, has no other
    // owner for it: it never touches std's stdin.
    Some(unsafe { OwnedFd::from_raw_fd(0) })
}

/// The two sides of [`clone_into`].
pub enum Forked {
    /// We are the parent; the child's number and a pidfd for it.
    Parent(i32, OwnedFd),
    /// We are the child.
    Child,
}

/// Forks into new namespaces (`flags` of `CLONE_NEW…`), with a pidfd for the parent.
///
/// The caller must have one thread only, as the helper process has: the child goes on with a copy
/// of that thread alone.
pub fn clone_into(flags: c_int) -> Result<Forked, Errno> {
    let mut pidfd: c_int = -1;
    let flags = flags as c_long | c_long::from(libc::CLONE_PIDFD) | c_long::from(libc::SIGCHLD);
    // SAFETY: a null stack and no CLONE_VM means fork semantics: the child runs on a copy of our
    // stack. `pidfd` outlives the call. The argument order (flags, stack, parent_tid, …) is that
    // of x86-64 and aarch64 up to the third, and the rest is unused without the flags for it.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone, flags, 0 as c_long, &raw mut pidfd, 0 as c_long, 0 as c_long)
    })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    Ok(Forked::Parent(pid, owned(c_long::from(pidfd))?))
}

/// As [`clone_into`], and the child is born in the cgroup whose directory this is (Linux 5.7).
/// Moving it there afterwards would wait for every processor once.
pub fn clone_into_cgroup(flags: c_int, cgroup: BorrowedFd<'_>) -> Result<Forked, Errno> {
    /// `CLONE_INTO_CGROUP`, beyond the 32 bits that `clone` can take.
    const INTO_CGROUP: u64 = 0x2_0000_0000;
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let mut pidfd: c_int = -1;
    let args = CloneArgs {
        flags: u64::from((flags | libc::CLONE_PIDFD).cast_unsigned()) | INTO_CGROUP,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: u64::try_from(cgroup.as_raw_fd()).map_err(|_| Errno::EBADF)?,
        ..CloneArgs::default()
    };
    // SAFETY: as in `clone_into`: no stack and no CLONE_VM is a fork. The structure has the layout
    // of Linux 5.7, whose size is passed, and `pidfd` outlives the call.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    if pid == 0 {
        return Ok(Forked::Child);
    }
    let pid = i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?;
    Ok(Forked::Parent(pid, owned(c_long::from(pidfd))?))
}

/// Forks the app's process from PID 1. One thread only, as in [`clone_into`].
pub fn fork() -> Result<Option<i32>, Errno> {
    // SAFETY: fork semantics as in `clone_into`, without the extra output.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone,
            c_long::from(libc::SIGCHLD),
            0 as c_long,
            0 as c_long,
            0 as c_long,
            0 as c_long,
        )
    })?;
    if pid == 0 { Ok(None) } else { Ok(Some(i32::try_from(pid).map_err(|_| Errno::EOVERFLOW)?)) }
}

/// Collects one ended child of any kind, if there is one, and its raw `wait` status.
pub fn reap_any(status: &mut c_int) -> Result<Option<i32>, Errno> {
    // SAFETY: `status` is a valid place for one number.
    let pid = unsafe { libc::waitpid(-1, status, libc::WNOHANG | libc::__WALL) };
    Ok(Some(Errno::result(pid)?).filter(|pid| *pid != 0))
}

/// Ends the process at once: no destructors, no buffers.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Closes every descriptor from `first` up. For the start of the helper.
pub fn close_from(first: u32) -> Result<(), Errno> {
    close_range(first, u32::MAX)
}

/// Closes every descriptor but these. For the start of init, which is a copy of the helper.
pub fn close_all_but(mut kept: Vec<RawFd>) -> Result<(), Errno> {
    kept.sort_unstable();
    let mut first = 0;
    for fd in kept {
        let fd = u32::try_from(fd).map_err(|_| Errno::EBADF)?;
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_from(first)
}

/// Closes every descriptor from `first` to `last`.
///
/// Only for the points where no owner for any of them is left that would use it again: the starts
/// of the helper and of init.
fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: closing a descriptor touches no memory. Owners that remain get EBADF from the kernel,
    // and at both points there are none that still act: init never returns to where they are.
    let done = check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) });
    match done {
        Ok(_) => Ok(()),
        // Before Linux 5.9: one by one up to the hard limit.
        Err(Errno::ENOSYS) => {
            let (_, hard) =
                nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
            let hard = u32::try_from(hard).unwrap_or(u32::MAX);
            for fd in first..hard.min(last.saturating_add(1)) {
                // SAFETY: as above.
                unsafe { libc::close(fd as c_int) };
            }
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

/// Marks every descriptor from `first` up to be closed by `execve`.
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: sets a flag of descriptors, and touches no memory.
    let done = check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC)
    });
    match done {
        Ok(_) => Ok(()),
        // Before Linux 5.11: one by one up to the hard limit.
        Err(Errno::ENOSYS | Errno::EINVAL) => {
            let (_, hard) =
                nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
            for fd in first..u32::try_from(hard).unwrap_or(u32::MAX) {
                // SAFETY: F_SETFD changes a flag, and fails for numbers that are not open.
                unsafe { libc::fcntl(fd as c_int, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok(())
        }
        Err(errno) => Err(errno),
    }
}

/// Sets the NIS domain name of this UTS namespace.
pub fn set_domain_name(name: &CStr) -> Result<(), Errno> {
    // SAFETY: pointer and length describe `name`, which lives through the call.
    Errno::result(unsafe { libc::setdomainname(name.as_ptr(), name.count_bytes()) }).map(drop)
}

/// Makes `fd` known as number `target` too, kept open across `execve`.
pub fn dup_to(fd: BorrowedFd<'_>, target: RawFd) -> Result<(), Errno> {
    let flags = if fd.as_raw_fd() == target {
        // SAFETY: F_SETFD changes a flag of an open descriptor.
        check(c_long::from(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }))
    } else {
        // SAFETY: dup3 touches no memory; what `target` named before is closed, and the caller
        // (the app's process right before exec) has no owner for numbers 0 to 3.
        check(c_long::from(unsafe { libc::dup3(fd.as_raw_fd(), target, 0) }))
    };
    flags.map(drop)
}

/// A copy of `fd` with a number of at least `minimum`, closed on exec.
pub fn dup_above(fd: BorrowedFd<'_>, minimum: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: F_DUPFD_CLOEXEC only makes a new descriptor.
    owned(c_long::from(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, minimum) }))
}

/// Makes the terminal on descriptor `fd` the controlling one of this session, which must not have
/// any.
pub fn take_terminal(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the argument of TIOCSCTTY is a number (0: never steal one), no pointer.
    check(c_long::from(unsafe { libc::ioctl(fd, libc::TIOCSCTTY, 0) })).map(drop)
}

/// `prctl` with plain numbers, for the options `nix` does not have.
pub fn prctl(option: c_int, a: c_ulong, b: c_ulong) -> Result<c_int, Errno> {
    // SAFETY: every option used in this crate through this function takes numbers only.
    let value = unsafe { libc::prctl(option, a, b, 0 as c_ulong, 0 as c_ulong) };
    Errno::result(value)
}

/// Gives up all effective, permitted and inheritable capabilities.
pub fn clear_capabilities() -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    /// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [[0u32; 3]; 2];
    // SAFETY: version 3 reads the header and two triples of words, which is what these are.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

/// Sets the loopback interface of this network namespace up; the kernel then adds 127.0.0.1 and ::1.
pub fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: ifreq is plain data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `request` is.
    let done =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    Errno::result(done).map(drop)
}

/// Joins a new, empty session keyring, so that the caller's keys stay out of reach.
pub fn fresh_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_long = 1;
    // SAFETY: a null name asks for an anonymous keyring; nothing is read or written.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0 as c_long) })
        .map(drop)
}

/// `execve`; returns only on failure.
pub fn execve(program: &CStr, argv: &[std::ffi::CString], environ: &[std::ffi::CString]) -> Errno {
    match nix::unistd::execve(program, argv, environ) {
        Ok(never) => match never {},
        Err(errno) => errno,
    }
}

/// Sends a signal through a pidfd, which cannot hit a later process of the same number.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    // SAFETY: a null siginfo asks for the one `kill` would make.
    check(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            0 as c_long,
            0 as c_long,
        )
    })
    .map(drop)
}

/// Puts every signal back to its default disposition, except those that cannot be changed.
pub fn reset_signals() {
    for number in 1..=64 {
        // SAFETY: SIG_DFL is no function of ours, so no handler can run; unchangeable or reserved
        // numbers fail with EINVAL, which is what we want for them.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

/// Sets the limit on the data of another process, which has this one's ids, or for which this one may.
pub fn limit_data(pid: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the call reads `limit`, which lives through it, and writes nothing.
    Errno::result(unsafe {
        libc::prlimit(pid, libc::RLIMIT_DATA, &raw const limit, std::ptr::null_mut())
    })
    .map(drop)
}
