//! `-v`, `-vv` and SPK_LOG tell what all crates do, and never what opens doors.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use base64::Engine as _;
use spk_tests::bins::{describe, ok};
use spk_tests::{Server, Stage, Who, http};

/// Sets a cookie that nobody else may know.
const APP: &str = r#"
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Set-Cookie", "session=cookie-of-the-app")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *arguments):
        pass
HTTPServer(("127.0.0.1", 8000), Handler).serve_forever()
"#;

fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    stage
}

/// What a command that succeeds says on stderr; stdout is `expected`.
#[track_caller]
fn said(command: &mut Command, expected: &str) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    String::from_utf8(output.stderr).unwrap()
}

/// Levels that lines of the log have.
fn levels(said: &str) -> Vec<&str> {
    let level = |line: &'_ str| {
        let words = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        words.into_iter().find(|word| line.split_whitespace().nth(1) == Some(word))
    };
    said.lines().filter_map(level).collect()
}

#[test]
fn each_v_says_more_and_stdout_stays_data() {
    let stage = Stage::new(Who::User);
    stage.write("app", "contents");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    let pack = |words: &[&str], log: Option<&str>| {
        let mut command = stage.spk();
        command.args(["pack", "--fast"]).args(words).arg("app.spk");
        if let Some(log) = log {
            command.env("SPK_LOG", log);
        }
        command
    };
    let app_id = ok(&mut pack(&[], None));
    assert_eq!(levels(&said(&mut pack(&[], None), &app_id)), Vec::<&str>::new());
    let one = said(&mut pack(&["-v"], None), &app_id);
    assert!(one.contains(" INFO spk_package::pack: packing files="), "{one}");
    assert!(levels(&one).iter().all(|level| *level == "INFO"), "{one}");
    let two = said(&mut pack(&["-vv"], None), &app_id);
    assert!(two.contains("file read path=app bytes=8"), "{two}");
    // What is packed a second time comes out of the cache.
    assert!(two.contains("block found in the cache"), "{two}");
    let anew = said(&mut pack(&["-v", "-v", "--no-cache"], None), &app_id);
    assert!(anew.contains("block done") && !anew.contains("in the cache"), "{anew}");
    // The variable says it more exactly.
    let only = said(&mut pack(&["-vv"], Some("spk_package::pkgdef=info")), &app_id);
    assert!(only.contains("definition read"), "{only}");
    assert!(!only.contains("packing"), "{only}");
    let output = pack(&[], Some("spk_package=loud")).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", describe(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SPK_LOG makes no sense"));
}

#[test]
fn names_in_the_log_cannot_play_with_the_terminal() {
    let stage = Stage::new(Who::User);
    stage.write("app", "contents");
    stage.write("a\u{1b}[31m\nINFO b", "x");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    let output = stage.spk().args(["-vv", "pack", "--fast", "app.spk"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("[31m"), "{said}");
    assert!(!said.contains('\u{1b}'), "{said:?}");
    assert!(!said.lines().any(|line| line.starts_with("INFO b")), "{said}");
}

#[test]
fn a_session_is_told_and_nothing_that_opens_doors() {
    for who in Who::all("a_session_is_told_and_nothing_that_opens_doors") {
        let stage = stage(who);
        let mut command = stage.spk();
        command.args(["dev", "--api-token"]).env("SPK_LOG", "trace");
        let server = Server::start(&mut command);
        let mine = [("Cookie", "mine=cookie-of-the-browser")];
        let answer = http::request("GET", &server.at("?key=query-of-the-browser"), &mine, b"");
        assert_eq!(answer.status, 200);
        let token = server.ready["api"]["token"].as_str().unwrap().to_owned();
        let url = server.ready["api"]["url"].as_str().unwrap().to_owned();
        let bearer = format!("Bearer {token}");
        http::request("GET", &http::join(&url, "x"), &[("Authorization", &bearer)], b"");
        let session = server.session_url();
        let host = session.split(['/', '.']).find(|part| part.len() > 8).unwrap().to_owned();
        let page = server.field("url");
        let secret =
            page.rsplit(['/', '#', '=', '?']).find(|part| part.len() > 15).map(str::to_owned);
        let said = server.stop();
        for event in [
            "spk_grains::store: lock taken",
            "sandbox: the helper runs",
            "sandbox: namespaces are made",
            "sandbox: the app's program runs",
            "app started",
            "file system served",
            "directory watched",
            "session opened user=\"alice\"",
            "call made method=GET",
            "call answered status=200",
            "app ended",
        ] {
            assert!(said.contains(event), "{event}: {said}");
        }
        let key = fs::read(stage.home().join(".sandstorm-keyring")).unwrap();
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&key);
        let mut secrets = vec![
            token,
            host,
            "cookie-of-the-browser".to_owned(),
            "cookie-of-the-app".to_owned(),
            "query-of-the-browser".to_owned(),
            hex[hex.len() - 128..].to_owned(),
            base64[base64.len() - 64..].to_owned(),
        ];
        secrets.extend(secret);
        for secret in secrets {
            assert!(!said.contains(&secret), "{secret} is in the log: {said}");
        }
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_nobody() {
    let stage = stage(Who::User);
    let mut command = stage.run("sh");
    command.args(["-c", "exec \"$@\" 2>/dev/full", "sh"]).arg(stage.spk_path());
    let server = Server::start(command.arg("dev").env("SPK_LOG", "trace"));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
}
