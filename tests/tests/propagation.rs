//! Below systemd `/` is a shared mount: what is mounted below it appears in every namespace of the
//! machine. In containers it is private. Apps start on both, and no mount of theirs stays.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use nix::unistd::geteuid;
use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Who, guest, skip};

/// Says which mounts there are that were not there before its arguments were run as a command.
const WATCHED: &str = "mounts() { cut -d' ' -f4-5 /proc/self/mountinfo | sort; }
mounts >/mnt/before; status=0; \"$@\" || status=$?; mounts >/mnt/after
cmp -s /mnt/before /mnt/after || { echo 'mounts stay:'; diff /mnt/before /mnt/after; exit 99; }
exit $status";

/// `command` in a mount namespace of its own, in which `/` propagates so.
fn with_root(propagation: &str, script: &str, command: &Command) -> Command {
    let mut inner = Command::new("unshare");
    // What the script notes is the namespace's alone.
    let script = format!("mount -t tmpfs none /mnt && {script}");
    inner.args(["--mount", "--propagation", propagation, "sh", "-c", &script, "sh"]);
    inner.arg(command.get_program()).args(command.get_args());
    inner.current_dir(command.get_current_dir().unwrap());
    inner.env_clear();
    for (name, value) in command.get_envs() {
        inner.env(name, value.unwrap());
    }
    inner
}

#[test]
fn apps_start_and_leave_no_mount_however_the_root_propagates() {
    if !geteuid().is_root() {
        let reason = "it takes a mount namespace of the machine's";
        return skip::needs_root("apps_start_and_leave_no_mount", reason);
    }
    for who in [Who::User, Who::Root] {
        let stage = guest::stage(who);
        guest::pack(&stage, &guest::PLAIN, "app.spk");
        for propagation in ["shared", "private", "slave"] {
            // The app on a directory, and through FUSE; a backup, and the app on what it restored.
            let mut check = stage.spk();
            check.args(["check", "app.spk"]);
            let output = with_root(propagation, WATCHED, &check).output().unwrap();
            let said = describe(&output);
            assert!(said.contains("start: ok"), "{who:?}, {propagation}: {said}");
            assert_ne!(output.status.code(), Some(99), "{who:?}, {propagation}: {said}");
        }
    }
}

/// What an spk left that had no answer to a shared root is found, and unmounted.
#[test]
fn mounts_that_an_earlier_version_left_are_told_and_unmounted() {
    if !geteuid().is_root() {
        let reason = "it takes a mount namespace of the machine's";
        return skip::needs_root("mounts_that_an_earlier_version_left", reason);
    }
    let stage = guest::stage(Who::Root);
    guest::pack(&stage, &guest::PLAIN, "app.spk");
    ok(stage.spk().args(["grain", "new", "app.spk"]));
    let packages = stage.state().join("packages");
    let package = packages.read_dir().unwrap().next().unwrap().unwrap().path();
    let package = package.to_str().unwrap();
    let leave = format!(
        "cd {package} && mkdir -p dev var && mount -t tmpfs none dev && : >dev/null && mount --bind /dev/null dev/null \
         && mount --bind /mnt var && cd - >/dev/null && "
    );
    let spk = |arguments: &[&str], after: &str| {
        let mut spk = stage.spk();
        spk.args(arguments);
        with_root("private", &format!("{leave} \"$@\" {after}"), &spk)
    };
    let said = ok(&mut spk(&["doctor"], ""));
    let line = said.lines().find(|line| line.contains("stale mounts")).unwrap();
    for place in ["dev", "dev/null", "var"] {
        assert!(line.contains(&format!("{package}/{place}")), "{line}");
    }
    let shown = ok(&mut spk(&["doctor", "--clean", "--dry-run"], ""));
    let expected: Vec<String> =
        ["var", "dev/null", "dev"].map(|at| format!("would unmount: {package}/{at}")).into();
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    // The first `fails` is the proof that `grep` looks at the right thing.
    let look = format!("&& ! grep -q {package} /proc/self/mountinfo");
    fails(&mut spk(&["doctor"], &look));
    ok(&mut spk(&["doctor", "--clean", "--yes"], &look));
}
