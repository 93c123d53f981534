//! What layers make, one on the other (OCI image specification, `layer.md`).

use spk_image::{Limits, Unkept};
use tar::EntryType;

use crate::build::*;

#[track_caller]
fn make(layers: &[&[Entry]], expected: &[&str]) {
    let unpacked = unpack_layers(layers).unwrap();
    assert_eq!(listing(unpacked.root.path(), false), expected);
}

#[test]
fn files_directories_and_links() {
    let entries = [
        dir("./"),
        dir("a/").mode(0o555),
        file("a/f", "one").mode(0o4755).mtime(5),
        symlink("l", "../out"),
        hard_link("a/g", "a/f"),
        hard_link("h", "/l"),
        file("no/parents", "").mode(0o000),
    ];
    let unpacked = unpack_layers(&[&entries]).unwrap();
    let root = unpacked.root.path();
    let expected = [
        "a/ 755 1000000000",
        "a/f=one 755 5",
        "a/g=one 755 5",
        "h -> ../out",
        "l -> ../out",
        "no/parents= 600 1000000000",
        "one file: a/f, a/g",
    ];
    let found: Vec<String> =
        listing(root, true).into_iter().filter(|line| !line.starts_with("no/ ")).collect();
    assert_eq!(found, expected);
    let counts = unpacked.counts;
    assert_eq!((counts.layers, counts.files, counts.directories, counts.links), (1, 3, 2, 2));
    assert_eq!(counts.bytes, 6);
}

#[test]
fn whiteouts_remove_what_is_below_and_only_that() {
    let lower = [dir("a"), file("a/x", "1"), file("a/y", "1"), dir("a/d"), file("a/d/z", "1")];
    make(&[&lower, &[file("a/.wh.x", "")]], &["a/", "a/d/", "a/d/z=1", "a/y=1"]);
    make(&[&lower, &[file("a/.wh.d", "")]], &["a/", "a/x=1", "a/y=1"]);
    make(&[&lower, &[file(".wh.a", "")]], &[]);
    // Of what is not there.
    make(&[&[file("x", "1")], &[file("a/.wh.x", ""), file(".wh.y", "")]], &["x=1"]);
    // Whatever the order.
    make(
        &[&lower, &[file("a/x", "2"), file("a/.wh.x", "")]],
        &["a/", "a/d/", "a/d/z=1", "a/x=2", "a/y=1"],
    );
    make(
        &[&lower, &[file("a/.wh.x", ""), file("a/x", "2")]],
        &["a/", "a/d/", "a/d/z=1", "a/x=2", "a/y=1"],
    );
    // A directory that is new, with a whiteout of what it was.
    make(&[&lower, &[dir("a"), file("a/n", "2"), file(".wh.a", "")]], &["a/", "a/n=2"]);
    // A link, not what it leads to.
    make(
        &[&[dir("a"), file("a/x", "1"), symlink("l", "a")], &[file(".wh.l", "")]],
        &["a/", "a/x=1"],
    );
}

#[test]
fn opaque_directories_begin_anew() {
    let lower = [dir("a"), file("a/x", "1"), dir("a/d"), file("a/d/z", "1"), file("b", "1")];
    make(&[&lower, &[dir("a"), file("a/.wh..wh..opq", "")]], &["a/", "b=1"]);
    make(&[&lower, &[file("a/.wh..wh..opq", ""), file("a/n", "2")]], &["a/", "a/n=2", "b=1"]);
    make(
        &[&lower, &[file("a/n", "2"), file("a/d/m", "2"), file("a/.wh..wh..opq", "")]],
        &["a/", "a/d/", "a/d/m=2", "a/n=2", "b=1"],
    );
    make(&[&lower, &[file(".wh..wh..opq", ""), file("n", "2")]], &["n=2"]);
    make(&[&lower, &[file("q/.wh..wh..opq", "")]], &["a/", "a/d/", "a/d/z=1", "a/x=1", "b=1"]);
    // What the storage driver left.
    make(&[&[file(".wh..wh.aufs", "x"), file(".wh..wh.plnk/1.2", "x"), file("a", "1")]], &["a=1"]);
}

#[test]
fn types_are_replaced() {
    let lower = [dir("a"), file("a/x", "1"), file("f", "1"), symlink("l", "a")];
    make(&[&lower, &[file("a", "2")]], &["a=2", "f=1", "l -> a"]);
    make(&[&lower, &[symlink("a", "f")]], &["a -> f", "f=1", "l -> a"]);
    make(&[&lower, &[dir("f"), file("f/y", "2")]], &["a/", "a/x=1", "f/", "f/y=2", "l -> a"]);
    // Not through the link.
    make(&[&lower, &[dir("l"), file("l/y", "2")]], &["a/", "a/x=1", "f=1", "l/", "l/y=2"]);
    make(&[&lower, &[file("l", "2")]], &["a/", "a/x=1", "f=1", "l=2"]);
    // One name of two: the other file stays as it was.
    make(&[&[file("f", "1"), hard_link("g", "f")], &[file("f", "2")]], &["f=2", "g=1"]);
    make(&[&[file("f", "1")], &[hard_link("g", "f")]], &["f=1", "g=1", "one file: f, g"]);
}

#[test]
fn links_of_lower_layers_are_followed_within_the_image() {
    let lower = [dir("usr/lib"), symlink("lib", "usr/lib"), symlink("abs", "/usr/lib")];
    let both = ["abs -> /usr/lib", "lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/n=2"];
    make(&[&lower, &[file("lib/n", "2")]], &both);
    make(&[&lower, &[file("abs/n", "2")]], &both);
    make(
        &[&lower, &[file("usr/lib/n", "2")], &[file("lib/.wh.n", "")]],
        &["abs -> /usr/lib", "lib -> usr/lib", "usr/", "usr/lib/"],
    );
    make(
        &[&lower, &[file("usr/lib/m", "2")], &[hard_link("lib/n", "lib/m")]],
        &[
            "abs -> /usr/lib",
            "lib -> usr/lib",
            "usr/",
            "usr/lib/",
            "usr/lib/m=2",
            "usr/lib/n=2",
            "one file: usr/lib/m, usr/lib/n",
        ],
    );
    // Up, and down again.
    make(
        &[&[dir("a"), dir("b"), symlink("a/up", "../b")], &[file("a/up/n", "2")]],
        &["a/", "a/up -> ../b", "b/", "b/n=2"],
    );
}

#[test]
fn records_of_pax_count() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let target = "t".repeat(300);
    let entries = [
        file(&long, "x"),
        symlink("l", &target),
        file("time", "x").record("mtime", b"1234567890.5"),
        file("attributes", "x").record("SCHILY.xattr.user.note", b"\0\n=x").record("mtime", b"7"),
        file("capable", "x").record("SCHILY.xattr.security.capability", b"\x01\0"),
        file("ü", "x").record("path", "ö".as_bytes()),
    ];
    let unpacked = unpack_layers(&[&entries]).unwrap();
    let lines = listing(unpacked.root.path(), true);
    for expected in [
        format!("{long}=x 644 1000000000"),
        format!("l -> {target}"),
        "time=x 644 1234567890".to_owned(),
        "ö=x 644 1000000000".to_owned(),
        "attributes=x 644 7".to_owned(),
    ] {
        assert!(lines.contains(&expected), "{expected}: {lines:#?}");
    }
    let notes: Vec<_> =
        unpacked.notes.iter().map(|(what, count, paths)| (what, count, paths.to_vec())).collect();
    assert_eq!(
        notes,
        [
            (Unkept::Capabilities, 1, vec![b"capable".to_vec()]),
            (Unkept::Attributes, 1, vec![b"attributes".to_vec()]),
        ]
    );
}

#[test]
fn what_packages_do_not_have_is_left_out_and_told() {
    let lower = [file("dev/x", "1"), file("s", "").mode(0o2755), dir("g").mode(0o2775)];
    let upper = [
        special("dev/x", EntryType::Char),
        special("dev/y", EntryType::Block),
        special("dev/z", EntryType::Fifo),
        hard_link("dev/same", "dev/z"),
    ];
    let unpacked = unpack_layers(&[&lower, &upper]).unwrap();
    assert_eq!(listing(unpacked.root.path(), false), ["dev/", "g/", "s="]);
    let notes: Vec<_> = unpacked.notes.iter().map(|(what, count, _)| (what, count)).collect();
    assert_eq!(notes, [(Unkept::SetId, 1), (Unkept::Special, 4)]);
    let modes = listing(unpacked.root.path(), true);
    assert!(modes.iter().any(|line| line.starts_with("g/ 775 ")), "{modes:?}");
}

#[test]
fn directories_keep_their_times() {
    let lower = [dir("a").mtime(7), dir("a/b").mtime(8).mode(0o500)];
    let upper = [file("a/b/f", "2"), file("a/.wh.x", "")];
    let unpacked = unpack_layers(&[&lower, &upper]).unwrap();
    let expected = ["a/ 755 7", "a/b/ 700 8", "a/b/f=2 644 1000000000"];
    assert_eq!(listing(unpacked.root.path(), true), expected);
}

/// As umoci's `insert` writes them.
#[test]
fn a_layer_may_end_with_its_last_byte() {
    let mut bytes = layer(&[dir("a"), file("a/x", "1234")]);
    bytes.truncate(bytes.len() - 1024 - 508);
    let unpacked = unpack_stream(&layout(&[bytes.clone()]).tar()[..], &Limits::default()).unwrap();
    assert_eq!(listing(unpacked.root.path(), false), ["a/", "a/x=1234"]);
    bytes.truncate(bytes.len() - 1);
    unpack_stream(&layout(&[bytes]).tar()[..], &Limits::default()).unwrap_err();
}

#[test]
fn many_layers_are_one_tree() {
    let layers: Vec<Vec<Entry>> = (0..130)
        .map(|n| {
            vec![
                file(&format!("f{}", n % 10), &n.to_string()),
                file(&format!(".wh.f{}", (n + 5) % 10), ""),
            ]
        })
        .collect();
    let layers: Vec<&[Entry]> = layers.iter().map(Vec::as_slice).collect();
    let unpacked = unpack_layers(&layers).unwrap();
    let expected: Vec<String> = (5..10).map(|n| format!("f{n}={}", 120 + n)).collect();
    assert_eq!(listing(unpacked.root.path(), false), expected);
    assert_eq!(unpacked.counts.layers, 130);
}
