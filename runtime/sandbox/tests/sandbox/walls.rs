//! The walls as the kernel lists them, from outside. Some stand behind others (a mount flag behind
//! Landlock's rule, a limit behind the cgroup's): what the app can do would not show that one is missing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::harness::{Stage, Who, find};

/// An app that does nothing, and its launcher, which ends with this.
struct Idle {
    launcher: Child,
    pid: i32,
}

impl Idle {
    fn start(stage: &Stage, more: &Value) -> Idle {
        let mut order = json!({ "argv": ["/app", "linger"] });
        for (key, value) in more.as_object().unwrap() {
            order[key] = value.clone();
        }
        let mut launcher = stage.launcher(&order).stdout(Stdio::piped()).spawn().unwrap();
        let pid = crate::lifetime::pid_of(&mut launcher);
        Idle { launcher, pid }
    }

    fn read(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// By place: what the mount forbids, its type, and the options of the file system.
    fn mounts(&self) -> BTreeMap<String, (String, String, String)> {
        let text = self.read("mountinfo");
        let mounts = text.lines().map(|line| {
            let (mount, file_system) = line.split_once(" - ").unwrap();
            let mount: Vec<_> = mount.split(' ').collect();
            // Neither shared with nor fed by anybody.
            assert_eq!(mount.len(), 6, "propagation: {line}");
            let kept = |options: &str| {
                let ours = |option: &&str| !option.ends_with("atime") && *option != "idmapped";
                options.split(',').filter(ours).collect::<Vec<_>>().join(",")
            };
            let file_system: Vec<_> = file_system.split(' ').collect();
            let options = file_system.get(2).unwrap_or(&"").to_string();
            (mount[4].to_owned(), (kept(mount[5]), file_system[0].to_owned(), options))
        });
        mounts.collect()
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.launcher.kill().unwrap();
        self.launcher.wait().unwrap();
    }
}

const BELOW_ROOT: [(&str, &str); 10] = [
    ("/tmp", "rw,nosuid,nodev"),
    ("/dev", "ro,nosuid,nodev,noexec"),
    ("/dev/shm", "rw,nosuid,nodev"),
    ("/dev/null", "ro,nosuid,noexec"),
    ("/dev/zero", "ro,nosuid,noexec"),
    ("/dev/full", "ro,nosuid,noexec"),
    ("/dev/random", "ro,nosuid,noexec"),
    ("/dev/urandom", "ro,nosuid,noexec"),
    ("/var", "rw,nosuid,nodev"),
    ("/proc/cpuinfo", "ro,nosuid,nodev,noexec"),
];

/// Every mount there is, and what each forbids.
pub fn mounts(who: Who) {
    let stage = Stage::new(who);
    for (more, proc) in [(json!({}), false), (json!({ "proc": true }), true)] {
        let found = Idle::start(&stage, &more).mounts();
        let flags: BTreeMap<_, _> =
            found.iter().map(|(at, (flags, ..))| (at.as_str(), flags.as_str())).collect();
        let mut expected = BTreeMap::from(BELOW_ROOT);
        expected.insert("/", "ro,nosuid,nodev");
        if proc {
            expected.remove("/proc/cpuinfo");
            expected.insert("/proc", "rw,nosuid,nodev,noexec");
        }
        assert_eq!(flags, expected);
        for (at, size, inodes, mode) in [
            ("/tmp", "size=16384k", "nr_inodes=4096", "mode=770"),
            ("/dev/shm", "size=16384k", "nr_inodes=4096", "mode=770"),
            ("/dev", "size=1024k", "nr_inodes=16", "mode=755"),
        ] {
            let (_, kind, options) = &found[at];
            assert_eq!(kind, "tmpfs", "{at}");
            for option in [size, inodes, mode] {
                assert!(options.split(',').any(|o| o == option), "{at}: {option} in {options}");
            }
        }
    }
}

/// The same of a root that a server answers for.
pub fn served_root(who: Who) {
    let stage = Stage::new(who);
    let found = Idle::start(&stage, &json!({ "fuse": true })).mounts();
    let (flags, kind, options) = &found["/"];
    assert_eq!(flags, "ro,nosuid,nodev");
    assert!(kind.starts_with("fuse"), "{kind}");
    for option in ["ro", "default_permissions", "allow_other"] {
        assert!(options.split(',').any(|o| o == option), "{option} in {options}");
    }
}

/// None of the namespaces is the launcher's.
pub fn namespaces(who: Who) {
    let stage = Stage::new(who);
    let app = Idle::start(&stage, &json!({}));
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}"));
        // A kernel may be built without one.
        let Ok(own) = of("self") else { continue };
        assert_ne!(of(&app.pid.to_string()).unwrap(), own, "{kind}");
    }
    assert_eq!(app.read("setgroups").trim(), "deny");
    for (map, inside) in [("uid_map", "1000"), ("gid_map", "1000")] {
        let text = app.read(map);
        let fields: Vec<_> = text.split_whitespace().collect();
        assert_eq!((fields[0], fields[2], fields.len()), (inside, "1", 3), "{map}: {text}");
    }
}

/// Root's supplementary groups, which could read files of theirs, are not the app's. (Nobody else can
/// give up groups; the mounts leave no file that is not the app's own.)
pub fn groups(who: Who) {
    if !(matches!(who, Who::Root) && nix::unistd::geteuid().is_root()) {
        return;
    }
    const GROUP: &str = "4242";
    let stage = Stage::new(who);
    let inner = stage.launcher(&json!({ "argv": ["/app", "linger"] }));
    let mut command = stage.as_user("setpriv");
    command.args(["--groups", GROUP, "--"]).arg(inner.get_program()).args(inner.get_args());
    let mut launcher = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let app = Idle { pid: crate::lifetime::pid_of(&mut launcher), launcher };
    let has = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let groups = status.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
        groups.split_whitespace().any(|group| group == GROUP)
    };
    assert!(has(app.launcher.id()), "not what the test is about");
    assert!(!has(app.pid.cast_unsigned()));
}

/// Every limit of a process that is ours to set, hard and soft, at most that.
pub fn limits(who: Who) {
    let stage = Stage::new(who);
    let inner = stage.launcher(&json!({ "argv": ["/app", "linger"], "processes": 100 }));
    // From more than a login has, where that can be had, so that none is met before it is set.
    let more = "for limit in '-e 40' '-r 50' '-c unlimited' '-l unlimited' '-n 65536'; do \
                ulimit $limit; done 2>/dev/null; exec \"$@\"";
    let mut command = stage.as_user("bash");
    command.args(["-c", more, "bash"]).arg(inner.get_program());
    command.args(inner.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut launcher = command.spawn().unwrap();
    let app = Idle { pid: crate::lifetime::pid_of(&mut launcher), launcher };
    let text = app.read("limits");
    for (name, most) in [
        ("Max file size", 16 << 30),
        ("Max core file size", 1),
        ("Max locked memory", 64 << 10),
        ("Max nice priority", 0),
        ("Max realtime priority", 0),
        ("Max processes", 100),
        ("Max open files", 4096),
    ] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        for limit in line[name.len()..].split_whitespace().take(2) {
            let limit: u64 = limit.parse().unwrap_or(u64::MAX);
            assert!(limit <= most, "{line}");
        }
    }
    assert_eq!(app.read("oom_score_adj").trim(), "300");
    let status = app.read("status");
    let filters = status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:"));
    assert_ne!(filters.map(str::trim), Some("0"), "{status}");
}

/// Nobody without privileges looks into init: the kernel gives its files in `/proc` to root, whoever runs
/// it.
pub fn init_is_closed(who: Who) {
    let stage = Stage::new(who);
    let app = Idle::start(&stage, &json!({}));
    let owner = |pid: i32| fs::metadata(format!("/proc/{pid}/environ")).unwrap().uid();
    assert_eq!(owner(crate::lifetime::parent_of(app.pid)), 0);
    assert_ne!(owner(app.pid), 0, "not what the test is about");
}

/// Neither init nor the app has a capability or can get one, by a file's or otherwise.
pub fn capabilities(who: Who) {
    let stage = Stage::new(who);
    let app = Idle::start(&stage, &json!({}));
    for pid in [crate::lifetime::parent_of(app.pid), app.pid] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let sets: Vec<_> = status.lines().filter(|line| line.starts_with("Cap")).collect();
        assert_eq!(sets.len(), 5, "{status}");
        assert!(sets.iter().all(|set| set.ends_with("\t0000000000000000")), "{sets:?}");
        assert!(status.contains("\nNoNewPrivs:\t1\n"), "{status}");
    }
}

/// Neither init nor the app is in the launcher's session, whose terminal would be theirs.
pub fn sessions(who: Who) {
    let stage = Stage::new(who);
    let app = Idle::start(&stage, &json!({}));
    let session = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // Behind the name: state, parent, process group, session.
        let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
        session.parse::<i32>().unwrap()
    };
    let init = crate::lifetime::parent_of(app.pid);
    let of_launcher = session(app.launcher.id().cast_signed());
    assert_ne!(session(init), of_launcher);
    assert_eq!(session(app.pid), app.pid);
}

/// A signal of the app's reaches no process outside of it, not even init, where Landlock sees to that.
pub fn scope(who: Who) {
    const SCOPES: i64 = 6;
    // SAFETY: asks for a version; null and 0 are no memory.
    let version = unsafe {
        let (none, version) = (std::ptr::null::<u8>(), 1);
        nix::libc::syscall(nix::libc::SYS_landlock_create_ruleset, none, 0_usize, version)
    };
    if version < SCOPES {
        return crate::harness::skip("walls::scope", "this kernel's Landlock has no scopes");
    }
    assert_eq!(Stage::new(who).ask("ids")["init"], "EPERM");
}

/// What the kernel shows nobody, and the app may not ask for: by the calls that make it so. The caller's keys
/// stay with the caller (the helper has a session keyring of its own before it makes a namespace), and user 0
/// would be no root (the secure bits are set, and locked, before the app is executed).
pub fn unseen(who: Who) {
    let stage = Stage::new(who);
    if !std::path::Path::new("/proc/keys").exists() {
        return crate::harness::skip("walls::unseen", "this kernel has no keyrings");
    }
    let launcher = stage.launcher(&json!({ "argv": ["/app", "ids"] }));
    let mut traced = stage.as_user("strace");
    traced.args(["-f", "-qq", "-X", "verbose", "-e", "signal=none"]);
    traced.args([
        "-e",
        "trace=keyctl,unshare,clone,clone3,prctl,prlimit64,close_range,landlock_add_rule,execve",
    ]);
    traced.arg(launcher.get_program()).args(launcher.get_args()).stdin(Stdio::null());
    let Ok(output) = traced.output() else {
        return crate::harness::skip("walls::unseen", "there is no strace");
    };
    let trace = String::from_utf8_lossy(&output.stderr);
    let line = |text: &str| trace.lines().position(|line| line.contains(text));
    // The launcher, the helper, the app; whose name only root's strace can read.
    let programs: Vec<_> = trace.match_indices("execve(").collect();
    let [_, _, (app, _)] = programs[..] else {
        return crate::harness::skip("walls::unseen", "strace may not trace here");
    };
    let app = trace[..app].lines().count();
    let namespaces = line("CLONE_NEWUSER");
    let joined = line("/* KEYCTL_JOIN_SESSION_KEYRING */, NULL)");
    assert!(joined.is_some_and(|joined| Some(joined) < namespaces), "{trace}");
    // No root, no set-uid fix-up, no ambient capabilities, each locked; keeping capabilities locked off.
    let locked = line("/* PR_SET_SECUREBITS */, 0xef");
    assert!(locked.is_some_and(|locked| locked < app), "{trace}");
    // Landlock's rules, behind the mounts: all but device nodes in three places, reading elsewhere, and five
    // nodes. (Only root's strace can read them.)
    const MAKE_NODES: u32 = 1 << 6 | 1 << 11;
    const READ: u32 = 0xd;
    const READ_OR_WRITE: u32 = 0x6;
    let rules = trace.match_indices("{allowed_access=0x").map(|(at, start)| {
        let digits = trace[at + start.len()..].split(|c: char| !c.is_ascii_hexdigit()).next();
        u32::from_str_radix(digits.unwrap(), 16).unwrap()
    });
    let rules: Vec<u32> = rules.collect();
    if let [places @ .., root, _, _, _, _, _] = &rules[..] {
        assert_eq!((places.len(), *root), (3, READ), "{rules:x?}");
        assert!(places.iter().all(|access| access & MAKE_NODES == 0), "{rules:x?}");
        let nodes = &rules[rules.len() - 5..];
        assert!(nodes.iter().all(|access| access & 0x1fff == READ_OR_WRITE), "{rules:x?}");
    } else {
        let landlock = trace.contains("landlock_add_rule");
        let readable = matches!(who, Who::Root) && nix::unistd::geteuid().is_root();
        assert!(rules.is_empty() && !(landlock && readable), "{rules:x?}");
    }
    // Whatever was open before, the app gets none of it.
    let marked = line("close_range(4, 4294967295, 0x4");
    assert!(marked.is_some_and(|marked| marked < app), "{trace}");
    // Where nothing is allowed in any case, the limits themselves would not show it.
    for limit in ["RLIMIT_NICE", "RLIMIT_RTPRIO"] {
        let set = trace.lines().any(|line| line.contains(limit) && !line.contains(", NULL, "));
        assert!(set, "{limit}: {trace}");
    }
}

/// What the launcher ignores, the app does not.
pub fn signals(who: Who) {
    let stage = Stage::new(who);
    let inner = stage.launcher(&json!({ "argv": ["/app", "linger"] }));
    let mut command = stage.as_user("sh");
    command.args(["-c", "trap '' HUP USR1; exec \"$@\"", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null());
    let mut launcher = command.stdout(Stdio::piped()).spawn().unwrap();
    let pid = crate::lifetime::pid_of(&mut launcher);
    let ignored = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap()
    };
    let app = Idle { pid, launcher };
    let of_launcher = ignored(app.launcher.id().cast_signed());
    // Signals 1 and 10; the first bit is that of signal 1.
    const BOTH: u64 = 1 | 1 << 9;
    assert_eq!(of_launcher & BOTH, BOTH, "not what the test is about");
    assert_eq!(ignored(app.pid) & BOTH, 0);
}

/// A link in the package in the place of `proc` or in the way to it is not followed, whatever is mounted.
pub fn no_link_is_followed(who: Who) {
    let stage = Stage::new(who);
    fs::remove_file(stage.path("package/proc/cpuinfo")).unwrap();
    fs::remove_dir(stage.path("package/proc")).unwrap();
    fs::create_dir(stage.path("package/other")).unwrap();
    fs::write(stage.path("package/other/cpuinfo"), "").unwrap();
    std::os::unix::fs::symlink("other", stage.path("package/proc")).unwrap();
    for more in [json!({}), json!({ "proc": true })] {
        let mut order = json!({ "argv": ["/app", "ids"] });
        order["proc"] = more.get("proc").cloned().unwrap_or(json!(false));
        let error = find(&stage.run(&order), "error").to_string();
        assert!(error.contains("/proc"), "{error}");
    }
}
