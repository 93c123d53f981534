//! What the app's filter asks about: room for threads' stacks, and, for the developer, which denied calls it
//! made, summed up.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::seccomp::{self, Arch};
use crate::spec::Limits;
use crate::{stacks, sys};

/// How many different (call, program) pairs are kept: a hostile app could otherwise fill memory.
const MAX_KINDS: usize = 1024;

/// Characters of a program's path that are kept: enough to know it by.
const LONGEST_PROGRAM: usize = 200;

/// A call that the filter denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The call's name, or `#` and its number if it has none.
    pub call: String,
    /// The first argument that decided, as `name=value`, where only some are denied.
    pub detail: Option<String>,
    /// What the app got: `EPERM`, `ENOSYS`, …
    pub answer: String,
    /// The program that called, as its path inside, or empty if it was gone before we looked.
    pub program: String,
    /// How often since it was last reported.
    pub count: u64,
}

impl Denied {
    /// Why this denial is usually no trouble, where that is known: what a developer need not chase.
    pub fn remark(&self) -> Option<&'static str> {
        let detail = self.detail.as_deref();
        Some(match (self.call.as_str(), detail) {
            ("clone3", _) => "thread libraries go on with clone",
            ("ioctl", Some("request=0x5401")) => "asks whether it writes to a terminal",
            ("ioctl", Some("request=0x5413")) => "asks for the size of the terminal",
            ("openat2" | "statmount" | "listmount" | "cachestat" | "rseq", _) => {
                "programs go on with older calls"
            }
            ("io_uring_setup" | "io_setup", _) => "programs go on with threads",
            ("get_mempolicy" | "set_mempolicy" | "mbind", _) => "only tunes memory on big machines",
            ("splice" | "tee" | "vmsplice", _) => "programs go on with read and write",
            (
                "getxattr" | "lgetxattr" | "fgetxattr" | "listxattr" | "llistxattr" | "flistxattr",
                _,
            ) => "files have no extended attributes here",
            ("sync", _) => "nothing is lost: fsync works",
            _ => return None,
        })
    }
}

/// What a Sandstorm server's filter refuses whatever the arguments (grain-runtime §B.2).
#[rustfmt::skip]
const REFUSED_BY_SANDSTORM: &[&str] = &[
    "ptrace", "add_key", "request_key", "keyctl", "syslog", "uselib", "personality", "acct",
    "modify_ldt", "set_thread_area", "unshare", "mount", "pivot_root", "quotactl",
    "io_setup", "io_destroy", "io_getevents", "io_submit", "io_cancel", "io_pgetevents",
    "remap_file_pages", "mbind", "get_mempolicy", "set_mempolicy", "migrate_pages", "move_pages",
    "vmsplice", "set_robust_list", "get_robust_list", "rseq", "pkey_mprotect", "perf_event_open",
    "seccomp", "bpf", "userfaultfd",
    // What its filter lets pass and the kernel refuses to whom no grain is: the privileged.
    "setns", "chroot", "umount2", "reboot", "swapon", "swapoff", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "open_by_handle_at", "setgroups", "init_module",
    "finit_module", "delete_module", "kexec_load", "kexec_file_load", "iopl", "ioperm", "vhangup",
    "nfsservctl", "lookup_dcookie", "mount_setattr", "fanotify_init",
];

/// Of these it depends on the arguments, or the answer is the same by another way.
const DEPENDS: &[&str] = &[
    "clone",
    "ioctl",
    "socket",
    "socketpair",
    "setsockopt",
    "prctl",
    "prlimit64",
    "setrlimit",
    "mmap",
    "madvise",
    "fcntl",
    "adjtimex",
    "clock_adjtime",
    "sched_setscheduler",
    "sched_setattr",
    "sched_setparam",
    "mknod",
    "mknodat",
    "sync",
];

impl Denied {
    /// Whether a Sandstorm server refuses the same, where that does not depend on more.
    pub fn is_refused_by_sandstorm(&self) -> Option<bool> {
        let call = self.call.as_str();
        if call.starts_with('#') || DEPENDS.contains(&call) {
            return None;
        }
        Some(REFUSED_BY_SANDSTORM.contains(&call))
    }

    /// Why it is usually no trouble, and whether it is the same on a Sandstorm server, as far as either
    /// is known.
    pub fn remarks(&self) -> Vec<&'static str> {
        let server = self.is_refused_by_sandstorm().map(|refused| match refused {
            true => "a Sandstorm server refuses it, too",
            false => "a Sandstorm server lets it pass",
        });
        self.remark().into_iter().chain(server).collect()
    }
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "system call {}", self.call)?;
        if let Some(detail) = &self.detail {
            write!(f, "({detail})")?;
        }
        write!(f, " denied with {}", self.answer)?;
        match self.program.as_str() {
            "" => write!(f, ", called by a program that ended at once"),
            program => write!(f, ", called by {program}"),
        }
    }
}

/// Answers the calls that arrive at a filter's listener, and counts those that were denied.
pub(crate) struct Explainer {
    listener: OwnedFd,
    filter: Vec<libc::sock_filter>,
    limits: Limits,
    counts: BTreeMap<(u32, Option<String>, i32, String), u64>,
}

impl AsFd for Explainer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Explainer {
    pub fn new(listener: OwnedFd, limits: Limits) -> Explainer {
        // The filter that sends the calls here is made of the same rules. Without this one they would
        // all get ENOSYS.
        let denial = seccomp::Denial::AnswerWithStacks;
        let filter = seccomp::app_filter(Arch::NATIVE, denial).unwrap_or_default();
        Explainer { listener, filter, limits, counts: BTreeMap::new() }
    }

    /// Takes one waiting call. `false` once no process is left under the filter.
    pub fn serve_one(&mut self) -> bool {
        let listener = self.listener.as_fd();
        let notice = match sys::seccomp::receive(listener) {
            Ok(notice) => notice,
            // The caller was killed meanwhile, or a signal came.
            Err(Errno::ENOENT | Errno::EINTR | Errno::EAGAIN) => return true,
            Err(_) => return false,
        };
        let data = seccomp::Data { nr: notice.nr, arch: notice.arch, args: notice.args };
        let errno = match seccomp::interpret(&self.filter, &data) {
            seccomp::Verdict::Errno(errno) => errno,
            seccomp::Verdict::Notify => {
                let waits = || sys::seccomp::still_waiting(listener, notice.id);
                stacks::make_room(notice.pid, data.args[1], &self.limits, waits);
                let _gone = sys::seccomp::let_pass(listener, notice.id);
                return true;
            }
            // Never lets another call through that was sent here.
            _ => libc::ENOSYS,
        };
        let program: String = std::fs::read_link(format!("/proc/{}/exe", notice.pid))
            .map(|path| path.to_string_lossy().chars().take(LONGEST_PROGRAM).collect())
            .unwrap_or_default();
        let program =
            if sys::seccomp::still_waiting(listener, notice.id) { program } else { String::new() };
        let _gone = sys::seccomp::answer(listener, notice.id, errno);
        let detail = seccomp::telling_argument(Arch::NATIVE, &data);
        let key = (notice.nr, detail, errno, program);
        if self.counts.len() < MAX_KINDS || self.counts.contains_key(&key) {
            *self.counts.entry(key).or_default() += 1;
        }
        true
    }

    /// What was counted since the last time.
    pub fn take(&mut self) -> Vec<Denied> {
        std::mem::take(&mut self.counts)
            .into_iter()
            .map(|((nr, detail, errno, program), count)| Denied {
                call: seccomp::name(Arch::NATIVE, nr)
                    .map_or_else(|| format!("#{nr}"), str::to_owned),
                detail,
                answer: match errno {
                    0 => "nothing done".to_owned(),
                    errno => format!("{:?}", Errno::from_raw(errno)),
                },
                program,
                count,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_is_known_of_calls_that_exist() {
        let known: Vec<_> = (0..1024).filter_map(|nr| seccomp::name(Arch::X86_64, nr)).collect();
        for name in REFUSED_BY_SANDSTORM.iter().chain(DEPENDS) {
            assert!(known.contains(name), "{name} is no call");
        }
        let denied = |call: &str| Denied {
            call: call.into(),
            detail: None,
            answer: "EPERM".into(),
            program: String::new(),
            count: 1,
        };
        assert_eq!(denied("unshare").is_refused_by_sandstorm(), Some(true));
        assert_eq!(denied("process_vm_readv").is_refused_by_sandstorm(), Some(false));
        assert_eq!(denied("ioctl").is_refused_by_sandstorm(), None);
        assert_eq!(denied("#1234").is_refused_by_sandstorm(), None);
        assert_eq!(
            denied("rseq").remarks(),
            ["programs go on with older calls", "a Sandstorm server refuses it, too"]
        );
    }
}
