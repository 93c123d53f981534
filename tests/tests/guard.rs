//! What is the packager's stays the packager's: keyrings, grains, recorded requests, homes and
//! secrets get neither to the app in `spk dev` nor into a package.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http};

/// Says how many bytes of a file it can read, or what is in a directory.
const APP: &str = r#"
import http.server, os, urllib.parse
class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        path = urllib.parse.unquote(self.path[1:])
        try:
            if os.path.isdir("/" + path): text = " ".join(sorted(os.listdir("/" + path)))
            else: text = "%d bytes" % len(open("/" + path, "rb").read())
        except OSError as e: text = e.strerror
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
http.server.ThreadingHTTPServer(("127.0.0.1", 8000), App).serve_forever()
"#;

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
                   b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
                   -----END OPENSSH PRIVATE KEY-----\n";

/// A project that packs its whole directory, whatever is in it.
fn project(who: Who) -> Stage {
    let stage = Stage::new(who);
    ok(stage.spk().args(["init", "-q", "-k", "my-keyring", "--template", "python"]));
    let definition = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&definition).unwrap();
    let whole = text.replace("\"opt/app/app.py\", \"opt/app/static\",", "\"opt/app\",");
    assert_ne!(text, whole, "the template packs by name");
    stage.write("sandstorm-pkgdef.capnp", whole);
    stage.write("app.py", APP);
    stage
}

/// Where the definition names the project's directory among what is always packed.
const NAMED: &str = "[\n    \"opt/app\",";

/// What the app says about paths; then the list is there.
fn asked(stage: &Stage, paths: &[&str]) -> Vec<String> {
    let server = Server::start(stage.spk().args(["dev", "-k", "my-keyring"]));
    let said = paths.iter().map(|path| http::get(&server.at(path)).text()).collect();
    server.stop();
    said
}

fn packed(stage: &Stage, output: &str) -> String {
    ok(stage.spk().args(["pack", "-q", "--fast", "-k", "my-keyring", output]));
    ok(stage.spk().args(["ls", output]))
}

/// Packing is refused; gives what was said. Nothing is written.
fn refused(stage: &Stage, more: &[&str]) -> String {
    let output =
        fails(stage.spk().args(["pack", "--fast", "-k", "my-keyring", "out.spk"]).args(more));
    assert!(!stage.work().join("out.spk").exists());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn keyrings_are_neither_shown_nor_packed() {
    for who in Who::all("keyrings_are_neither_shown_nor_packed") {
        let stage = project(who);
        // the one in use, another name of it, and a copy
        fs::hard_link(stage.work().join("my-keyring"), stage.work().join("linked")).unwrap();
        let keys = fs::read(stage.work().join("my-keyring")).unwrap();
        stage.write("static/backup", &keys);
        stage.write("static/notes.txt", "x".repeat(128));
        let said = asked(
            &stage,
            &[
                "opt/app",
                "opt/app/my-keyring",
                "opt/app/linked",
                "opt/app/static/backup",
                "opt/app/static/notes.txt",
            ],
        );
        assert!(!said[0].contains("my-keyring") && !said[0].contains("linked"), "{said:?}");
        let gone = "No such file or directory";
        assert_eq!(said[1..], [gone, gone, gone, "128 bytes"]);
        let listed = packed(&stage, "out.spk");
        for name in ["my-keyring", "linked", "static/backup"] {
            assert!(!listed.contains(&format!("opt/app/{name}\n")), "{listed}");
        }
        assert!(listed.contains("opt/app/static/notes.txt"), "{listed}");

        // A damaged one, which only its content gives away, and what is said about it all.
        stage.write("static/damaged", [&[0xff; 40][..], &keys].concat());
        let output = stage
            .spk()
            .args(["pack", "--fast", "--json", "-k", "my-keyring", "out.spk"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("left out: a keyring"), "{said}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = json["findings"].as_array().unwrap();
        for name in ["my-keyring", "linked", "static/backup", "static/damaged"] {
            let path = format!("opt/app/{name}");
            let found = findings.iter().find(|finding| finding["path"] == *path).unwrap();
            assert_eq!(
                (&found["kind"], &found["outcome"]),
                (&"keyring".into(), &"left-out".into())
            );
        }
        assert!(!ok(stage.spk().args(["ls", "out.spk"])).contains("damaged"));
    }
}

#[test]
fn the_state_directory_is_neither_shown_nor_packed() {
    for who in Who::all("the_state_directory_is_neither_shown_nor_packed") {
        let stage = project(who);
        let state = stage.work().join("state");
        let spk = |args: &[&str]| {
            let mut command = stage.spk();
            command.env("SPK_STATE", &state).args(args);
            command
        };
        // it does not exist yet when the view is made
        let server = Server::start(&mut spk(&["dev"]));
        let said = http::get(&server.at("opt/app/state")).text();
        let listed = http::get(&server.at("opt/app")).text();
        server.stop();
        assert_eq!(said, "No such file or directory");
        assert!(!listed.split(' ').any(|name| name == "state"), "{listed}");
        assert!(state.join("grains").is_dir());
        ok(&mut spk(&["pack", "-q", "--fast", "-k", "my-keyring", "out.spk"]));
        let listed = ok(&mut spk(&["ls", "out.spk"]));
        assert!(!listed.contains("opt/app/state"), "{listed}");

        // reached through a link as well
        std::os::unix::fs::symlink("state", stage.work().join("link")).unwrap();
        let definition = stage.work().join("sandstorm-pkgdef.capnp");
        let text = fs::read_to_string(&definition).unwrap();
        let more = text.replace(
            "(sourcePath = \"rootfs\"),",
            "(sourcePath = \"rootfs\"), (packagePath = \"grains\", sourcePath = \"link/grains\"),",
        );
        stage.write("sandstorm-pkgdef.capnp", more.replace(NAMED, &format!("{NAMED} \"grains\",")));
        ok(&mut spk(&["pack", "-q", "--fast", "-k", "my-keyring", "out.spk"]));
        let listed = ok(&mut spk(&["ls", "out.spk"]));
        assert!(!listed.contains("storage") && !listed.contains("var/lib"), "{listed}");
    }
}

#[test]
fn packing_twice_gives_the_same_and_other_packages_are_refused() {
    for who in Who::all("packing_twice_gives_the_same_and_other_packages_are_refused") {
        let stage = project(who);
        asked(&stage, &[""]);
        packed(&stage, "notes-1.spk");
        let first = fs::read(stage.work().join("notes-1.spk")).unwrap();
        let listed = packed(&stage, "notes-1.spk");
        assert!(!listed.contains("notes-1.spk"), "{listed}");
        assert_eq!(fs::read(stage.work().join("notes-1.spk")).unwrap(), first);
        // under another name, and without any
        fs::copy(stage.work().join("notes-1.spk"), stage.work().join("static/blob")).unwrap();
        let said = refused(&stage, &[]);
        assert!(
            said.contains("a package itself: opt/app/notes-1.spk, opt/app/static/blob"),
            "{said}"
        );
        ok(stage
            .spk()
            .args(["pack", "--fast", "-k", "my-keyring", "--allow", "/opt/app/notes-1.spk"])
            .args(["--allow", "opt/app/static", "out.spk"]));
    }
}

/// A redirection writes into the project as `-o` does.
#[test]
fn a_package_on_stdout_is_not_in_itself() {
    let stage = project(Who::User);
    asked(&stage, &[""]);
    let out = stage.work().join("out.tmp");
    let made = || {
        let file = fs::File::create(&out).unwrap();
        let mut pack = stage.spk();
        let pack = pack.args(["pack", "-q", "--fast", "-k", "my-keyring", "-"]).stdout(file);
        assert!(pack.status().unwrap().success());
        (ok(stage.spk().args(["ls", "-l", "out.tmp"])), fs::read(&out).unwrap())
    };
    let (first, bytes) = made();
    assert!(!first.contains("out.tmp"), "{first}");
    let (second, again) = made();
    assert_eq!(second, first);
    assert!(again == bytes, "the second is another");
}

/// The distribution's files are nobody's secret; a project of root's among them is.
#[test]
fn a_project_among_the_files_of_the_distribution_is_guarded() {
    if !nix::unistd::geteuid().is_root() {
        let reason = "only root writes there";
        return spk_tests::skip::needs_root("a_project_among_the_files", reason);
    }
    // Times of directories are in packages, which other tests compare meanwhile: one that is in none.
    let dir = tempfile::Builder::new().prefix("spk-test.").tempdir_in("/usr/share/doc").unwrap();
    let stage = project(Who::Root);
    let keys = fs::read(stage.work().join("my-keyring")).unwrap();
    asked(&stage, &[""]);
    let path = dir.path().to_str().unwrap();
    let list = fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap();
    let definition = fs::read_to_string(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
    let definition = definition.replace("sourcePath = \".\"", &format!("sourcePath = \"{path}\""));
    for (name, text) in [
        ("sandstorm-pkgdef.capnp", definition.as_bytes()),
        ("sandstorm-files.list", list.as_bytes()),
        ("app.py", APP.as_bytes()),
        ("static/.env", b"DB_PASSWORD=hunter2\n"),
        ("server.key", KEY.as_bytes()),
        ("static/page", b"x"),
        ("ring.old", &[&keys[..], &[0; 50]].concat()),
    ] {
        let file = dir.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    ok(Command::new("cp").arg("-r").arg(stage.work().join("rootfs")).arg(path));
    ok(Command::new("chmod").args(["-R", "u=rwX,go=rX", path]));
    let keyring = stage.work().join("my-keyring");
    let pack = |more: &[&str]| {
        let mut pack = stage.spk_in(dir.path());
        pack.args(["pack", "--fast", "-k"]).arg(&keyring).arg("out.spk").args(more);
        pack
    };
    let said = describe(&fails(&mut pack(&[])));
    assert!(said.contains("opt/app/static/.env") && said.contains("opt/app/server.key"), "{said}");
    ok(&mut pack(&["--allow", "opt/app/static/.env", "--allow", "opt/app/server.key"]));
    let listed = ok(stage.spk_in(dir.path()).args(["ls", "out.spk"]));
    assert!(listed.contains("opt/app/static/.env") && !listed.contains("ring.old"), "{listed}");
}

#[test]
fn recorded_requests_and_traces_are_left_out() {
    for who in Who::all("recorded_requests_and_traces_are_left_out") {
        let stage = project(who);
        // As vagrant-spk has it: the definition in .sandstorm, nothing hidden.
        let text = fs::read_to_string(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
        let start = text.find("(packagePath = \"opt/app\", sourcePath = \".\"").unwrap();
        let end = start + text[start..].find("])").unwrap() + 2;
        let shown = "(packagePath = \"opt/app\", sourcePath = \"..\")";
        fs::create_dir(stage.work().join(".sandstorm")).unwrap();
        fs::rename(stage.work().join("rootfs"), stage.work().join(".sandstorm/rootfs")).unwrap();
        fs::remove_file(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
        let moved = [&text[..start], shown, &text[end..]].concat();
        stage.write(".sandstorm/sandstorm-pkgdef.capnp", moved);
        let server = Server::start(stage.spk().args(["dev", "--record", "-k", "my-keyring"]));
        http::get(&server.at("etc/hosts"));
        server.stop();
        let requests = ".sandstorm/.sandstorm-files.list.requests";
        let recorded = fs::read(stage.work().join(requests)).unwrap();
        assert!(stage.work().join(".sandstorm/.sandstorm-files.list.trace").exists());
        // and a copy, which is as good
        stage.write("static/saved.json", recorded);
        let listed = packed(&stage, "out.spk");
        for name in [".requests\n", ".trace\n", "saved.json\n"] {
            assert!(!listed.contains(name), "{name}: {listed}");
        }
        assert!(listed.contains("opt/app/app.py"), "{listed}");
    }
}

#[test]
fn secrets_are_refused_unless_they_are_named() {
    for who in Who::all("secrets_are_refused_unless_they_are_named") {
        let stage = project(who);
        asked(&stage, &[""]);
        stage.write("id_rsa", KEY);
        stage.write("static/deploy", KEY);
        stage.write(".env.local", "DB_PASSWORD=hunter2\n");
        stage.write(".npmrc", "//registry.example/:_authToken=abcdef\n");
        stage.write(".svn/entries", "12\n");
        stage.write("app.py~", "old\n");
        // none of these is one
        stage.write(".env.example", "DB_PASSWORD=\n");
        stage.write("static/cert.pem", KEY.replace("OPENSSH PRIVATE KEY", "CERTIFICATE"));
        stage.write("node_modules/tls/test.key", KEY);
        let all = [
            "a password or token: opt/app/.env.local, opt/app/.npmrc\n",
            "a version control directory, with the whole history: opt/app/.svn\n",
            "an editor's or desktop's left-over: opt/app/app.py~\n",
            "a private key: opt/app/id_rsa, opt/app/static/deploy\n",
        ];
        for more in [&[][..], &["--dry-run"], &["--json"]] {
            let said = refused(&stage, more);
            for line in all {
                assert!(said.contains(line), "{line}: {said}");
            }
            // told of, not refused
            assert!(
                said.contains("warning")
                    && said.contains("a private key: opt/app/node_modules/tls/test.key"),
                "{said}"
            );
        }
        // some allowed on the command line, some by the definition, the rest gone
        let text = fs::read_to_string(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
        let named = text.replace(NAMED, &format!("{NAMED} \"opt/app/id_rsa\","));
        stage.write("sandstorm-pkgdef.capnp", named);
        fs::remove_file(stage.work().join("app.py~")).unwrap();
        fs::remove_dir_all(stage.work().join(".svn")).unwrap();
        let said = refused(&stage, &["--allow", "opt/app/.env.local"]);
        assert!(!said.contains("error: the package, app") && said.contains(".npmrc"), "{said}");
        let allow = ["--allow", "opt/app/.env.local", "--allow", "opt/app/.npmrc"];
        let made = ok(stage
            .spk()
            .args(["pack", "--fast", "--json", "-k", "my-keyring", "out.spk"])
            .args(allow)
            .args(["--allow", "opt/app/static"]));
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let outcome = |path: &str| {
            let all = made["findings"].as_array().unwrap();
            all.iter().find(|one| one["path"] == path).map(|one| one["outcome"].clone()).unwrap()
        };
        assert_eq!(outcome("opt/app/id_rsa"), "allowed");
        assert_eq!(outcome("opt/app/node_modules/tls/test.key"), "packed");

        // who publishes it, or makes an image of it, is asked again; who checks it is told
        let publish = [
            "publish",
            "--dry-run",
            "--webkey",
            "http://127.0.0.1:1/#token",
            "-k",
            "my-keyring",
            "out.spk",
        ];
        let image = ["oci", "out.spk", "-o", "image.tar"];
        for command in [&publish[..], &image] {
            let output = fails(stage.spk().args(command));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("opt/app/id_rsa") && said.contains("--allow"), "{said}");
            ok(stage.spk().args(command).args(["--allow", "opt/app"]));
        }
        if who == Who::User {
            let report = stage.spk().args(["check", "--json", "out.spk"]).output().unwrap();
            let report: serde_json::Value = serde_json::from_slice(&report.stdout).unwrap();
            let paths: Vec<&str> = report["findings"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|f| f["path"].as_str())
                .collect();
            assert!(
                paths.contains(&"opt/app/id_rsa") && paths.contains(&"opt/app/.npmrc"),
                "{report:#}"
            );
            assert_eq!(report["grade"], "fair", "{report:#}");
        }
    }
}

#[test]
fn backups_of_grains_are_refused() {
    for who in Who::all("backups_of_grains_are_refused") {
        let stage = project(who);
        let server = Server::start(stage.spk().args(["dev", "-k", "my-keyring"]));
        let grain = server.field("grainId");
        server.stop();
        ok(stage.spk().args(["grain", "export", &grain, "-o", "notes.zip"]));
        // unzipped and zipped again, with the directory around it
        stage.write(
            "zip.py",
            "import sys, zipfile as z\na = z.ZipFile('notes.zip')\n\
            b = z.ZipFile('static/again', 'w')\n\
            for n in a.namelist(): b.writestr('mine/' + n, a.read(n))\nb.close()\n",
        );
        ok(stage.run("/usr/bin/python3").arg("zip.py"));
        let said = refused(&stage, &[]);
        assert!(said.contains("opt/app/notes.zip, opt/app/static/again"), "{said}");
        // as they are stored, which is no state directory in use
        let state = stage.state();
        ok(stage.run("cp").arg("-r").arg(state.join("grains")).arg("static/some"));
        ok(stage.run("cp").arg("-r").arg(&state).arg("static/state"));
        let said = refused(&stage, &[]);
        let stored = format!("opt/app/static/some/{grain}, opt/app/static/state");
        assert!(said.contains(&stored), "{said}");
    }
}

/// The homes of these tests are not below `/home`: the map shows what is around them.
#[test]
fn homes_are_hidden_wherever_they_are() {
    for who in Who::all("homes_are_hidden_wherever_they_are") {
        let stage = project(who);
        let text = fs::read_to_string(stage.work().join("sandstorm-pkgdef.capnp")).unwrap();
        let around = stage.home().parent().unwrap().display().to_string();
        let home = stage.home().display().to_string();
        let mapped = text
            .replace(
                "(sourcePath = \"rootfs\"),",
                &format!(
                    "(sourcePath = \"rootfs\"), (packagePath = \"around\", sourcePath = \"{around}\"),\n\
                     (packagePath = \"mine\", sourcePath = \"{home}\"),\n\
                     (packagePath = \"machine/etc\", sourcePath = \"/etc\"),"
                ),
            )
            .replace(NAMED, &format!("{NAMED} \"around\", \"mine\","));
        stage.write("sandstorm-pkgdef.capnp", mapped);
        for (name, text) in
            [(".ssh/id_ed25519", KEY), (".netrc", "password"), ("app/data", "12345")]
        {
            let path = stage.home().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        stage.who.own(&stage.home());
        let said = asked(
            &stage,
            &[
                "around",
                "around/home/app/data",
                "mine",
                "mine/.ssh/id_ed25519",
                "mine/app/data",
                "machine/etc/shadow",
                "machine/etc/shadow-",
                "machine/etc/passwd",
            ],
        );
        let gone = "No such file or directory";
        assert_eq!(said[0], "bin work", "without home");
        assert_eq!(said[1], gone);
        // a home that is mapped itself is meant; what is secret in it is not
        assert!(said[2].contains("app") && !said[2].contains(".ssh"), "{said:?}");
        assert_eq!(said[3..5], [gone, "5 bytes"]);
        assert_eq!(said[5..7], [gone, gone]);
        assert!(said[7].ends_with("bytes"), "{said:?}");

        let output = stage.spk().args(["pack", "--fast", "-k", "my-keyring", "out.spk"]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", describe(&output));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.contains("left out: a home directory: around/home"), "{told}");
        let listed = ok(stage.spk().args(["ls", "out.spk"]));
        assert!(listed.contains("mine/app/data") && !listed.contains("around/home"), "{listed}");
        assert!(!listed.contains(".ssh") && !listed.contains(".netrc"), "{listed}");
    }
}

#[test]
fn what_is_hidden_is_said() {
    let stage = project(Who::User);
    let server = Server::start(stage.spk().args(["dev", "-k", "my-keyring"]));
    http::get(&server.at("opt/app/my-keyring"));
    let said = server.stop();
    let keyring = stage.work().join("my-keyring").display().to_string();
    let hidden = said.lines().find(|line| line.starts_with("not shown to the app: "));
    let keyring = format!("{keyring} (a keyring)");
    assert!(hidden.is_some_and(|line| line.contains(&keyring)), "{said}");
    assert!(said.contains("looked for, but not shown to the app:"), "{said}");
}

#[test]
fn output_replaces_only_what_is_of_its_sort() {
    for who in Who::all("output_replaces_only_what_is_of_its_sort") {
        let stage = Stage::new(who);
        ok(stage.spk().args(["init", "-q", "--template", "static"]));
        let server = Server::start(stage.spk().arg("dev"));
        let grain = server.field("grainId");
        server.stop();
        let thesis = stage.write("thesis.txt", "forty pages");
        stage.write("empty", "");
        for _ in 0..2 {
            ok(stage.spk().args(["pack", "-q", "--fast", "a.spk"]));
            ok(stage.spk().args(["grain", "export", &grain, "-o", "b.zip"]));
            ok(stage.spk().args(["oci", "a.spk", "-o", "c.tar"]));
        }
        ok(stage.spk().args(["pack", "-q", "--fast", "empty"]));
        let keyring = stage.home().join(".sandstorm-keyring");
        let keyring = keyring.to_str().unwrap();
        let before = |path: &str| fs::read(stage.work().join(path)).unwrap();
        for (file, is, command) in [
            ("server.py", "something else", &["pack", "--fast"][..]),
            ("sandstorm-pkgdef.capnp", "a package definition", &["pack", "--fast"]),
            ("thesis.txt", "something else", &["pack", "--fast"]),
            ("b.zip", "a backup of a grain", &["pack", "--fast"]),
            (keyring, "a keyring", &["pack", "--fast"]),
            ("a.spk", "a package", &["oci", "a.spk", "-o"]),
            ("thesis.txt", "something else", &["oci", "a.spk", "-o"]),
            ("thesis.txt", "something else", &["grain", "export", &grain, "-o"]),
            ("c.tar", "an image", &["grain", "export", &grain, "-o"]),
            ("thesis.txt", "not a keyring", &["keygen", "-k"]),
            ("a.spk", "not a keyring", &["keygen", "-k"]),
            ("thesis.txt", "something else", &["init", "-p", "8000", "-i", "abc", "-o"]),
        ] {
            let kept = before(file);
            let mut run = stage.spk();
            run.args(command).arg(file);
            if command[0] == "init" {
                run.args(["--", "/bin/app"]);
            }
            let output = fails(&mut run);
            assert_eq!(before(file), kept, "{command:?} {file}");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(&format!("{file} is {is}")), "{command:?} {file}: {said}");
        }
        // a list that is none is found before the session, not after it
        let definition = before("sandstorm-pkgdef.capnp");
        let text = String::from_utf8_lossy(&definition).into_owned();
        stage.write(
            "sandstorm-pkgdef.capnp",
            text.replace("\"sandstorm-files.list\",\n  # W", "\"thesis.txt\",\n  # W"),
        );
        let output = fails(stage.spk().args(["dev", "--port", "0"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("thesis.txt is no file list"), "{said}");
        assert_eq!(before("thesis.txt"), b"forty pages");
        stage.write("sandstorm-pkgdef.capnp", definition);
        // who means it
        ok(stage.spk().args(["pack", "-q", "--fast", "--force", "thesis.txt"]));
        assert_ne!(fs::read(&thesis).unwrap(), b"forty pages");
        ok(stage.spk().args(["grain", "export", &grain, "--force", "-o", "thesis.txt"]));
        assert!(fs::read(&thesis).unwrap().starts_with(b"PK"));
        ok(stage.spk().args(["oci", "a.spk", "--force", "-o", "thesis.txt"]));
        assert!(Path::new(&thesis).metadata().unwrap().len() > 1 << 20);
    }
}
