//! Images made to do harm, and damaged ones: each is refused with its own words, and nothing is written
//! anywhere else.

use proptest::prelude::*;
use serde_json::json;
use spk_image::{Error, Image, Input, Limits};

use crate::build::*;

#[track_caller]
fn refused(layers: &[&[Entry]], why: &str) {
    let error = unpack_layers(layers).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn entries_stay_in_the_image() {
    refused(&[&[file("../x", "")]], "layer 1: '../x' climbs out of the image with '..'");
    refused(&[&[file("a/../../x", "")]], "climbs");
    refused(&[&[file("/etc/x", "")]], "'/etc/x' is an absolute path");
    refused(&[&[file("a", "")], &[hard_link("x", "../a")]], "layer 2: '../a' climbs");
    refused(&[&[hard_link("x", "/../../etc/passwd")]], "climbs");
    refused(
        &[&[hard_link("x", "etc/passwd")]],
        "'x' is a hard link to 'etc/passwd', which is not there",
    );
    refused(&[&[dir("d"), hard_link("x", "d")]], "which is a directory");
    refused(&[&[file("d", ""), hard_link("d", "d")]], "which is itself");
    refused(&[&[file("x", "").record("path", b"../y")]], "'../y' climbs");
    refused(&[&[file("a/.wh...", "")]], "a whiteout of nothing");
}

#[test]
fn links_lead_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    let away = outside.path().to_str().unwrap();
    let through = |why: &str, layers: &[&[Entry]]| refused(layers, why);
    through(
        "'l/x' leads through the symbolic link 'l', which is of the same layer",
        &[&[symlink("l", away), file("l/x", "")]],
    );
    through("is of the same layer", &[&[symlink("l", "d"), dir("d"), file("l/x", "")]]);
    through("is of the same layer", &[&[symlink("l", away), dir("l/x")]]);
    through("is of the same layer", &[&[symlink("l", away), symlink("l/x", "y")]]);
    through("is of the same layer", &[&[symlink("l", away), hard_link("x", "l/y")]]);
    through("is of the same layer", &[&[symlink("l", "."), file("l/.wh.x", "")]]);
    through("leads out of the image", &[&[symlink("l", "../..")], &[file("l/x", "")]]);
    through(
        "leads out of the image",
        &[&[dir("a"), symlink("a/l", "../../x")], &[file("a/l/x", "")]],
    );
    through("leads out of the image", &[&[symlink("l", "/../x")], &[file("l/x", "")]]);
    through("leads in circles", &[&[symlink("a", "b"), symlink("b", "a")], &[file("a/x", "")]]);
    through("leads in circles", &[&[symlink("a", "a/a")], &[file("a/x", "")]]);
    // An absolute one leads into the image, and makes there what is not there.
    let unpacked = unpack_layers(&[&[symlink("l", away)], &[file("l/x", "1")]]).unwrap();
    assert!(unpacked.root.path().join(away.trim_start_matches('/')).join("x").is_file());
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    refused(&[&[symlink("l", "")]], "the target of the symbolic link 'l' is not usable");
}

#[test]
fn nothing_is_there_twice() {
    refused(&[&[file("a", "1"), file("b", ""), file("./a", "2")]], "layer 1: 'a' is in it twice");
    refused(&[&[file("a", "1"), dir("a")]], "twice");
    refused(&[&[file("a/x", "1"), file("a", "2")]], "twice");
    refused(&[&[dir("a"), symlink("a", "b")]], "twice");
    refused(&[&[symlink("a", "b"), hard_link("a", "c"), file("c", "")]], "not there");
    refused(&[&[file("a", "1"), file("a/x", "2")]], "'a/x' is below 'a', which is no directory");
    refused(&[&[file("a", "1")], &[file("a/x", "2")]], "layer 2: 'a/x' is below 'a'");
    // What engines write, too: directories, for their parents' sake.
    unpack_layers(&[&[dir("a"), file("a/x", ""), dir("a")]]).unwrap();
}

#[test]
fn limits_hold_and_say_what_raises_them() {
    let zeros = vec![0; 300 << 20];
    let mut big = file("zeros", "");
    big.contents = zeros;
    let parts = layout(&[layer(&[big])]);
    let run = |limits: Limits| unpack_stream(&parts.tar()[..], &limits);
    let error = run(Limits { ratio: 5, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, Error::Bomb { limit: 5, .. }), "{error}");
    assert!(
        error.to_string().starts_with("layer 1 grows to more than 5 times its size"),
        "{error}"
    );
    let error = run(Limits { total: 1 << 20, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("--max-size raises it"), "{error}");
    run(Limits { ratio: 1100, ..Limits::default() }).unwrap();

    let many: Vec<Entry> = (0..20).map(|n| file(&format!("f{n}"), "")).collect();
    let parts = layout(&[layer(&many), layer(&many)]);
    let limits = |entries| Limits { entries, ..Limits::default() };
    let error = unpack_stream(&parts.tar()[..], &limits(39)).unwrap_err();
    assert!(error.to_string().contains("--max-entries raises it"), "{error}");
    unpack_stream(&parts.tar()[..], &limits(40)).unwrap();

    // The archive around it.
    let bomb = gzip(&vec![0; 300 << 20]);
    let error =
        Input::from_stream(&bomb[..], &Limits { ratio: 2, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().starts_with("the archive grows"), "{error}");
}

#[test]
fn headers_are_not_kept_without_end() {
    let entry = file("a", "").record("comment", &vec![b'x'; 5 << 20]);
    refused(&[&[entry]], "layer 1 is damaged");
    unpack_layers(&[&[file("a", "").record("comment", &vec![b'x'; 3 << 20])]]).unwrap();
}

#[test]
fn unknown_and_sparse_entries_are_refused() {
    refused(&[&[special("a", tar::EntryType::new(b'V'))]], "'a' is of an unknown type (V)");
    refused(&[&[file("a", "x").record("GNU.sparse.major", b"1")]], "layer 1 is damaged at 'a'");
    refused(&[&[file("a", "x").record("mtime", b"soon")]], "layer 1 is damaged at 'a'");
}

#[test]
fn damage_is_found_wherever_it_is() {
    let parts = layout(&[layer(&[file("a", "contents")]), layer(&[file("b", "contents")])]);
    for name in parts.0.keys().filter(|name| name.starts_with("blobs/")) {
        let mut damaged = parts.clone();
        let bytes = damaged.0.get_mut(name).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        unpack_stream(&damaged.tar()[..], &Limits::default()).expect_err(name);
        let mut missing = parts.clone();
        missing.0.remove(name);
        let error = unpack_stream(&missing.tar()[..], &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("which it names"), "{error}");
        // More behind the end of a compressed layer is damage, too.
        let mut longer = parts.clone();
        longer.0.get_mut(name).unwrap().push(b' ');
        unpack_stream(&longer.tar()[..], &Limits::default()).expect_err(name);
    }
    // Right by its own digest, and not what the configuration says.
    let mut parts = Parts::default();
    let own = wanted(None).platform.architecture;
    let mut descriptor = parts.manifest(&[layer(&[file("a", "1")])], gzip, &own, &json!({}));
    let bytes = parts.0[&place(&descriptor)].clone();
    let mut manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    manifest["layers"][0] = parts.blob("", &gzip(&layer(&[file("a", "2")])));
    let other = parts.blob("", manifest.to_string().as_bytes());
    descriptor["digest"] = other["digest"].clone();
    parts.index(&[descriptor]);
    let error = unpack_stream(&parts.tar()[..], &Limits::default()).unwrap_err();
    assert!(matches!(error, Error::DiffId(1)), "{error}");
}

fn place(descriptor: &serde_json::Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

#[test]
fn documents_that_make_no_sense() {
    let read = |index: &str| {
        let mut parts = Parts::default();
        parts.0.insert("index.json".into(), index.into());
        let input = Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
        Image::find(input, &wanted(None)).unwrap_err().to_string()
    };
    let zero = "0".repeat(64);
    for (index, why) in [
        ("{}".to_owned(), "no container image"),
        ("7".to_owned(), "'index.json' of the image makes no sense"),
        (r#"{"manifests": [{}]}"#.into(), "makes no sense"),
        (r#"{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}"#.into(), "not a digest"),
        (r#"{"manifests": [{"digest": "md5:00"}]}"#.into(), "not a digest"),
        (format!(r#"{{"manifests": [{{"digest": "sha256:{zero}"}}]}}"#), "lacks 'blobs/sha256/0"),
    ] {
        let error = read(&index);
        assert!(error.contains(why), "{index}: {error}");
    }
    for (saved, why) in [
        (r#"[{"Config": "../c.json"}]"#, "unusable name"),
        (r#"[{"Config": "/c.json"}]"#, "unusable name"),
        (r#"[{"Config": "c.json"}]"#, "lacks 'c.json'"),
        ("[]", "no container image"),
    ] {
        let mut parts = Parts::default();
        parts.0.insert("manifest.json".into(), saved.into());
        let input = Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
        let error = Image::find(input, &wanted(None)).unwrap_err().to_string();
        assert!(error.contains(why), "{saved}: {error}");
    }
    // An index that is in itself cannot be, since digests go one way; a deep one can.
    let mut parts = Parts::default();
    let mut inner = parts.blob("", b"{}");
    for _ in 0..10 {
        let index = json!({"manifests": [inner]}).to_string();
        inner = parts.blob("application/vnd.oci.image.index.v1+json", index.as_bytes());
    }
    parts.index(&[inner]);
    let input = Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
    let error = Image::find(input, &wanted(None)).unwrap_err().to_string();
    assert!(error.contains("indexes within indexes"), "{error}");
    // Large ones are not read.
    let mut parts = Parts::default();
    parts.0.insert("index.json".into(), vec![b' '; 5 << 20]);
    let input = Input::from_stream(&parts.tar()[..], &Limits::default()).unwrap();
    assert!(
        Image::find(input, &wanted(None))
            .unwrap_err()
            .to_string()
            .contains("bytes in 'index.json'")
    );
}

#[test]
fn archives_that_are_none() {
    let garbage = |bytes: &[u8]| match Input::from_stream(bytes, &Limits::default()) {
        Ok(input) => Image::find(input, &wanted(None)).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    assert!(garbage(b"").contains("no container image"));
    assert_eq!(garbage(&[b'x'; 2000]), "cannot read the image");
    assert_eq!(garbage(&gzip(b"x")[..10]), "cannot read the image");
    let twice = [layer(&[file("index.json", "{}"), file("index.json", "{}")])].concat();
    assert_eq!(garbage(&twice), "the archive has 'index.json' twice");
    let circle = layer(&[symlink("index.json", "b"), symlink("b", "index.json")]);
    assert!(garbage(&circle).contains("no container image"));
    let away = layer(&[symlink("index.json", "../../etc/passwd")]);
    assert!(garbage(&away).contains("unusable name"), "{}", garbage(&away));
    let whole = layout(&[layer(&[file("a", "1")])]).tar();
    garbage(&whole[..whole.len() / 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is changed, there is an error or the same tree, and no panic.
    #[test]
    fn changed_archives_are_refused_or_the_same(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let layers = [layer(&[dir("a"), file("a/x", "1"), symlink("l", "a")]), layer(&[file("a/.wh.x", ""), file("a/y", "2")])];
        let mut archive = layout(&layers).tar();
        let at = at.index(archive.len());
        archive[at] = to;
        if let Ok(unpacked) = unpack_stream(&archive[..], &Limits::default()) {
            prop_assert_eq!(listing(unpacked.root.path(), false), ["a/", "a/y=2", "l -> a"]);
        }
    }

    /// A layer of any bytes in place of some: what is made is made below.
    #[test]
    fn changed_layers_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = layer(&[dir("a"), file("a/x", "1"), symlink("l", "a"), hard_link("h", "a/x")]);
        for (at, to) in changes {
            let at = at.index(bytes.len());
            bytes[at] = to;
            // The checksum stands in the way of most changes: made right again.
            let block = at / 512 * 512;
            let mut header = tar::Header::from_byte_slice(&bytes[block..block + 512]).clone();
            if header.as_bytes()[257..262] == *b"ustar" {
                header.set_cksum();
                bytes[block..block + 512].copy_from_slice(header.as_bytes());
            }
        }
        let around = tempfile::tempdir().unwrap();
        let input = Input::from_stream(&layout(&[bytes]).tar()[..], &Limits::default()).unwrap();
        let image = Image::find(input, &wanted(None)).unwrap();
        let inside = around.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        let dir = spk_files::Dir::open_trusted(&inside).unwrap();
        let _ = image.unpack(&dir, &Limits::default(), &mut |_| {});
        prop_assert_eq!(std::fs::read_dir(around.path()).unwrap().count(), 1);
    }
}
