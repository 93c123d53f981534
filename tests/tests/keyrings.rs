//! Keyrings that are damaged, foreign or cannot be written: nothing is added to them, and nothing is
//! lost that is whole in them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use spk_tests::bins::{fails, ok};
use spk_tests::{Stage, Who};

/// A stage with a keyring of two keys, the second of which was cut off, and the first one's ID.
fn damaged(who: Who) -> (Stage, PathBuf, String) {
    let stage = Stage::new(who);
    let id = ok(stage.spk().args(["keygen", "-q", "-k", "ring"])).trim().to_owned();
    ok(stage.spk().args(["keygen", "-q", "-k", "ring"]));
    let ring = stage.work().join("ring");
    let bytes = fs::read(&ring).unwrap();
    fs::write(&ring, &bytes[..bytes.len() - 9]).unwrap();
    (stage, ring, id)
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn no_key_is_added_to_what_is_no_whole_keyring() {
    for who in Who::all("no_key_is_added_to_what_is_no_whole_keyring") {
        let (stage, ring, _) = damaged(who);
        ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "-i", "abc", "--", "/app"]));
        let definition = stage.work().join("sandstorm-pkgdef.capnp");
        let before = fs::read(&definition).unwrap();
        stage.write("notes.txt", "these are the notes of last week, and no key is here at all\n");
        stage.write("short", "hi\n");
        for (file, word) in
            [("ring", "damaged"), ("notes.txt", "not a keyring"), ("short", "not a keyring")]
        {
            let contents = fs::read(stage.work().join(file)).unwrap();
            let keygen = fails(stage.spk().args(["keygen", "-k", file]));
            assert!(said(&keygen).contains(word), "{}", said(&keygen));
            assert!(keygen.stdout.is_empty(), "an ID of a key that is nowhere");
            let rekey = fails(stage.spk().args(["rekey", "--yes", "-k", file]));
            assert!(said(&rekey).contains(word), "{}", said(&rekey));
            assert_eq!(fs::read(&definition).unwrap(), before);
            let init = fails(stage.spk().args(["init", "--template", "static", "-k", file]));
            assert!(
                said(&init).contains(word) || said(&init).contains("exists"),
                "{}",
                said(&init)
            );
            assert_eq!(fs::read(stage.work().join(file)).unwrap(), contents, "{file} was changed");
        }
        // Also into an empty directory nothing is written then.
        fs::create_dir(stage.work().join("fresh")).unwrap();
        who.own(&stage.work());
        let mut init = stage.spk_in(&stage.work().join("fresh"));
        fails(init.args(["init", "--template", "static", "-k"]).arg(&ring));
        assert_eq!(fs::read_dir(stage.work().join("fresh")).unwrap().count(), 0);
    }
}

#[test]
fn whole_keys_of_a_damaged_keyring_stay_usable() {
    for who in Who::all("whole_keys_of_a_damaged_keyring_stay_usable") {
        let (stage, ring, id) = damaged(who);
        // A key behind the damage, as a tool that does not look would have added it.
        let other = ok(stage.spk().args(["keygen", "-q", "-k", "other"])).trim().to_owned();
        let bytes = [fs::read(&ring).unwrap(), fs::read(stage.work().join("other")).unwrap()];
        fs::write(&ring, bytes.concat()).unwrap();
        for id in [&id, &other] {
            let output = stage.spk().args(["getkey", "-k", "ring", id]).output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            assert!(said(&output).contains("damaged"), "{}", said(&output));
            stage.write("copy", &output.stdout);
            assert_eq!(ok(stage.spk().args(["listkeys", "-k", "copy"])).trim(), id);
        }
        let list = fails(stage.spk().args(["listkeys", "-k", "ring"]));
        // The one that was cut off still has its name.
        let listed = String::from_utf8_lossy(&list.stdout).into_owned();
        let listed: Vec<&str> = listed.lines().collect();
        assert_eq!((listed.len(), listed[0], listed[2]), (3, id.as_str(), other.as_str()));
        let cut = fails(stage.spk().args(["getkey", "-k", "ring", listed[1]]));
        assert!(said(&cut).contains("is damaged"), "{}", said(&cut));
        assert!(cut.stdout.is_empty());
        // It also signs.
        stage.write("app", "");
        ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "-i", &id, "--", "/app"]));
        let pack = stage.spk().args(["pack", "-q", "--fast", "-k", "ring", "a.spk"]).output();
        let pack = pack.unwrap();
        assert!(pack.status.success(), "{}", said(&pack));
        assert!(said(&pack).contains("damaged"), "{}", said(&pack));
    }
}

#[test]
fn doctor_reads_the_keyring() {
    let (stage, ring, _) = damaged(Who::User);
    let found = |stage: &Stage| {
        let output = stage.spk().args(["-k", "ring", "doctor", "--json"]).output().unwrap();
        let checks: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = checks.as_array().unwrap();
        checks.iter().find(|check| check["name"] == "keyring").unwrap().clone()
    };
    let check = found(&stage);
    assert_eq!(check["state"], "warning", "{check}");
    assert!(check["found"].as_str().unwrap().contains("damaged"), "{check}");
    assert!(check["remedy"].as_str().unwrap().contains("getkey"), "{check}");
    fs::write(&ring, "these are notes").unwrap();
    assert!(found(&stage)["found"].as_str().unwrap().contains("not a keyring"));
}

#[test]
fn no_key_is_made_for_what_cannot_be_written() {
    for who in Who::all("no_key_is_made_for_what_cannot_be_written") {
        let stage = Stage::new(who);
        stage.write("app.py", "");
        // Modes do not stop root, but a file in the place of a directory does.
        let closed = stage.work().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
        who.own(&closed);
        let inside = ["init", "-p", "8000", "-o", "app.py/definition", "--", "/bin/true"];
        let output = fails(stage.spk().args(inside));
        assert!(said(&output).contains("app.py"), "{}", said(&output));
        if who == Who::User {
            for call in [&["--template", "python"][..], &["-p", "8000", "--", "/bin/true"]] {
                fails(stage.spk_in(&closed).arg("init").args(call));
                assert_eq!(fs::read_dir(&closed).unwrap().count(), 0);
            }
        }
        let rekeyed = stage.write("project/sandstorm-pkgdef.capnp", "");
        let project = rekeyed.parent().unwrap().to_owned();
        fs::remove_file(&rekeyed).unwrap();
        ok(stage.spk_in(&project).args(["init", "-q", "-r", "-i", "abc", "--", "/app"]));
        if who == Who::User {
            fs::set_permissions(&project, fs::Permissions::from_mode(0o555)).unwrap();
            fails(stage.spk_in(&project).args(["rekey", "--yes"]));
            fs::set_permissions(&project, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let keyring = stage.home().join(".sandstorm-keyring");
        assert!(!keyring.exists(), "a key that no project will ever have");
    }
}

#[test]
fn a_key_says_on_demand_for_which_app_it_is() {
    let stage = Stage::new(Who::User);
    stage.write("app", "");
    ok(stage.spk().args(["init", "-q", "--template", "static", "--title", "Old notes"]));
    let here = ok(stage.spk().arg("listkeys")).trim().to_owned();
    let unknown = ok(stage.spk().args(["keygen", "-q"])).trim().to_owned();
    let apps = ok(stage.spk().args(["listkeys", "--apps"]));
    assert_eq!(apps, format!("{here}\tOld notes\n{unknown}\n"));
    // As the original's, without the option.
    assert_eq!(ok(stage.spk().arg("listkeys")), format!("{here}\n{unknown}\n"));
    let json = ok(stage.spk().args(["listkeys", "--apps", "--json"]));
    let keys: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(keys[0]["appTitle"], "Old notes");
    assert!(keys[1]["appTitle"].is_null());
}

#[test]
fn keys_of_vagrant_spk_are_pointed_at() {
    let stage = Stage::new(Who::User);
    let place = stage.home().join(".sandstorm");
    fs::create_dir_all(&place).unwrap();
    Who::User.own(&place);
    let ring = place.join("sandstorm-keyring");
    let id = ok(stage.spk().args(["keygen", "-q", "-k"]).arg(&ring)).trim().to_owned();
    let shown = ring.display().to_string();
    let list = fails(stage.spk().arg("listkeys"));
    assert!(said(&list).contains(&shown), "{}", said(&list));
    stage.write("app", "");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "-i", &id, "--", "/app"]));
    ok(stage.spk().args(["keygen", "-q"]));
    for call in [&["pack", "a.spk"][..], &["getkey", &id]] {
        let output = fails(stage.spk().args(call));
        assert!(said(&output).contains(&format!("has it: -k {shown}")), "{}", said(&output));
    }
    let doctor = stage.spk().arg("doctor").output().unwrap();
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(&shown));
}
