//! A launcher in a cgroup that was delegated to it, as `systemd-run --scope -p Delegate=yes` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Stage, Who, find, needs_root, skip, user_ids};

/// A cgroup below this machine's root cgroup, which its user may divide up.
struct Delegated {
    dir: PathBuf,
    who: Who,
}

impl Delegated {
    /// `None`: there can be none here, which has been said.
    fn new(test: &str, who: Who) -> Option<Delegated> {
        if !nix::unistd::geteuid().is_root() {
            needs_root(test, "only root can delegate a cgroup");
            return None;
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "));
        let Some(point) = mount.and_then(|line| line.split(' ').nth(4)) else {
            skip(test, "no cgroup file system of version 2 is mounted");
            return None;
        };
        // Controllers, where the root cgroup has them and nobody forbids it.
        for controller in ["+memory", "+pids"] {
            let _lacking = fs::write(Path::new(point).join("cgroup.subtree_control"), controller);
        }
        let dir = Path::new(point).join(format!("spk-test-{}", std::process::id()));
        if let Err(error) = fs::create_dir(&dir) {
            skip(test, &format!("no cgroup can be made: {error}"));
            return None;
        }
        if let (Who::User, Some((uid, gid))) = (who, user_ids()) {
            for name in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                std::os::unix::fs::chown(dir.join(name), Some(uid), Some(gid)).unwrap();
            }
        }
        Some(Delegated { dir, who })
    }

    fn controllers(&self) -> Vec<String> {
        let text = fs::read_to_string(self.dir.join("cgroup.controllers")).unwrap();
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// What the launcher says that does as `order` says, alone in the cgroup.
    fn run(&self, stage: &Stage, order: &Value) -> Vec<Value> {
        let inner = stage.launcher(order);
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.dir);
        if let (Who::User, Some((uid, gid))) = (self.who, user_ids()) {
            command.args(["setpriv", &format!("--reuid={uid}"), &format!("--regid={gid}")]);
            command.args(["--clear-groups", "--"]);
        }
        command.arg(inner.get_program()).args(inner.get_args());
        let output = command.stderr(std::process::Stdio::inherit()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// The groups of grains that are left.
    fn grains(&self) -> Vec<String> {
        let names = fs::read_dir(&self.dir).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("spk-grain-")).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _leaf = fs::remove_dir(self.dir.join("spk-host"));
        let _busy = fs::remove_dir(&self.dir);
    }
}

/// Needs no controller.
pub fn freezes_and_leaves_nothing(who: Who) {
    let test = "cgroup::freezes_and_leaves_nothing";
    let Some(delegated) = Delegated::new(test, who) else { return };
    // What a helper that was killed has left; there is no process of this number.
    fs::create_dir(delegated.dir.join("spk-grain-4194399")).unwrap();
    let stage = Stage::new(who);
    let dir = delegated.dir.to_str().unwrap();
    let order = json!({ "argv": ["/app", "beat"], "then": "freeze", "cgroup": dir });
    let lines = delegated.run(&stage, &order);
    let group = find(&lines, "cgroup");
    assert!(group.as_str().unwrap().contains("/spk-grain-"), "{group}");
    assert_eq!(find(&lines, "frozen"), true);
    crate::lifetime::waited_to_the_end(&lines);
    let events = find(&lines, "events");
    assert!(events.as_str().unwrap().contains("frozen 1"), "{events}");
    assert_eq!(find(&lines, "exit"), "Killed");
    assert!(delegated.grains().is_empty(), "{:?}", delegated.grains());
    // What the app sees as its cgroup is the root of all it can see.
    let order = json!({ "argv": ["/app", "ids"], "proc": true });
    let lines = delegated.run(&stage, &order);
    assert_eq!(find(&lines, "exit"), "Code(0)");
}

/// Processes and memory are those of all of its processes together.
pub fn limits_the_whole_grain(who: Who) {
    let test = "cgroup::limits_the_whole_grain";
    let Some(delegated) = Delegated::new(test, who) else { return };
    let controllers = delegated.controllers();
    if let Some(missing) = ["memory", "pids"].iter().find(|c| !controllers.contains(&c.to_string()))
    {
        return skip(test, &format!("version 2 of cgroups has no {missing} controller here"));
    }
    let stage = Stage::new(who);
    let order = json!({ "argv": ["/app", "hog"], "memory": 100 << 20 });
    let lines = delegated.run(&stage, &order);
    assert_eq!(find(&lines, "exit"), "OutOfMemory");
    assert_eq!(find(&lines, "met"), json!(["Memory"]));
    let order = json!({ "argv": ["/app", "limits"], "processes": 100 });
    let lines = delegated.run(&stage, &order);
    assert_eq!(find(&lines, "exit"), "Code(0)");
    assert!(find(&lines, "met").as_array().unwrap().contains(&json!("Processes")), "{lines:?}");
    assert!(delegated.dir.join("spk-host").is_dir(), "the launcher has made room");
}
