//! Each template of `spk init`, used as it is: traced, packed, run, backed up and restored, with a
//! client that uses the app as two kinds of users would.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use spk_tests::bins::ok;
use spk_tests::{Server, Stage, Who, http, projects, skip};

/// The journey of a notes app; `prepare` does what its README says comes before `spk dev`.
fn notes(template: &str, test: &str, runtime: &str, prepare: impl Fn(&Stage)) {
    if !runtime.is_empty() && !Path::new(runtime).exists() {
        skip::skip(test, &format!("{runtime} is not installed"));
        return;
    }
    for who in Who::all(test) {
        let stage = Stage::new(who);
        ok(stage.spk().args(["init", "--template", template, "--title", "My \"notes\""]));
        prepare(&stage);

        let server = Server::start(stage.spk().args(["dev", "--record"]));
        let page = http::get(&server.at(""));
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.text().contains("Alice"), "{}", page.text());
        assert_eq!(http::get(&server.at("static/style.css")).status, 200);
        assert_eq!(http::get(&server.at("nowhere")).status, 404);
        add(&server, "traced");
        server.stop();

        ok(stage.spk().args(["pack", "--fast", "app.spk"]));
        if who == Who::User {
            ok(stage.spk().args(["check", "--strict", "app.spk"]));
        }
        let server = Server::start(stage.spk().args(["run", "app.spk", "--user", "carol"]));
        let grain = server.field("grainId");
        let page = http::get(&server.at("")).text();
        assert!(page.contains("Carol") && !page.contains("traced"), "{page}");
        add(&server, "%3Ckept%3E%20%26");
        assert!(
            http::get(&server.at("")).text().contains("&#60;kept&#62;")
                || http::get(&server.at("")).text().contains("&lt;kept&gt;")
        );
        server.stop();

        // Somebody who may only read.
        let server = Server::start(stage.spk().args([
            "run",
            "app.spk",
            "--grain",
            &grain,
            "--permissions",
            "",
        ]));
        let page = http::get(&server.at("")).text();
        assert!(page.contains("kept") && !page.contains("<form"), "{page}");
        assert_eq!(http::post_form(&server.at("notes"), "text=no").status, 403);
        server.stop();

        ok(stage.spk().args(["grain", "export", &grain, "-o", "backup.zip"]));
        ok(stage.spk().args(["grain", "delete", &grain]));
        let restored = ok(stage.spk().args(["grain", "restore", "backup.zip"]));
        let restored = restored.split_whitespace().next_back().unwrap();
        let server = Server::start(stage.spk().args(["run", "app.spk", "--grain", restored]));
        assert!(http::get(&server.at("")).text().contains("kept"));
        server.stop();
    }
}

fn add(server: &Server, text: &str) {
    let answer = http::post_form(&server.at("notes"), &format!("text={text}"));
    assert_eq!(answer.status, 303, "{answer:?}");
}

#[test]
fn python_from_init_to_restore() {
    notes("python", "python_from_init_to_restore", "/usr/bin/python3", |_| ());
}

#[test]
fn node_from_init_to_restore() {
    notes("node", "node_from_init_to_restore", "/usr/bin/node", |_| ());
}

#[test]
fn php_from_init_to_restore() {
    notes("php", "php_from_init_to_restore", "/usr/bin/php", |_| ());
}

#[test]
fn rust_from_init_to_restore() {
    notes("rust", "rust_from_init_to_restore", "", |stage| {
        projects::build("rust", &stage.work());
        stage.who.own(&stage.work());
    });
}

/// Rust that speaks Cap'n Proto itself; its own test, with a stand-in for the platform, too.
#[test]
fn raw_from_init_to_restore() {
    notes("raw", "raw_from_init_to_restore", "", |stage| {
        projects::test("raw", &stage.work());
        projects::build("raw", &stage.work());
        stage.who.own(&stage.work());
        let program = stage.work().join("target/x86_64-unknown-linux-gnu/release/notes");
        let headers = ok(Command::new("readelf").arg("-ld").arg(program));
        assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "{headers}");
    });
}

/// Python that speaks Cap'n Proto itself.
#[test]
fn raw_python_from_init_to_restore() {
    notes("raw-python", "raw_python_from_init_to_restore", "/usr/bin/python3", |stage| {
        projects::pip(&stage.work());
        stage.who.own(&stage.work());
        assert_eq!(ok(stage.run("/usr/bin/python3").args(["-B", "test_app.py"])), "ok\n");
    });
}

#[test]
fn static_site_from_init_to_restore() {
    for who in Who::all("static_site_from_init_to_restore") {
        let stage = Stage::new(who);
        ok(stage.spk().args(["init", "--template", "static"]));
        stage.write("public/sub/index.html", "below");
        stage.write("public/.hidden", "secret");
        stage.write("public/digits.txt", "0123456789");
        let server = Server::start(stage.spk().args(["dev", "--record"]));
        assert!(http::get(&server.at("")).text().contains("It works"));
        server.stop();

        ok(stage.spk().args(["pack", "--fast", "app.spk"]));
        if who == Who::User {
            ok(stage.spk().args(["check", "--strict", "app.spk"]));
        }
        let server = Server::start(stage.spk().args(["run", "app.spk"]));
        let grain = server.field("grainId");
        let page = http::get(&server.at(""));
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{page:?}");
        assert_eq!(http::get(&server.at("static/style.css")).status, 200);
        assert_eq!(http::get(&server.at("sub/")).text(), "below");
        assert_eq!(http::get(&server.at("sub")).status, 301);
        for path in [".hidden", "static/", "static/../.hidden", "%2e%2e/server.py", "none"] {
            assert_eq!(http::get(&server.at(path)).status, 404, "{path}");
        }
        let tag = http::get(&server.at("digits.txt")).header("etag").unwrap().to_owned();
        let again = http::request("GET", &server.at("digits.txt"), &[("If-None-Match", &tag)], b"");
        assert_eq!(again.status, 304);
        server.stop();

        ok(stage.spk().args(["grain", "export", &grain, "-o", "backup.zip"]));
        let restored = ok(stage.spk().args(["grain", "restore", "backup.zip"]));
        let server = Server::start(stage.spk().args(["grain", "open", restored.trim()]));
        assert_eq!(http::get(&server.at("sub/")).text(), "below");
        server.stop();
    }
}
