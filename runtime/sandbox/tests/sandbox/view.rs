//! What the app sees.

use std::os::unix::fs::MetadataExt as _;

use serde_json::json;

use crate::harness::{self, Stage, Who, find, needs_root, skip};

/// The app's `/proc/<pid>/status` as the host sees it, while the app runs.
pub fn privileges(who: Who) {
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "linger"] });
    let mut launcher = stage.launcher(&order).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = crate::lifetime::pid_of(&mut launcher);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    assert!(field("NSpid:").ends_with(" 2"), "{}", field("NSpid:"));
    // Outside it is nobody that owns anything: not root.
    assert!(!field("Uid:").split(' ').any(|id| id == "0"), "{}", field("Uid:"));
    if who == Who::Root {
        assert_eq!(field("Groups:"), "");
    }
    let seen = stage.ask("ids");
    assert_eq!((&seen["uid"], &seen["gid"]), (&json!(1000), &json!(1000)));
    assert_eq!((&seen["pid"], &seen["ppid"]), (&json!(2), &json!(1)));
    let nested = stage.ask("nest");
    assert_eq!(nested["made"], "Err(EPERM)");
}

pub fn network(who: Who) {
    let seen = Stage::new(who).ask("network");
    assert_eq!(seen["interfaces"], json!(["lo"]));
    assert_eq!(seen["own"], "ok");
    assert_eq!(seen["v4"], "ENETUNREACH");
    assert_eq!(seen["v6"], "ENETUNREACH");
    assert_eq!(seen["low_port"], "EACCES");
    assert_eq!(seen["host"], "sandbox");
}

pub fn files(who: Who) {
    let seen = Stage::new(who).ask("files");
    for (path, expected) in [
        ("/x", "EROFS"),
        ("/data", "EROFS"),
        ("/dev/x", "EROFS"),
        ("/proc/x", "EROFS"),
        ("/proc/cpuinfo", "EROFS"),
        ("/var/x", "ok"),
        ("/tmp/x", "ok"),
        ("/dev/shm/x", "ok"),
        ("/dev/null", "ok"),
        ("/dev/zero", "ok"),
    ] {
        let done = seen["writes"].as_array().unwrap().iter().find(|w| w[0] == path).unwrap();
        let done = done[1].as_str().unwrap();
        // Landlock may answer before the mount does.
        assert!(done == expected || (expected == "EROFS" && done == "EACCES"), "{path}: {done}");
    }
    assert_eq!(seen["tops"], json!(["app", "data", "dev", "proc", "tmp", "var"]));
    assert_eq!(seen["dev"], json!(["full", "null", "random", "shm", "urandom", "zero"]));
    assert_eq!(seen["chmod"], "EROFS");
    assert_eq!(seen["chmod_node"], "EROFS");
    assert_eq!(seen["cpuinfo"], true);
    assert_eq!(seen["proc_self"], false);
    assert_eq!(seen["parent_is_root"], true);
    assert_eq!((&seen["tmp_mib"], &seen["shm_mib"]), (&json!(15), &json!(15)));
    assert_eq!(seen["data"], "of the package");
    assert_eq!(seen["exec_in_var"], "ok");
}

pub fn descriptors_and_environment(who: Who) {
    let stage = Stage::new(who);
    let seen = stage.ask_with(&json!({
        "argv": ["/app", "inherited", "", "a b", "ü"], "environ": ["A=1", "EMPTY=", "PATH=/x"],
    }));
    assert_eq!(seen["fds"], json!([0, 1, 2, 3]));
    assert_eq!(seen["args"], json!(["/app", "inherited", "", "a b", "ü"]));
    assert_eq!(seen["environ"], json!([["A", "1"], ["EMPTY", ""], ["PATH", "/x"]]));
    assert_eq!(seen["cwd"], "/");
    assert_eq!(seen["umask"], 0o007);
    assert_eq!(seen["blocked"], 0);
    assert_eq!(seen["sid"], 2);
    // Longer than a socket's packet.
    let long = "x".repeat(120_000);
    let environ = [format!("A={long}"), format!("B={long}"), format!("C={long}")];
    std::fs::write(stage.path("order"), "").unwrap();
    let many = stage.ask_with(&json!({ "argv": ["/app", "ids"], "environ": &environ[..1] }));
    assert_eq!(many["uid"], 1000);
}

pub fn limits(who: Who) {
    let stage = Stage::new(who);
    let seen = stage.ask_with(&json!({ "argv": ["/app", "limits"], "processes": 100 }));
    // Init and the app itself count too.
    let children = seen["children"].as_u64().unwrap();
    assert!((90..100).contains(&children), "{children}");
    assert!((4000..4096).contains(&seen["inodes"].as_u64().unwrap()), "{}", seen["inodes"]);
    assert_eq!(seen["open"], json!([1024, 4096]));
    // Not 0: see privileges.rs.
    assert_eq!(seen["core"], json!([1, 1]));
    assert_eq!(seen["core_after_lowering"], json!([1, 1]));
    let most = |name: &str, most: u64| {
        assert!(seen[name][1].as_u64().unwrap() <= most, "{name}: {}", seen[name]);
    };
    most("locked", 64 << 10);
    most("nice", 0);
    most("urgent", 0);
    // The user's own limit may be lower, and in a container ours cannot be set.
    let watchers = seen["watchers"].as_u64().unwrap();
    assert!(watchers <= 64 || !namespace_limits(&stage), "{watchers} inotify instances");
    assert_eq!(seen["raise"], "EPERM");
}

/// Whether the limits of namespaces can be set on this machine.
fn namespace_limits(stage: &Stage) -> bool {
    let lines = stage.run(&json!({ "argv": ["/app", "ids"] }));
    !find(&lines, "missing").to_string().contains("no limit on user namespaces")
}

/// The second lock on namespaces, without the first: whoever is in the app's user namespace without
/// its filter gets none below it.
pub fn no_namespace_without_the_filter(who: Who) {
    let stage = Stage::new(who);
    if !namespace_limits(&stage) {
        return skip("view::no_namespace_without_the_filter", "/proc/sys is read-only here");
    }
    let order = json!({ "argv": ["/app", "linger"] });
    let mut launcher = stage.launcher(&order).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pid = crate::lifetime::pid_of(&mut launcher);
    let enter = |arguments: &[&str]| {
        let mut command = stage.as_user("nsenter");
        command.args(["--preserve-credentials", "--user", "--target", &pid.to_string()]);
        command.args(arguments).output().unwrap()
    };
    let inside = enter(&["readlink", "/proc/self/ns/user"]);
    let app = std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    let status = enter(&["cat", "/proc/self/status"]);
    let made = enter(&["unshare", "--user", "true"]);
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert_eq!(String::from_utf8_lossy(&inside.stdout).trim(), app.to_str().unwrap());
    let status = String::from_utf8_lossy(&status.stdout);
    assert!(status.contains("\nSeccomp:\t0\n"), "not without the filter: {status}");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(!made.status.success() && said.contains("No space left on device"), "{said}");
}

/// Neither the helper's channel to the launcher nor anything else of the host is open in init.
pub fn init_holds_nothing(who: Who) {
    if !nix::unistd::geteuid().is_root() {
        return needs_root("view::init_holds_nothing", "only root can look into init");
    }
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "linger"] });
    let mut launcher = stage.launcher(&order).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let app = crate::lifetime::pid_of(&mut launcher);
    let init = crate::lifetime::parent_of(app);
    let open = |pid: i32| -> Vec<String> {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let target = |entry: std::fs::DirEntry| std::fs::read_link(entry.path()).unwrap();
        entries.map(|entry| target(entry.unwrap()).display().to_string()).collect()
    };
    // The app may be at work before init has let go of what it started it with.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while open(init).len() > 2 && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let (of_init, of_helper) = (open(init), open(crate::lifetime::parent_of(init)));
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    assert_eq!(of_init.len(), 2, "{of_init:?}");
    assert!(of_init.contains(&"anon_inode:[signalfd]".to_owned()), "{of_init:?}");
    let shared: Vec<_> = of_init.iter().filter(|fd| fd.starts_with("socket:")).collect();
    assert_eq!(shared.len(), 1, "{of_init:?}");
    assert!(!of_helper.contains(shared[0]), "{of_init:?} {of_helper:?}");
    // The one that the launcher did not mark close-on-exec.
    assert!(!of_helper.contains(&"/".to_owned()), "{of_helper:?}");
}

/// A package without the usual directories still starts.
pub fn missing_directories(who: Who) {
    let stage = Stage::new(who);
    std::fs::remove_file(stage.path("package/proc/cpuinfo")).unwrap();
    for name in ["dev", "tmp", "var", "proc"] {
        std::fs::remove_dir(stage.path("package").join(name)).unwrap();
    }
    let seen = stage.ask("inherited");
    assert_eq!(seen["fds"], json!([0, 1, 2, 3]));
}

/// A package must not choose where we mount.
pub fn links_are_refused(who: Who) {
    let stage = Stage::new(who);
    std::fs::remove_dir(stage.path("package/tmp")).unwrap();
    std::os::unix::fs::symlink("/etc", stage.path("package/tmp")).unwrap();
    let lines = stage.run(&json!({ "argv": ["/app", "ids"] }));
    let error = find(&lines, "error");
    assert!(error.as_str().unwrap().contains("/tmp"), "{error}");
}

pub fn proc_for_developers(who: Who) {
    let stage = Stage::new(who);
    let seen = stage.ask_with(&json!({ "argv": ["/app", "ids"], "proc": true }));
    let status = seen["status"].as_str().unwrap();
    assert!(status.contains("\nPid:\t2\n"), "{status}");
    // No more user namespaces, even if the filter let them be asked for. In containers that knob
    // cannot be reached, which is said.
    let limit = seen["namespaces"].as_str().unwrap().trim();
    if limit != "0" {
        let lines = stage.run(&json!({ "argv": ["/app", "ids"] }));
        let missing = find(&lines, "missing").to_string();
        assert!(missing.contains("no limit on user namespaces"), "{limit} {missing}");
    }
    assert_eq!((&seen["uid"], &seen["gid"]), (&json!(1000), &json!(1000)), "as in a package");
}

/// What the app writes is the launcher's on disk, also when root launches and the app is not root.
pub fn storage_belongs_to_the_launcher(who: Who) {
    let stage = Stage::new(who);
    std::fs::write(stage.path("var/old"), "before").unwrap();
    stage.give();
    let owner = std::fs::metadata(stage.path("var")).unwrap().uid();
    assert_eq!(stage.ask("write-var")["old"], "before");
    for name in ["var/made", "var/dir"] {
        let made = std::fs::metadata(stage.path(name)).unwrap();
        assert_eq!(made.uid(), owner, "{name}");
        assert_eq!(made.mode() & 0o007, 0, "{name}");
    }
    if who == Who::User && owner == 0 {
        skip("storage_belongs_to_the_launcher", "no ordinary user");
    }
}

/// The same view on a kernel without the mount calls on descriptors.
pub fn classic(who: Who) {
    harness::with_classic_mounts(move || {
        if who == Who::User {
            // Root's apps need translated mounts to be somebody else outside; and the kernel does
            // not count the processes of its user 0.
            privileges(who);
            limits(who);
        }
        files(who);
        crate::walls::mounts(who);
        crate::walls::served_root(who);
        crate::walls::no_link_is_followed(who);
        descriptors_and_environment(who);
        missing_directories(who);
        links_are_refused(who);
        proc_for_developers(who);
        storage_belongs_to_the_launcher(who);
        crate::lifetime::launcher_dies(who);
        crate::lifetime::nested(who);
        crate::fuse::root_is_served(who);
        crate::fuse::server_dies(who);
    });
}
