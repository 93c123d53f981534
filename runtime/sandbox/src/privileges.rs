//! Giving up what the app must not have.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::error::{Failure, Step};
use crate::spec::Limits;
use crate::{stacks, sys};

/// What the app's files get at most: nothing for others (as Sandstorm).
const UMASK: u32 = 0o007;
/// Highest capability number that any kernel we know of has; unknown ones end the loop earlier.
const LAST_CAPABILITY: u64 = 63;
/// no-root, no-setuid-fixup, no-ambient-raise, each with its lock; keep-caps locked off.
const SECURE_BITS: u64 = 0b1110_1111;

/// The one size for which the kernel makes no core at all.
const CORE_BYTES: u64 = 1;
/// 64 KiB, which was Linux's own default until 5.16: for keys, not for heaps.
const LOCKED_BYTES: u64 = 64 << 10;

/// Empties all five capability sets, locks the secure bits, and sets no_new_privs.
pub(crate) fn give_up() -> Result<(), Failure> {
    let failed = |errno| Failure::new(Step::Capabilities, "", errno);
    for capability in 0..=LAST_CAPABILITY {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Ok(_) => {}
            // Past the kernel's last one.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(failed(errno)),
        }
    }
    // The kernel may have a secure bit of its own kind refused by an outer sandbox; the bits only
    // matter for uid 0, which does not exist inside.
    let _locked = sys::prctl(libc::PR_SET_SECUREBITS, SECURE_BITS, 0);
    match sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0) {
        Ok(_) | Err(Errno::EINVAL) => {}
        Err(errno) => return Err(failed(errno)),
    }
    sys::clear_capabilities().map_err(failed)?;
    nix::sys::prctl::set_no_new_privs()
        .map_err(|errno| Failure::new(Step::NoNewPrivileges, "", errno))
}

/// Sets the app's resource limits, never above what this process has itself.
pub(crate) fn limit(limits: &Limits, cgroup: bool) -> Result<(), Failure> {
    let open = |hard: u64| (limits.open_files_soft.min(hard), hard);
    let both = |value: u64| (value, value);
    let mut wanted = vec![
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, open(limits.open_files_hard)),
        ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, both(limits.file_bytes)),
        // A core would be the image of other users' data. 0 would still hand it, and with it our
        // app, to a program of the host's, where core_pattern names one (core(5)); 1 does not. The
        // filter keeps it there.
        ("RLIMIT_CORE", Resource::RLIMIT_CORE, both(CORE_BYTES)),
        // Nothing that the launcher's account may have beyond others: locked memory and urgency.
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, both(LOCKED_BYTES)),
        ("RLIMIT_NICE", Resource::RLIMIT_NICE, both(0)),
        ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO, both(0)),
        // Since Linux 5.14 counted per user namespace, so this grain's processes only.
        ("RLIMIT_NPROC", Resource::RLIMIT_NPROC, both(limits.processes)),
    ];
    if !cgroup {
        // Private writable memory of each process. Not the address space: JITs reserve far more
        // of that than they use. Beyond the first number comes only what a process maps for its
        // threads: see `stacks`.
        let with_stacks = limits.memory_bytes.saturating_add(stacks::all(limits));
        let data = (limits.memory_bytes, with_stacks);
        wanted.push(("RLIMIT_DATA", Resource::RLIMIT_DATA, data));
    }
    for (name, resource, (soft, hard)) in wanted {
        let failed = |errno| Failure::new(Step::Limit, name, errno);
        let (_, ceiling) = getrlimit(resource).map_err(failed)?;
        setrlimit(resource, soft.min(ceiling), hard.min(ceiling)).map_err(failed)?;
    }
    umask(Mode::from_bits_truncate(UMASK));
    Ok(())
}

/// Puts the app's four descriptors in place and marks all others to be closed by `execve`.
pub(crate) fn descriptors(ends: [BorrowedFd<'_>; 4]) -> Result<(), Failure> {
    let failed = |errno| Failure::new(Step::Descriptors, "", errno);
    for (fd, target) in ends.into_iter().zip(0..) {
        sys::dup_to(fd, target).map_err(failed)?;
    }
    sys::close_on_exec_from(4).map_err(failed)
}
