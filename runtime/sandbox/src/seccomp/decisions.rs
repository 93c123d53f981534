//! What the filter has to answer, written down a second time and call by call: not taken from the
//! policy, so that a rule which is lost there is missed here. [`mutants`](super::mutants) shows that
//! each one would be.

use libc::*;

use super::bpf::Verdict;
use super::tests::expected;
use super::*;

/// Calls that are refused whatever their arguments, and how.
#[rustfmt::skip]
const REFUSED: &[(Verdict, &[&str])] = &[
    (Verdict::Errno(EPERM), &[
        "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "bpf", "perf_event_open", "ptrace",
        "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "reboot", "swapon", "swapoff",
        "acct", "syslog", "sethostname", "setdomainname", "settimeofday", "clock_settime", "adjtimex",
        "clock_adjtime", "open_by_handle_at", "setgroups", "sched_setattr", "sched_setparam",
    ]),
    (Verdict::Errno(EOPNOTSUPP), &[
        "name_to_handle_at", "getxattr", "setxattr", "listxattr", "removexattr", "lgetxattr", "lsetxattr",
        "llistxattr", "lremovexattr", "fgetxattr", "fsetxattr", "flistxattr", "fremovexattr",
    ]),
    (Verdict::Errno(EINVAL), &["splice", "tee", "vmsplice"]),
    (Verdict::Errno(0), &["sync"]),
    (Verdict::Errno(ENOSYS), &[
        // arguments behind pointers, or doing what other calls do past the filter
        "clone3", "openat2", "io_uring_setup", "io_uring_enter", "io_uring_register", "io_setup",
        "io_destroy", "io_getevents", "io_pgetevents", "io_submit", "io_cancel", "seccomp",
        // mounts
        "open_tree", "open_tree_attr", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
        "mount_setattr", "statmount", "listmount",
        // the kernel's own business, and what exploits begin with
        "kexec_load", "kexec_file_load", "create_module", "init_module", "finit_module", "delete_module",
        "get_kernel_syms", "query_module", "iopl", "ioperm", "modify_ldt", "uselib", "_sysctl", "sysfs",
        "ustat", "vhangup", "quotactl", "quotactl_fd", "nfsservctl", "lookup_dcookie", "userfaultfd",
        "memfd_secret", "remap_file_pages", "set_thread_area", "get_thread_area", "uretprobe", "uprobe",
        "fanotify_init", "fanotify_mark", "syncfs", "cachestat", "file_getattr", "file_setattr",
        "setxattrat", "getxattrat", "listxattrat", "removexattrat",
        // keys, and queues of messages, that outlive their maker
        "add_key", "request_key", "keyctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
        "mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr",
        // memory of other processes, and where memory lies
        "process_madvise", "process_mrelease", "mbind", "set_mempolicy", "get_mempolicy", "migrate_pages",
        "move_pages", "set_mempolicy_home_node",
        // security modules
        "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "lsm_get_self_attr",
        "lsm_set_self_attr", "lsm_list_modules",
        // nothing, by now
        "getpmsg", "putpmsg", "afs_syscall", "tuxcall", "security", "vserver", "epoll_ctl_old",
        "epoll_wait_old", "sched_getattr",
    ]),
];

/// Calls whose arguments decide. Some of each pass, so that what is refused is not all of them.
#[rustfmt::skip]
const BY_ARGUMENTS: &[(&str, [u64; 6], Verdict)] = &[
    ("clone3", [0; 6], Verdict::Errno(ENOSYS)),
    ("splice", [0; 6], Verdict::Errno(EINVAL)),
    ("ioctl", [0, TIOCSTI, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("ioctl", [0, TIOCSTI | 1 << 32, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("ioctl", [0, 0x5401, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    ("clone", [0x3d0f00, 0, 0, 0, 0, 0], Verdict::Allow),
    ("clone", [0x7d0f00, 0, 0, 0, 0, 0], Verdict::Allow),
    ("clone", [0x1000_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [1 << 40, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("socket", [2, 3, 1, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [2, 2, 1, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [38, 5, 0, 0, 0, 0], Verdict::Errno(EAFNOSUPPORT)),
    ("socket", [16, 3, 12, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [16, 3, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [1, 0o2000001, 0, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o20666, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o10666, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o12666, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmod", [3, 0o1777, 0, 0, 0, 0], Verdict::Allow),
    ("fchmod", [3, 0o2755, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmod", [3, 0o4755 | 1 << 32, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat", [0, 0, 0o4755, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat2", [0, 0, 0o4755, 0x1000, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o102, 0o1777, 0, 0], Verdict::Allow),
    ("openat", [0, 0, 0o2, 0o4755, 0, 0], Verdict::Allow),
    ("openat", [0, 0, 0o102, 0o4755, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o20200002, 0o2755, 0, 0], Verdict::Errno(EPERM)),
    ("mkdirat", [0, 0, 0o2775, 0, 0, 0], Verdict::Allow),
    ("fcntl", [3, 6, 0, 0, 0, 0], Verdict::Allow),
    ("fcntl", [3, 1024, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("madvise", [0, 4096, 4, 0, 0, 0], Verdict::Allow),
    ("madvise", [0, 4096, 12, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("setsockopt", [3, 1, 2, 0, 4, 0], Verdict::Allow),
    ("setsockopt", [3, 1, 7, 0, 4, 0], Verdict::Errno(0)),
    ("setsockopt", [3, 6, 7, 0, 4, 0], Verdict::Allow),
    ("sync", [0; 6], Verdict::Errno(0)),
    ("prlimit64", [0, 4, 0, 0x7000_0000, 0, 0], Verdict::Allow),
    ("prlimit64", [0, 4, 0x7000_0000, 0, 0, 0], Verdict::Errno(0)),
    ("prlimit64", [0, 4 | 1 << 32, 1 << 40, 0, 0, 0], Verdict::Errno(0)),
    ("prlimit64", [0, 7, 0x7000_0000, 0, 0, 0], Verdict::Allow),
    ("mmap", [0, 4096, 3, 0x22, u64::MAX, 0], Verdict::Allow),
    ("mmap", [0, 4096, 3, 0x4_0022, u64::MAX, 0], Verdict::Errno(ENOMEM)),
    ("memfd_create", [0, 1, 0, 0, 0, 0], Verdict::Allow),
    ("memfd_create", [0, 4, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("sendto", [3, 0, 1, 0x4000, 0, 0], Verdict::Allow),
    ("sendto", [3, 0, 1, 0x4001, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("sendmsg", [3, 0, 1, 0, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("sendmmsg", [3, 0, 1, 1, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("restart_syscall", [0; 6], Verdict::Allow),
    // every flag of clone that is refused: CLONE_PTRACE, _UNTRACED, _NEWNS, _NEWCGROUP, …
    ("clone", [0x2000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x80_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x2_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x200_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x400_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x800_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x1000_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x2000_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("clone", [0x4000_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    // sockets
    ("socket", [17, 3, 0, 0, 0, 0], Verdict::Errno(EAFNOSUPPORT)),
    ("socket", [40, 1, 0, 0, 0, 0], Verdict::Errno(EAFNOSUPPORT)),
    ("socket", [1, 3, 0, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [1, 1, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [1, 2, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [1, 5, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [1, 10, 0, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [2, 1, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [2, 2, 17, 0, 0, 0], Verdict::Allow),
    ("socket", [2, 1, 6, 0, 0, 0], Verdict::Allow),
    ("socket", [10, 2, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [10, 3, 58, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [10, 2, 58, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [2, 1, 132, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [2, 1, 262, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [2, 2, 136, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socket", [2, 5, 0, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [2, 10, 0, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socket", [16, 2, 0, 0, 0, 0], Verdict::Allow),
    ("socket", [16, 2, 15, 0, 0, 0], Verdict::Errno(EPROTONOSUPPORT)),
    ("socketpair", [1, 1, 0, 0, 0, 0], Verdict::Allow),
    ("socketpair", [1, 2, 0, 0, 0, 0], Verdict::Allow),
    ("socketpair", [1, 5, 0, 0, 0, 0], Verdict::Allow),
    ("socketpair", [1, 3, 0, 0, 0, 0], Verdict::Errno(ESOCKTNOSUPPORT)),
    ("socketpair", [2, 1, 0, 0, 0, 0], Verdict::Errno(EAFNOSUPPORT)),
    ("socketpair", [30, 1, 0, 0, 0, 0], Verdict::Errno(EAFNOSUPPORT)),
    ("setsockopt", [3, 1, 26, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setsockopt", [3, 1, 50, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setsockopt", [3, 1, 51, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setsockopt", [3, 1, 52, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setsockopt", [3, 6, 19, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setsockopt", [3, 6, 31, 0, 0, 0], Verdict::Errno(ENOPROTOOPT)),
    ("setsockopt", [3, 1, 8, 0, 0, 0], Verdict::Errno(0)),
    ("setsockopt", [3, 1, 32, 0, 0, 0], Verdict::Errno(0)),
    ("setsockopt", [3, 1, 33, 0, 0, 0], Verdict::Errno(0)),
    ("setsockopt", [3, 17, 100, 0, 0, 0], Verdict::Errno(ENOPROTOOPT)),
    ("setsockopt", [3, 6, 1, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 6, 26, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 17, 103, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 1, 9, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 1, 19, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 1, 31, 0, 0, 0], Verdict::Allow),
    ("setsockopt", [3, 1, 100, 0, 0, 0], Verdict::Allow),
    // ioctl
    ("ioctl", [0, FIONREAD, 0, 0, 0, 0], Verdict::Allow),
    ("ioctl", [0, FIONBIO, 0, 0, 0, 0], Verdict::Allow),
    ("ioctl", [0, 0x8912, 0, 0, 0, 0], Verdict::Allow),
    ("ioctl", [0, 0x541c, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("ioctl", [0, 0xc004_5877, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("ioctl", [0, 0xc004_5878, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("ioctl", [0, 0x4004_9409, 0, 0, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("ioctl", [0, 0x4020_940d, 0, 0, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("ioctl", [0, 0xc018_9436, 0, 0, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("ioctl", [0, 0xc020_660b, 0, 0, 0, 0], Verdict::Errno(EOPNOTSUPP)),
    ("ioctl", [0, TIOCSCTTY, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    ("ioctl", [0, TIOCNOTTY, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    ("ioctl", [0, 0x8914, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    ("ioctl", [0, 0x4008_6602, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    ("ioctl", [0, 0x89b0, 0, 0, 0, 0], Verdict::Errno(ENOTTY)),
    // prctl: what a filter or a tracer is made of, and what a privilege is regained by
    ("prctl", [PR_SET_SECCOMP as u64, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [PR_CAPBSET_DROP as u64, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [PR_SET_SECUREBITS as u64, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [PR_SET_MM as u64, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [PR_CAP_AMBIENT as u64, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [59, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [62, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [0x5961_6d61, 0, 0, 0, 0, 0], Verdict::Errno(EINVAL)),
    ("prctl", [PR_SET_NAME as u64, 0, 0, 0, 0, 0], Verdict::Allow),
    ("prctl", [PR_SET_PDEATHSIG as u64, 0, 0, 0, 0, 0], Verdict::Allow),
    ("prctl", [PR_SET_NO_NEW_PRIVS as u64, 0, 0, 0, 0, 0], Verdict::Allow),
    ("prctl", [PR_SET_CHILD_SUBREAPER as u64, 0, 0, 0, 0, 0], Verdict::Allow),
    // personality: a look, and the usual one
    ("personality", [0, 0, 0, 0, 0, 0], Verdict::Allow),
    ("personality", [0xffff_ffff, 0, 0, 0, 0, 0], Verdict::Allow),
    ("personality", [0x4_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("personality", [0x40_0000, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("personality", [8, 0, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    // modes, by every call that has one
    ("chmod", [0, 0o4644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("chmod", [0, 0o2644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("chmod", [0, 0o1777, 0, 0, 0, 0], Verdict::Allow),
    ("fchmod", [0, 0o4644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmod", [0, 0o2644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmod", [0, 0o1777, 0, 0, 0, 0], Verdict::Allow),
    ("creat", [0, 0o4644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("creat", [0, 0o2644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("creat", [0, 0o1777, 0, 0, 0, 0], Verdict::Allow),
    ("fchmodat", [0, 0, 0o4644, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat", [0, 0, 0o2644, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat", [0, 0, 0o1777, 0, 0, 0], Verdict::Allow),
    ("fchmodat2", [0, 0, 0o4644, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat2", [0, 0, 0o2644, 0, 0, 0], Verdict::Errno(EPERM)),
    ("fchmodat2", [0, 0, 0o1777, 0, 0, 0], Verdict::Allow),
    ("open", [0, 0o101, 0o4700, 0, 0, 0], Verdict::Errno(EPERM)),
    ("open", [0, 0o101, 0o2700, 0, 0, 0], Verdict::Errno(EPERM)),
    ("open", [0, 0o101, 0o700, 0, 0, 0], Verdict::Allow),
    ("open", [0, 0o20000002, 0o4700, 0, 0, 0], Verdict::Errno(EPERM)),
    ("open", [0, 0o20000002, 0o2700, 0, 0, 0], Verdict::Errno(EPERM)),
    ("open", [0, 0o20000002, 0o700, 0, 0, 0], Verdict::Allow),
    ("open", [0, 0o1, 0o6777, 0, 0, 0], Verdict::Allow),
    ("openat", [0, 0, 0o101, 0o4700, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o101, 0o2700, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o101, 0o700, 0, 0], Verdict::Allow),
    ("openat", [0, 0, 0o20000002, 0o4700, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o20000002, 0o2700, 0, 0], Verdict::Errno(EPERM)),
    ("openat", [0, 0, 0o20000002, 0o700, 0, 0], Verdict::Allow),
    ("openat", [0, 0, 0o1, 0o6777, 0, 0], Verdict::Allow),
    ("mknod", [0, 0o100644, 0, 0, 0, 0], Verdict::Allow),
    ("mknod", [0, 0o600, 0, 0, 0, 0], Verdict::Allow),
    ("mknod", [0, 0o10600, 0, 0, 0, 0], Verdict::Allow),
    ("mknod", [0, 0o140600, 0, 0, 0, 0], Verdict::Allow),
    ("mknod", [0, 0o20600, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknod", [0, 0o60600, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknod", [0, 0o40700, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknod", [0, 0o104755, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknod", [0, 0o12644, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o100644, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o600, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o10600, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o140600, 0, 0, 0], Verdict::Allow),
    ("mknodat", [0, 0, 0o20600, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o60600, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o40700, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o104755, 0, 0, 0], Verdict::Errno(EPERM)),
    ("mknodat", [0, 0, 0o12644, 0, 0, 0], Verdict::Errno(EPERM)),
    // scheduling and limits
    ("sched_setscheduler", [0, 0, 0, 0, 0, 0], Verdict::Allow),
    ("sched_setscheduler", [0, 3, 0, 0, 0, 0], Verdict::Allow),
    ("sched_setscheduler", [0, 5, 0, 0, 0, 0], Verdict::Allow),
    ("sched_setscheduler", [0, 1, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("sched_setscheduler", [0, 2, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("sched_setscheduler", [0, 6, 0, 0, 0, 0], Verdict::Errno(EPERM)),
    ("setrlimit", [4, 0, 0, 0, 0, 0], Verdict::Errno(0)),
    ("setrlimit", [7, 0, 0, 0, 0, 0], Verdict::Allow),
    ("prlimit64", [0, 4, u64::MAX, 0, 0, 0], Verdict::Errno(0)),
    ("fcntl", [3, 1025, 0, 0, 0, 0], Verdict::Allow),
    ("madvise", [0, 4096, 14, 0, 0, 0], Verdict::Allow),
];

/// The call, its arguments, and the verdict.
pub(super) fn decisions() -> impl Iterator<Item = (&'static str, [u64; 6], Verdict)> {
    let refused = REFUSED.iter().flat_map(|(verdict, names)| {
        // Arguments that are small numbers, a pointer, or all ones.
        names.iter().flat_map(|name| {
            [[0; 6], [1; 6], [0x7000_0000; 6], [u64::MAX; 6]].map(|args| (*name, args, *verdict))
        })
    });
    refused.chain(BY_ARGUMENTS.iter().copied())
}

#[test]
fn the_filter_decides_as_is_written_down() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let filter = app_filter(arch, Denial::Answer).unwrap();
        for (name, args, verdict) in decisions() {
            let call = CALLS.iter().find(|call| call.name == name).unwrap();
            // One of the two may be without it.
            let Some(nr) = number(arch, call) else { continue };
            let said = interpret(&filter, &Data { nr, arch: arch.audit(), args });
            assert_eq!(said, verdict, "{arch:?} {name} {args:x?}");
        }
    }
}

/// Each call is allowed as a whole, or there is something written down about it.
#[test]
fn nothing_is_refused_that_is_not_written_down() {
    for call in CALLS {
        let allowed = expected(&ruling(call.name), &[0; 6]) == Verdict::Allow;
        let written = decisions().any(|(name, _, _)| name == call.name);
        assert!(allowed || written, "{}", call.name);
    }
}
