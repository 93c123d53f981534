//! `spk rekey`, as users run it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn spk(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_spk"))
        .args(arguments)
        .current_dir(dir)
        .env("HOME", dir)
        .env_remove("SPK_KEYRING")
        .env_remove("SPK_PKG_DEF")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

const TEXT: &str = "@0x994204a9202bc200; # the ID\n\
    using Spk = import \"/sandstorm/package.capnp\";\n\
    const pkgdef :Spk.PackageDefinition = (\n  id = \"OLD\", # our ID\n\
    manifest = (appTitle = (defaultText = \"T\"), appMarketingVersion = (defaultText = \"1\")));\n";

#[test]
fn replaces_the_id_and_keeps_both_keys() {
    let dir = tempfile::tempdir().unwrap();
    let old = String::from_utf8(spk(dir.path(), &["keygen", "-q"]).stdout).unwrap();
    let path = dir.path().join("sandstorm-pkgdef.capnp");
    let text = TEXT.replace("OLD", old.trim());
    fs::write(&path, &text).unwrap();

    let output = spk(dir.path(), &["rekey", "--dry-run"]);
    assert!(output.status.success() && output.stdout.starts_with(b"would replace "));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    // Nobody can be asked here.
    assert_eq!(spk(dir.path(), &["rekey"]).status.code(), Some(2));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let output = spk(dir.path(), &["rekey", "--yes"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains(old.trim()) && said.contains(".sandstorm-keyring"), "{said}");
    let new = String::from_utf8(output.stdout).unwrap();
    assert_ne!(new, old);
    assert_eq!(fs::read_to_string(&path).unwrap(), TEXT.replace("OLD", new.trim()));
    let listed = String::from_utf8(spk(dir.path(), &["listkeys"]).stdout).unwrap();
    assert_eq!(listed, format!("{old}{new}"));
}

#[test]
fn a_wrong_definition_costs_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sandstorm-pkgdef.capnp");
    for (text, expected) in [
        (TEXT.replace("appTitle", "appTittle"), "did you mean `appTitle`?"),
        (TEXT.replace("\"OLD\"", "embed \"id\""), "not written in this file"),
    ] {
        fs::write(&path, &text).unwrap();
        let output = spk(dir.path(), &["rekey", "--yes"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1));
        assert!(said.contains(expected), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert!(!dir.path().join(".sandstorm-keyring").exists());
    }
    let output = spk(dir.path(), &["rekey", "-p", "sandstorm-pkgdef.capnp:nope"]);
    assert_eq!(output.status.code(), Some(1));
}
