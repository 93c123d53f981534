//! The filter of PID 1: once the app runs, it waits, forwards signals and reports, nothing else.

use std::collections::BTreeMap;

use seccompiler::{SeccompAction, SeccompFilter, TargetArch};

/// What the reaper's loop uses, its memory allocation included. Anything else kills it, and with
/// it the whole grain.
const CALLS: &[libc::c_long] = &[
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_kill,
    libc::SYS_exit_group,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
];

/// The program, or `None` if it cannot be built, which the unit test rules out.
pub(crate) fn reaper_filter() -> Option<Vec<libc::sock_filter>> {
    #[cfg(target_arch = "x86_64")]
    let arch = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    let arch = TargetArch::aarch64;
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        CALLS.iter().map(|nr| (*nr, vec![])).collect();
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch).ok()?;
    let program: seccompiler::BpfProgram = filter.try_into().ok()?;
    let convert = |op: seccompiler::sock_filter| libc::sock_filter {
        code: op.code,
        jt: op.jt,
        jf: op.jf,
        k: op.k,
    };
    Some(program.into_iter().map(convert).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reaper_filter_builds() {
        assert!(super::reaper_filter().is_some_and(|program| program.len() > super::CALLS.len()));
    }
}
