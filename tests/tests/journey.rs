//! The whole journey with the real binaries, as an ordinary user and as root: a package
//! definition, a key, a traced development run, a package, a sandboxed run, a backup and back.
#![allow(clippy::unwrap_used)]

use std::fs;

use nix::sys::signal::Signal;
use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http, procs};

const APP: &str = include_str!("../data/app.py");

/// `spk init -p` with an app of one's own.
#[test]
fn own_app_from_init_to_restored_backup() {
    for who in Who::all("own_app_from_init_to_restored_backup") {
        let stage = Stage::new(who);
        stage.write("app.py", APP);
        stage.write("static/page.txt", "a page\n");
        let said =
            ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said[5..], ["wrote: sandstorm-pkgdef.capnp", "wrote: .gitignore"]);
        assert!(said.contains(&"wrote: rootfs/etc/hosts"), "{said:?}");

        // init made a key; keygen makes another
        let first = ok(stage.spk().arg("listkeys"));
        let made = ok(stage.spk().args(["keygen", "-q"]));
        let listed = ok(stage.spk().arg("listkeys"));
        assert_eq!(listed, format!("{first}{made}"));
        let output = stage.spk().args(["getkey", made.trim()]).output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout.len(), 128);

        let app_id = first.trim();
        develop(&stage, app_id);
        let list = fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap();
        let entries: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
        for expected in ["app.py", "sandstorm-http-bridge", "sandstorm-manifest", "static/page.txt"]
        {
            assert!(entries.contains(&expected), "{expected} is not in the list:\n{list}");
        }
        let mut sorted = entries.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(entries, sorted, "the list is sorted by bytes and without duplicates");
        assert!(!list.contains("static/other"), "only what was used is listed");

        assert_eq!(ok(stage.spk().args(["pack", "out.spk"])), first);
        let info = ok(stage.spk().args(["verify", "out.spk"]));
        assert!(info.contains(&format!("\"appId\": \"{app_id}\"")), "{info}");
        assert_eq!(ok(stage.spk().args(["unpack", "out.spk", "unpacked"])), first);
        for (path, is_dir) in [
            ("var", true),
            ("tmp", true),
            ("dev", true),
            ("proc/cpuinfo", false),
            ("app.py", false),
        ] {
            let found = stage.work().join("unpacked").join(path).symlink_metadata().unwrap();
            assert_eq!(found.is_dir(), is_dir, "{path}");
        }

        run_and_restore(&stage, app_id);
    }
}

/// The traced run, with a client that uses the app.
fn develop(stage: &Stage, app_id: &str) {
    fs::write(stage.work().join("static/other.txt"), "never used").unwrap();
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.field("appId"), app_id);
    assert_eq!(http::get(&server.at("static")).text(), "a page\n");
    assert_eq!(http::post_form(&server.at("notes"), "text=from+dev").status, 201);

    // an edit is seen by the running app
    fs::write(stage.work().join("static/page.txt"), "an edited page\n").unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while http::get(&server.at("static")).text() != "an edited page\n" {
        assert!(std::time::Instant::now() < end, "the edit does not show");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.stop();
    let left = procs::gone(&stage.spk_path(), "", std::time::Duration::from_secs(5));
    assert!(left.is_empty(), "processes stayed: {left:?}");
}

/// The packed app: identity, data that stays, backup, deletion, restore.
fn run_and_restore(stage: &Stage, app_id: &str) {
    // the sources are out of reach
    fs::rename(stage.work().join("app.py"), stage.work().join("app.moved")).unwrap();

    let server = Server::start(stage.spk().args(["run", "out.spk", "--user", "bob"]));
    let grain = server.field("grainId");
    assert_eq!(server.field("appId"), app_id);
    let who: serde_json::Value = serde_json::from_str(&http::get(&server.at("")).text()).unwrap();
    assert_eq!(who["x-sandstorm-preferred-handle"], "bob", "{who}");
    assert_eq!(who["x-sandstorm-user-id"].as_str().unwrap().len(), 32, "{who}");
    assert_eq!(http::post_form(&server.at("notes"), "text=kept").status, 201);
    assert_eq!(http::get(&server.at("notes")).text(), "kept\n");
    http_basics(&server);
    server.stop();

    let server = Server::start(stage.spk().args(["run", "out.spk", "--grain", &grain]));
    assert_eq!(server.field("grainId"), grain);
    assert_eq!(http::get(&server.at("notes")).text(), "kept\n");
    let who: serde_json::Value = serde_json::from_str(&http::get(&server.at("")).text()).unwrap();
    assert_eq!(who["x-sandstorm-preferred-handle"], "alice", "the default user: {who}");
    // a grain has one writer
    let second = fails(stage.spk().args(["run", "out.spk", "--grain", &grain, "--port", "0"]));
    assert!(String::from_utf8_lossy(&second.stderr).contains(&grain), "names the grain");
    server.stop();

    assert!(ok(stage.spk().args(["grain", "list"])).contains(&grain));
    assert!(ok(stage.spk().args(["grain", "log", &grain])).contains("the app is up"));
    ok(stage.spk().args(["grain", "export", &grain, "-o", "backup.zip"]));
    ok(stage.spk().args(["grain", "delete", &grain]));
    assert!(!ok(stage.spk().args(["grain", "list"])).contains(&grain));
    fails(stage.spk().args(["run", "out.spk", "--grain", &grain, "--port", "0"]));

    let restored = ok(stage.spk().args(["grain", "restore", "backup.zip"]));
    let restored = restored.split_whitespace().next_back().unwrap().to_owned();
    let server = Server::start(stage.spk().args(["run", "out.spk", "--grain", &restored]));
    assert_eq!(http::get(&server.at("notes")).text(), "kept\n");
    server.signal(Signal::SIGTERM);
    drop(server);
}

/// What the bridge must carry, through the front end and back.
fn http_basics(server: &Server) {
    let head = http::request("HEAD", &server.at("notes"), &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    let put = http::request("PUT", &server.at("put"), &[("Content-Type", "text/plain")], b"12345");
    assert_eq!((put.status, put.text().as_str()), (201, "5 bytes"));
    assert_eq!(http::request("DELETE", &server.at("put"), &[], b"").status, 200);
    let redirect = http::get(&server.at("redirect"));
    assert_eq!(redirect.status, 303);
    assert!(redirect.header("location").unwrap().ends_with("/notes"));
    assert!(http::get(&server.at("cookie")).header("set-cookie").unwrap().starts_with("a=b"));
    let sent = http::request("GET", &server.at("cookie"), &[("Cookie", "a=b")], b"");
    assert_eq!(sent.text(), "a=b");
    assert_eq!(http::get(&server.at("nowhere")).status, 404);
    let stream = http::get(&server.at("stream"));
    assert_eq!(stream.body.len(), 100 * 6000);
    assert!(stream.body.ends_with(b"00099\n"));
}

/// `spk init --template python`, used without any change.
#[test]
fn python_template_without_a_change() {
    for who in Who::all("python_template_without_a_change") {
        let stage = Stage::new(who);
        ok(stage.spk().args(["init", "--template", "python"]));
        let server = Server::start(stage.spk().arg("dev"));
        let page = http::get(&server.at(""));
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains("Alice"), "it greets the user: {}", page.text());
        server.stop();

        ok(stage.spk().args(["pack", "--fast", "notes.spk"]));
        let server = Server::start(stage.spk().args(["run", "notes.spk", "--user", "carol"]));
        let page = http::get(&server.at(""));
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains("Carol"), "it greets the user: {}", page.text());
        server.stop();
    }
}

/// Nobody gets a session without an unguessable part of the URL, and the front end answers to
/// its own names only.
#[test]
fn strangers_get_no_session() {
    for who in Who::all("strangers_get_no_session") {
        let stage = Stage::new(who);
        stage.write("app.py", APP);
        ok(stage.spk().args([
            "init",
            "-p",
            "8000",
            "-I",
            ".",
            "-I",
            "/",
            "--",
            "/usr/bin/python3",
            "-B",
            "/app.py",
        ]));
        let server = Server::start(stage.spk().arg("dev"));
        let (authority, port, _) = http::split(&server.session_url());
        for host in ["localhost", "127.0.0.1", "evil.example", "x.spk.localhost"] {
            for host in [host.to_owned(), format!("{host}:{port}")] {
                let raw = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
                let answer = http::parse(&http::exchange(port, raw.as_bytes()), false);
                assert!(answer.status >= 400, "{host} got {answer:?}");
            }
        }
        let listening = fs::read_to_string("/proc/net/tcp").unwrap();
        let needle = format!(":{port:04X} 00000000:0000 0A");
        let line = listening.lines().find(|line| line.contains(&needle)).unwrap();
        assert!(line.contains("0100007F:"), "only loopback is listened on: {line}");
        assert!(authority.split('.').next().unwrap().len() >= 20, "{authority} can be guessed");
        server.stop();
    }
}
