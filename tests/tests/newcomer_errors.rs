//! The errors a newcomer meets first, word for word.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::process::Command;

use spk_tests::bins::{fails, ok};
use spk_tests::{Stage, Who};

/// What was said on stderr, with what differs from run to run replaced.
fn said(stage: &Stage, command: &mut Command) -> String {
    let output = fails(command);
    assert!(output.stdout.is_empty(), "stdout is for data");
    let said = String::from_utf8(output.stderr).unwrap();
    said.replace(stage.work().to_str().unwrap(), "[WORK]")
        .replace(stage.home().to_str().unwrap(), "[HOME]")
}

/// IDs, times and numbers that differ from run to run.
fn filters() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[0-9a-z]{52}\b", "[APP ID]");
    settings.add_filter(r"\b[0-9a-zA-Z]{22}\b", "[GRAIN]");
    settings.add_filter(r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]");
    settings.add_filter(r"port \d{4,5}", "port [PORT]");
    settings.set_prepend_module_to_snapshot(false);
    settings
}

fn stage() -> Stage {
    Stage::new(Who::User)
}

fn init(stage: &Stage, command: &[&str]) {
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--"]).args(command));
}

/// Replaces a piece of the definition that must be there.
fn edit(stage: &Stage, from: &str, to: &str) {
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "no {from:?} in:\n{text}");
    std::fs::write(&file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn no_definition_here() {
    let stage = stage();
    filters().bind(|| {
        insta::assert_snapshot!("dev_no_definition", said(&stage, stage.spk().arg("dev")));
        insta::assert_snapshot!(
            "pack_no_definition",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
}

#[test]
fn typo_in_the_definition() {
    let stage = stage();
    init(&stage, &["/bin/true"]);
    edit(&stage, "appVersion", "appVerson");
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_unknown_field",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
    edit(&stage, "appVerson = 0,", "appVersion = 0");
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_missing_comma",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
}

#[test]
fn key_not_in_the_keyring() {
    let stage = stage();
    init(&stage, &["/bin/true"]);
    stage.write("files.list", "");
    std::fs::write(stage.home().join(".sandstorm-keyring"), "").unwrap();
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_key_missing",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
    std::fs::remove_file(stage.home().join(".sandstorm-keyring")).unwrap();
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_keyring_missing",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
}

#[test]
fn file_list_missing_or_out_of_date() {
    let stage = stage();
    init(&stage, &["/bin/true"]);
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_list_missing",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
    stage.write(
        "sandstorm-files.list",
        "sandstorm-manifest\nno/such/file\nno/such/other\netc/host.conf\nbin/true\n",
    );
    filters().bind(|| {
        insta::assert_snapshot!(
            "pack_listed_files_missing",
            said(&stage, stage.spk().args(["pack", "out.spk"]))
        );
    });
    assert!(!stage.work().join("out.spk").exists());
}

/// Runs a script in a user namespace of its own, as root there.
fn in_namespace(stage: &Stage, script: &str) -> Command {
    let mut command = stage.run("/usr/bin/unshare");
    command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-ec", script]);
    command.arg("sh").arg(stage.spk_path());
    command
}

#[test]
fn user_namespaces_unavailable() {
    let stage = stage();
    init(&stage, &["/bin/true"]);
    let mut command = in_namespace(
        &stage,
        "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$1\" dev --port 0",
    );
    filters().bind(|| {
        insta::assert_snapshot!("dev_no_user_namespaces", said(&stage, &mut command));
    });
}

#[test]
fn fuse_device_missing() {
    let stage = stage();
    init(&stage, &["/bin/true"]);
    let mut command = in_namespace(
        &stage,
        "mount -t tmpfs none /mnt; for node in null zero random urandom; do \
         touch /mnt/$node; mount --bind /dev/$node /mnt/$node; done; \
         mount --rbind /mnt /dev; exec \"$1\" dev --port 0",
    );
    filters().bind(|| {
        insta::assert_snapshot!("dev_no_fuse_device", said(&stage, &mut command));
    });
}

#[test]
fn port_taken() {
    let stage = stage();
    init(&stage, &["/bin/sleep", "1000"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    filters().bind(|| {
        insta::assert_snapshot!(
            "dev_port_taken",
            said(&stage, stage.spk().args(["dev", "--port", &port]))
        );
    });
}

#[test]
fn app_exits_at_once() {
    let stage = stage();
    init(&stage, &["/bin/sh", "-c", "echo cannot find my configuration >&2; exit 3"]);
    filters().bind(|| {
        insta::assert_snapshot!(
            "dev_app_exits",
            said(&stage, stage.spk().args(["dev", "--port", "0"]))
        );
    });
}

#[test]
fn program_not_in_the_package() {
    let stage = stage();
    init(&stage, &["/opt/no-such-program"]);
    filters().bind(|| {
        insta::assert_snapshot!(
            "dev_no_program",
            said(&stage, stage.spk().args(["dev", "--port", "0"]))
        );
    });
}

#[test]
fn app_never_listens() {
    let stage = stage();
    init(&stage, &["/bin/sh", "-c", "echo thinking; exec sleep 1000"]);
    filters().bind(|| {
        insta::assert_snapshot!(
            "dev_app_never_listens",
            said(&stage, stage.spk().args(["dev", "--port", "0", "--start-timeout", "2"]))
        );
    });
}
