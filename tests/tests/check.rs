//! `spk check` and `spk run --explain`, as a developer uses them.
#![allow(clippy::unwrap_used)]

use std::fs;

use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http};

const APP: &str = include_str!("../data/app.py");

/// A stage with the app traced and packed as `out.spk`.
fn packed(who: Who, more: &str, record: bool) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", format!("{more}\n{APP}"));
    stage.write("static/page.txt", "a page\n");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let mut dev = stage.spk();
    dev.arg("dev");
    if record {
        dev.arg("--record");
    }
    let server = Server::start(&mut dev);
    assert_eq!(http::get(&server.at("static")).text(), "a page\n");
    assert_eq!(http::post_form(&server.at("notes"), "text=kept").status, 201);
    assert_eq!(http::get(&server.at("notes")).text(), "kept\n");
    server.stop();
    pack(&stage, "out.spk");
    stage
}

fn pack(stage: &Stage, name: &str) {
    ok(stage.spk().args(["pack", "-0", "--no-cache", name]));
}

/// Takes one path out of the file list.
fn unlist(stage: &Stage, path: &str) {
    let list = stage.work().join("sandstorm-files.list");
    let listed = fs::read_to_string(&list).unwrap();
    let less: Vec<&str> = listed.lines().filter(|line| *line != path).collect();
    assert_eq!(less.len() + 1, listed.lines().count(), "{listed}");
    fs::write(&list, less.join("\n") + "\n").unwrap();
}

#[test]
fn a_good_package_is_found_good_and_a_broken_one_is_not() {
    for who in Who::all("a_good_package_is_found_good_and_a_broken_one_is_not") {
        let stage = packed(who, "", true);
        let said = ok(stage.spk().args(["check", "out.spk"]));
        assert!(said.starts_with("out.spk: good\nstart: ok\nrequests: 3 of 3 answered"), "{said}");
        assert!(said.contains("backup: ok"), "{said}");

        unlist(&stage, "static/page.txt");
        pack(&stage, "less.spk");
        let output = fails(stage.spk().args(["check", "less.spk"]));
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("works in dev, missing in the package (1):\n  static"), "{said}");
        assert!(said.contains("static/page.txt"), "{said}");
        assert!(said.contains("requests: 2 of 3"), "{said}");
        assert!(said.contains("GET /static: "), "{said}");

        // nothing stays: no grain, no package, no file beside those that were there
        let grains = ok(stage.spk().args(["grain", "list"]));
        assert_eq!(grains.lines().count(), 1, "the developer's own grain: {grains}");
    }
}

#[test]
fn run_tells_what_is_missing_when_asked() {
    let stage = packed(Who::User, "", false);
    unlist(&stage, "static/page.txt");
    pack(&stage, "less.spk");
    let server = Server::start(stage.spk().args(["run", "less.spk", "--explain"]));
    http::request("GET", &server.at("static"), &[], b"");
    let said = server.stop();
    assert!(said.contains("works in dev, missing in the package (1):"), "{said}");
    assert!(said.contains("  static"), "{said}");
}

#[test]
fn writes_outside_of_var_and_denied_calls_are_told() {
    let more = "import os\nfor name in ('/app.cache', '/static/new'):\n    try: open(name, 'w')\n    \
                except OSError as error: assert error.errno == 30, error\n\
                assert not os.access('/app.py', os.W_OK)\nassert os.access('/app.py', os.R_OK)\n\
                try: os.unshare(0x20000)\nexcept AttributeError:\n    import ctypes\n    \
                ctypes.CDLL(None).unshare(0x20000)\nexcept OSError: pass\n";
    let stage = packed(Who::User, more, false);
    let output = stage.spk().args(["check", "--json", "out.spk"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let writes: Vec<_> = report["writes"].as_array().unwrap().iter().collect();
    let named: Vec<_> = writes.iter().map(|write| write["path"].as_str().unwrap()).collect();
    assert_eq!(named, ["app.cache", "static/new"], "{report:#}");
    assert!(writes[0]["by"][0].as_str().unwrap().contains("python3"), "{report:#}");
    let denied = report["denied"].as_array().unwrap();
    assert!(denied.iter().any(|call| call["call"] == "unshare"), "{report:#}");
    assert_eq!(report["grade"], "fair");
    assert_eq!(output.status.code(), Some(0));
    fails(stage.spk().args(["check", "--strict", "out.spk"]));
}

#[test]
fn an_app_that_loses_its_data_or_its_start_is_poor() {
    // starts once only: what a backup comes back to does not
    let more = "import os, sys\nif os.path.exists('/var/once'): sys.exit('twice')\n\
                open('/var/once', 'w').close()\n";
    let stage = packed(Who::User, more, true);
    let output = fails(stage.spk().args(["check", "--json", "out.spk"]));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["start"]["ok"], true, "{report:#}");
    let error = report["backup"]["error"].as_str().unwrap();
    assert!(error.contains("the restored grain does not start"), "{report:#}");

    stage.write("app.py", "import sys; sys.exit('never')");
    pack(&stage, "never.spk");
    let output = fails(stage.spk().args(["check", "--json", "never.spk"]));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["start"]["ok"], false, "{report:#}");
    assert!(report["start"]["error"].as_str().unwrap().contains("exited"), "{report:#}");
    assert_eq!(report["requests"]["skipped"].as_array().unwrap().len(), 3, "{report:#}");
}

#[test]
fn bad_recordings_and_packages_are_refused_with_their_names() {
    let stage = packed(Who::User, "", true);
    let recording = stage.work().join(".sandstorm-files.list.requests");
    fs::write(&recording, "{").unwrap();
    let output = fails(stage.spk().args(["check", "out.spk"]));
    let said = describe(&output);
    assert!(said.contains(".sandstorm-files.list.requests"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    stage.write("bad.spk", "no package");
    let said = describe(&fails(stage.spk().args(["check", "bad.spk"])));
    assert!(said.contains("bad.spk"), "{said}");
}

/// What of its answers clients do not get, and of theirs the app.
const LOSES: &str = r#"
class Loses(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401 if self.path == "/login" else 200)
        self.send_header("WWW-Authenticate", "Basic realm=x")
        self.send_header("X-Total-\x1bCount" if self.path == "/forged" else "X-Total-Count", "5")
        self.send_header("Set-Cookie", "list=a,b")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_OPTIONS(self):
        self.send_response(200)
        self.send_header("DAV", "1, 2")
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8000), Loses).serve_forever()
"#;

#[test]
fn explain_names_what_clients_do_not_get() {
    for who in Who::all("explain_names_what_clients_do_not_get") {
        let stage = Stage::new(who);
        stage.write("app.py", format!("import http.server\n{LOSES}"));
        ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
        let ask = |server: &Server| {
            let login = [("Authorization", "Basic eDp5")];
            assert_eq!(http::request("GET", &server.at("login"), &login, b"").status, 400);
            http::get(&server.at("login"));
            http::get(&server.at("forged"));
            http::request("OPTIONS", &server.at(""), &[], b"");
        };
        let server = Server::start_plain(stage.spk().args(["dev", "--explain"]));
        ask(&server);
        let dev = server.stop();
        pack(&stage, "out.spk");
        let server = Server::start_plain(stage.spk().args(["run", "out.spk", "--explain"]));
        ask(&server);
        let run = server.stop();
        for said in [dev, run] {
            let count = |text: &str| said.matches(text).count();
            for text in [
                "dropped request header: authorization (",
                "dropped response header: www-authenticate (",
                "dropped response header: x-total-count (",
                "status 401 arrives as 400 (",
                "the cookie list is not kept: ",
                "DAV: 2 is passed on, but locks do not work",
            ] {
                // When it happened first, and summed up.
                assert_eq!(count(text), 2, "{text}: {said}");
            }
            assert!(said.contains("  2 × status 401 arrives as 400"), "{said}");
            assert!(!said.contains('\u{1b}'), "{said:?}");
        }
        // Without it nobody is told.
        let server = Server::start_plain(stage.spk().args(["run", "out.spk"]));
        ask(&server);
        let said = server.stop();
        assert!(!said.contains("401") && !said.contains("dropped"), "{said}");
    }
}

#[test]
fn explain_is_one_line_of_json_each() {
    let stage = Stage::new(Who::User);
    stage.write("app.py", format!("import http.server\n{LOSES}"));
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let mut server = Server::start(stage.spk().args(["dev", "--explain"]));
    http::get(&server.at("login"));
    server.signal(nix::sys::signal::Signal::SIGINT);
    server.wait();
    let line: serde_json::Value = serde_json::from_str(&server.lines()[0]).unwrap();
    assert_eq!(line["event"], "lost", "{line}");
    let losses = line["losses"].as_array().unwrap();
    let find = |what: &str| losses.iter().find(|loss| loss["what"] == what).unwrap();
    assert_eq!((&find("status")["status"], &find("status")["sent"]), (&401.into(), &400.into()));
    assert_eq!(find("cookie")["name"], "list");
    assert!(losses.iter().any(|loss| loss["name"] == "x-total-count"), "{line}");
}

/// Patterns beside the list say what need not be minded, each of one kind: the rest of it counts.
#[test]
fn what_is_ignored_does_not_count() {
    let more = "for name in ('/app.cache', '/other'):\n    try: open(name, 'w')\n    except OSError: pass\n";
    let stage = packed(Who::User, more, true);
    unlist(&stage, "static/page.txt");
    pack(&stage, "less.spk");
    let grade = |patterns: &str| {
        stage.write("sandstorm-files.list.ignore", patterns);
        let output = stage.spk().args(["check", "--json", "less.spk"]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let writes = report["writes"].as_array().unwrap();
        let writes: Vec<_> = writes.iter().map(|write| write["path"].as_str().unwrap()).collect();
        (report["grade"].as_str().unwrap().to_owned(), writes.join(" "))
    };
    let of = |grade: &str, writes: &str| (grade.to_owned(), writes.to_owned());
    // Another request, path or write than what fails.
    let beside = "request POST /static*\npath static/other\nwrite app.cache.old\n";
    assert_eq!(grade(beside), of("poor", "app.cache other"));
    assert_eq!(
        grade("request GET /static # told by hand\npath static*\nwrite app.*\n"),
        of("fair", "other")
    );
    assert_eq!(grade("request /static\npath static*\nwrite *\n"), of("good", ""));

    stage.write("sandstorm-files.list.ignore", "write *\n\nwrites *\n");
    let output = fails(stage.spk().args(["check", "less.spk"]));
    assert!(
        describe(&output).contains("sandstorm-files.list.ignore, line 3: no pattern"),
        "{output:?}"
    );
}

/// What an earlier session used, and the developer has renamed or removed since, is not missing.
#[test]
fn what_was_renamed_or_removed_since_is_not_missing() {
    const LISTING: &str = "import http.server, os\n\
        class H(http.server.BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n\
        \x20       text = ''.join(open('/d/' + name).read() for name in sorted(os.listdir('/d')))\n\
        \x20       self.send_response(200)\n\
        \x20       self.send_header('Content-Length', str(len(text)))\n\
        \x20       self.end_headers()\n\
        \x20       self.wfile.write(text.encode())\n\
        http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()\n";
    let stage = Stage::new(Who::User);
    stage.write("app.py", LISTING);
    stage.write("d/a.txt", "one\n");
    stage.write("d/removed.txt", "two\n");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let session = |expected: &str| {
        let server = Server::start(stage.spk().args(["dev", "--record"]));
        assert_eq!(http::get(&server.at("")).text(), expected, "{}", server.said());
        server.stop();
    };
    session("one\ntwo\n");
    let dir = stage.work().join("d");
    fs::rename(dir.join("a.txt"), dir.join("b.txt")).unwrap();
    fs::remove_file(dir.join("removed.txt")).unwrap();
    session("one\n");
    pack(&stage, "out.spk");
    let said = ok(stage.spk().args(["check", "--strict", "out.spk"]));
    assert!(said.starts_with("out.spk: good\n"), "{said}");
    assert!(!said.contains("d/a.txt") && !said.contains("removed.txt"), "{said}");

    // What is there still, and not packed, is.
    unlist(&stage, "d/b.txt");
    pack(&stage, "less.spk");
    let output = fails(stage.spk().args(["check", "less.spk"]));
    assert!(describe(&output).contains("d/b.txt"), "{}", describe(&output));
}
