//! `spk dev --crawl`: what a person would have to click is found without one.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use spk_tests::bins::{describe, ok};
use spk_tests::{Stage, Who};

const FILES: [&str; 10] =
    ["all", "deep", "edit", "edited", "ground.gif", "named", "never", "post", "search", "visitor"];

fn project(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", include_str!("../data/crawled.py"));
    for file in FILES {
        stage.write(&format!("files/{file}"), "x");
    }
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let path = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&path).unwrap();
    let roles = r#"
  bridgeConfig = (
    viewInfo = (
      permissions = [(name = "edit")],
      roles = [
        (title = (defaultText = "editor"), permissions = [true]),
        (title = (defaultText = "viewer"), permissions = [false], default = true),
      ],
    ),
  ),
  #bridgeConfig = ("#;
    assert_eq!(text.matches("\n  #bridgeConfig = (").count(), 1, "{text}");
    fs::write(&path, text.replace("\n  #bridgeConfig = (", roles)).unwrap();
    stage
}

fn crawl(stage: &Stage, options: &[&str]) -> Output {
    stage.spk().arg("dev").args(options).output().unwrap()
}

fn list(stage: &Stage) -> BTreeSet<String> {
    let text = fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Of [`FILES`].
fn found(stage: &Stage) -> Vec<&'static str> {
    let list = list(stage);
    FILES.into_iter().filter(|file| list.contains(&format!("files/{file}"))).collect()
}

#[test]
fn what_can_be_reached_is_found_in_every_role() {
    for who in Who::all("what_can_be_reached_is_found_in_every_role") {
        let stage = project(who);
        let done = crawl(&stage, &["--crawl"]);
        assert!(done.status.success(), "{}", describe(&done));
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        // The editor's page, and what the way to it is redirected to; neither posts, nor what no page
        // leads to.
        let expected = ["deep", "edit", "edited", "ground.gif", "named", "search", "visitor"];
        assert_eq!(found(&stage), expected, "{said}");
        for line in [
            "crawling as the user, bob (editor), carol (viewer), anonymous",
            "GET /broken: 500 (as the user, from /)",
            "GET /none: 404 (as the user, from /)",
            "files of the app were used (",
            "files: not used: 3 files",
        ] {
            assert!(said.contains(line), "{line} in {said}");
        }
        // Whoever leaves has seen all before.
        assert!(!said.contains("elsewhere") && said.matches("/calendar").count() == 0, "{said}");
    }
}

#[test]
fn forms_are_posted_where_that_is_wanted() {
    let stage = project(Who::User);
    let done = crawl(&stage, &["--crawl", "--crawl-posts"]);
    assert!(done.status.success(), "{}", describe(&done));
    assert!(found(&stage).contains(&"post"), "{}", describe(&done));
    let alone = crawl(&stage, &["--crawl-posts"]);
    assert_eq!(alone.status.code(), Some(2), "{}", describe(&alone));
}

#[test]
fn limits_are_kept_and_told() {
    let stage = project(Who::User);
    let done = crawl(&stage, &["--crawl=5"]);
    assert!(done.status.success(), "{}", describe(&done));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("requests were left when the limit was met"), "{said}");
    let asked: u32 = said
        .lines()
        .filter_map(|line| line.trim_start_matches("warning: ").strip_prefix("crawled as "))
        .flat_map(|line| line.split(": ").nth(1).unwrap_or_default().split(", "))
        .filter_map(|part| part.split(" × ").next()?.parse::<u32>().ok())
        .sum();
    assert_eq!(asked, 5, "{said}");
    let wrong = crawl(&stage, &["--crawl=never"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", describe(&wrong));
    assert!(describe(&wrong).contains("is no limit"), "{}", describe(&wrong));
}

/// An app whose first page fails was not seen; a command that was to run is not run in vain.
#[test]
fn a_first_page_that_fails_is_a_failure() {
    let stage = project(Who::User);
    let app = include_str!("../data/crawled.py").replace("url.path == \"/broken\"", "True");
    stage.write("app.py", &app);
    let done = crawl(&stage, &["--crawl", "--exec", "/bin/touch", "was-run"]);
    assert_eq!(done.status.code(), Some(1), "{}", describe(&done));
    assert!(!stage.work().join("was-run").exists());
    assert!(
        describe(&done).contains("first page, /, was answered with 500"),
        "{}",
        describe(&done)
    );
}

#[test]
fn a_command_runs_after_the_crawl() {
    let stage = project(Who::User);
    let see = "test -n \"$SPK_SESSION_URL\" && echo seen && exit 3";
    let done = crawl(&stage, &["-q", "--crawl=50", "--exec", "/bin/sh", "-c", see]);
    assert_eq!(done.status.code(), Some(3), "{}", describe(&done));
    assert_eq!(String::from_utf8_lossy(&done.stdout), "seen\n");
    assert!(found(&stage).contains(&"ground.gif"), "{}", describe(&done));
}

/// On each template at least what a person finds who looks at the page with all that belongs to it,
/// and writes a note.
#[test]
fn a_crawl_finds_what_a_person_does() {
    for template in ["python", "static", "node", "php"] {
        let made = |options: &[&str]| {
            let stage = Stage::new(Who::User);
            let init = stage.spk().args(["init", "-q", "--template", template]).output().unwrap();
            assert!(init.status.success(), "{template}: {}", describe(&init));
            let done = crawl(&stage, options);
            assert!(done.status.success(), "{template}: {}", describe(&done));
            list(&stage)
        };
        if template == "php" && !std::path::Path::new("/usr/bin/php").exists()
            || template == "node" && !std::path::Path::new("/usr/bin/node").exists()
        {
            spk_skip::skip("a_crawl_finds_what_a_person_does", &format!("there is no {template}"));
            continue;
        }
        let person = "cd / && get() { /usr/bin/curl -fsS -o /dev/null \"$@\"; }; get $SPK_SESSION_URL; \
            get ${SPK_SESSION_URL}static/style.css || get ${SPK_SESSION_URL}style.css || true; \
            get -d text=x ${SPK_SESSION_URL}notes || true";
        let person = made(&["-q", "--exec", "/bin/sh", "-c", person]);
        let crawled = made(&["-q", "--crawl", "--crawl-posts"]);
        let missed: Vec<_> = person.difference(&crawled).collect();
        assert!(missed.is_empty() && person.len() > 20, "{template}: {missed:?}");
    }
}

/// What was recorded in a role is asked again in that role.
#[test]
fn a_recorded_crawl_is_replayed_in_every_role() {
    for who in Who::all("a_recorded_crawl_is_replayed_in_every_role") {
        let stage = project(who);
        let done = crawl(&stage, &["-q", "--record", "--crawl"]);
        assert!(done.status.success(), "{}", describe(&done));
        ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
        let checked = stage.spk().args(["check", "--json", "app.spk"]).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&checked.stdout).unwrap();
        let requests = &report["requests"];
        assert_eq!(requests["different"], serde_json::json!([]), "{requests:#}");
        assert!(requests["same"].as_u64() > Some(20), "{requests:#}");
        let recording = fs::read_to_string(stage.work().join(".sandstorm-files.list.requests"));
        let recording: serde_json::Value = serde_json::from_str(&recording.unwrap()).unwrap();
        let edits = recording["requests"].as_array().unwrap().iter();
        let edits = edits.filter(|request| request["target"] == "/edit");
        let edits: BTreeSet<_> =
            edits.map(|one| (one["chosen"].to_string(), one["status"].as_u64())).collect();
        // The user's own; the editor's; the viewer's; and a visitor's.
        let role = |id: u32| format!("{{\"role\":{{\"id\":{id}}}}}");
        let expected = [
            ("null".to_owned(), Some(303)),
            (role(0), Some(303)),
            (role(1), Some(403)),
            ("null".to_owned(), Some(403)),
        ];
        assert_eq!(edits, expected.into());
    }
}
