//! What an app reaches for that no grain has, files below `/proc` and `/sys` and places to write to
//! outside of `/var`, is told with what helps: while it happens, and by `spk check`.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use serde_json::Value;
use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who, http};

const APP: &str = r#"
import http.server, os, subprocess
def reach():
    for path in ("/proc/self/exe", "/proc//self/./maps", "/proc/1/stat", "/sys/fs/cgroup/memory.max"):
        assert not os.path.exists(path), path
    try: os.readlink("/proc/self/cwd"); assert False
    except FileNotFoundError: pass
    try: open("/sys/kernel/\x1b[31mforged"); assert False
    except FileNotFoundError: pass
    try: open("/etc/made", "w"); assert False
    except OSError: pass
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # Again, when the kernel could know that it is not there.
        reach(); reach()
        os.path.exists("/proc/self/" + self.path.strip("/"))
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8000), App).serve_forever()
"#;

/// Only what a broken program takes.
const LONGEST: Duration = Duration::from_secs(30);

fn made(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    stage
}

/// Waits until a running server has said this.
#[track_caller]
fn hears(server: &Server, text: &str) {
    let end = Instant::now() + LONGEST;
    while !server.said().contains(text) {
        assert!(Instant::now() < end, "{text} is not said: {}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_no_grain_has_is_told_while_it_happens() {
    for who in Who::all("what_no_grain_has_is_told_while_it_happens") {
        let stage = made(who);
        let server = Server::start(stage.spk().args(["dev", "--explain"]));
        assert_eq!(http::get(&server.at("later")).status, 200);
        let dev = told(server);
        ok(stage.spk().args(["pack", "--fast", "--no-cache", "out.spk"]));
        let server = Server::start(stage.spk().args(["run", "out.spk", "--explain"]));
        assert_eq!(http::get(&server.at("later")).status, 200);
        let run = told(server);
        for said in [dev, run] {
            assert!(!said.contains('\u{1b}'), "{said:?}");
        }

        // Without it: what most likely matters.
        let server = Server::start(stage.spk().arg("dev"));
        assert_eq!(http::get(&server.at("")).status, 200);
        hears(&server, "not there, as on a Sandstorm server: /proc/self/exe (by ");
        hears(&server, "refused to write, as on a Sandstorm server: etc/made (by ");
        let said = server.stop();
        assert!(!said.contains("/proc/self/maps"), "{said}");
        assert!(said.contains("paths below /proc and /sys, and no grain has more"), "{said}");
    }
}

/// What is said of it while it happens, and again when the server is stopped.
fn told(server: Server) -> String {
    let expected = [
        ("/proc/self/exe (by ", "start it by its full path"),
        ("/proc/self/maps (by ", "stack"),
        ("/proc/self/cwd (by ", "looks at itself"),
        ("/proc/self/later (by ", "looks at itself"),
        ("/proc/N/stat (by ", "pid file"),
        ("/sys/fs/cgroup/memory.max (by ", "container"),
        ("/sys/kernel/\\u{1b}[31mforged (by ", "figures of the kernel"),
    ];
    for (path, _) in expected {
        hears(&server, &format!("not there, as on a Sandstorm server: {path}"));
    }
    hears(&server, "refused to write, as on a Sandstorm server: etc/made (by ");
    let said = server.stop();
    let end = said.split_once("was not there (").map(|(_, end)| end).expect(&said);
    for (path, cure) in expected {
        let line = end.lines().find(|line| line.contains(path)).expect(&said);
        assert!(line.contains("python3") && line.contains(cure), "{line}");
    }
    assert!(said.contains("  etc/made (by "), "{said}");
    said
}

#[test]
fn the_check_names_it_and_grades_no_lower_for_what_is_only_looked_for() {
    let stage = made(Who::User);
    stage.write("app.py", APP.replace("\"/etc/made\"", "\"/proc/made\""));
    let server = Server::start(stage.spk().arg("dev"));
    http::get(&server.at(""));
    server.stop();
    ok(stage.spk().args(["pack", "--fast", "--no-cache", "out.spk"]));
    let report = ok(stage.spk().args(["check", "--json", "out.spk"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    let kernel = report["kernel"].as_array().unwrap();
    let find = |path: &str| kernel.iter().find(|one| one["path"] == path).expect(path);
    assert_eq!(find("proc/self/exe")["harmless"], false);
    assert!(find("proc/self/exe")["cure"].as_str().unwrap().contains("full path"));
    assert_eq!(find("sys/fs/cgroup/memory.max")["harmless"], true);
    assert!(find("proc/self/maps")["by"][0].as_str().unwrap().contains("python3"));
    let said = ok(stage.spk().args(["check", "out.spk"]));
    assert!(
        said.contains("looked for below /proc and /sys, of which a Sandstorm server"),
        "{said}"
    );
    assert!(said.contains("  /proc/self/exe (by "), "{said}");
}
