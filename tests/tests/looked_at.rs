//! Files that an app only looks at: they are packed where they are small, told of where they are not,
//! and named all at once where they are missing.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use serde_json::Value;
use spk_tests::bins::{describe, fails, ok};
use spk_tests::{Server, Stage, Who, http};

/// Looks for files by itself and by a shell script, and does not start without them.
const APP: &str = r#"
import http.server, os, subprocess, sys
os.listdir("/seen")
open("/seen/read").read()
for name in ("/seen/by-access", "/seen/by-stat", "/large.bin", "/id_rsa", "/to-hidden"):
    found = os.access(name, os.R_OK) if "access" in name else os.path.exists(name)
    print(name, found, flush=True)
if subprocess.run(["/bin/sh", "/start.sh"]).returncode != 0:
    sys.exit("fatal: something is not there")
os.path.exists("/seen/later")
try: open("/seen/cache.db", "w")
except OSError: pass
class App(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8000), App).serve_forever()
"#;
const LARGE: u64 = 9 << 20;

/// The app, its definition and one session of `spk dev`; what that said.
fn developed(who: Who) -> (Stage, String) {
    let stage = Stage::new(who);
    stage.write("app.py", APP);
    stage.write("start.sh", "for f in one two; do test -f /seen/$f || exit 1; done\n");
    for name in ["read", "one", "two", "by-access", "by-stat", "later", "never"] {
        stage.write(&format!("seen/{name}"), "x");
    }
    stage.write("id_rsa", "a secret");
    stage.write("hidden/data", "x");
    symlink("hidden/data", stage.work().join("to-hidden")).unwrap();
    File::create(stage.work().join("large.bin")).unwrap().set_len(LARGE).unwrap();
    stage.who.own(&stage.work());
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let hiding =
        text.replacen("sourcePath = \".\"", "sourcePath = \".\", hidePaths = [\"hidden\"]", 1);
    assert_ne!(text, hiding, "{text}");
    fs::write(&file, hiding).unwrap();
    let server = Server::start(stage.spk().args(["dev", "--explain"]));
    assert_eq!(http::get(&server.at("")).status, 200);
    let said = server.stop();
    (stage, said)
}

fn pack(stage: &Stage, name: &str, more: &[&str]) -> String {
    ok(stage.spk().args(["pack", "--fast", "--no-cache", name]).args(more));
    ok(stage.spk().args(["ls", name]))
}

#[test]
fn what_was_looked_at_is_packed_where_it_is_small() {
    for who in Who::all("what_was_looked_at_is_packed_where_it_is_small") {
        let (stage, said) = developed(who);
        assert!(said.contains("were only looked at, and are listed (1 KB)"), "{said}");
        assert!(said.contains("1 path more was looked at (9438 KB): spk files closure"), "{said}");
        assert!(said.contains("to-hidden leads to "), "{said}");
        assert!(said.contains("could not be written (1)"), "{said}");
        assert!(said.contains("  seen/cache.db (by "), "{said}");

        let packed = pack(&stage, "a.spk", &[]);
        for name in ["seen/one", "seen/two", "seen/by-access", "seen/by-stat"] {
            assert!(packed.contains(name), "{name}: {packed}");
        }
        for name in ["seen/never", "large.bin", "id_rsa", "hidden/data"] {
            assert!(!packed.contains(name), "{name}: {packed}");
        }
        let output = stage.spk().args(["files", "closure"]).output().unwrap();
        let closure = describe(&output);
        assert!(closure.contains("only looked at by /usr/bin/python3"), "{closure}");
        assert!(closure.contains("  large.bin") && !closure.contains("id_rsa"), "{closure}");
        assert!(closure.contains("to-hidden leads to "), "{closure}");
        assert!(pack(&stage, "all.spk", &["--closure"]).contains("large.bin"));
        // What is listed for having been looked at stays listed.
        let dropped = ok(stage.spk().args(["files", "prune", "--dry-run"]));
        assert!(!dropped.contains("seen/"), "{dropped}");
    }
}

#[test]
fn check_names_all_that_was_looked_at_at_once() {
    let (stage, _) = developed(Who::User);
    let list = stage.work().join("sandstorm-files.list");
    let listed = fs::read_to_string(&list).unwrap();
    let lost = |line: &&str| line.starts_with("seen/") && *line != "seen/read";
    let (gone, kept): (Vec<&str>, Vec<&str>) = listed.lines().partition(lost);
    assert_eq!(gone, ["seen/by-access", "seen/by-stat", "seen/later", "seen/one", "seen/two"]);
    fs::write(&list, kept.join("\n") + "\n").unwrap();
    pack(&stage, "less.spk", &[]);

    let output = fails(stage.spk().args(["check", "--json", "less.spk"]));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let paths = |group: &str| -> Vec<String> {
        let paths = report[group].as_array().unwrap().iter();
        paths.map(|item| item["path"].as_str().unwrap().to_owned()).collect()
    };
    // It has looked for these itself, and went on without all but the last.
    let looked_for = ["id_rsa", "large.bin", "seen/by-access", "seen/by-stat", "seen/one"];
    assert_eq!(paths("lookedFor"), looked_for, "{report:#}");
    // The program that gave up would have looked for this next; what is left is another's.
    assert_eq!(paths("lookedAt"), ["seen/two", "seen/later"], "{report:#}");
    assert!(report["danglingLinks"][0].as_str().unwrap().starts_with("to-hidden "), "{report:#}");
}
