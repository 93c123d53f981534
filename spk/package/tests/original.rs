//! Everything the original tool made, read by this one (`tests/data`), and round trips.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use spk_package::keyring::{self, Key, Keyring};
use spk_package::pack::{self, Level, pack};
use spk_package::progress::Silent;
use spk_package::unpack::unpack;
use spk_package::verify::{self, verify_file};
use support::{data, listing, tree};

fn verify(path: &Path) -> Result<Vec<u8>, verify::Error> {
    verify_file(path, &verify::Options::default(), &mut Silent).map(|info| info.to_legacy())
}

fn strings(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn keyring_lists_finds_and_copies_keys() {
    let keyring = Keyring::open(&data("keys/keyring3")).unwrap();
    let ids: Vec<String> = keyring.keys().iter().map(|key| key.app_id().to_string()).collect();
    assert_eq!(ids, strings(&data("keys/keyring3.listkeys")));
    for (number, entry) in keyring.keys().iter().enumerate() {
        let key = keyring.find(&entry.app_id()).unwrap().unwrap();
        let original = fs::read(data(&format!("keys/getkey{}.bin", number + 1))).unwrap();
        assert_eq!(key.to_message()[..], original);
    }
    assert_eq!(Keyring::open(&data("keys/getkey1and3.bin")).unwrap().keys().len(), 2);
    assert_eq!(Keyring::open(&data("keys/empty.keyring")).unwrap().keys().len(), 0);
    assert_eq!(Keyring::open(&data("keys/garb.keyring")).unwrap().keys().len(), 3);
    let cut = Keyring::open(&data("keys/trunc.keyring"));
    assert!(matches!(cut, Err(keyring::Error::Damaged { number: 1, .. })));
}

#[test]
fn verify_prints_what_the_original_prints() {
    for name in ["depth62", "edge-nodeep", "fullmeta", "segments"] {
        let printed = verify(&data(&format!("packages/{name}.spk"))).unwrap();
        let original = fs::read(data(&format!("packages/{name}.verify.txt"))).unwrap();
        assert_eq!(String::from_utf8(printed), String::from_utf8(original), "{name}");
    }
}

#[test]
fn packages_too_deep_for_servers_are_refused_by_both() {
    let package = data("packages/depth63.spk");
    let error = verify(&package).unwrap_err().to_string();
    assert!(error.contains("63 path components"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    assert!(unpack(&package, &dir.path().join("out")).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Directories without a source carry the time at which the original packed, here too.
#[test]
fn unpack_writes_what_the_original_writes() {
    for name in ["depth62", "edge-nodeep", "fullmeta", "segments"] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let unpacked = unpack(&data(&format!("packages/{name}.spk")), &out).unwrap();
        let id = fs::read_to_string(data(&format!("packages/{name}.unpack.txt"))).unwrap();
        assert_eq!(format!("{}\n", unpacked.app_id), id);
        let expected = strings(&data(&format!("packages/{name}.tree.tsv")));
        let mut found = listing(&out);
        let mut expected = expected;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{name}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }
}

#[test]
fn corrupt_packages_are_refused_and_leave_nothing() {
    let table = fs::read_to_string(data("corrupt/results.tsv")).unwrap();
    let mut seen = 0;
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let (file, verb) = (columns.next().unwrap(), columns.next().unwrap());
        let original_failed = columns.next().unwrap() == "1";
        if verb != "verify" {
            continue;
        }
        let package = data(&format!("corrupt/{file}"));
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let (verified, unpacked) = (verify(&package), unpack(&package, &out));
        // What `unpack` of the original refuses, both refuse here.
        let unpack_failed = table.contains(&format!("{file}\tunpack\t1"));
        assert_eq!(verified.is_err(), original_failed || unpack_failed, "verify {file}");
        assert_eq!(unpacked.is_err(), unpack_failed, "unpack {file}");
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, usize::from(!unpack_failed), "{file}");
        seen += 1;
    }
    assert_eq!(seen, 30);
}

#[test]
fn negative_times_are_restored_exactly() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    unpack(&data("corrupt/c-mtime-neg.spk"), &out).unwrap();
    let mut negative = 0;
    for entry in fs::read_dir(&out).unwrap() {
        let metadata = entry.unwrap().path().symlink_metadata().unwrap();
        negative += u32::from(metadata.mtime() < 0);
    }
    assert!(negative > 0);
}

#[test]
fn what_we_pack_again_is_what_the_original_packed() {
    let keyring = Keyring::open(&data("keys/keyring3")).unwrap();
    for name in ["depth62", "edge-nodeep", "fullmeta", "segments"] {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let id = unpack(&data(&format!("packages/{name}.spk")), &out).unwrap().app_id;
        let key = keyring.find(&id).unwrap().unwrap();
        let again = dir.path().join("again.spk");
        let options = pack::Options { level: Level::preset(1), ..Default::default() };
        let packed = pack(&tree(&out), &key, &again, &options, &mut Silent).unwrap();
        assert_eq!(packed.key, id);
        let out2 = dir.path().join("out2");
        let unpacked = unpack(&again, &out2).unwrap();
        assert_eq!(unpacked.package_id, packed.package_id);
        assert_eq!(listing(&out), listing(&out2), "{name}");
        // Only the package ID differs in what verify prints.
        let original = fs::read_to_string(data(&format!("packages/{name}.verify.txt"))).unwrap();
        let ours = String::from_utf8(verify(&again).unwrap()).unwrap();
        let without_id = |text: &str| -> Vec<String> {
            text.lines().filter(|l| !l.contains("\"packageId\"")).map(str::to_owned).collect()
        };
        assert_eq!(without_id(&ours), without_id(&original));
    }
}

/// The package of package-format §20: made by hand, single segment.
#[test]
fn the_specifications_package_reads_and_its_signature_comes_out_byte_for_byte() {
    use sha2::{Digest, Sha512};
    use spk_package::archive::layout::Layout;
    use spk_package::xz::decode::{self, Decoder};
    let package = data("vector/spec.spk");
    let printed = String::from_utf8(verify(&package).unwrap()).unwrap();
    assert_eq!(printed, fs::read_to_string(data("vector/spec.verify.txt")).unwrap());

    let mut stream = Vec::new();
    let mut sink = |bytes: &[u8]| -> Result<(), decode::Error> {
        stream.extend_from_slice(bytes);
        Ok(())
    };
    let mut decoder = Decoder::new(1);
    decoder.feed(&fs::read(&package).unwrap()[8..], &mut sink).unwrap();
    decoder.finish(&mut sink).unwrap();
    let archive = fs::read(data("vector/spec.archive")).unwrap();
    assert_eq!(stream[192..], archive);
    let mut seed = [0; 32];
    seed.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
    let hash: [u8; 64] = Sha512::digest(&archive).into();
    let signature = spk_package::signature::sign(Key::from_seed(seed).signing_key(), &hash);
    assert_eq!(stream[..192], signature);

    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    unpack(&package, &out).unwrap();
    // Ours lies in another order, but has the same objects and so the same size.
    let tree = tree(&out);
    assert_eq!(Layout::new(&tree, |_| {}).unwrap().total as usize, archive.len());
}
