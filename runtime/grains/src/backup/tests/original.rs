//! What the original tool wrote and restored.

use super::*;

/// `grain-source.tree.tsv` and the like: type, executable bit, size, time, digest, path.
fn tree(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(data(name)).unwrap();
    let rows = text.lines().map(|line| line.split('\t').map(str::to_owned).collect());
    rows.filter(|row: &Vec<String>| row[5].starts_with("sandbox/")).collect()
}

/// The same rows about a grain of ours.
fn rows(grain: &Grain) -> Vec<Vec<String>> {
    use sha2::{Digest, Sha256};
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let encode = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |text, &byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' | b'/' => {
                text + &char::from(byte).to_string()
            }
            _ => text + &format!("%{byte:02X}"),
        })
    };
    let mut rows: Vec<Vec<String>> = listing(&grain.var_path())
        .into_iter()
        .filter(|(name, ..)| !name.is_empty())
        .map(|(name, mode, time, content)| {
            let (kind, executable, size, what) = match mode & 0o170_000 {
                0o100_000 => {
                    let x = if mode & 0o100 != 0 { "x" } else { "-" };
                    ("f", x, content.len(), hex(&Sha256::digest(&content)))
                }
                0o120_000 => ("l", "-", 0, encode(&content)),
                _ => ("d", "-", 0, "-".to_owned()),
            };
            let path = format!("sandbox/{}", encode(&name));
            vec![kind.into(), executable.into(), size.to_string(), time.to_string(), what, path]
        })
        .collect();
    rows.sort_by(|a, b| a[5].cmp(&b[5]));
    rows
}

#[test]
fn its_backup_restores_with_all_it_holds() {
    let (_temp, store) = scratch();
    let restored = restore_file(&store, &data("backup-userns.zip")).unwrap();
    let meta = restored.grain.meta();
    assert_eq!(meta.title, "My Grain \u{2014} \u{fc}n\u{ef}code");
    assert_eq!(meta.owner_identity_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(meta.users[0].credential_ids, ["aaaa", "bbbb"]);
    assert!(restored.notes.is_empty());
    // What the original itself restored, but for the name that its unpacker altered, and for
    // times of what the archive does not describe.
    let expected = tree("restored-by-original.tree.tsv");
    let ours = rows(&restored.grain);
    assert_eq!(ours.len(), expected.len());
    let dated = |path: &str| {
        expected.iter().find(|row| row[5] == path).is_some_and(|row| row[3].ends_with("000000000"))
    };
    for row in &ours {
        if row[5] == "sandbox/bad%FF" {
            continue;
        }
        let theirs = expected.iter().find(|other| other[5] == row[5]).unwrap();
        assert_eq!(row[..3], theirs[..3]);
        assert_eq!(row[4..], theirs[4..]);
        if dated(&row[5]) {
            assert_eq!(row[3], theirs[3], "{}", row[5]);
        }
    }
    // And byte for byte the source, including that name.
    for source in tree("grain-source.tree.tsv") {
        let lost = ["sandbox/fifo", "sandbox/sock", "sandbox/onlyfifo/p", "sandbox/new%0Aline"];
        if lost.contains(&source[5].as_str()) {
            continue;
        }
        let row = ours.iter().find(|row| row[5] == source[5]).expect(&source[5]);
        assert_eq!(
            (&row[0], &row[1], &row[2], &row[4]),
            (&source[0], &source[1], &source[2], &source[4])
        );
    }
}

#[test]
fn its_owner_is_the_first_who_comes() {
    let (_temp, store) = scratch();
    let mut grain = restore_file(&store, &data("backup-userns.zip")).unwrap().grain;
    let alice = grain.identity("alice").unwrap();
    assert_eq!(alice[..4], [0x01, 0x23, 0x45, 0x67]);
    assert_eq!(alice[16..], [0; 16]);
    assert_ne!(grain.identity("bob").unwrap(), alice);
    assert_eq!(grain.identity("alice").unwrap(), alice);
}

#[test]
fn parts_that_are_missing_are_named() {
    let (_temp, store) = scratch();
    let error = |name: &str| restore_file(&store, &data(name)).unwrap_err();
    assert!(matches!(error("nometa.zip"), Error::NoMetadata));
    assert!(matches!(error("nodata.zip"), Error::NoData));
    // Its metadata has no bytes; a missing log is no fault.
    assert!(matches!(error("nolog.zip"), Error::BadMetadata(_)));
    assert_empty(&store);
}

#[test]
fn the_app_decides_whether_data_fits() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(temp.path()).unwrap();
    let app = APP.parse().unwrap();
    let backup = data("backup-userns.zip");
    assert!(matches!(restore_file(&store, &backup), Err(Error::NoApp { .. })));
    fake_package(&store, &app, 2, 0);
    let older = restore_file(&store, &backup).unwrap_err();
    assert!(matches!(older, Error::OlderApp { needed: 3, newest: 2 }));
    let strict = fake_package(&store, &app, 9, 4);
    let error = restore_file(&store, &backup).unwrap_err();
    assert!(matches!(error, Error::TooOld { found: 3, minimum: 4 }));
    assert_empty(&store);
    let file = || File::open(&backup).unwrap();
    let options = RestoreOptions { force: true, ..RestoreOptions::default() };
    let forced = restore(&store, file(), &options, &mut Silent).unwrap();
    assert_eq!(forced.grain.meta().package_id, Some(strict.id));
    let options = RestoreOptions { without_package: true, ..RestoreOptions::default() };
    assert_eq!(
        restore(&store, file(), &options, &mut Silent).unwrap().grain.meta().package_id,
        None
    );
}
