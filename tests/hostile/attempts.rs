//! The catalogue: one line per attempt, `NAME<tab>OUTCOME`.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nix::errno::Errno;

use crate::net;
use crate::sys::{apart, raw, words};

/// Called with each attempt's name and its deed.
type Try<'a> = &'a mut dyn FnMut(&str, &dyn Fn() -> String);

pub fn main(port: &str, name: &str) -> ! {
    let mut run = |what: &str, deed: &dyn Fn() -> String| println!("{what}\t{}", apart(deed));
    // Mounts first: outside of a sandbox, what follows then works on a `/tmp` of its own.
    mounts(&mut run);
    files(&mut run);
    namespaces(&mut run);
    identity(&mut run);
    processes(&mut run);
    network(&mut run, port, name);
    kernel(&mut run);
    machine(&mut run);
    ordinary(&mut run);
    std::process::exit(0)
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn p(text: &CString) -> u64 {
    text.as_ptr() as u64
}

/// A call by number with up to six arguments.
fn call(nr: i64, args: &[u64]) -> String {
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    words(raw(nr, all))
}

fn open(path: &str, flags: i32) -> String {
    let path = c(path);
    call(libc::SYS_openat, &[libc::AT_FDCWD as u64, p(&path), flags as u64, 0o600])
}

fn io<T>(result: std::io::Result<T>) -> String {
    words(result.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or_default())))
}

fn files(run: Try<'_>) {
    for path in [
        "/proc/1/root",
        "/proc/1/environ",
        "/proc/self/environ",
        "/proc/self/exe",
        "/proc/self/fd/1",
        "/proc/sys/kernel/core_pattern",
        "/proc/kcore",
        "/sys/kernel",
        "/sys/fs/cgroup",
        "/../../../../etc/shadow",
        "/etc/passwd",
        "/root",
        "/home",
        "/run",
        "/var/../../log",
        "/var/../../sandbox",
        "/var/../../socket",
        "/etc/resolv.conf",
        "/dev/sda",
        "/dev/vda",
        "/dev/mem",
        "/dev/kmsg",
        "/dev/tty",
        "/dev/ptmx",
        "/dev/pts/0",
        "/dev/fuse",
        "/dev/kvm",
        "/dev/net/tun",
        "/dev/console",
        "/dev/mqueue",
    ] {
        run(&format!("open {path}"), &|| open(path, libc::O_RDONLY));
    }
    run("write /proc/self/mem", &|| open("/proc/self/mem", libc::O_WRONLY));
    for path in ["/x", "/dev/x", "/bin/x", "/proc/x"] {
        run(&format!("create {path}"), &|| open(path, libc::O_CREAT | libc::O_WRONLY));
    }
    run("write the program", &|| io(fs::OpenOptions::new().append(true).open("/hostile")));
    run("chmod /", &|| io(fs::set_permissions("/", fs::Permissions::from_mode(0o777))));
    run("chmod /bin", &|| io(fs::set_permissions("/bin", fs::Permissions::from_mode(0o777))));
    run("chmod /dev/null", &|| {
        io(fs::set_permissions("/dev/null", fs::Permissions::from_mode(0o666)))
    });
    run("unlink the program", &|| io(fs::remove_file("/hostile")));
    run("rename the program", &|| io(fs::rename("/hostile", "/other")));
    run("mkdir /d", &|| io(fs::create_dir("/d")));
    run("symlink /l", &|| io(std::os::unix::fs::symlink("/etc", "/l")));
    run("link the program to /var", &|| io(fs::hard_link("/hostile", "/var/linked")));
    run("truncate /bin/data", &|| {
        let path = c("/bin/data");
        call(libc::SYS_truncate, &[p(&path), 0])
    });
    run("setxattr", &|| {
        fs::write("/tmp/attr", "").unwrap();
        let (path, name) = (c("/tmp/attr"), c("user.x"));
        call(libc::SYS_setxattr, &[p(&path), p(&name), p(&name), 1, 0])
    });
    run("name_to_handle_at", &|| {
        let path = c("/");
        let mut handle = [0u32; 40];
        handle[0] = 128;
        let mut id = 0u64;
        let args = [libc::AT_FDCWD as u64, p(&path), &raw mut handle as u64, &raw mut id as u64];
        call(libc::SYS_name_to_handle_at, &args)
    });
    run("open_by_handle_at", &|| {
        let handle = [8u32, 1, 2, 0];
        call(libc::SYS_open_by_handle_at, &[0, handle.as_ptr() as u64, 0])
    });
    run("openat2", &|| {
        let (path, how) = (c("/"), [0u64; 3]);
        call(libc::SYS_openat2, &[libc::AT_FDCWD as u64, p(&path), how.as_ptr() as u64, 24])
    });
    for (what, mode) in [("character", 0o20600), ("block", 0o60600)] {
        run(&format!("mknod {what}"), &|| {
            let path = c(&format!("/tmp/{what}"));
            call(libc::SYS_mknodat, &[libc::AT_FDCWD as u64, p(&path), mode, 0x103])
        });
    }
    run("mknod whiteout", &|| {
        let path = c("/tmp/whiteout");
        call(libc::SYS_mknodat, &[libc::AT_FDCWD as u64, p(&path), 0o20000, 0])
    });
    run("fanotify_init", &|| call(libc::SYS_fanotify_init, &[0x200, 0]));
    run("quotactl", &|| {
        let path = c("/dev/vda");
        call(libc::SYS_quotactl, &[0x8000_0700, p(&path), 0, 0])
    });
}

fn mounts(run: Try<'_>) {
    let (tmpfs, target) = (c("tmpfs"), c("/tmp"));
    run("mount tmpfs", &|| call(libc::SYS_mount, &[p(&tmpfs), p(&target), p(&tmpfs), 0, 0]));
    run("remount / writable", &|| {
        let root = c("/");
        call(libc::SYS_mount, &[0, p(&root), 0, libc::MS_REMOUNT | libc::MS_BIND, 0])
    });
    run("mount proc", &|| {
        let (proc, proc_dir) = (c("proc"), c("/proc"));
        call(libc::SYS_mount, &[p(&proc), p(&proc_dir), p(&proc), 0, 0])
    });
    run("bind / over /tmp", &|| {
        let root = c("/");
        call(libc::SYS_mount, &[p(&root), p(&target), 0, libc::MS_BIND, 0])
    });
    run("umount /dev/shm", &|| {
        let shm = c("/dev/shm");
        call(libc::SYS_umount2, &[p(&shm), libc::MNT_DETACH as u64])
    });
    run("pivot_root", &|| {
        // Busy, where it is not refused: the other attempts need their root.
        let root = c("/");
        call(libc::SYS_pivot_root, &[p(&root), p(&root)])
    });
    run("chroot", &|| call(libc::SYS_chroot, &[p(&target)]));
    run("fsopen", &|| call(libc::SYS_fsopen, &[p(&tmpfs), 0]));
    run("fspick", &|| call(libc::SYS_fspick, &[libc::AT_FDCWD as u64, p(&target), 0]));
    run("fsconfig", &|| call(libc::SYS_fsconfig, &[0, 6, 0, 0, 0]));
    run("fsmount", &|| call(libc::SYS_fsmount, &[0, 0, 0]));
    run("open_tree clone", &|| call(libc::SYS_open_tree, &[libc::AT_FDCWD as u64, p(&target), 1]));
    run("move_mount", &|| call(libc::SYS_move_mount, &[0, p(&target), 0, p(&target), 0]));
    run("mount_setattr", &|| {
        let attr = [0u64; 4];
        let args = [libc::AT_FDCWD as u64, p(&target), 0, attr.as_ptr() as u64, 32];
        call(libc::SYS_mount_setattr, &args)
    });
}

/// The eight kinds by their `CLONE_NEW…` bits.
const KINDS: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mount", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("network", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    // Only `unshare` and `clone3` can ask for it: to `clone` the bit is part of the exit signal.
    ("time", 0x80),
];

fn forked(result: Result<i64, Errno>) -> String {
    if result == Ok(0) {
        // SAFETY: we are the new process, which must not go on.
        unsafe { libc::_exit(0) }
    }
    words(result)
}

fn namespaces(run: Try<'_>) {
    for (kind, bit) in KINDS {
        run(&format!("unshare {kind}"), &|| call(libc::SYS_unshare, &[bit as u64]));
        if kind == "time" {
            continue;
        }
        run(&format!("clone {kind}"), &|| {
            forked(raw(libc::SYS_clone, [bit as u64 | libc::SIGCHLD as u64, 0, 0, 0, 0, 0]))
        });
    }
    run("clone with a high bit", &|| {
        forked(raw(libc::SYS_clone, [1 << 40 | libc::SIGCHLD as u64, 0, 0, 0, 0, 0]))
    });
    run("clone ptrace", &|| {
        forked(raw(libc::SYS_clone, [0x2000 | libc::SIGCHLD as u64, 0, 0, 0, 0, 0]))
    });
    for (what, flags) in [("plain", 0), ("user", libc::CLONE_NEWUSER as u64)] {
        run(&format!("clone3 {what}"), &|| {
            let args = [flags, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
            forked(raw(libc::SYS_clone3, [args.as_ptr() as u64, 64, 0, 0, 0, 0]))
        });
    }
    run("setns", &|| call(libc::SYS_setns, &[0, 0]));
    run("setns pidfd", &|| {
        let fd = raw(libc::SYS_pidfd_open, [1, 0, 0, 0, 0, 0]).unwrap_or(0);
        call(libc::SYS_setns, &[fd as u64, libc::CLONE_NEWNET as u64])
    });
}

/// The mode of what is at `path`; 0 if nothing is.
fn mode(path: &str) -> u32 {
    fs::symlink_metadata(path).map_or(0, |found| found.permissions().mode())
}

fn identity(run: Try<'_>) {
    run("setuid 0", &|| call(libc::SYS_setuid, &[0]));
    run("setresuid 0", &|| call(libc::SYS_setresuid, &[0, 0, 0]));
    run("setgid 0", &|| call(libc::SYS_setgid, &[0]));
    run("setfsuid 0", &|| {
        // The answer is the id before; asking again shows whether it changed.
        let _old = raw(libc::SYS_setfsuid, [0; 6]);
        format!("{}", raw(libc::SYS_setfsuid, [u64::MAX; 6]).unwrap_or(-1))
    });
    run("setgroups", &|| call(libc::SYS_setgroups, &[0, 0]));
    run("capset all", &|| {
        let (header, data) = ([0x2008_0522u32, 0], [u32::MAX; 6]);
        call(libc::SYS_capset, &[header.as_ptr() as u64, data.as_ptr() as u64])
    });
    run("raise ambient", &|| call(libc::SYS_prctl, &[47, 2, 21, 0, 0]));
    run("drop securebits", &|| call(libc::SYS_prctl, &[28, 0, 0, 0, 0]));
    // Sandstorm's files on the host's disk would be set-user-ID to the launcher there.
    let suid = c("/var/suid");
    run("set-user-ID by chmod", &|| {
        fs::write("/var/suid", "").unwrap();
        call(libc::SYS_fchmodat, &[libc::AT_FDCWD as u64, p(&suid), 0o4755])
    });
    run("set-group-ID by fchmod", &|| {
        let file = fs::File::create("/var/suid").unwrap();
        call(libc::SYS_fchmod, &[std::os::fd::AsRawFd::as_raw_fd(&file) as u64, 0o2755])
    });
    run("set-user-ID by fchmodat2", &|| {
        call(libc::SYS_fchmodat2, &[libc::AT_FDCWD as u64, p(&suid), 0o4755, 0])
    });
    run("set-user-ID by open", &|| {
        let path = c("/var/suid.opened");
        let flags = (libc::O_CREAT | libc::O_WRONLY) as u64;
        call(libc::SYS_openat, &[libc::AT_FDCWD as u64, p(&path), flags, 0o4755])
    });
    run("set-user-ID without a name", &|| {
        let path = c("/var");
        let flags = (libc::O_TMPFILE | libc::O_WRONLY) as u64;
        call(libc::SYS_openat, &[libc::AT_FDCWD as u64, p(&path), flags, 0o4755])
    });
    run("set-user-ID by mknod", &|| {
        let path = c("/var/suid.made");
        call(libc::SYS_mknodat, &[libc::AT_FDCWD as u64, p(&path), 0o104_755, 0])
    });
    run("set-group-ID by mkdir", &|| {
        // The kernel takes no such bit here: the call is good, and the directory has none.
        io(std::os::unix::fs::DirBuilderExt::mode(&mut fs::DirBuilder::new(), 0o6755)
            .create("/var/suid.dir")
            .and_then(|()| fs::metadata("/var/suid.dir")))
        .replace("ok", &format!("{:o}", mode("/var/suid.dir") & 0o6000))
    });
    run("set-user-ID in the package", &|| {
        io(std::process::Command::new("/suid").arg("euid").status().and_then(|status| {
            // It says by its status whether it is root.
            if status.success() {
                Err(std::io::Error::from_raw_os_error(libc::EPERM))
            } else {
                Ok(())
            }
        }))
    });
    run("chown to itself", &|| {
        fs::write("/tmp/self", "").unwrap();
        io(std::os::unix::fs::chown(
            "/tmp/self",
            Some(nix::unistd::getuid().as_raw()),
            Some(nix::unistd::getgid().as_raw()),
        ))
    });
    run("chown to 0", &|| {
        fs::write("/tmp/own", "").unwrap();
        let path = c("/tmp/own");
        call(libc::SYS_fchownat, &[libc::AT_FDCWD as u64, p(&path), 0, 0, 0])
    });
}

fn processes(run: Try<'_>) {
    let parent = || nix::unistd::getppid().as_raw() as u64;
    run("ptrace traceme", &|| call(libc::SYS_ptrace, &[0, 0, 0, 0]));
    run("ptrace attach init", &|| call(libc::SYS_ptrace, &[0x4206, 1, 0, 0]));
    run("ptrace seize parent", &|| call(libc::SYS_ptrace, &[0x4206, parent(), 0, 0]));
    for (what, nr) in [("read", libc::SYS_process_vm_readv), ("write", libc::SYS_process_vm_writev)]
    {
        run(&format!("process_vm {what}"), &|| {
            // In both processes at the same place, and of no use to either.
            static SCRATCH: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let at = [SCRATCH.as_ptr() as u64, 8];
            let vector = at.as_ptr() as u64;
            call(nr, &[parent(), vector, 1, vector, 1, 0])
        });
    }
    run("ptrace attach sibling", &|| {
        // SAFETY: one thread, and the child only waits.
        let child = match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => loop {
                nix::unistd::pause();
            },
            nix::unistd::ForkResult::Parent { child } => child,
        };
        let said = call(libc::SYS_ptrace, &[0x4206, child.as_raw() as u64, 0, 0]);
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
        nix::sys::wait::waitpid(child, None).unwrap();
        said
    });
    run("kcmp", &|| call(libc::SYS_kcmp, &[parent(), parent(), 1, 0, 0]));
    run("pidfd_getfd", &|| {
        let fd = raw(libc::SYS_pidfd_open, [parent(), 0, 0, 0, 0, 0]).unwrap_or(0);
        call(libc::SYS_pidfd_getfd, &[fd as u64, 0, 0])
    });
    run("signal the host by its pidfd", &|| words(net::peer(3).and_then(signal)));
    run("signal the host by its number", &|| words(net::sender(3).and_then(signal)));
    run("limit init", &|| {
        // Allowed by the ids, and of no use: only down, and our own init.
        let limit = [1u64 << 40, 1 << 40];
        call(libc::SYS_prlimit64, &[1, 7, limit.as_ptr() as u64, 0])
    });
    run("memory of init", &|| {
        let vector = [0u64, 8];
        let vector = vector.as_ptr() as u64;
        call(libc::SYS_process_vm_readv, &[1, vector, 1, vector, 1, 0])
    });
    run("process_madvise", &|| {
        call(libc::SYS_process_madvise, &[0, 0, 0, libc::MADV_COLD as u64, 0])
    });
    run("kill init", &|| {
        let _any = raw(libc::SYS_kill, [1, 9, 0, 0, 0, 0]);
        call(libc::SYS_kill, &[std::process::id().into(), 0])
    });
    run("processes in sight", &|| {
        let seen = |pid: &u64| raw(libc::SYS_kill, [*pid, 0, 0, 0, 0, 0]) != Err(Errno::ESRCH);
        // Init, the app, and this attempt: nothing else lives here.
        if (1..100_000).filter(seen).count() <= 3 { "only ours".into() } else { "others".into() }
    });
}

fn signal(pidfd: i32) -> Result<i64, Errno> {
    raw(libc::SYS_pidfd_send_signal, [pidfd as u64, 0, 0, 0, 0, 0])
}

fn network(run: Try<'_>, port: &str, name: &str) {
    for (what, family, kind, protocol) in [
        ("raw IPv4", 2, 3, 1),
        ("raw IPv6", 10, 3, 58),
        ("ICMP datagram", 2, 2, 1),
        ("SCTP", 2, 1, 132),
        ("MPTCP", 2, 1, 262),
        ("UDP-Lite", 2, 2, 136),
        ("DCCP", 2, 6, 33),
        ("packet", 17, 3, 0),
        ("key", 15, 3, 2),
        ("ALG", 38, 5, 0),
        ("VSOCK", 40, 1, 0),
        ("bluetooth", 31, 3, 1),
        ("CAN", 29, 3, 1),
        ("TIPC", 30, 1, 0),
        ("RDS", 21, 5, 0),
        ("XDP", 44, 3, 0),
        ("SMC", 43, 1, 0),
        ("KCM", 41, 5, 0),
        ("X.25", 9, 5, 0),
        ("AppleTalk", 5, 2, 0),
        ("QIPCRTR", 42, 2, 0),
        ("MCTP", 45, 2, 0),
        ("netlink netfilter", 16, 3, 12),
        ("netlink generic", 16, 3, 16),
        ("netlink XFRM", 16, 3, 6),
        ("netlink audit", 16, 3, 9),
        ("netlink kobject", 16, 3, 15),
    ] {
        run(&format!("socket {what}"), &|| words(net::socket(family, kind, protocol)));
    }
    for to in ["192.0.2.1:9", "198.51.100.1:9", "[2001:db8::1]:9", "[fe80::1]:9", "169.254.0.1:9"] {
        run(&format!("route to {to}"), &|| words(net::route(to)));
    }
    run("connect to the host's listener", &|| words(net::host_listener(port)));
    run("connect to the host's abstract socket", &|| words(net::abstract_socket(name)));
    run("ask a name server", &|| words(net::name_server()));
    run("send out of band", &|| words(net::out_of_band()));
    run("bind port 8000 everywhere", &|| io(std::net::TcpListener::bind("0.0.0.0:8000")));
    run("bind port 80", &|| io(std::net::TcpListener::bind("127.0.0.1:80")));
    for (what, kind) in [("link", 16), ("address", 20), ("route", 24)] {
        run(&format!("netlink new {what}"), &|| words(net::netlink(kind)));
    }
    for (what, request) in [("flags", 0x8914), ("name", 0x8923), ("address", 0x8916)] {
        run(&format!("set interface {what}"), &|| words(net::interface(request)));
    }
    for (what, kind, level, name) in [
        ("classic filter", 1, 1, 26),
        ("BPF filter", 1, 1, 50),
        ("repair", 1, 6, 19),
        ("upper-layer protocol", 1, 6, 31),
        ("UDP encapsulation", 2, 17, 100),
    ] {
        run(&format!("setsockopt {what}"), &|| words(net::option(kind, level, name)));
    }
}

fn kernel(run: Try<'_>) {
    run("keyctl", &|| call(libc::SYS_keyctl, &[0, -3i64 as u64, 0]));
    run("add_key", &|| {
        let (kind, text) = (c("user"), c("x"));
        call(libc::SYS_add_key, &[p(&kind), p(&text), p(&text), 1, -3i64 as u64])
    });
    run("request_key", &|| {
        let (kind, text) = (c("user"), c("x"));
        call(libc::SYS_request_key, &[p(&kind), p(&text), 0, 0])
    });
    run("bpf", &|| {
        let attr = [1u64, 8, 1, 0, 0, 0, 0, 0, 0];
        call(libc::SYS_bpf, &[0, attr.as_ptr() as u64, 72])
    });
    run("perf_event_open", &|| {
        let mut attr = [0u64; 16];
        attr[0] = 1 | 128 << 32;
        call(libc::SYS_perf_event_open, &[attr.as_ptr() as u64, 0, u64::MAX, u64::MAX, 0])
    });
    run("userfaultfd", &|| call(libc::SYS_userfaultfd, &[1]));
    run("io_uring_setup", &|| {
        let parameters = [0u64; 15];
        call(libc::SYS_io_uring_setup, &[1, parameters.as_ptr() as u64])
    });
    run("io_setup", &|| {
        let context = 0u64;
        call(libc::SYS_io_setup, &[1, &raw const context as u64])
    });
    run("seccomp filter", &|| {
        let code = [libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0x7fff_0000 }];
        let program = libc::sock_fprog { len: 1, filter: code.as_ptr().cast_mut() };
        let _needed = raw(libc::SYS_prctl, [38, 1, 0, 0, 0, 0]);
        call(libc::SYS_seccomp, &[1, 0, &raw const program as u64])
    });
    for (what, option) in [
        ("seccomp", 22),
        ("memory map", 35),
        ("dispatch", 59),
        ("core scheduling", 62),
        ("KSM", 67),
        ("unknown", 9999),
    ] {
        run(&format!("prctl {what}"), &|| call(libc::SYS_prctl, &[option, 0, 0, 0, 0]));
    }
    run("personality", &|| call(libc::SYS_personality, &[0x004_0000]));
    for fd in 0..4 {
        run(&format!("push input into {fd}"), &|| {
            let byte = *b"x";
            call(libc::SYS_ioctl, &[fd, 0x5412, byte.as_ptr() as u64])
        });
        run(&format!("push input into {fd}, high bit"), &|| {
            let byte = *b"x";
            call(libc::SYS_ioctl, &[fd, 0x5412 | 1 << 32, byte.as_ptr() as u64])
        });
    }
    run("open a terminal in a session of its own", &|| {
        let _leader = nix::unistd::setsid();
        open("/dev/tty", libc::O_RDWR)
    });
    run("truncate the log", &|| call(libc::SYS_ftruncate, &[1, 0]));
    run("seek in the log", &|| call(libc::SYS_lseek, &[1, 0, 0]));
    run("write the log with holes", &|| {
        let byte = *b"x";
        call(libc::SYS_pwrite64, &[1, byte.as_ptr() as u64, 1, 1 << 30])
    });
    run("console paste", &|| call(libc::SYS_ioctl, &[0, 0x541c, 0]));
    run("clone a file's blocks", &|| call(libc::SYS_ioctl, &[0, 0x4004_9409, 0]));
    #[cfg(target_arch = "x86_64")]
    for (what, nr) in [("modify_ldt", 154), ("iopl", 172), ("ioperm", 173)] {
        run(what, &|| call(nr, &[0, 0, 0]));
    }
    for (what, nr) in [
        ("init_module", libc::SYS_init_module),
        ("finit_module", libc::SYS_finit_module),
        ("delete_module", libc::SYS_delete_module),
        ("kexec_load", libc::SYS_kexec_load),
    ] {
        run(what, &|| call(nr, &[u64::MAX, u64::MAX, u64::MAX, u64::MAX]));
    }
    run("memfd_secret", &|| call(libc::SYS_memfd_secret, &[0]));
    run("landlock", &|| call(libc::SYS_landlock_create_ruleset, &[0, 0, 1]));
    run("msgget", &|| call(libc::SYS_msgget, &[0, 0o600 | libc::IPC_CREAT as u64]));
    run("mq_open", &|| {
        let name = c("hostile");
        call(libc::SYS_mq_open, &[p(&name), libc::O_CREAT as u64, 0o600, 0])
    });
    for (what, nr) in
        [("splice", libc::SYS_splice), ("tee", libc::SYS_tee), ("vmsplice", libc::SYS_vmsplice)]
    {
        run(what, &|| {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            use std::os::fd::AsRawFd as _;
            let vector = [0u64; 2];
            match nr {
                libc::SYS_vmsplice => {
                    call(nr, &[writer.as_raw_fd() as u64, vector.as_ptr() as u64, 0, 0])
                }
                libc::SYS_tee => {
                    call(nr, &[reader.as_raw_fd() as u64, writer.as_raw_fd() as u64, 0, 2])
                }
                _ => call(nr, &[reader.as_raw_fd() as u64, 0, writer.as_raw_fd() as u64, 0, 0, 2]),
            }
        });
    }
    run("get_mempolicy", &|| call(libc::SYS_get_mempolicy, &[0, 0, 0, 0, 0]));
    run("x32 getpid", &|| call(0x4000_0000 + 39, &[]));
    run("call -1", &|| call(-1, &[]));
    run("call 999", &|| call(999, &[]));
    #[cfg(target_arch = "x86_64")]
    run("32-bit call", &|| {
        let pid: u64;
        // SAFETY: getpid of the 32-bit table; only its result register changes.
        unsafe { std::arch::asm!("int 0x80", inlateout("rax") 20u64 => pid) };
        format!("ok {}", u8::from(pid != 0))
    });
    run("map page 0", &|| call(libc::SYS_mmap, &[0, 4096, 3, 0x32, u64::MAX, 0]));
}

fn machine(run: Try<'_>) {
    // Wrong magic numbers and null pointers: without a sandbox, nothing may happen either.
    run("reboot", &|| call(libc::SYS_reboot, &[0, 0, 0, 0]));
    run("swapon", &|| call(libc::SYS_swapon, &[u64::MAX, 0]));
    run("acct", &|| call(libc::SYS_acct, &[u64::MAX]));
    run("syslog", &|| call(libc::SYS_syslog, &[10, 0, 0]));
    run("sethostname", &|| {
        let name = c("hostile");
        call(libc::SYS_sethostname, &[p(&name), 7])
    });
    run("setdomainname", &|| {
        let name = c("hostile");
        call(libc::SYS_setdomainname, &[p(&name), 7])
    });
    run("settimeofday", &|| {
        let time = [u64::MAX, u64::MAX];
        call(libc::SYS_settimeofday, &[time.as_ptr() as u64, 0])
    });
    run("clock_settime", &|| {
        let time = [u64::MAX, u64::MAX];
        call(libc::SYS_clock_settime, &[0, time.as_ptr() as u64])
    });
    run("adjtimex", &|| {
        let times = [0u64; 32];
        call(libc::SYS_adjtimex, &[times.as_ptr() as u64])
    });
    run("real-time scheduling", &|| {
        let priority = 1u32;
        call(libc::SYS_sched_setscheduler, &[0, 1, &raw const priority as u64])
    });
    run("sched_setattr", &|| {
        let attr = [48u64, 0, 0, 0, 0, 0];
        call(libc::SYS_sched_setattr, &[0, attr.as_ptr() as u64, 0])
    });
    run("nice -20", &|| call(libc::SYS_setpriority, &[0, 0, -20i64 as u64]));
    run("core for the host's handler", &|| {
        let (none, mut now) = ([0u64; 2], [9u64; 2]);
        let _set = raw(libc::SYS_prlimit64, [0, 4, none.as_ptr() as u64, 0, 0, 0]);
        let _read = raw(libc::SYS_prlimit64, [0, 4, 0, now.as_mut_ptr() as u64, 0, 0]);
        format!("{} {}", now[0], now[1])
    });
    run("lease", &|| {
        let file = fs::File::create("/var/leased").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file) as u64;
        call(libc::SYS_fcntl, &[fd, libc::F_SETLEASE as u64, libc::F_WRLCK as u64])
    });
    run("merge memory", &|| {
        let at = raw(libc::SYS_mmap, [0, 4096, 3, 0x22, u64::MAX, 0]).unwrap() as u64;
        call(libc::SYS_madvise, &[at, 4096, libc::MADV_MERGEABLE as u64])
    });
    run("larger socket buffers", &net::buffers);
    run("TCP connection that nobody reads", &net::parked);
    run("lock memory", &|| {
        let size = 1u64 << 20;
        let at = raw(libc::SYS_mmap, [0, size, 3, 0x22, u64::MAX, 0]).unwrap();
        call(libc::SYS_mlock, &[at as u64, size])
    });
    run("huge pages", &|| call(libc::SYS_mmap, &[0, 2 << 20, 3, 0x4_0022, u64::MAX, 0]));
    run("huge pages in a file", &|| {
        let name = c("huge");
        call(libc::SYS_memfd_create, &[p(&name), 4])
    });
    run("raise a limit", &|| {
        let limit = [1u64 << 20, 1 << 20];
        call(libc::SYS_prlimit64, &[0, 7, limit.as_ptr() as u64, 0])
    });
    run("sync", &|| call(libc::SYS_sync, &[]));
    run("syncfs", &|| call(libc::SYS_syncfs, &[0]));
}

/// What must work all the same.
fn ordinary(run: Try<'_>) {
    run("write /dev/null", &|| io(fs::write("/dev/null", "x")));
    run("read /dev/urandom", &|| {
        use std::io::Read as _;
        let mut bytes = [0; 8];
        io(fs::File::open("/dev/random").and_then(|mut file| file.read_exact(&mut bytes)))
    });
    run("create /var/x", &|| io(fs::write("/var/x", "x")));
    run("create /tmp/x", &|| io(fs::write("/tmp/x", "x")));
    run("create /dev/shm/x", &|| {
        io(fs::write("/dev/shm/x", "x").and_then(|()| fs::remove_file("/dev/shm/x")))
    });
    run("mkfifo", &|| words(nix::unistd::mkfifo("/var/fifo", nix::sys::stat::Mode::S_IRWXU)));
    run("socket file", &|| io(std::os::unix::net::UnixListener::bind("/var/socket")));
    run("netlink route", &|| words(net::socket(16, 3, 0)));
    run("writable and executable memory", &|| {
        call(libc::SYS_mmap, &[0, 4096, 7, 0x22, u64::MAX, 0])
    });
    run("shared memory", &|| call(libc::SYS_shmget, &[0, 4096, 0o600]));
    run("the host's shared memory", &|| call(libc::SYS_shmget, &[0x5350_4b31, 4096, 0]));
    run("memfd", &|| {
        let name = c("x");
        call(libc::SYS_memfd_create, &[p(&name), 0])
    });
    run("execute from memory", &|| {
        let name = c("x");
        let fd = raw(libc::SYS_memfd_create, [p(&name), 0, 0, 0, 0, 0]).unwrap();
        // SAFETY: the kernel has just made it for us.
        let mut file = unsafe { <fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd as i32) };
        io(std::io::copy(&mut fs::File::open("/hostile").unwrap(), &mut file))
            .replace("ok", &executed(fd))
    });
    run("execute a script from /var", &|| {
        fs::write("/var/script", "#!/hostile exit0\n").unwrap();
        fs::set_permissions("/var/script", fs::Permissions::from_mode(0o755)).unwrap();
        io(std::process::Command::new("/var/script").status())
    });
    run("names", &|| {
        let names = nix::sys::utsname::uname().unwrap();
        format!("{} {}", names.nodename().display(), names.domainname().display())
    });
    run("descriptors", &|| {
        // Two more are this attempt's own pipe, of which the child holds one end.
        let open = (0..4096u64).filter(|fd| raw(libc::SYS_fcntl, [*fd, 1, 0, 0, 0, 0]).is_ok());
        format!("{}", open.count())
    });
}

/// Executes the program in `fd`, with arguments that make it end at once.
fn executed(fd: i64) -> String {
    let (empty, program, role) = (c(""), c("memory"), c("exit0"));
    let argv = [p(&program), p(&role), 0];
    let environ = [0u64];
    // SAFETY: one thread; the child only executes.
    match unsafe { nix::unistd::fork() }.unwrap() {
        nix::unistd::ForkResult::Child => {
            let args =
                [fd as u64, p(&empty), argv.as_ptr() as u64, environ.as_ptr() as u64, 0x1000, 0];
            let _failed = raw(libc::SYS_execveat, args);
            // SAFETY: ends the process, and nothing of the parent's runs.
            unsafe { libc::_exit(7) }
        }
        nix::unistd::ForkResult::Parent { child } => {
            match nix::sys::wait::waitpid(child, None).unwrap() {
                nix::sys::wait::WaitStatus::Exited(_, 0) => "ok".into(),
                other => format!("{other:?}"),
            }
        }
    }
}
