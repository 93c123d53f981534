//! What the running app's process is, seen from the host and from within.
#![allow(clippy::unwrap_used)]

use std::fs;

use serde_json::{Value, json};
use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who, http, procs};

#[test]
fn the_running_app_is_confined() {
    for who in Who::all("the_running_app_is_confined") {
        let stage = Stage::new(who);
        stage.write("app.py", include_str!("../data/confined.py"));
        ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
        let server = Server::start(stage.spk().arg("dev"));
        assert_eq!(http::get(&server.at("")).status, 200);
        server.stop();
        ok(stage.spk().args(["pack", "--fast", "out.spk"]));

        let server = Server::start(stage.spk().args(["run", "out.spk"]));
        let seen: Value = serde_json::from_str(&http::get(&server.at("look")).text()).unwrap();
        within(&seen);
        from_outside(&stage, &server);
        server.stop();
    }
}

fn within(seen: &Value) {
    assert_eq!(seen["ids"], json!([1000, 1000, 1000, 1000]));
    assert_eq!(
        seen["groups"].as_array().map(|groups| groups.iter().all(|g| g == 1000)),
        Some(true)
    );
    assert_eq!(seen["writable"], json!(["/dev/shm", "/tmp", "/var"]));
    for (path, outcome) in seen["root"].as_object().unwrap() {
        assert_eq!(outcome, "EROFS", "writing to {path}");
    }
    assert_eq!(seen["interfaces"], json!(["lo"]));
    assert_eq!(seen["routes"], json!(["ENETUNREACH", "ENETUNREACH", "ENETUNREACH"]));
    assert_eq!(seen["proc"], json!(["cpuinfo"]), "there is no /proc");
    assert_eq!(seen["sys"], json!(false));
    assert_eq!(seen["cwd"], json!("/"));
    assert_eq!(seen["umask"], json!(0o007));
    assert_eq!(seen["hostname"], json!("sandbox"));
    assert_eq!(
        seen["fds"].as_array().map(|fds| fds.contains(&json!(3)) && fds.len() > 2),
        Some(false),
        "only the app's own listening socket may be open: {}",
        seen["fds"]
    );
    let mut names: Vec<&str> =
        seen["environ"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    // the definition's own, and what the bridge documents to add; LC_CTYPE is Python's doing
    names.retain(|name| *name != "LC_CTYPE");
    assert_eq!(names, ["HOME", "HTTP_PROXY", "PATH", "SANDSTORM", "http_proxy", "no_proxy"]);
}

fn from_outside(stage: &Stage, server: &Server) {
    let app = procs::matching(&stage.spk_path(), "/app.py")
        .into_iter()
        .find(|process| process.command.starts_with("/usr/bin/python3"))
        .expect("the app's process is visible from the host");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(procs::status(app.pid, set), "0000000000000000", "{set}");
    }
    assert_eq!(procs::status(app.pid, "NoNewPrivs"), "1");
    assert_eq!(procs::status(app.pid, "Seccomp"), "2");

    for namespace in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let link = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert_ne!(link(app.pid), link(std::process::id() as i32), "{namespace} is its own");
    }
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", app.pid)).unwrap();
    for line in table.lines() {
        let mut fields = line.split(' ');
        let target = fields.nth(4).unwrap();
        let options = fields.next().unwrap();
        let writable = options.split(',').any(|option| option == "rw");
        let expected = matches!(target, "/var" | "/tmp" | "/dev/shm");
        assert_eq!(writable, expected, "{target}: {line}");
        assert!(options.contains("nosuid"), "{line}");
    }
    let _ = server;
}
