//! `spk init` in the directory of an app that is there already: what it proposes works, and the
//! app's own files stay as they are.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http, skip};

/// What every app here answers at its root.
const GREETING: &str = "hello from /opt/app";

/// Recognised, traced, packed and run.
fn journey(stage: &Stage) {
    let server = Server::start(stage.spk().arg("dev"));
    assert!(http::get(&server.at("")).text().contains(GREETING), "{}", server.said());
    server.stop();
    ok(stage.spk().args(["pack", "--fast", "app.spk"]));
    let server = Server::start(stage.spk().args(["run", "app.spk"]));
    assert!(http::get(&server.at("")).text().contains(GREETING), "{}", server.said());
    server.stop();
}

fn has(program: &str, test: &str) -> bool {
    let there = Path::new(program).exists();
    if !there {
        skip::skip(test, &format!("{program} is not installed"));
    }
    there
}

#[test]
fn node_app() {
    if !has("/usr/bin/node", "node_app") {
        return;
    }
    let stage = Stage::new(Who::User);
    stage.write("package.json", r#"{"name": "greeter", "scripts": {"start": "node lib/main.js"}}"#);
    stage.write("views/page.html", GREETING);
    stage.write(
        "lib/main.js",
        "const fs = require('fs');\n\
         require('http').createServer((q, a) => a.end(fs.readFileSync('views/page.html')))\n\
         .listen(process.env.PORT || 3000, '127.0.0.1');\n",
    );
    // It asks before it writes, and there is nobody to ask.
    let output = fails(stage.spk().arg("init"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("found a Node app (package.json)"), "{said}");
    assert!(said.contains("/opt/app/lib/main.js") && said.contains("port: 8000"), "{said}");
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(output.status.code(), Some(2));
    assert!(!stage.work().join(".sandstorm").exists());
    let shown = ok(stage.spk().args(["init", "--dry-run"]));
    assert!(shown.contains("would write: .sandstorm/sandstorm-pkgdef.capnp"), "{shown}");
    assert!(!stage.work().join(".sandstorm").exists());
    assert!(!stage.home().join(".sandstorm-keyring").exists(), "no key for nothing");

    ok(stage.spk().args(["init", "--yes"]));
    let definition =
        std::fs::read_to_string(stage.work().join(".sandstorm/sandstorm-pkgdef.capnp")).unwrap();
    assert!(definition.contains("\"greeter\""), "{definition}");
    journey(&stage);

    // Below the project it is found, too.
    let lines = ok(stage.spk_in(&stage.work().join("lib")).args([
        "files",
        "why",
        "opt/app/views/page.html",
    ]));
    assert!(lines.contains("views/page.html"), "{lines}");
}

#[test]
fn python_app_with_its_own_port() {
    let stage = Stage::new(Who::User);
    stage.write("requirements.txt", "# nothing\n");
    stage.write(
        "server.py",
        format!(
            "import http.server\n\
             class H(http.server.BaseHTTPRequestHandler):\n\
             \x20   def do_GET(self):\n\
             \x20       self.send_response(200)\n\
             \x20       self.end_headers()\n\
             \x20       self.wfile.write(b'{GREETING}')\n\
             http.server.HTTPServer((\"127.0.0.1\", 8123), H).serve_forever()\n"
        ),
    );
    ok(stage.spk().args(["init", "-y"]));
    journey(&stage);
}

#[test]
fn php_app() {
    if !has("/usr/bin/php", "php_app") {
        return;
    }
    let stage = Stage::new(Who::User);
    stage.write("public/index.php", format!("<?php echo '{GREETING}';"));
    stage.write("public/session.php", SESSION);
    ok(stage.spk().args(["init", "-y"]));
    journey(&stage);
    php_sessions(&stage, "session.php");
}

/// Counts the visits of a session.
const SESSION: &str = "<?php session_start(); $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1; echo 'visit ', $_SESSION['n'];";

/// What was kept of a session is there for the next request, and after the app was started again.
fn php_sessions(stage: &Stage, page: &str) {
    let mut cookie = String::new();
    for visits in [[1, 2], [3, 4]] {
        let server = Server::start(stage.spk().arg("dev"));
        for visit in visits {
            let answer = http::request("GET", &server.at(page), &[("Cookie", &cookie)], b"");
            assert_eq!(answer.text(), format!("visit {visit}"), "{}", server.said());
            if let Some(set) = answer.header("set-cookie") {
                cookie = set.split(';').next().unwrap().to_owned();
            }
        }
        server.stop();
    }
}

#[test]
fn php_template_keeps_sessions() {
    if !has("/usr/bin/php", "php_template_keeps_sessions") {
        return;
    }
    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["init", "-q", "--template", "php"]));
    stage.write("public/index.php", SESSION);
    php_sessions(&stage, "");
}

#[test]
fn site_of_files() {
    let stage = Stage::new(Who::User);
    stage.write("index.html", GREETING);
    stage.write("never-asked-for.txt", "packed all the same");
    ok(stage.spk().args(["init", "-y"]));
    journey(&stage);
    let listed = ok(stage.spk().args(["ls", "app.spk", "opt/app"]));
    assert!(listed.contains("never-asked-for.txt"), "{listed}");
    assert!(!listed.contains(".sandstorm"), "{listed}");
}

/// As `vagrant-spk setupvm` and `vagrant-spk init` leave a project: the definition maps its own
/// directory and the whole machine, where the project is `/opt/app`.
#[test]
fn project_of_vagrant_spk() {
    let stage = Stage::new(Who::User);
    stage.write(
        "app.py",
        "import http.server\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20   def do_GET(self):\n\
         \x20       self.send_response(200)\n\
         \x20       self.end_headers()\n\
         \x20       self.wfile.write(open('static/page.txt', 'rb').read())\n\
         http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()\n",
    );
    stage.write("static/page.txt", GREETING);
    stage.write(
        ".sandstorm/launcher.sh",
        "#!/bin/bash\nset -euo pipefail\nmkdir -p /var/lib\ncd /opt/app\n\
         exec /usr/bin/python3 -B /opt/app/app.py\n",
    );
    stage.write(".sandstorm/stack", "python\n");
    // As vagrant-spk calls it.
    ok(stage.spk_in(&stage.work().join(".sandstorm")).args([
        "init",
        "-p",
        "8000",
        "--output=sandstorm-pkgdef.capnp",
        "--",
        "/bin/bash",
        "/opt/app/.sandstorm/launcher.sh",
    ]));
    let said = stage.spk().arg("init").output().unwrap();
    assert!(said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("/opt/app"), "{said:?}");

    journey(&stage);
    let list =
        std::fs::read_to_string(stage.work().join(".sandstorm/sandstorm-files.list")).unwrap();
    assert!(list.contains("opt/app/.sandstorm/launcher.sh\n"), "{list}");
}
