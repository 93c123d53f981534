//! What the crate of files does is not done again elsewhere, but for the places named here.
#![allow(clippy::unwrap_used)]

use std::fs;

use spk_tests::sources::{house, rust_files};

/// What only `spk/files` has in its text, and what others use instead.
const ONCE: &[(&str, &[&str])] = &[
    ("hex::encode", &[":02x}"]),
    ("random", &["getrandom::", "open(\"/dev/urandom"]),
    ("Dir", &["openat2("]),
    ("Dir::remove_tree", &["remove_dir_all"]),
    ("AtomicFile or Staging", &["fs::rename(", "renameat(", "renameat_with(", ".persist("]),
    ("path", &["rposition(|&byte| byte == b'/')", "rsplit(|&byte| byte == b'/')"]),
    ("elf", &["\\x7fELF"]),
    ("printable", &["is_control"]),
];

/// Where one of these stands all the same, and why.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "runtime/sandbox/src/root.rs",
        "openat2(",
        "finds mount points, and nix makes the sandbox's calls",
    ),
    ("runtime/bridge/src/identities.rs", "fs::rename(", "moves a link into the trash"),
    ("runtime/bridge/src/http/disposition.rs", "is_control", "refuses such a name"),
    ("spk/cli/src/commands/check/ending.rs", "remove_dir_all", "a state directory of spk's own"),
    ("spk/cli/src/templates.rs", ":02x}", "escapes of a text of Cap'n Proto's"),
    ("runtime/host/src/serve/host_objects/mail.rs", "is_control", "keeps a header on its line"),
    ("runtime/host/src/serve/log.rs", "fs::rename(", "turns the log over"),
    ("runtime/host/src/shell/sessions.rs", "is_control", "refuses such a name"),
];

/// The source without its tests, which are at the end.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ").next().unwrap_or(text)
}

#[test]
fn what_files_does_is_done_once() {
    let house = house();
    let (mut wrong, mut count) = (Vec::new(), 0);
    let mut unused: Vec<_> = ELSEWHERE.iter().map(|&(path, mark, _)| (path, mark)).collect();
    for file in rust_files(house) {
        let path = file.strip_prefix(house).unwrap().to_str().unwrap();
        let is_product = path.contains("/src/") && !path.contains("/tests");
        let others = ["tests/", "templates/", "spk/files/", "spk/skip/"];
        if !is_product || others.iter().any(|other| path.starts_with(other)) {
            continue;
        }
        count += 1;
        let text = fs::read_to_string(&file).unwrap();
        for (instead, marks) in ONCE {
            for mark in marks.iter().filter(|mark| product(&text).contains(**mark)) {
                match unused.iter().position(|known| *known == (path, *mark)) {
                    Some(known) => drop(unused.swap_remove(known)),
                    None => wrong.push(format!("{path}: {mark} (use spk_files: {instead})")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "done again:\n{}", wrong.join("\n"));
    assert!(unused.is_empty(), "not there any more: {unused:?}");
    assert!(count > 200, "{count} sources were found");
}

#[test]
fn the_marks_are_those_of_the_crate() {
    let files = rust_files(&house().join("spk/files/src"));
    let all: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for mark in
        [":02x}", "getrandom::", "openat2(", "renameat_with(", "rposition(|&byte| byte == b'/')"]
    {
        assert!(all.contains(mark), "{mark}");
    }
    assert!(product("a\n#[cfg(test)]\nmod tests { :02x} }").ends_with("a\n"));
}
