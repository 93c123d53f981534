//! `spk files`, as users run it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const DEFINITION: &str = "@0x994204a9202bc200;\n\
    using Spk = import \"/sandstorm/package.capnp\";\n\
    const pkgdef :Spk.PackageDefinition = (\n\
    id = \"e3vedgtpyw8nu64ddew0g368v5mgu9kz0622qqy8yux6my5mawph\",\n\
    manifest = (appTitle = (defaultText = \"T\"), appVersion = 1,\n\
    appMarketingVersion = (defaultText = \"1\"), continueCommand = (argv = [\"/app\"])),\n\
    sourceMap = (searchPath = [(sourcePath = \"root\", hidePaths = [\"secret\"])]),\n\
    fileList = \"sandstorm-files.list\", alwaysInclude = [\"whole\"]);\n";

const TRACE: &str = r#"{"version": 1, "paths": {
    "app": {"exec": {"first": 1, "count": 1, "by": ["/bin/sh"]},
            "read": {"first": 1793000000000, "count": 3, "by": ["/usr/bin/python3", "/bin/cat"]}},
    "lib": {"link": {"first": 3, "count": 9, "by": []}},
    "new": {"read": {"first": 3, "count": 1, "by": []}},
    "gone/too": {"miss": {"first": 18446744073709551615, "count": 1, "by": ["/app"]}}}}"#;

/// What the command printed on stdout, then on stderr.
fn spk(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_spk"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("SPK_PKG_DEF")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    format!("{}\n{text}", output.status.code().unwrap())
}

fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    for sub in ["whole", "usr/lib"] {
        fs::create_dir_all(root.join(sub)).unwrap();
    }
    for file in ["app", "old", "new", "secret", "whole/x", "usr/lib/y"] {
        fs::write(root.join(file), file).unwrap();
    }
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
    fs::write(dir.path().join("sandstorm-pkgdef.capnp"), DEFINITION).unwrap();
    fs::write(dir.path().join("sandstorm-files.list"), "app\nlib\nold\nsandstorm-manifest\n")
        .unwrap();
    fs::write(dir.path().join(".sandstorm-files.list.trace"), TRACE).unwrap();
    dir
}

#[test]
fn why_says_where_a_file_comes_from_and_what_used_it() {
    let dir = project();
    insta::assert_snapshot!(spk(dir.path(), &["files", "why", "/app"]), @r"
    0
    app: root/app
      packed: in the list
      executed once by /bin/sh, first on Thu, 01 Jan 1970 00:00:00 GMT
      read 3 times by /bin/cat, /usr/bin/python3, first on Mon, 26 Oct 2026 07:33:20 GMT
    ");
    insta::assert_snapshot!(spk(dir.path(), &["files", "why", "lib/y"]), @r"
    0
    lib/y passes through a link: lib → usr/lib/y
    lib: root/lib
      packed: in the list
      link followed, first on Thu, 01 Jan 1970 00:00:00 GMT
    usr/lib/y: root/usr/lib/y
      not packed
      no recorded session used it
    ");
    insta::assert_snapshot!(spk(dir.path(), &["files", "why", "whole/x"]), @r"
    0
    whole/x: root/whole/x
      packed: always included
      no recorded session used it
    ");
    insta::assert_snapshot!(spk(dir.path(), &["files", "why", "gone/too"]), @r"
    0
    gone/too: not found in the source map
      looked for and not found by /app
    ");
    insta::assert_snapshot!(spk(dir.path(), &["files", "why", "secret"]), @r"
    1
    error: secret: hidden by hidePaths (root/secret)
    ");
}

#[test]
fn diff_and_prune_compare_the_list_with_what_was_used() {
    let dir = project();
    let list = dir.path().join("sandstorm-files.list");
    insta::assert_snapshot!(spk(dir.path(), &["files", "diff"]), @r"
    0
    + new
    - old
    ");
    insta::assert_snapshot!(spk(dir.path(), &["files", "prune", "--dry-run"]), @r"
    0
    - old
    ");
    assert!(fs::read_to_string(&list).unwrap().contains("old"));
    insta::assert_snapshot!(spk(dir.path(), &["files", "prune"]), @r"
    0
    - old
    1 entries dropped from sandstorm-files.list
    ");
    let text = fs::read_to_string(&list).unwrap();
    assert!(text.ends_with("\napp\nlib\nsandstorm-manifest\n"), "{text}");
}

#[test]
fn closure_suggests_and_takes_the_rest_of_a_package() {
    let dir = project();
    let package = dir.path().join("root/node_modules/thing");
    fs::create_dir_all(package.join("lib")).unwrap();
    for file in ["package.json", "index.js", "lib/rare.js"] {
        fs::write(package.join(file), "x".repeat(1500)).unwrap();
    }
    let list = dir.path().join("sandstorm-files.list");
    fs::write(&list, "node_modules/thing/index.js\n").unwrap();
    insta::assert_snapshot!(spk(dir.path(), &["files", "closure", "--take"]), @r"
    0
    the rest of the Node package node_modules/thing: 2 files, 3 KB
      node_modules/thing/lib/rare.js
      node_modules/thing/package.json
    2 entries added to sandstorm-files.list
    ");
    let text = fs::read_to_string(&list).unwrap();
    assert!(text.contains("\nnode_modules/thing/lib/rare.js\n"), "{text}");
    insta::assert_snapshot!(spk(dir.path(), &["files", "closure"]), @r"
    0
    nothing seems to be missing
    ");
}

#[test]
fn without_a_trace_nothing_is_pruned() {
    let dir = project();
    fs::remove_file(dir.path().join(".sandstorm-files.list.trace")).unwrap();
    insta::assert_snapshot!(spk(dir.path(), &["files", "prune"]), @r"
    1
    error: no session is recorded in .sandstorm-files.list.trace
      hint: run the app with spk dev, and use all of it
    ");
}
