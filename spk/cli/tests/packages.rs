//! The commands around packages, run as users run them, against what the original's did
//! (`data/pkgdefs`: definitions with their sources, and the tree that the original packed).
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn keyring() -> PathBuf {
    data("../package/tests/data/keys/keyring3")
}

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
fn succeeds(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit status is 1, nothing is on stdout, and stderr has all of `words`.
#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stdout.is_empty());
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} not in: {text}"));
}

/// Copies a directory of small files and links.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), target).unwrap();
        } else if kind.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// As the original's `.tree` files: type, mode, size and path; sizes of directories are theirs.
fn tree(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if metadata.is_dir() {
            lines.push(format!("d ./{name}"));
            tree(root, &path, lines);
        } else {
            let executable = if metadata.mode() & 0o100 != 0 { "x" } else { "-" };
            lines.push(format!("f {executable} {} ./{name}", metadata.len()));
        }
    }
}

fn original_tree(name: &str) -> Vec<String> {
    let text = fs::read_to_string(data(&format!("tests/data/pkgdefs/{name}.tree"))).unwrap();
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| line.trim_end_matches(" -> ").split(' ').collect::<Vec<_>>())
        .filter(|columns| columns[3] != ".")
        .map(|columns| match columns[0] {
            "d" => format!("d {}", columns[3]),
            _ => {
                let executable = if columns[1] == "755" { "x" } else { "-" };
                format!("f {executable} {} {}", columns[2], columns[3])
            }
        })
        .collect();
    lines.sort();
    lines
}

fn case(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&data(&format!("tests/data/pkgdefs/{name}")), dir.path());
    // The copies have neither empty directories nor links.
    match name {
        "merged" => fs::create_dir(dir.path().join("root/df")).unwrap(),
        "rootsymlink" => {
            fs::remove_file(dir.path().join("link")).unwrap();
            std::os::unix::fs::symlink("root", dir.path().join("link")).unwrap();
        }
        _ => {}
    }
    dir
}

/// The definitions start a program that none of their trees has.
fn pack(dir: &Path) -> Output {
    let keyring = keyring();
    let keyring = keyring.to_str().unwrap();
    spk(dir, &["pack", "-k", keyring, "--force", "--allow", "/app", "out.spk"])
}

#[test]
fn packs_what_the_original_packs() {
    for name in ["ok", "mapped", "merged", "rootsymlink", "hidden", "nothing"] {
        let case = case(name);
        let dir = case.path();
        let printed = succeeds(&pack(dir));
        assert_eq!(printed, "e3vedgtpyw8nu64ddew0g368v5mgu9kz0622qqy8yux6my5mawph\n");
        assert_eq!(succeeds(&spk(dir, &["unpack", "out.spk"])), printed);
        let mut found = Vec::new();
        tree(&dir.join("out"), &dir.join("out"), &mut found);
        found.sort();
        let mut expected = original_tree(name);
        match name {
            // The original makes empty directories of what is hidden.
            "hidden" => {
                expected.retain(|line| !["d ./hid", "d ./d/hid", "d ./dir"].contains(&&line[..]))
            }
            // It leaves the manifest out when nothing names it, and servers refuse the package.
            "nothing" => found.retain(|line| !line.contains("manifest")),
            _ => {}
        }
        assert_eq!(found, expected, "{name}");
        assert!(succeeds(&spk(dir, &["verify", "out.spk"])).starts_with("{ \"appId\": "));
    }
}

#[test]
fn packing_again_gives_the_same_bytes() {
    let case = case("mapped");
    let dir = case.path();
    succeeds(&pack(dir));
    let first = fs::read(dir.join("out.spk")).unwrap();
    fs::remove_file(dir.join("out.spk")).unwrap();
    succeeds(&pack(dir));
    assert_eq!(first, fs::read(dir.join("out.spk")).unwrap());
}

#[test]
fn what_cannot_be_packed_says_why_and_leaves_the_old_package() {
    for (name, words) in [
        ("filelist-missing", &["file list not found: files.list", "spk dev"][..]),
        ("filelist", &["spaced: not found"]),
        ("dotslash", &["./app"]),
        ("badid", &["no app ID", "spk keygen"]),
        ("nokey", &["6r8gt8ct5e774489grqvzz7dc4fzntpxjrusdwcy329ppnkt3kuh", "keyring3", "-k"]),
    ] {
        let case = case(name);
        fs::write(case.path().join("out.spk"), "old").unwrap();
        fails(&pack(case.path()), words);
        assert_eq!(fs::read(case.path().join("out.spk")).unwrap(), b"old", "{name}");
    }
    let case = case("ok");
    fails(&spk(case.path(), &["pack", "out.spk"]), &["no keyring", ".sandstorm-keyring", "keygen"]);
}

#[test]
fn a_file_that_cannot_be_read_leaves_nothing() {
    let case = case("ok");
    let path = case.path().join("root/big");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 29).unwrap();
    fails(&pack(case.path()), &["'big' cannot be packed", "512 MiB"]);
    assert!(!case.path().join("out.spk").exists());
}

#[test]
fn more_than_a_gibibyte_is_refused_before_anything_is_read() {
    let case = case("ok");
    for name in ["a", "b", "c"] {
        let file = fs::File::create(case.path().join("root").join(name)).unwrap();
        file.set_len(400 << 20).unwrap();
    }
    fails(&pack(case.path()), &["1 GiB", "bytes unpacked"]);
    assert!(!case.path().join("out.spk").exists());
}

#[test]
fn paths_too_deep_for_servers_are_refused() {
    let case = case("ok");
    let directory = |depth: usize| format!("root/{}", vec!["d"; depth].join("/"));
    fs::create_dir_all(case.path().join(directory(62))).unwrap();
    fs::write(case.path().join(directory(62)).join("f"), "x").unwrap();
    succeeds(&pack(case.path()));
    succeeds(&spk(case.path(), &["verify", "out.spk"]));
    fs::create_dir_all(case.path().join(directory(63))).unwrap();
    fs::write(case.path().join(directory(63)).join("f"), "x").unwrap();
    fails(&pack(case.path()), &["64 directories deep", "63"]);
}

#[test]
fn keys_are_made_listed_and_copied() {
    let dir = tempfile::tempdir().unwrap();
    let made = spk(dir.path(), &["keygen"]);
    let id = succeeds(&made);
    assert!(String::from_utf8_lossy(&made.stderr).contains(".sandstorm-keyring"));
    assert_eq!(succeeds(&spk(dir.path(), &["listkeys"])), id);
    let copy = spk(dir.path(), &["getkey", id.trim()]);
    assert!(copy.status.success());
    let keyring = fs::read(dir.path().join(".sandstorm-keyring")).unwrap();
    assert_eq!(copy.stdout, keyring);
    assert_eq!(keyring.len(), 128);
    // -q says nothing, -k goes elsewhere, before or after the subcommand
    let quiet = spk(dir.path(), &["-k", "other", "keygen", "-q"]);
    assert!(quiet.stderr.is_empty());
    assert_eq!(succeeds(&spk(dir.path(), &["listkeys", "--keyring=other"])), succeeds(&quiet));
    let json = succeeds(&spk(dir.path(), &["listkeys", "--json"]));
    assert_eq!(json, format!("[{{\"appId\":\"{}\"}}]\n", id.trim()));
    let json = succeeds(&spk(dir.path(), &["keygen", "--json", "-k", "third"]));
    assert_eq!(
        json,
        format!(
            "{{\"appId\":\"{}\"}}\n",
            succeeds(&spk(dir.path(), &["listkeys", "-k", "third"])).trim()
        )
    );
    fails(&spk(dir.path(), &["listkeys", "-k", "none"]), &["none", "spk keygen"]);
    fails(&spk(dir.path(), &["getkey", &id.trim().replace(|_| true, "0")]), &["no such key"]);
}

#[test]
fn the_originals_keys_come_out_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let ring = keyring();
    let ring = ring.to_str().unwrap();
    let listed = succeeds(&spk(dir.path(), &["listkeys", "-k", ring]));
    let keys = data("../package/tests/data/keys");
    assert_eq!(listed, fs::read_to_string(keys.join("keyring3.listkeys")).unwrap());
    let ids: Vec<&str> = listed.lines().collect();
    let both = spk(dir.path(), &["getkey", "-k", ring, ids[0], ids[2]]);
    assert_eq!(both.stdout, fs::read(keys.join("getkey1and3.bin")).unwrap());
}

#[test]
fn verify_speaks_real_json_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let package = data("../package/tests/data/packages/fullmeta.spk");
    let package = package.to_str().unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(&spk(dir.path(), &["verify", "--json", package]))).unwrap();
    assert_eq!(json["appId"], "dmkz0huc3g56dkwy2m36441r47zxg4g6scc0pr7av5v2r24ef1mh");
    assert_eq!(json["metadata"]["screenshots"][0]["png"]["bytes"], 152063);
    assert!(json["metadata"]["description"]["defaultText"].as_str().unwrap().len() > 256);
    // -d is taken and changes nothing; - is stdin
    let plain = succeeds(&spk(dir.path(), &["verify", package]));
    assert_eq!(plain, succeeds(&spk(dir.path(), &["verify", "-d", package])));
    let stdin = Command::new(env!("CARGO_BIN_EXE_spk"))
        .args(["verify", "--details", "-"])
        .stdin(fs::File::open(package).unwrap())
        .output()
        .unwrap();
    assert_eq!(succeeds(&stdin), plain);
}

#[test]
fn unpack_refuses_what_is_there_and_leaves_nothing_of_bad_packages() {
    let dir = tempfile::tempdir().unwrap();
    let corrupt = data("../package/tests/data/corrupt");
    for entry in fs::read_dir(&corrupt).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { continue };
        if !name.ends_with(".spk") || name == "bomb.spk" {
            continue;
        }
        let output = spk(dir.path(), &["unpack", path.to_str().unwrap(), "out"]);
        let exists = dir.path().join("out").exists();
        assert_eq!(output.status.success(), exists, "{name}");
        if exists {
            fs::remove_dir_all(dir.path().join("out")).unwrap();
        } else {
            fails(&output, &[name]);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{name}");
    }
    let ok = corrupt.join("c-ok.spk");
    let json = succeeds(&spk(dir.path(), &["unpack", "--json", ok.to_str().unwrap(), "out"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["directory"], "out");
    assert_eq!(json["packageId"].as_str().unwrap().len(), 32);
    let there = spk(dir.path(), &["unpack", ok.to_str().unwrap(), "out"]);
    assert!(!there.status.success());
    assert!(String::from_utf8_lossy(&there.stderr).contains("already exists"));
}
