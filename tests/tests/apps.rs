//! Apps as people write them, in four languages: traced and recorded, packed, checked with nothing
//! missing, and checked again with one needed file taken out of the list: exactly that one is named.
//! And the quick ones of the scripts in `tests/apps`, which take real apps to an upgraded grain.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spk_tests::bins::{describe, ok};
use spk_tests::skip::skip;
use spk_tests::{Server, Stage, Who, http};

/// `spk check --json`: whether it ended well, and the report.
fn check(stage: &Stage, package: &str) -> (bool, Value) {
    let output = stage.spk().args(["check", "--json", package]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("no report: {error}\n{}", describe(&output)));
    (output.status.success(), report)
}

fn paths(group: &Value) -> Vec<&str> {
    group.as_array().unwrap().iter().map(|item| item["path"].as_str().unwrap()).collect()
}

/// The journey of one app, whose definition is written already. `use_it` makes at least one
/// request; without `needed` the app does not do what it did.
fn journey(stage: &Stage, use_it: impl Fn(&Server), needed: &str) {
    let server = Server::start(stage.spk().args(["dev", "--record"]));
    use_it(&server);
    let said = server.stop();
    assert!(said.contains("requests were recorded"), "{said}");

    ok(stage.spk().args(["pack", "-0", "--no-cache", "app.spk"]));
    let (good, report) = check(stage, "app.spk");
    assert!(good, "{report:#}");
    assert_eq!(paths(&report["missing"]), [""; 0], "{report:#}");
    assert_eq!(paths(&report["lookedFor"]), [""; 0], "{report:#}");
    let requests = &report["requests"];
    assert!(requests["recorded"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(requests["same"], requests["recorded"], "{report:#}");
    assert_eq!(report["backup"]["ok"], true, "{report:#}");

    let list = stage.work().join("sandstorm-files.list");
    let listed = fs::read_to_string(&list).unwrap();
    let less: Vec<&str> = listed.lines().filter(|line| *line != needed).collect();
    assert_eq!(less.len() + 1, listed.lines().count(), "{needed} is listed:\n{listed}");
    fs::write(&list, less.join("\n") + "\n").unwrap();
    ok(stage.spk().args(["pack", "-0", "--no-cache", "less.spk"]));
    let (good, report) = check(stage, "less.spk");
    assert!(!good, "{report:#}");
    assert_eq!(report["grade"], "poor");
    assert_eq!(paths(&report["missing"]), [needed], "{report:#}");
}

/// A stage for an ordinary user, whose package definition runs `command` on port 8000.
fn stage(command: &[&str]) -> Stage {
    let stage = Stage::new(Who::User);
    ok(stage.spk().args(["init", "-p", "8000", "--"]).args(command));
    stage
}

/// Adds a variable to the environment of the app's commands.
fn add_variable(stage: &Stage, name: &str, value: &str) {
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let begin = "environ = [\n";
    assert!(text.contains(begin), "{text}");
    let variable = format!("{begin}    (key = \"{name}\", value = \"{value}\"),\n");
    fs::write(&file, text.replace(begin, &variable)).unwrap();
}

/// Python packages, installed once for all runs.
fn site(package: &str) -> PathBuf {
    let site = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("site-{package}"));
    if !site.exists() {
        let staging = site.with_extension("new");
        let _ = fs::remove_dir_all(&staging);
        ok(Command::new("/usr/bin/python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-compile", "--root-user-action=ignore", "--target"])
            .arg(&staging)
            .arg(package));
        fs::rename(&staging, &site).unwrap();
    }
    site
}

#[test]
fn flask() {
    let stage = stage(&["/usr/bin/python3", "-B", "/app.py"]);
    stage.write("app.py", include_str!("../data/apps/flask_app.py"));
    stage.write("templates/book.html", "<ul>{% for e in entries %}<li>{{ e[1] }}{% endfor %}</ul>");
    stage.write("static/style.css", "body { color: green }");
    ok(Command::new("cp").arg("-r").arg(site("flask==3.1.0")).arg(stage.work().join("site")));
    stage.who.own(&stage.work());
    add_variable(&stage, "PYTHONPATH", "/site");
    let use_it = |server: &Server| {
        let page = http::get(&server.at(""));
        assert_eq!(page.status, 200, "{page:?}\n{}", server.said());
        let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        let headers = [form, ("Cookie", cookie.as_str())];
        let added = http::request("POST", &server.at("entries"), &headers, b"text=hello");
        assert_eq!(added.status, 303, "{added:?}");
        let entry = http::get(&server.at(&added.header("location").unwrap()[1..]));
        assert!(entry.text().contains("hello"), "{entry:?}");
        assert_eq!(http::get(&server.at("static/style.css")).status, 200);
    };
    journey(&stage, use_it, "site/flask/json/tag.py");
}

#[test]
fn express() {
    if !Path::new("/usr/share/nodejs/express").exists() || !Path::new("/usr/bin/node").exists() {
        return skip("express", "nodejs and node-express are not installed");
    }
    let stage = stage(&["/usr/bin/node", "/app.js"]);
    stage.write("app.js", include_str!("../data/apps/express_app.js"));
    stage.write("things.js", include_str!("../data/apps/things.js"));
    stage.write("static/style.css", "body { color: green }");
    add_variable(&stage, "NODE_PATH", "/usr/share/nodejs");
    let use_it = |server: &Server| {
        let page = http::get(&server.at(""));
        assert_eq!(page.status, 200, "{page:?}\n{}", server.said());
        let json = [("Content-Type", "application/json")];
        let added = http::request("POST", &server.at("things"), &json, br#"{"a":1}"#);
        assert_eq!(added.status, 201, "{added:?}");
        assert_eq!(http::get(&server.at("things")).text(), r#"[{"a":1}]"#);
        assert_eq!(http::get(&server.at("static/style.css")).status, 200);
    };
    journey(&stage, use_it, "usr/share/nodejs/express/lib/router/layer.js");
}

#[test]
fn php() {
    if !Path::new("/usr/bin/php").exists() {
        return skip("php", "/usr/bin/php is not installed");
    }
    let stage =
        stage(&["/usr/bin/php", "-S", "127.0.0.1:8000", "-t", "/public", "/public/index.php"]);
    // It looks at every time zone when it starts, and opens none.
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let more = text.replace("alwaysInclude = [", "alwaysInclude = [ \"usr/share/zoneinfo\", ");
    assert_ne!(text, more);
    fs::write(&file, more).unwrap();
    stage.write("public/index.php", include_str!("../data/apps/index.php"));
    stage.write("inc/counter.php", include_str!("../data/apps/counter.php"));
    stage.write("inc/page.php", include_str!("../data/apps/page.php"));
    let use_it = |server: &Server| {
        let page = http::get(&server.at(""));
        assert!(page.text().contains("<p>"), "{page:?}\n{}", server.said());
        assert!(http::get(&server.at("count")).text().contains("count"));
        assert_eq!(http::get(&server.at("nowhere")).status, 404);
    };
    journey(&stage, use_it, "inc/counter.php");
}

#[test]
fn static_program() {
    let stage = stage(&["/server"]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/apps/static_server.rs");
    let built = Command::new("rustc")
        .args(["-C", "target-feature=+crt-static", "-O", "-o"])
        .arg(stage.work().join("server"))
        .arg(source)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", describe(&built));
    stage.write("pages/index.html", "<p>home");
    stage.write("pages/about.html", "<p>about");
    let use_it = |server: &Server| {
        assert_eq!(http::get(&server.at("")).text(), "<p>home", "{}", server.said());
        assert_eq!(http::get(&server.at("about")).text(), "<p>about");
        assert_eq!(http::get(&server.at("nowhere")).status, 404);
    };
    journey(&stage, use_it, "pages/about.html");
}

/// `tests/apps/NAME`, which goes on as an ordinary user if root starts it, and for root as root too.
fn script(name: &str, users: &[Who]) {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("apps");
    for who in users {
        let stage = Stage::new(*who);
        let mut script = Command::new(apps.join(name));
        script.env("SPK", stage.spk_path()).env("SPK_APPS_FAST", "1").env_remove("SPK_APPS_ROOT");
        if *who == Who::Root {
            script.env("SPK_APPS_ROOT", "1");
        }
        let output = script.output().unwrap();
        let said = describe(&output);
        match output.status.code() {
            Some(0) => {}
            Some(77) => {
                let why = said.lines().find_map(|line| line.split_once(": SKIPPED: "));
                skip(name, why.unwrap_or_else(|| panic!("no reason: {said}")).1);
            }
            _ => panic!("{name} as {who:?}: {said}"),
        }
    }
}

#[test]
fn radicale() {
    script("radicale", &Who::all("radicale"));
}

#[test]
fn perl() {
    script("perl", &[Who::User]);
}

#[test]
fn sinatra() {
    script("sinatra", &[Who::User]);
}

#[test]
fn lua() {
    script("lua", &[Who::User]);
}
