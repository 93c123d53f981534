//! What each call gets. Everything that is not named here gets ENOSYS: the answer of a kernel
//! without the call, for which run-time libraries have tested fall-backs.
//!
//! The rules, and why each call is where it is: `docs/security.md`.

use std::collections::HashMap;
use std::sync::LazyLock;

use libc::{
    EAFNOSUPPORT, EINVAL, ENOMEM, ENOPROTOOPT, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
};

/// The end of it: allowed, or answered with an error number (0: success without doing anything).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// The kernel does it.
    Allow,
    /// The kernel does nothing and returns this error.
    Errno(i32),
    /// The kernel does it, after a listener for stacks, if there is one, made room: see
    /// [`crate::Limits::memory_bytes`].
    Stack,
}

/// A condition on one argument. `int` arguments are compared on their low 32 bits, as the kernel
/// truncates them (a 64-bit comparison would be a bypass: CVE-2019-10063).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Low half, masked, is one of these.
    In(u8, u32, &'static [u32]),
    /// Low half, masked, is none of these.
    NotIn(u8, u32, &'static [u32]),
    /// Low half has any bit of this mask.
    AnyBit(u8, u32),
    /// High half is not zero: for words that are 64 bits wide in the ABI.
    HighHalf(u8),
}

/// Rules in order, the first whose conditions all hold decides; then the last ruling.
#[derive(Debug, Clone, Copy)]
pub struct Treatment {
    /// Conditions, all of which must hold, and what follows then.
    pub rules: &'static [(&'static [Condition], Ruling)],
    /// If no rule held.
    pub otherwise: Ruling,
}

const fn plain(otherwise: Ruling) -> Treatment {
    Treatment { rules: &[], otherwise }
}

const ALL: u32 = u32::MAX;

use Condition::{AnyBit, HighHalf, In, NotIn};
use Ruling::{Allow, Errno, Stack};

/// Calls that are allowed whatever their arguments.
#[rustfmt::skip]
const ALLOWED: &[&str] = &[
    // memory
    "brk", "munmap", "mremap", "mprotect", "msync", "mincore", "mlock", "munlock",
    "mlock2", "mlockall", "munlockall", "membarrier", "pkey_alloc", "pkey_free", "pkey_mprotect", "map_shadow_stack", "mseal",
    // processes and threads
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid",
    "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "futex", "futex_waitv",
    "futex_wake", "futex_wait", "futex_requeue", "arch_prctl", "gettid", "getpid", "getppid",
    "getpgid", "setpgid", "getpgrp", "getsid", "setsid", "kill", "tkill", "tgkill", "pidfd_open",
    "pidfd_send_signal",
    // scheduling, limits, information
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min",
    "sched_rr_get_interval", "getpriority", "setpriority", "ioprio_get", "ioprio_set", "getcpu",
    "getrusage", "times", "getrlimit", "uname", "sysinfo", "umask",
    "capget", "capset",
    // identity: the kernel refuses any id that is not mapped
    "getuid", "geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups", "setuid",
    "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid",
    // files
    "close", "close_range", "read", "write", "readv", "writev",
    "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "lseek", "stat", "lstat",
    "fstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "chdir", "fchdir",
    "getcwd", "mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat",
    "symlink", "symlinkat", "unlink", "unlinkat", "readlink", "readlinkat", 
    "chown", "fchown", "lchown", "fchownat", "truncate", "ftruncate",
    "fallocate", "fsync", "fdatasync", "sync_file_range", "fadvise64", "readahead",
    "copy_file_range", "sendfile", "statfs", "fstatfs", "getdents", "getdents64", "flock", 
    "dup", "dup2", "dup3", "pipe", "pipe2", "utime", "utimes", "utimensat", "futimesat",
    "inotify_init", "inotify_init1", "inotify_add_watch", "inotify_rm_watch",
    // waiting and time; restart_syscall is how frozen and stopped sleeps go on
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "alarm", "getitimer", "setitimer",
    "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time",
    "restart_syscall",
    // signals
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigsuspend",
    "rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sigaltstack", "pause",
    // sockets
    "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "getsockopt",
    "shutdown", "recvfrom", "recvmsg", "recvmmsg",
    // SysV shared memory and semaphores: PostgreSQL does not start without
    "shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semctl", "semtimedop",
    // random numbers
    "getrandom",
];

/// Calls that programs expect to be refused to an ordinary user.
#[rustfmt::skip]
const NOT_PERMITTED: &[&str] = &[
    "unshare", "setns",
    "mount", "umount2", "pivot_root", "chroot",
    "bpf", "perf_event_open",
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
    "reboot", "swapon", "swapoff", "acct", "syslog", "sethostname", "setdomainname",
    "settimeofday", "clock_settime", "adjtimex", "clock_adjtime",
    "open_by_handle_at", "setgroups", "sched_setattr", "sched_setparam",
];

/// Calls that a file system may lack: attributes are not part of a backup, so storing them would
/// lose data; handles leak identity.
#[rustfmt::skip]
const NOT_SUPPORTED: &[&str] = &[
    "name_to_handle_at",
    "getxattr", "setxattr", "listxattr", "removexattr",
    "lgetxattr", "lsetxattr", "llistxattr", "lremovexattr",
    "fgetxattr", "fsetxattr", "flistxattr", "fremovexattr",
];

/// EINVAL makes their callers fall back to read and write; ENOSYS breaks Go's proxying.
const INVALID: &[&str] = &["splice", "tee", "vmsplice"];

/// `CLONE_NEW…` of every kind that `clone` can ask for, `CLONE_PTRACE` and `CLONE_UNTRACED`.
/// `CLONE_DETACHED` (musl) and `CLONE_PIDFD` (Go, Rust) stay allowed.
const CLONE_REFUSED: u32 = 0x7e02_0000 | 0x2000 | 0x0080_0000;

const UNIX: u32 = libc::AF_UNIX as u32;
const INET: u32 = libc::AF_INET as u32;
const INET6: u32 = libc::AF_INET6 as u32;
const NETLINK: u32 = libc::AF_NETLINK as u32;
/// `SOCK_TYPE_MASK`: the rest of the argument are flags.
const TYPE: u32 = 0xf;

const CLONE: Treatment = Treatment {
    rules: &[(&[HighHalf(0)], Errno(EPERM)), (&[AnyBit(0, CLONE_REFUSED)], Errno(EPERM))],
    otherwise: Allow,
};

const SOCKET: Treatment = Treatment {
    rules: &[
        (&[NotIn(0, ALL, &[UNIX, INET, INET6, NETLINK])], Errno(EAFNOSUPPORT)),
        // stream, datagram, sequenced packets
        (&[In(0, ALL, &[UNIX]), NotIn(1, TYPE, &[1, 2, 5])], Errno(ESOCKTNOSUPPORT)),
        (&[In(0, ALL, &[UNIX])], Allow),
        // NETLINK_ROUTE, for interface queries; harmless without capabilities in an empty namespace
        (&[In(0, ALL, &[NETLINK]), NotIn(2, ALL, &[0])], Errno(EPROTONOSUPPORT)),
        (&[In(0, ALL, &[NETLINK])], Allow),
        (&[NotIn(1, TYPE, &[1, 2])], Errno(ESOCKTNOSUPPORT)),
        // TCP and UDP: no ICMP, SCTP, MPTCP, UDP-Lite
        (&[NotIn(2, ALL, &[0, 6, 17])], Errno(EPROTONOSUPPORT)),
    ],
    otherwise: Allow,
};

const SOCKETPAIR: Treatment = Treatment {
    rules: &[
        (&[NotIn(0, ALL, &[UNIX])], Errno(EAFNOSUPPORT)),
        (&[NotIn(1, TYPE, &[1, 2, 5])], Errno(ESOCKTNOSUPPORT)),
    ],
    otherwise: Allow,
};

const SETSOCKOPT: Treatment = Treatment {
    rules: &[
        // SO_ATTACH_FILTER, _BPF, _REUSEPORT_CBPF, _EBPF
        (&[In(1, ALL, &[1]), In(2, ALL, &[26, 50, 51, 52])], Errno(EPERM)),
        // TCP_REPAIR
        (&[In(1, ALL, &[6]), In(2, ALL, &[19])], Errno(EPERM)),
        // TCP_ULP (kernel TLS)
        (&[In(1, ALL, &[6]), In(2, ALL, &[31])], Errno(ENOPROTOOPT)),
        // SO_SNDBUF, SO_RCVBUF and their like with FORCE: what the kernel keeps for TCP is one pool for
        // the machine, and the values lie behind a pointer. The buffers stay as they are.
        (&[In(1, ALL, &[1]), In(2, ALL, &[7, 8, 32, 33])], Errno(0)),
        // UDP_ENCAP
        (&[In(1, ALL, &[17]), In(2, ALL, &[100])], Errno(ENOPROTOOPT)),
    ],
    otherwise: Allow,
};

#[rustfmt::skip]
const IOCTL: Treatment = Treatment {
    rules: &[
        (&[In(1, ALL, &[
            // FIOCLEX FIONCLEX FIONBIO FIOASYNC FIONREAD FIOQSIZE
            0x5451, 0x5450, 0x5421, 0x5452, 0x541b, 0x5460,
            // SIOCGIFNAME …CONF …FLAGS …ADDR …BRDADDR …NETMASK …MTU …HWADDR …INDEX
            0x8910, 0x8912, 0x8913, 0x8915, 0x8919, 0x891b, 0x8921, 0x8927, 0x8933,
        ])], Allow),
        // TIOCSTI TIOCLINUX FIFREEZE FITHAW
        (&[In(1, ALL, &[0x5412, 0x541c, 0xc004_5877, 0xc004_5878])], Errno(EPERM)),
        // FICLONE FICLONERANGE FIDEDUPERANGE FIEMAP
        (&[In(1, ALL, &[0x4004_9409, 0x4020_940d, 0xc018_9436, 0xc020_660b])], Errno(EOPNOTSUPP)),
    ],
    otherwise: Errno(ENOTTY),
};

/// What terminals need besides, for a pseudo-terminal of the sandbox's own.
#[rustfmt::skip]
const TERMINAL_IOCTL: Treatment = Treatment {
    rules: &[
        (&[In(1, ALL, &[
            // TCGETS TCSETS TCSETSW TCSETSF, and the same of termios2
            0x5401, 0x5402, 0x5403, 0x5404, 0x802c_542a, 0x402c_542b, 0x402c_542c, 0x402c_542d,
            // TCSBRK TCXONC TCFLSH TIOCGPGRP TIOCSPGRP TIOCOUTQ TIOCGWINSZ TIOCSWINSZ TIOCGSID
            0x5409, 0x540a, 0x540b, 0x540f, 0x5410, 0x5411, 0x5413, 0x5414, 0x5429,
        ])], Allow),
        IOCTL.rules[0], IOCTL.rules[1], IOCTL.rules[2],
    ],
    otherwise: IOCTL.otherwise,
};

#[rustfmt::skip]
const PRCTL: Treatment = Treatment {
    rules: &[(&[In(0, ALL, &[
        // death signal, dumpable
        1, 2, 3, 4,
        // keep-caps, timing, name, bounding-set read, securebits read, timer slack
        7, 8, 15, 16, 23, 27, 29, 30,
        // child subreaper, no_new_privs, tid address is CRIU's (not here)
        36, 37, 38, 39,
        // transparent huge pages, speculation control, memory-deny-write-execute
        41, 42, 52, 53, 65, 66,
        // names of mappings
        0x5356_4d41,
    ])], Allow)],
    otherwise: Errno(EINVAL),
};

const PERSONALITY: Treatment =
    Treatment { rules: &[(&[In(0, ALL, &[0, 0xffff_ffff])], Allow)], otherwise: Errno(EPERM) };

/// Set-user-ID and set-group-ID: they mean nothing inside, but the file lies on the host's disk, where
/// the mount of the app does not speak for it. (What `mkdir` is given of them the kernel ignores.)
const SET_ID: u32 = libc::S_ISUID | libc::S_ISGID;
/// A mode as the second argument.
const MODE_SECOND: Treatment =
    Treatment { rules: &[(&[AnyBit(1, SET_ID)], Errno(EPERM))], otherwise: Allow };
/// A mode as the third.
const MODE_THIRD: Treatment =
    Treatment { rules: &[(&[AnyBit(2, SET_ID)], Errno(EPERM))], otherwise: Allow };
/// With these there is a mode; else the argument is whatever was in the register. The second is
/// `__O_TMPFILE`, which x86-64 and aarch64 have in common.
const CREATES: u32 = libc::O_CREAT as u32 | 0o20_000_000;
const OPEN: Treatment = Treatment {
    rules: &[(&[AnyBit(1, CREATES), AnyBit(2, SET_ID)], Errno(EPERM))],
    otherwise: Allow,
};
const OPENAT: Treatment = Treatment {
    rules: &[(&[AnyBit(2, CREATES), AnyBit(3, SET_ID)], Errno(EPERM))],
    otherwise: Allow,
};

/// No type, regular, FIFO, socket. Not character devices: 0/0 is overlayfs's whiteout.
const FILE_KINDS: &[u32] = &[0, libc::S_IFREG, libc::S_IFIFO, libc::S_IFSOCK];
const MKNOD: Treatment = Treatment {
    rules: &[MODE_SECOND.rules[0], (&[In(1, libc::S_IFMT, FILE_KINDS)], Allow)],
    otherwise: Errno(EPERM),
};
const MKNODAT: Treatment = Treatment {
    rules: &[MODE_THIRD.rules[0], (&[In(2, libc::S_IFMT, FILE_KINDS)], Allow)],
    otherwise: Errno(EPERM),
};

/// `F_SETLEASE`: whoever opens the file then waits for its holder, a backup of the host's, too.
const LEASE: u32 = libc::F_SETLEASE as u32;
const FCNTL: Treatment =
    Treatment { rules: &[(&[In(1, ALL, &[LEASE])], Errno(EINVAL))], otherwise: Allow };

/// `MADV_MERGEABLE`: whether a page was merged tells by the time a write takes what is in the memory
/// of others.
const MERGEABLE: u32 = libc::MADV_MERGEABLE as u32;
const MADVISE: Treatment =
    Treatment { rules: &[(&[In(2, ALL, &[MERGEABLE])], Errno(EINVAL))], otherwise: Allow };

/// SCHED_OTHER, SCHED_BATCH, SCHED_IDLE.
const SCHED_SETSCHEDULER: Treatment =
    Treatment { rules: &[(&[In(1, ALL, &[0, 3, 5])], Allow)], otherwise: Errno(EPERM) };

/// `RLIMIT_CORE`, which stays as it is: whoever sets it wants no core, and there is none.
const CORE: u32 = libc::RLIMIT_CORE;
const SETRLIMIT: Treatment =
    Treatment { rules: &[(&[In(0, ALL, &[CORE])], Errno(0))], otherwise: Allow };
const PRLIMIT64: Treatment = Treatment {
    rules: &[
        // With a pointer to a new limit.
        (&[In(1, ALL, &[CORE]), NotIn(2, ALL, &[0])], Errno(0)),
        (&[In(1, ALL, &[CORE]), HighHalf(2)], Errno(0)),
    ],
    otherwise: Allow,
};

/// `MAP_HUGETLB`: the machine's reserve of huge pages is in no limit of ours.
///
/// `MAP_STACK`: what the C library maps for a thread.
const MMAP: Treatment = Treatment {
    rules: &[(&[AnyBit(3, 0x4_0000)], Errno(ENOMEM)), (&[AnyBit(3, 0x2_0000)], Stack)],
    otherwise: Allow,
};
/// `MFD_HUGETLB`, for the same reason.
const MEMFD_CREATE: Treatment =
    Treatment { rules: &[(&[AnyBit(1, 0x4)], Errno(EINVAL))], otherwise: Allow };

/// `MSG_OOB`: used by FTP and telnet, and over UNIX sockets by exploits (CVE-2025-38236).
const OUT_OF_BAND: u32 = libc::MSG_OOB as u32;
const SENDMSG: Treatment =
    Treatment { rules: &[(&[AnyBit(2, OUT_OF_BAND)], Errno(EOPNOTSUPP))], otherwise: Allow };
const SENDTO: Treatment =
    Treatment { rules: &[(&[AnyBit(3, OUT_OF_BAND)], Errno(EOPNOTSUPP))], otherwise: Allow };

/// What the call named `name` gets.
pub fn ruling(name: &str) -> Treatment {
    match name {
        "clone" => CLONE,
        "socket" => SOCKET,
        "socketpair" => SOCKETPAIR,
        "setsockopt" => SETSOCKOPT,
        "ioctl" => IOCTL,
        "prctl" => PRCTL,
        "personality" => PERSONALITY,
        "open" => OPEN,
        "openat" => OPENAT,
        "chmod" | "fchmod" | "creat" => MODE_SECOND,
        "fchmodat" | "fchmodat2" => MODE_THIRD,
        "fcntl" => FCNTL,
        "madvise" => MADVISE,
        "mknod" => MKNOD,
        "mknodat" => MKNODAT,
        "sched_setscheduler" => SCHED_SETSCHEDULER,
        "setrlimit" => SETRLIMIT,
        "prlimit64" => PRLIMIT64,
        "mmap" => MMAP,
        "memfd_create" => MEMFD_CREATE,
        "sendmsg" => SENDMSG,
        "sendto" | "sendmmsg" => SENDTO,
        // It would flush the whole host, and has no error to return.
        "sync" => plain(Errno(0)),
        _ => plain(of_plain(name)),
    }
}

/// The same at a terminal.
pub fn ruling_with_terminal(name: &str) -> Treatment {
    match name {
        "ioctl" => TERMINAL_IOCTL,
        _ => ruling(name),
    }
}

/// The ruling on a call whose arguments do not matter. Looked up for each of some 400 calls at
/// every start, so not by going through the lists.
fn of_plain(name: &str) -> Ruling {
    static RULINGS: LazyLock<HashMap<&str, Ruling>> = LazyLock::new(|| {
        let lists = [
            (ALLOWED, Allow),
            (NOT_PERMITTED, Errno(EPERM)),
            (NOT_SUPPORTED, Errno(EOPNOTSUPP)),
            (INVALID, Errno(EINVAL)),
        ];
        lists.iter().flat_map(|(names, then)| names.iter().map(|name| (*name, *then))).collect()
    });
    RULINGS.get(name).copied().unwrap_or(Errno(ENOSYS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::table::CALLS;

    #[test]
    fn every_named_call_exists_and_is_named_once() {
        let mut seen = std::collections::BTreeSet::new();
        for name in [ALLOWED, NOT_PERMITTED, NOT_SUPPORTED, INVALID].concat() {
            assert!(CALLS.iter().any(|call| call.name == name), "{name} is no call");
            assert!(seen.insert(name), "{name} is named twice");
        }
    }
}
