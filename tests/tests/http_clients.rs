//! Real clients and real servers through the whole path: front end, sandbox, bridge, app.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use spk_tests::bins::{built, ok};
use spk_tests::web::{self, pattern};
use spk_tests::{Server, Stage, Who, http, memory};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

/// What memory may grow by beyond what a small transfer needed: pieces under way differ.
const SLACK: u64 = 12 << 20;

/// Bytes of the large upload.
const GIGABYTE: u64 = 1 << 30;

fn web_app() -> (Stage, Server) {
    built("spk-web");
    let stage = web::packed(Who::User);
    let server = web::serve(&stage, &[]);
    (stage, server)
}

fn curl(stage: &Stage) -> Command {
    let mut command = stage.run("curl");
    command.args(["-sS", "--fail-with-body", "--max-time", "300"]);
    command
}

/// Gives curl `bytes` bytes on its standard input to upload; what the app said of them.
fn upload_by_stdin(stage: &Stage, server: &Server, bytes: u64) -> String {
    let mut curl = curl(stage)
        .args(["-T", "-", &server.at("sink")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = curl.stdin.take().unwrap();
    let mut sent = 0;
    while sent < bytes {
        let piece = pattern(sent);
        let length = piece.len().min(usize::try_from(bytes - sent).unwrap());
        input.write_all(&piece[..length]).unwrap();
        sent += length as u64;
    }
    drop(input);
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "curl: {}\n{}", output.status, server.said());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn curl_uploads_a_gigabyte_and_memory_stays_flat() {
    let (stage, server) = web_app();
    let small = upload_by_stdin(&stage, &server, 32 << 20);
    assert_eq!(small, format!("{} bytes, chunked, same=true", 32 << 20));
    let watched = memory::host_and_bridge(server.pid());
    let before = watched.each_ref().map(memory::Watched::peak);
    let large = upload_by_stdin(&stage, &server, GIGABYTE);
    assert_eq!(large, format!("{GIGABYTE} bytes, chunked, same=true"));
    for (process, before) in watched.iter().zip(before) {
        let (name, peak) = (process.name, process.peak());
        eprintln!("{name}: peak {} KiB, then {} KiB", before >> 10, peak >> 10);
        assert!(peak < before + SLACK, "{name} grew from {before} to {peak} bytes");
    }
    server.stop();
}

#[test]
fn curl_downloads_ranges_and_heads() {
    let (stage, server) = web_app();
    let download = |args: &[&str], target: &str| {
        let output = curl(&stage).args(args).arg(server.at(target)).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    // A range, as media players ask for it.
    assert_eq!(download(&["-r", "500000-500009"], "source?900000"), pattern(500_000)[..10]);
    assert_eq!(download(&["-r", "-10"], "source?900000"), pattern(899_990)[..10]);
    // A download that is taken up again.
    let file = stage.write("part", &pattern(0)[..300_000]);
    let name = file.to_str().unwrap();
    download(&["-C", "-", "-o", name], "source?900000,tag");
    assert!(fs::read(&file).unwrap() == pattern(0)[..900_000]);
    // HEAD.
    let head = String::from_utf8(download(&["-I"], "source?900000")).unwrap().to_lowercase();
    assert!(head.contains("content-length: 900000\r\n"), "{head}");
    assert!(head.contains("accept-ranges: bytes\r\n"), "{head}");
    // gzip is passed through for the client to undo.
    let mut gzip = stage.run("gzip");
    let mut child = gzip.arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&b"again and ".repeat(1000)).unwrap();
    let packed = child.wait_with_output().unwrap().stdout;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n";
    let script = format!("X-Sandstorm-App-Answer: {}{}", web::answer(head), hex(&packed));
    let unpacked = download(&["--compressed", "-H", &script], "gzip");
    assert!(unpacked == b"again and ".repeat(1000));
    let raw = download(&["-H", &script], "gzip");
    assert!(raw == packed);
    server.stop();
}

#[test]
fn curl_waits_for_100_continue_and_gets_it() {
    let (stage, server) = web_app();
    let file = stage.write("upload", &pattern(0)[..100_000]);
    // Without the interim answer curl would wait for longer than it may take in all.
    let output = curl(&stage)
        .args(["-v", "--expect100-timeout", "250", "-H", "Expect: 100-continue", "-T"])
        .args([file.to_str().unwrap(), &server.at("sink")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("< HTTP/1.1 100 Continue"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, "100000 bytes, length, same=true");
    server.stop();
}

#[test]
fn curl_gets_events_as_they_happen() {
    let (stage, server) = web_app();
    let mut curl = curl(&stage)
        .args(["-N", "-H", "Accept: text/event-stream", &server.at("events?5,100")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The stream never ends: what is read here has come while it was open.
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    for number in 1..=5 {
        assert_eq!(lines.next().unwrap().unwrap(), format!("id: {number}"));
        assert_eq!(lines.next().unwrap().unwrap(), format!("data: event {number}"));
        assert_eq!(lines.next().unwrap().unwrap(), "");
    }
    assert!(curl.try_wait().unwrap().is_none());
    curl.kill().unwrap();
    curl.wait().unwrap();
    server.stop();
}

#[test]
fn git_clones_and_pushes() {
    let stage = Stage::new(Who::User);
    stage.write("app/app.py", include_str!("../data/git_app.py"));
    let app = stage.work().join("app");
    ok(stage.spk_in(&app).args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let server = Server::start(stage.spk_in(&app).arg("dev"));
    let url = server.at("project.git");
    let git = |dir: &str, args: &[&str]| {
        let mut git = stage.run("git");
        git.current_dir(stage.work().join(dir))
            .envs([("GIT_AUTHOR_NAME", "t"), ("GIT_AUTHOR_EMAIL", "t@localhost")])
            .envs([("GIT_COMMITTER_NAME", "t"), ("GIT_COMMITTER_EMAIL", "t@localhost")])
            .env("GIT_TERMINAL_PROMPT", "0")
            .args(args);
        let output = git.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "git {args:?}: {said}\n{}", server.said());
        String::from_utf8(output.stdout).unwrap()
    };
    git("", &["clone", "-q", &url, "one"]);
    // More than git puts into one request: this is sent in chunks of unknown number.
    let noise: Vec<u8> = pattern(0).iter().copied().cycle().take(4 << 20).collect();
    stage.write("one/large", &noise);
    stage.write("one/noise", &pattern(17)[..900_000]);
    stage.write("one/text", "hello\n");
    git("one", &["add", "."]);
    git("one", &["commit", "-q", "-m", "first"]);
    git("one", &["-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD:refs/heads/main"]);
    git("", &["clone", "-q", "-b", "main", &url, "two"]);
    assert!(fs::read(stage.work().join("two/large")).unwrap() == noise);
    // A small push in the other direction, and a pull.
    stage.write("two/text", "changed\n");
    git("two", &["commit", "-q", "-am", "second"]);
    git("two", &["push", "-q", "origin", "HEAD:refs/heads/main"]);
    git("one", &["pull", "-q", "origin", "main"]);
    assert_eq!(fs::read(stage.work().join("one/text")).unwrap(), b"changed\n");
    git("one", &["fsck", "--strict"]);
    let log = |dir| git(dir, &["log", "--format=%H"]);
    assert_eq!(log("one"), log("two"));
    server.stop();
}

/// A WebSocket to the app: one object that writes and one that reads the same connection.
fn websocket(server: &Server, path: &str) -> (WebSocket<TcpStream>, WebSocket<TcpStream>) {
    let (authority, port, _) = http::split(&server.session_url());
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let url = format!("ws://{authority}/{path}");
    let config = WebSocketConfig::default()
        .max_message_size(Some(128 << 20))
        .max_frame_size(Some(128 << 20));
    let (reader, answer) =
        tungstenite::client::client_with_config(url, stream.try_clone().unwrap(), Some(config))
            .unwrap();
    assert_eq!(answer.status(), 101);
    (WebSocket::from_raw_socket(stream, Role::Client, Some(config)), reader)
}

#[test]
fn a_websocket_carries_10_000_messages() {
    let (_stage, server) = web_app();
    let (mut writer, mut reader) = websocket(&server, "websocket");
    let message =
        |number: u32| Message::text(format!("{number} {}", "x".repeat(number as usize % 300)));
    // Half of them one by one, as in a conversation; half as fast as they go.
    for number in 0..5_000 {
        writer.send(message(number)).unwrap();
        assert_eq!(reader.read().unwrap(), message(number));
    }
    std::thread::scope(|scope| {
        scope.spawn(|| (5_000..10_000).for_each(|number| writer.send(message(number)).unwrap()));
        for number in 5_000..10_000 {
            assert_eq!(reader.read().unwrap(), message(number));
        }
    });
    server.stop();
}

#[test]
fn a_websocket_carries_64_mb_in_both_directions() {
    let (_stage, server) = web_app();
    let (mut writer, mut reader) = websocket(&server, "websocket");
    let echo =
        |writer: &mut WebSocket<TcpStream>, reader: &mut WebSocket<TcpStream>, size: usize| {
            let bytes: Vec<u8> = pattern(0).iter().copied().cycle().take(size).collect();
            std::thread::scope(|scope| {
                let sent = bytes.clone();
                scope.spawn(move || writer.send(Message::binary(sent)).unwrap());
                let Message::Binary(back) = reader.read().unwrap() else { panic!("not binary") };
                assert!(back == bytes);
            });
        };
    echo(&mut writer, &mut reader, 1 << 20);
    let watched = memory::host_and_bridge(server.pid());
    let before = watched.each_ref().map(memory::Watched::peak);
    echo(&mut writer, &mut reader, 64 << 20);
    for (process, before) in watched.iter().zip(before) {
        let (name, peak) = (process.name, process.peak());
        assert!(peak < before + SLACK, "{name} grew from {before} to {peak} bytes");
    }
    server.stop();
}
