//! `spk init` in the directory of an app that is there already: what it proposes works, and the
//! app's own files stay as they are.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::symlink;
use std::path::Path;

use spk_tests::bins::{copy_program, describe, fails, ok};
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

/// `npm start` with an environment of its own, and a port that only this says.
#[test]
fn npm_start_with_environment() {
    if !has("/usr/bin/node", "npm_start_with_environment") {
        return;
    }
    let stage = Stage::new(Who::User);
    stage.write(
        "package.json",
        format!(r#"{{"scripts": {{"start": "PAGE='{GREETING}' PORT=3141 node server"}}}}"#),
    );
    stage.write(
        "server.js",
        "require('http').createServer((q, a) => a.end(process.env.PAGE)).listen(process.env.PORT);\n",
    );
    let said = init(&stage, &[]);
    assert!(said.contains("port: 3141 (package.json line 1)"), "{said}");
    journey(&stage);
}

/// What `spk init -y` says on stderr.
fn init(stage: &Stage, args: &[&str]) -> String {
    let output = stage.spk().args(["init", "-y"]).args(args).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    String::from_utf8(output.stderr).unwrap()
}

/// A server for WSGI, called as gunicorn is, from where `spk init` has packages installed.
fn gunicorn(stage: &Stage) {
    stage.write(".sandstorm/site/gunicorn/__init__.py", "");
    stage.write(
        ".sandstorm/site/gunicorn/__main__.py",
        "import argparse, importlib, wsgiref.simple_server\n\
         options = argparse.ArgumentParser()\n\
         options.add_argument('--bind')\n\
         options.add_argument('--worker-tmp-dir')\n\
         options.add_argument('app')\n\
         given = options.parse_args()\n\
         host, port = given.bind.split(':')\n\
         module, name = given.app.split(':')\n\
         app = getattr(importlib.import_module(module), name)\n\
         wsgiref.simple_server.make_server(host, int(port), app).serve_forever()\n",
    );
}

const WSGI: &str = "import os\n\
    def web(environ, start):\n\
    \x20   start('200 OK', [('Content-Type', 'text/plain')])\n\
    \x20   text = open('/var/lib/app/prepared').read() + os.environ['WHERE']\n\
    \x20   return [text.encode()]\n";

/// The line `web` with its environment, behind what `release` prepares at each start.
#[test]
fn procfile() {
    for who in Who::all("procfile") {
        let stage = Stage::new(who);
        gunicorn(&stage);
        stage.write("requirements.txt", "gunicorn\n");
        stage.write("site_of_ours.py", WSGI);
        stage.write("prepare.py", "open('/var/lib/app/prepared', 'w').write('hello from ')\n");
        stage.write(
            "Procfile",
            "release: python prepare.py\n\
             web: WHERE=/opt/app gunicorn --bind 0.0.0.0:$PORT site_of_ours:web\n",
        );
        let said = init(&stage, &[]);
        assert!(said.contains("started as Procfile line 2 says"), "{said}");
        journey(&stage);
    }
}

#[test]
fn what_is_not_understood_is_said() {
    let stage = Stage::new(Who::User);
    stage.write(
        "Procfile",
        "web: python app.py 2>&1 | tee /tmp/log\nworker: python jobs.py\nwhatever\n",
    );
    stage.write(
        "Dockerfile",
        "FROM python:3\nENV SECRET_KEY=x LANG=C\nEXPOSE 80\nVOLUME /data\nCMD python app.py; true\n",
    );
    stage.write("app.py", "import socket\nsocket.create_server(('127.0.0.1', 8765))\n");
    let dry = stage.spk().args(["init", "--dry-run"]).output().unwrap();
    assert!(dry.status.success(), "{}", describe(&dry));
    let said = String::from_utf8(dry.stderr).unwrap();
    insta::assert_snapshot!("init_not_understood", said);
    // Where nothing else says how it would be started, neither is the reason kept back.
    std::fs::remove_file(stage.work().join("app.py")).unwrap();
    let nothing = fails(stage.spk().arg("init"));
    let said = String::from_utf8(nothing.stderr).unwrap();
    insta::assert_snapshot!("init_nothing_understood", said);
}

/// Port and command of the command line, each alone, take the place of what was found.
#[test]
fn wishes() {
    let server = |words: &str| {
        format!(
            "import http.server, os, sys\n\
             class H(http.server.BaseHTTPRequestHandler):\n\
             \x20   def do_GET(self):\n\
             \x20       self.send_response(200)\n\
             \x20       self.end_headers()\n\
             \x20       self.wfile.write(({words}).encode())\n\
             port = int(os.environ['PORT'])\n\
             http.server.HTTPServer((\"127.0.0.1\", port), H).serve_forever()\n"
        )
    };
    let files = [
        ("app.py", format!("'{GREETING}, found, ' + str(port)")),
        ("other.py", format!("'{GREETING}, other, ' + ' '.join(sys.argv[1:])")),
    ];
    let says = |args: &[&str], expected: &str| {
        let stage = Stage::new(Who::User);
        for (name, words) in &files {
            stage.write(name, server(words));
        }
        let said = init(&stage, args);
        let running = Server::start(stage.spk().arg("dev"));
        let text = http::get(&running.at("")).text();
        assert_eq!(text, format!("{GREETING}, {expected}"), "{said}\n{}", running.said());
        running.stop();
        said
    };
    let said = says(&["-p", "9123"], "found, 9123");
    assert!(said.contains("port: 9123\n"), "{said}");
    let said =
        says(&["--", "/usr/bin/python3", "-B", "other.py", "it's $HOME"], "other, it's $HOME");
    assert!(said.contains("the command that was found is not taken"), "{said}");
    assert!(said.contains("/opt/app/app.py"), "{said}");

    // Where nothing is found, what lacks is said as ever.
    let stage = Stage::new(Who::User);
    let output = fails(stage.spk().args(["init", "-p", "8000"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(describe(&output).contains("no command given"), "{}", describe(&output));
    let output = fails(stage.spk().args(["init", "--", "/bin/true"]));
    assert!(
        describe(&output).contains("either --port or --raw is needed"),
        "{}",
        describe(&output)
    );
    // With both there is nothing to be found.
    stage.write("app.py", "");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/bin/true"]));
    assert!(stage.work().join("sandstorm-pkgdef.capnp").exists());
}

/// A program of `cmd`, built as it is said, on the port that it names itself.
#[test]
fn go_command() {
    let Some(go) =
        ["/usr/bin/go", "/usr/local/bin/go"].into_iter().find(|go| Path::new(go).exists())
    else {
        skip::skip("go_command", "go is not installed");
        return;
    };
    let stage = Stage::new(Who::User);
    stage.write("go.mod", "module example.org/greeter\n\ngo 1.19\n");
    stage.write("cmd/tool/main.go", "package main\n\nfunc main() {}\n");
    stage.write(
        "greeting/greeting.go",
        format!("package greeting\n\nconst Text = \"{GREETING}\"\n"),
    );
    // Without net/http, which takes long to compile.
    stage.write(
        "cmd/greeter/main.go",
        "package main\n\nimport (\n\t\"bufio\"\n\t\"net\"\n\n\t\"example.org/greeter/greeting\"\n)\n\n\
         func main() {\n\
         \tlistener, err := net.Listen(\"tcp\", \"127.0.0.1:8081\")\n\
         \tif err != nil {\n\t\tpanic(err)\n\t}\n\
         \tfor {\n\
         \t\tclient, err := listener.Accept()\n\
         \t\tif err != nil {\n\t\t\tpanic(err)\n\t\t}\n\
         \t\tgo func() {\n\
         \t\t\tlines := bufio.NewReader(client)\n\
         \t\t\tfor line := \"\"; line != \"\\r\\n\"; {\n\
         \t\t\t\tif line, err = lines.ReadString('\\n'); err != nil {\n\t\t\t\t\tbreak\n\t\t\t\t}\n\
         \t\t\t}\n\
         \t\t\tclient.Write([]byte(\"HTTP/1.0 200 OK\\r\\n\\r\\n\" + greeting.Text))\n\
         \t\t\tclient.Close()\n\
         \t\t}()\n\
         \t}\n}\n",
    );
    let said = init(&stage, &[]);
    assert!(said.contains("port: 8081 (cmd/greeter/main.go line 11)"), "{said}");
    assert!(said.contains("of cmd, greeter is built, and not tool"), "{said}");
    let build = said.lines().find_map(|line| line.strip_prefix("to be done before: ")).unwrap();
    let path = format!("{}:/usr/bin:/bin", Path::new(go).parent().unwrap().display());
    ok(stage.run("/bin/sh").args(["-c", build]).env("PATH", path).env("GOPROXY", "off"));
    journey(&stage);
}

/// Ruby with a Gemfile and a port that the source names.
#[test]
fn ruby_app() {
    if !has("/usr/bin/ruby", "ruby_app") {
        return;
    }
    let stage = Stage::new(Who::User);
    stage.write("Gemfile", "# Ruby alone will do\n");
    stage.write("page.txt", GREETING);
    stage.write(
        "server.rb",
        "require 'socket'\n\
         server = TCPServer.new('127.0.0.1', 4567)\n\
         loop do\n\
         \x20 client = server.accept\n\
         \x20 until client.gets.to_s.strip.empty? do end\n\
         \x20 begin\n\
         \x20   client.print \"HTTP/1.0 200 OK\\r\\n\\r\\n\", File.read('page.txt')\n\
         \x20   client.close\n\
         \x20 rescue Errno::EPIPE # Somebody only asked whether it listens.\n\
         \x20 end\n\
         end\n",
    );
    let said = init(&stage, &[]);
    assert!(said.contains("port: 4567 (server.rb line 2)"), "{said}");
    journey(&stage);
}

/// An environment of uv's: its interpreter is a link to one in the home. What would fail is said by
/// `spk init`, and what it advises mends it.
#[test]
fn interpreters_in_a_home_are_told_of() {
    let stage = Stage::new(Who::User);
    let place = stage.home().join(".local/share/uv/python/cpython-3/bin");
    std::fs::create_dir_all(&place).unwrap();
    let python = std::fs::canonicalize("/usr/bin/python3").unwrap();
    copy_program(&python, &place.join("python3"));
    stage.who.own(&stage.home());
    stage.write(".venv/pyvenv.cfg", format!("home = {}\n", place.display()));
    std::fs::create_dir(stage.work().join(".venv/bin")).unwrap();
    symlink(place.join("python3"), stage.work().join(".venv/bin/python")).unwrap();
    stage.write(
        "app.py",
        format!(
            "import http.server\n\
             class H(http.server.BaseHTTPRequestHandler):\n\
             \x20   def do_GET(self):\n\
             \x20       self.send_response(200)\n\
             \x20       self.end_headers()\n\
             \x20       self.wfile.write(b'{GREETING}')\n\
             http.server.HTTPServer((\"127.0.0.1\", 8000), H).serve_forever()\n"
        ),
    );
    let home = std::fs::canonicalize(stage.home()).unwrap();
    let filtered = |said: String| said.replace(home.to_str().unwrap(), "[HOME]");
    let found = stage.spk().args(["init", "--dry-run"]).output().unwrap();
    let said = filtered(String::from_utf8(found.stderr).unwrap());
    insta::assert_snapshot!("init_environment_of_uv", said);

    // As the original has it, with the project's own interpreter.
    let command = ["init", "-p", "8000", "--", "/.venv/bin/python", "-B", "/app.py"];
    let output = stage.spk().args(command).output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
    let said = filtered(String::from_utf8(output.stderr).unwrap());
    assert!(
        said.contains(
            ".venv/bin/python leads to [HOME]/.local/share/uv/python/cpython-3/bin/python3"
        ),
        "{said}"
    );
    assert!(
        said.contains("hint: take a program below /usr (for Python: /usr/bin/python3 -m venv"),
        "{said}"
    );
    let renewed = ["-m", "venv", "--clear", "--without-pip", ".venv"];
    ok(stage.run("/usr/bin/python3").args(renewed));
    let output = stage.spk().args(["init", "--force"]).args(&command[1..]).output().unwrap();
    assert!(!describe(&output).contains("leads to"), "{}", describe(&output));
    journey(&stage);
}

/// The node of nvm, which is on the shell's PATH alone.
#[test]
fn interpreters_of_the_shell_are_told_of() {
    let stage = Stage::new(Who::User);
    let bin = stage.home().join(".nvm/versions/node/v20.1.0/bin");
    std::fs::create_dir_all(&bin).unwrap();
    copy_program(Path::new("/bin/true"), &bin.join("node"));
    stage.who.own(&stage.home());
    stage.write("package.json", "{}");
    stage.write("index.js", "listen(3000)");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let output = stage.spk().args(["init", "--dry-run"]).env("PATH", path).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected =
        format!("the node of your shell is {}/node, which the sandbox does not", bin.display());
    assert!(said.contains(&expected), "{said}");
    // One of the machine's own is not worth a word.
    let output = stage.spk().args(["init", "--dry-run"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("of your shell"), "{said}");
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
