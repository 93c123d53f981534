//! `spk ls`, `cat`, `diff` and `pack --report`, run as users run them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn spk(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spk"))
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .env_remove("SPK_KEYRING")
        .env_remove("SOURCE_DATE_EPOCH")
        .env("XDG_CACHE_HOME", dir.join(".cache"))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[track_caller]
fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Packs what the project below has and would be refused.
const PACK: &[&str] = &["pack", "--allow", "app/.git", "--allow", "/app/key"];

/// A project with a key, a definition that includes all of `root`, and some files.
fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let id = text(&spk(path, &["keygen", "-q"]));
    let definition = format!(
        r#"@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (
  id = "{}",
  manifest = (appTitle = (defaultText = "T"), appMarketingVersion = (defaultText = "1"),
    continueCommand = (argv = ["/app/run"])),
  sourceMap = (searchPath = [(sourcePath = "root")]),
  alwaysInclude = ["."]
);
"#,
        id.trim()
    );
    fs::write(path.join("sandstorm-pkgdef.capnp"), definition).unwrap();
    fs::create_dir_all(path.join("root/app/.git")).unwrap();
    fs::write(path.join("root/app/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(path.join("root/app/run"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(path.join("root/app/data"), "one\n").unwrap();
    fs::write(path.join("root/app/.git/config"), "[core]\n").unwrap();
    fs::write(path.join("root/app/key"), "-----BEGIN PRIVATE KEY-----\nx").unwrap();
    std::os::unix::fs::symlink("data", path.join("root/app/link")).unwrap();
    dir
}

#[test]
fn lists_and_shows_files() {
    let dir = project();
    let path = dir.path();
    text(&spk(path, &[PACK, &["a.spk"]].concat()));
    let all = text(&spk(path, &["ls", "a.spk"]));
    let lines: Vec<&str> = all.lines().collect();
    for line in ["app", "app/data", "app/link", "proc/cpuinfo", "sandstorm-manifest", "var"] {
        assert!(lines.contains(&line), "{line} not in {all}");
    }
    let below = text(&spk(path, &["ls", "a.spk", "/app/.git/"]));
    assert_eq!(below, "app/.git\napp/.git/config\n");
    let long = text(&spk(path, &["ls", "-l", "a.spk", "app"]));
    assert!(long.lines().any(|line| line.starts_with("l ") && line.ends_with("app/link -> data")));
    assert!(long.lines().any(|line| line.starts_with("x         10 ") && line.ends_with("run")));
    let json: serde_json::Value =
        serde_json::from_str(&text(&spk(path, &["ls", "--json", "a.spk", "app/run"]))).unwrap();
    assert_eq!(json["entries"][0]["executable"], true);
    assert_eq!(json["entries"][0]["size"], 10);
    assert!(!spk(path, &["ls", "a.spk", "none"]).status.success());

    assert_eq!(text(&spk(path, &["cat", "a.spk", "app/data", "/app/data"])), "one\none\n");
    let json: serde_json::Value =
        serde_json::from_str(&text(&spk(path, &["cat", "--json", "a.spk", "app/data"]))).unwrap();
    assert_eq!(json["text"], "one\n");
    for (wrong, word) in [("app", "directory"), ("app/link", "link to data"), ("x", "not in")] {
        let output = spk(path, &["cat", "a.spk", wrong]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(word));
    }
}

#[test]
fn shows_how_packages_differ() {
    let dir = project();
    let path = dir.path();
    text(&spk(path, &[PACK, &["a.spk"]].concat()));
    assert_eq!(text(&spk(path, &["diff", "a.spk", "a.spk"])), "");
    fs::write(path.join("root/app/data"), "two!\n").unwrap();
    fs::remove_file(path.join("root/app/key")).unwrap();
    fs::write(path.join("root/new"), "12345678").unwrap();
    text(&spk(path, &[PACK, &["b.spk"]].concat()));
    let shown = text(&spk(path, &["diff", "a.spk", "b.spk"]));
    let lines: Vec<&str> = shown.lines().map(str::trim).collect();
    assert_eq!(lines, ["~ app/data (4 -> 5)", "- app/key (29)", "+ new (8)", "-28 app/", "-20 /"]);
    let json: serde_json::Value =
        serde_json::from_str(&text(&spk(path, &["diff", "--json", "a.spk", "b.spk"]))).unwrap();
    assert_eq!(json["added"][0]["path"], "new");
    assert_eq!(json["removed"][0]["before"], 29);
    assert_eq!(json["changed"][0]["after"], 5);
    assert_eq!(json["directories"][0]["change"], -28);
}

#[test]
fn reports_what_should_not_be_packed() {
    let dir = project();
    let output = spk(dir.path(), &["pack", "--report", "a.spk"]);
    assert_eq!(output.status.code(), Some(1));
    let refused = String::from_utf8(output.stderr).unwrap();
    for line in
        ["a version control directory, with the whole history: app/.git", "a private key: app/key"]
    {
        assert!(refused.contains(line), "{line} is not in {refused}");
    }
    assert!(!dir.path().join("a.spk").exists());
    let output = spk(dir.path(), &[PACK, &["--report", "a.spk"]].concat());
    assert_eq!(text(&output).trim().len(), 52);
    let allowed = String::from_utf8(output.stderr).unwrap();
    assert!(allowed.contains("allowed: a private key: app/key"), "{allowed}");
    let output = spk(dir.path(), &[PACK, &["--report", "--json", "a.spk"]].concat());
    let json: serde_json::Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(json["report"]["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(json["report"]["warnings"][1]["kind"], "secret");
    assert_eq!(json["findings"][1]["outcome"], "allowed");
    assert_eq!(json["packageBytes"], fs::metadata(dir.path().join("a.spk")).unwrap().len());
}

/// The bytes depend on the input and the key alone.
#[test]
fn packages_are_reproducible() {
    let dir = project();
    let path = dir.path();
    for n in 0..40 {
        let contents: Vec<u8> =
            (0..400_000u32).map(|i| (i.wrapping_mul(i ^ n) >> 9) as u8).collect();
        fs::write(path.join(format!("root/file{n}")), contents).unwrap();
    }
    let pack = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_spk"))
            .args([PACK, &["-1", "--force"], arguments, &["out.spk"]].concat())
            .current_dir(path)
            .env("HOME", path)
            .env("XDG_CACHE_HOME", path.join(".cache"))
            .env_remove("SOURCE_DATE_EPOCH")
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        text(&output);
        fs::read(path.join("out.spk")).unwrap()
    };
    let first = pack(&["--no-cache", "--threads", "1"], &[]);
    assert_eq!(first, pack(&["-T", "3"], &[("LC_ALL", "C.UTF-8"), ("TZ", "Asia/Tokyo")]));
    assert!(fs::read_dir(path.join(".cache/spk/blocks")).unwrap().count() > 3);
    assert_eq!(first, pack(&[], &[("XZ_OPT", "-9")]), "from the cache");
    let dated = pack(&[], &[("SOURCE_DATE_EPOCH", "1000000000")]);
    assert_ne!(first, dated);
    assert_eq!(dated, pack(&["--source-date-epoch=1000000000"], &[]));
    let listing = text(&spk(path, &["ls", "-l", "out.spk", "var"]));
    assert_eq!(listing, "d          0 1000000000 var\n");
}
