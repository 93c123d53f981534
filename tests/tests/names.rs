//! Names of users and hosts: what an app asks for, it gets in `spk dev` as in its package, in
//! whatever `spk init` makes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use spk_tests::bins::{built, ok};
use spk_tests::{Server, Stage, Who, http};

/// Answers with what Python has about the user, the group and the host that it runs as.
const APP: &str = "\
import getpass, grp, http.server, os, pwd, socket
def tell(f):
    try: return f()
    except (OSError, KeyError) as e: return repr(e)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        got = [os.getuid(), os.getgid(), tell(getpass.getuser), tell(lambda: pwd.getpwuid(os.getuid()).pw_dir),
            tell(lambda: grp.getgrgid(os.getgid()).gr_name), os.path.expanduser('~') == os.environ.get('HOME'),
            tell(lambda: socket.gethostbyname('localhost')), tell(lambda: socket.gethostbyname(socket.gethostname()))]
        self.wfile.write(' '.join(map(str, got)).encode())
http.server.ThreadingHTTPServer(('127.0.0.1', 8000), H).serve_forever()
";

const NAMED: &str = "1000 1000 app /var app True 127.0.0.1 127.0.0.1";

/// The project in `stage`, developed and packed: the same answer both times, and what `spk dev` said.
fn developed(stage: &Stage) -> (String, String) {
    let server = Server::start(stage.spk().arg("dev"));
    let answer = http::get(&server.at("")).text();
    let said = server.stop();
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let server = Server::start(stage.spk().args(["run", "app.spk"]));
    assert_eq!(http::get(&server.at("")).text(), answer, "in dev and in the package");
    server.stop();
    (answer, said)
}

/// The Python of this machine, behind all that is mapped.
fn map_machine(definition: &Path) {
    let text = fs::read_to_string(definition).unwrap();
    let last = "# Names of users and hosts in the sandbox.\n";
    let machine = "( sourcePath = \"/usr\", packagePath = \"usr\" ),\n\
                   ( sourcePath = \"/lib\", packagePath = \"lib\" ),\n\
                   ( sourcePath = \"/lib64\", packagePath = \"lib64\" )\n";
    assert!(text.contains(last), "{text}");
    fs::write(definition, text.replace(last, &format!("{last}{machine}"))).unwrap();
}

#[test]
fn users_and_hosts_have_names() {
    for who in Who::all("users_and_hosts_have_names") {
        let stage = Stage::new(who);
        stage.write("dist/app.py", APP);
        stage.write("app.py", APP);
        let command = ["--", "/usr/bin/python3", "-B", "/app.py"];
        let kinds: [&[&str]; 3] =
            [&["--template", "python"], &["-p", "8000"], &["-p", "8000", "-I", "dist"]];
        for kind in kinds {
            let mut init = stage.spk();
            init.args(["init", "-q", "--force"]).args(kind);
            if kind.contains(&"-p") {
                init.args(command);
            }
            ok(&mut init);
            if kind.contains(&"-I") {
                map_machine(&stage.work().join("sandstorm-pkgdef.capnp"));
            }
            stage.write("app.py", APP);
            let (answer, said) = developed(&stage);
            assert_eq!(answer, NAMED, "{kind:?}");
            assert!(!said.contains("the app looked into"), "{said}");
        }
    }
}

#[test]
fn names_that_a_project_lacks_are_told() {
    let stage = Stage::new(Who::User);
    stage.write("app.py", APP);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    // Nothing at all, or somebody else.
    for (passwd, hosts) in [(None, None), (Some("root:x:0:0::/:\n"), Some("127.0.0.1 localhost\n"))]
    {
        for (name, text) in [("passwd", passwd), ("hosts", hosts)] {
            let file = stage.work().join("rootfs/etc").join(name);
            match text {
                Some(text) => fs::write(file, text).unwrap(),
                None => drop(fs::remove_file(file)),
            }
        }
        let server = Server::start(stage.spk().arg("dev"));
        let answer = http::get(&server.at("")).text();
        assert!(answer.contains("getpwuid") && answer.contains("Error"), "{answer}");
        let said = server.stop();
        let lines = [
            "etc/passwd, which has no user 1000, as which the app runs; a line for it: app:x:1000:",
            match hosts {
                None => "etc/hosts, which has no localhost and no sandbox",
                Some(_) => "etc/hosts, which has no sandbox",
            },
        ];
        for line in lines {
            assert!(said.contains(line), "not said: {line}\n{said}");
        }
    }
}

/// A static program needs nothing of the machine, but names all the same.
#[test]
fn compiled_programs_have_names() {
    let projects = [
        ("go.mod", "module example.org/shop\n\ngo 1.22\n", ".sandstorm/app"),
        (
            "Cargo.toml",
            "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
            "target/x86_64-unknown-linux-gnu/release/shop",
        ),
    ];
    for (file, text, program) in projects {
        let stage = Stage::new(Who::User);
        stage.write(file, text);
        ok(stage.spk().args(["init", "-q", "--yes"]));
        stage.write(program, fs::read(built("sandstorm-http-bridge")).unwrap());
        ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
        let hosts = ok(stage.spk().args(["cat", "app.spk", "etc/hosts"]));
        assert!(hosts.contains("127.0.0.1 localhost sandbox\n"), "{file}: {hosts}");
        let passwd = ok(stage.spk().args(["cat", "app.spk", "etc/passwd"]));
        assert!(passwd.contains(":1000:1000:"), "{file}: {passwd}");
    }
}

/// What is there already is the project's own.
#[test]
fn init_leaves_names_alone_that_are_there() {
    let stage = Stage::new(Who::User);
    stage.write("rootfs/etc/hosts", "10.0.0.1 db\n");
    let shown = ok(stage.spk().args(["init", "--dry-run", "-r", "--", "/app"]));
    assert!(!shown.contains("etc/hosts") && shown.contains("rootfs/etc/passwd"), "{shown}");
    ok(stage.spk().args(["init", "-q", "-r", "--", "/app"]));
    let hosts = fs::read_to_string(stage.work().join("rootfs/etc/hosts")).unwrap();
    assert_eq!(hosts, "10.0.0.1 db\n");
    // A definition on stdout comes alone, and names no files that are not there.
    let stage = Stage::new(Who::User);
    let text = ok(stage.spk().args(["init", "-q", "-o", "-", "-r", "--", "/app"]));
    assert!(!text.contains("rootfs") && text.contains("alwaysInclude = []"), "{text}");
    assert!(!stage.work().join("rootfs").exists());
}
