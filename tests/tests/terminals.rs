//! On a terminal nothing that comes out of a package or an app acts; into a pipe it goes as it is.
#![allow(clippy::unwrap_used)]

use std::fs;

use spk_tests::bins::ok;
use spk_tests::{Stage, Who};

/// Titles and names with controls of both kinds, marks of direction, and what splits lines.
const HOSTILE: &str = "A\u{9b}31m\u{9d}0;x\u{9c}\u{202e}B\u{2066}C\u{2028}D\u{feff}";

/// A package with such a title and such a file, and a grain of it.
fn house() -> (Stage, String) {
    let stage = Stage::new(Who::User);
    stage.write("app", "0");
    stage.write(&format!("x{HOSTILE}"), "x");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    let definition = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&definition).unwrap();
    let start = text.find("appTitle = (defaultText = \"").unwrap();
    let title = text[start..].find('"').unwrap() + start + 1;
    let end = text[title..].find('"').unwrap() + title;
    stage.write("sandstorm-pkgdef.capnp", [&text[..title], HOSTILE, &text[end..]].concat());
    ok(stage.spk().args(["pack", "-q", "--fast", "../home/a.spk"]));
    let grain = ok(stage.spk().args(["grain", "new", "../home/a.spk", "--title", HOSTILE]));
    (stage, grain.trim().to_owned())
}

/// What a command writes onto a terminal, without what it does there itself: colours, the progress
/// bar.
fn on_terminal(stage: &Stage, arguments: &str) -> String {
    let command = format!("{} {arguments}", stage.spk_path().display());
    let said = ok(stage.run("script").args(["-qec", &command, "/dev/null"]));
    let mut rest = said.as_str();
    let mut seen = String::new();
    while let Some(start) = rest.find("\u{1b}[") {
        seen.push_str(&rest[..start]);
        let sequence = &rest[start + 2..];
        let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        rest = &sequence[end + 1..];
    }
    seen + rest
}

#[test]
fn nothing_of_a_package_acts_on_a_terminal() {
    let (stage, grain) = house();
    for arguments in [
        "verify ../home/a.spk",
        "verify --json ../home/a.spk",
        "ls ../home/a.spk",
        "ls -l --json ../home/a.spk",
        "pack -n ../home/b.spk",
        "pack -n --json ../home/b.spk",
        "pack --fast --report ../home/b.spk",
        "listkeys --apps",
        "listkeys --apps --json",
        "grain list",
        "grain list --json",
        &format!("grain show {grain}"),
        &format!("grain show --json {grain}"),
        &format!("grain delete -y --no-backup {grain}"),
    ] {
        let seen = on_terminal(&stage, arguments);
        assert!(!seen.is_empty(), "{arguments}");
        let acts = seen
            .chars()
            .find(|c| !matches!(c, '\r' | '\n' | '\t') && spk_files::printable::acts(*c));
        assert_eq!(acts, None, "{arguments}: {seen:?}");
    }
}

/// What a program reads is what the package says.
#[test]
fn a_pipe_gets_it_as_it_is() {
    let (stage, _) = house();
    let verified = ok(stage.spk().args(["verify", "../home/a.spk"]));
    assert!(verified.contains(HOSTILE), "{verified}");
    let json: serde_json::Value =
        serde_json::from_str(&on_terminal(&stage, "-q verify --json ../home/a.spk")).unwrap();
    assert_eq!(json["title"]["defaultText"], HOSTILE, "{json}");
    assert!(ok(stage.spk().args(["ls", "../home/a.spk"])).contains(HOSTILE));
}
