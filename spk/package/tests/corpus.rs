//! What the named inputs of the fuzz targets' corpora are read as.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::Path;

use spk_package::app_id::AppId;
use spk_package::archive::read::{Archive, Check};
use spk_package::progress::Silent;
use spk_package::verify::{Options, verify};
use spk_package::xz::decode::{Decoder, Error};

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(target);
    // The fuzzer calls what it finds by its SHA-1.
    let is_named = |name: &str| name.len() != 40 || !name.bytes().all(|c| c.is_ascii_hexdigit());
    let files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap()))
        .filter(|(name, _)| is_named(name))
        .collect();
    assert!(files.len() >= 3, "the corpus of {target} is gone");
    files
}

#[test]
fn the_corpus_gives_values_or_errors() {
    for (name, bytes) in corpus("package") {
        let result = verify(&mut &bytes[..], None, &Options::default(), &mut Silent);
        assert_eq!(result.is_ok(), ["spec", "depth62.spk"].contains(&&name[..]), "{name}");
    }
    for (name, _) in corpus("archive") {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fuzz/corpus/archive")
            .join(&name);
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let result = Archive::open(file, length).and_then(|archive| archive.walk(&mut Check));
        assert_eq!(result.is_ok(), ["spec", "c-mtime-neg"].contains(&&name[..]), "{name}");
    }
    for (name, bytes) in corpus("xz") {
        let mut out = Vec::new();
        let mut sink = |bytes: &[u8]| -> Result<(), Error> {
            out.extend_from_slice(bytes);
            Ok(())
        };
        let mut decoder = Decoder::new(1);
        for piece in bytes[1..].chunks(bytes[0].into()) {
            decoder.feed(piece, &mut sink).unwrap();
        }
        decoder.finish(&mut sink).unwrap();
        let expected: &[u8] = if name == "two-streams" { b"a\nb\n" } else { b"hello\n" };
        assert_eq!(out, expected, "{name}");
    }
    for (name, bytes) in corpus("keyring") {
        let (_, damage) = spk_package::keyring::parse(&bytes);
        assert_eq!(damage.is_some(), name == "trunc.keyring", "{name}");
    }
    for (name, bytes) in corpus("app_id") {
        assert_eq!(AppId::parse(&bytes).is_err(), name == "leftover", "{name}");
    }
    for (name, text) in corpus("pkgdef") {
        let wrong = ["const-cycle", "unclosed"].contains(&&name[..]);
        let result = spk_package::pkgdef::check(&text, "fuzz.capnp", "pkgdef");
        assert!(result.is_err() || !wrong, "{name}");
    }
}
