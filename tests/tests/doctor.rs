//! `spk doctor` says what is so: about namespaces that are switched off, and about cgroups.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spk_tests::bins::describe;
use spk_tests::skip::skip;
use spk_tests::{Stage, Who};

/// What is said of `name` by the doctor that `command` runs, and its exit status.
fn checked(command: &mut Command, name: &str) -> (Value, Option<i32>) {
    let output = command.output().unwrap();
    let checks: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", describe(&output)));
    let check = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
    (check.unwrap_or_else(|| panic!("no {name} in {checks}")).clone(), output.status.code())
}

/// A user namespace whose own limit is 0 is a machine on which they are switched off.
#[test]
fn namespaces_that_are_switched_off_are_missing_and_the_setting_is_named() {
    let stage = Stage::new(Who::User);
    let mut doctor = Command::new(stage.spk_path());
    doctor.args(["doctor", "--json"]);
    let mut inner = Command::new("sh");
    inner.arg("-c").arg("echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"").arg("sh");
    inner.arg(doctor.get_program()).args(doctor.get_args());
    let mut command = stage.run("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let (check, status) = checked(&mut command, "user namespaces");
    assert_eq!(check["state"], "missing", "{check}");
    let remedy = check["remedy"].as_str().unwrap();
    assert!(remedy.contains("sudo sysctl user.max_user_namespaces=10000"), "{remedy}");
    assert_eq!(status, Some(3));

    let (check, _) = checked(stage.spk().args(["doctor", "--json"]), "user namespaces");
    assert_eq!(check["state"], "ok", "{check}");
}

/// A cgroup that is the account's own is found and used; without one the difference is told.
#[test]
fn the_difference_that_a_cgroup_makes_is_told() {
    const NAME: &str = "the_difference_that_a_cgroup_makes_is_told";
    for who in Who::all(NAME) {
        let stage = Stage::new(who);
        let mut doctor = stage.spk();
        doctor.args(["doctor", "--json"]);
        let Some(group) = Delegated::new(&stage) else {
            skip(NAME, "no cgroup can be made here; the part without one runs");
            without(&mut doctor);
            continue;
        };
        let join = format!("echo $$ > {}/cgroup.procs", group.0.display());
        // Only root can move a process there from outside.
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("{join} && exec \"$@\"")).arg("sh");
        command.arg(doctor.get_program()).args(doctor.get_args()).env("HOME", stage.home());
        let (check, _) = checked(&mut command, "cgroup v2");
        let found = check["found"].as_str().unwrap();
        let dir = group.0.display().to_string();
        assert!(found.starts_with(&format!("each grain gets one below {dir}")), "{check}");
        if check["state"] == "ok" {
            assert!(found.contains("limited as a whole"), "{check}");
        } else {
            assert!(found.contains("frozen and killed, but none that limits"), "{check}");
            let remedy = check["remedy"].as_str().unwrap();
            assert!(remedy.contains("for each process on its own"), "{check}");
        }
        if who == Who::User {
            without(&mut doctor);
        }
    }
}

/// An ordinary user in a cgroup that is not theirs, unless this whole run was given one.
fn without(doctor: &mut Command) {
    let (check, _) = checked(doctor, "cgroup v2");
    if check["state"] == "ok" {
        return;
    }
    let remedy = check["remedy"].as_str().unwrap();
    assert!(remedy.contains("on its own"), "{check}");
    assert!(remedy.contains("systemd-run --user --scope -p Delegate=yes spk"), "{check}");
}

/// A cgroup that belongs to the stage's account.
struct Delegated(std::path::PathBuf);

impl Delegated {
    fn new(stage: &Stage) -> Option<Delegated> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let top = Path::new(mount.split(' ').nth(4).unwrap());
        let dir = top.join(format!("spk-doctor-{}", std::process::id()));
        std::fs::create_dir(&dir).ok()?;
        stage.who.own(&dir);
        Some(Delegated(dir))
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for name in ["spk-host", ""] {
            let _absent = std::fs::remove_dir(self.0.join(name));
        }
    }
}
