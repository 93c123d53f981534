//! Archives made to do harm, each refused in its own words, with nothing left behind.

use super::zip::record::{
    DEFLATED, FLAG_ENCRYPTED, HOST_UNIX, LocalSizes, Member, STORED, central_header, end,
    local_header,
};
use super::*;
use spk_files::Time;

/// A member, with everything about it free to be wrong.
#[derive(Clone)]
struct Piece {
    name: Vec<u8>,
    local_name: Vec<u8>,
    data: Vec<u8>,
    member: Member,
    local: Member,
    /// Use these bytes of the archive instead of own ones.
    at: Option<u64>,
    /// More extra fields, in the central directory and in the local header.
    extra: [Vec<u8>; 2],
}

fn piece(name: &str, mode: u32, data: &[u8]) -> Piece {
    let member = Member {
        flags: 0,
        method: STORED,
        crc: crc32fast::hash(data),
        compressed: data.len() as u64,
        size: data.len() as u64,
        host: HOST_UNIX,
        attributes: mode << 16,
        offset: 0,
        time: Time { seconds: 1_000_000_000, nanoseconds: 0 },
        linked: false,
        renamed: false,
    };
    let name = name.as_bytes().to_vec();
    let (local_name, data, extra) = (name.clone(), data.to_vec(), Default::default());
    Piece { local_name, name, data, member, local: member, at: None, extra }
}

fn file(name: &str, data: &[u8]) -> Piece {
    piece(name, 0o100_644, data)
}

fn link(name: &str, target: &str) -> Piece {
    piece(name, 0o120_777, target.as_bytes())
}

fn deflated(name: &str, data: &[u8]) -> Piece {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    let mut piece = file(name, data);
    piece.data = encoder.finish().unwrap();
    for member in [&mut piece.member, &mut piece.local] {
        (member.method, member.compressed) = (DEFLATED, piece.data.len() as u64);
    }
    piece
}

fn change(mut piece: Piece, change: impl FnOnce(&mut Piece)) -> Piece {
    change(&mut piece);
    piece
}

/// Changes both headers alike.
fn both(mut piece: Piece, change: impl Fn(&mut Member)) -> Piece {
    change(&mut piece.member);
    change(&mut piece.local);
    piece
}

fn metadata() -> Piece {
    file("metadata", &std::fs::read(data("metadata.bin")).unwrap())
}

fn archive(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut central = Vec::new();
    for piece in pieces {
        let mut member = piece.member;
        member.offset = piece.at.unwrap_or(out.len() as u64);
        if piece.at.is_none() {
            let sizes = LocalSizes::Known { wide: false };
            let mut header = local_header(&piece.local_name, &piece.local, sizes);
            lengthen(&mut header, 28, &piece.extra[1]);
            out.extend(header);
            out.extend(&piece.data);
        }
        let mut record = central_header(&piece.name, &member);
        if member.linked {
            // PKWARE's Unix field, with the name of the first member behind times and ids.
            lengthen(&mut record, 30, b"\x0d\0\x14\0aaaammmmuuggmetadata");
        }
        lengthen(&mut record, 30, &piece.extra[0]);
        central.extend(record);
    }
    let offset = out.len() as u64;
    out.extend(&central);
    out.extend(end(pieces.len() as u64, central.len() as u64, offset));
    out
}

/// Adds extra fields to a header, whose length of them is at `at`.
fn lengthen(header: &mut Vec<u8>, at: usize, extra: &[u8]) {
    let length = u16::from_le_bytes([header[at], header[at + 1]]) + extra.len() as u16;
    header[at..at + 2].copy_from_slice(&length.to_le_bytes());
    header.extend(extra);
}

/// Info-ZIP's field for Unicode paths (APPNOTE 4.6.9).
fn unicode_path(version: u8, of: &[u8], path: &[u8]) -> Vec<u8> {
    let length = (5 + path.len()) as u16;
    let crc = crc32fast::hash(of).to_le_bytes();
    [&b"up"[..], &length.to_le_bytes(), &[version], &crc, path].concat()
}

/// Says that the member is called `path`, in its own header or in the directory.
fn alias(piece: Piece, place: usize, version: u8, of: &[u8], path: &[u8]) -> Piece {
    change(piece, |p| p.extra[place] = unicode_path(version, of, path))
}

fn attempt(bytes: &[u8], limits: Limits) -> (tempfile::TempDir, Store, Result<Restored, Error>) {
    let (temp, store) = scratch();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    let options = RestoreOptions { limits, ..RestoreOptions::default() };
    let result = restore(&store, file, &options, &mut Silent);
    (temp, store, result)
}

fn refused(bytes: &[u8]) -> Error {
    let (temp, store, result) = attempt(bytes, Limits::default());
    let error = result.expect_err("must be refused");
    assert_empty(&store);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    error
}

macro_rules! refuse {
    ($($name:ident: [$($piece:expr),* $(,)?] => $($error:pat_param)|+,)*) => {$(
        #[test]
        fn $name() {
            let error = refused(&archive(&[metadata(), $($piece),*]));
            assert!(matches!(error, $($error)|+), "{error:?}");
        }
    )*};
}

refuse! {
    climbing: [file("data/../../x", b"")] => Error::Climbs(_),
    climbing_at_the_end: [file("data/..", b"")] => Error::Climbs(_),
    climbing_at_the_top: [file("../x", b""), file("data/y", b"")] => Error::Climbs(_),
    absolute: [file("/data/x", b""), file("data/y", b"")] => Error::Absolute(_),
    drive: [file("C:\\x", b""), file("data/y", b"")] => Error::Absolute(_),
    backslash_top: [file("data\\x", b""), file("data/y", b"")] => Error::Backslash(_),
    backslash_climbing: [file("data/..\\..\\x", b"")] => Error::Backslash(_),
    backslash_rooted: [file("data/\\x", b"")] => Error::Backslash(_),
    backslash_dos: [both(file("data/a\\x", b""), |m| m.host = 0)] => Error::Backslash(_),
    empty_component: [file("data//x", b"")] => Error::BadName { .. },
    dot_component: [file("data/./x", b"")] => Error::BadName { .. },
    nul_in_name: [file("data/x\0y", b"")] => Error::BadName { .. },
    empty_name: [file("", b""), file("data/y", b"")] => Error::BadName { .. },
    component_256: [file(&format!("data/{}", "x".repeat(256)), b"")] => Error::BadName { .. },
    name_4097: [file(&format!("data{}", "/xxxx".repeat(820)), b"")] => Error::Limit { .. },
    through_link: [link("data/l", "../../.."), file("data/l/x", b"")] => Error::ThroughLink(_),
    through_link_backwards: [file("data/l/x", b""), link("data/l", "/")] => Error::ThroughLink(_),
    through_link_far: [link("data/l", "/tmp"), file("data/l!", b""), file("data/l/a/b", b"")]
        => Error::ThroughLink(_),
    hard_link: [file("data/x", b"x"), change(file("data/y", b"x"), |p| p.member.linked = true)]
        => Error::HardLink(_),
    link_and_directory: [link("data/l", "/"), piece("data/l/", 0o040_755, b"")]
        => Error::Duplicate(_),
    link_replaced: [link("data/l", "/"), file("data/l", b"")] => Error::Duplicate(_),
    data_is_a_link: [link("data", "/tmp")] => Error::Kind { .. },
    data_is_a_link_with_files: [link("data", "/tmp"), file("data/x", b"")] => Error::ThroughLink(_),
    file_and_directory: [file("data/a", b""), file("data/a/b", b"")] => Error::FileAndDirectory(_),
    duplicate: [file("data/x", b"1"), file("data/x", b"2")] => Error::Duplicate(_),
    metadata_twice: [metadata()] => Error::Duplicate(_),
    empty_link: [link("data/l", "")] => Error::BadLink(_),
    long_link: [link("data/l", &"x".repeat(4096))] => Error::BadLink(_),
    nul_link: [link("data/l", "a\0b")] => Error::BadLink(_),
    pipe: [piece("data/p", 0o010_644, b"")] => Error::Special { kind: "pipe", .. },
    socket: [piece("data/p", 0o140_644, b"")] => Error::Special { kind: "socket", .. },
    character_device: [piece("data/p", 0o020_644, b"")]
        => Error::Special { kind: "character device", .. },
    block_device: [piece("data/p", 0o060_644, b"")] => Error::Special { kind: "block device", .. },
    unknown_type: [piece("data/p", 0o110_644, b"")] => Error::Special { .. },
    file_with_slash: [piece("data/p/", 0o100_644, b"")] => Error::Kind { .. },
    directory_with_contents: [piece("data/p/", 0o040_755, b"x")] => Error::Kind { .. },
    encrypted: [both(file("data/x", b"x"), |m| m.flags |= FLAG_ENCRYPTED)] => Error::Encrypted(_),
    unknown_method: [both(file("data/x", b"x"), |m| m.method = 14)]
        => Error::Method { method: 14, .. },
    wrong_crc: [both(file("data/x", b"x"), |m| m.crc ^= 1)] => Error::Checksum(_),
    wrong_crc_deflated: [both(deflated("data/x", &[7; 9000]), |m| m.crc ^= 1)]
        => Error::Checksum(_),
    more_than_declared: [both(deflated("data/x", &[7; 9000]), |m| m.size = 8999)]
        => Error::LyingSize(_),
    less_than_declared: [both(deflated("data/x", &[7; 9000]), |m| m.size = 9001)]
        => Error::LyingSize(_),
    stored_sizes_differ: [both(file("data/x", b"x"), |m| m.size = 2)] => Error::LyingSize(_),
    no_deflate_stream: [both(file("data/x", &[0xff; 40]), |m| m.method = DEFLATED)]
        => Error::BadDeflate(_),
    data_behind_the_stream: [change(deflated("data/x", b"text"), |p| {
        p.data.push(0);
        p.member.compressed += 1;
        p.local.compressed += 1;
    })] => Error::LyingSize(_),
    local_name_differs: [change(file("data/x", b"x"), |p| p.local_name = b"data/y".to_vec())]
        => Error::Mismatch { what: "name", .. },
    local_method_differs: [change(file("data/x", b"x"), |p| p.local.method = DEFLATED)]
        => Error::Mismatch { what: "compression method", .. },
    local_size_differs: [change(file("data/x", b"x"), |p| p.local.size = 7)]
        => Error::Mismatch { what: "size", .. },
    local_crc_differs: [change(file("data/x", b"x"), |p| p.local.crc ^= 1)]
        => Error::Mismatch { what: "checksum", .. },
    local_encrypted: [change(file("data/x", b"x"), |p| p.local.flags = FLAG_ENCRYPTED)]
        => Error::Mismatch { what: "flags", .. },
    same_bytes_twice: [change(file("data/x", b"x"), |p| { p.name = b"metadata2".to_vec(); p.at = Some(0) })]
        => Error::Mismatch { .. } | Error::Overlap(_),
    overlapping: [file("data/x", b"x"), change(both(file("data/y", &[9; 500]), |m| m.size = 9), |p| {
        p.member.compressed = 9;
        p.local.compressed = 9;
    })] => Error::Stray { .. } | Error::Overlap(_),
    // Readers that prefer the other name would put the file there.
    unicode_path_differs: [alias(file("data/x", b"x"), 0, 1, b"data/x", b"data/y")]
        => Error::OtherName(_),
    unicode_path_climbs: [alias(file("data/x", b"x"), 0, 1, b"data/x", b"../x")]
        => Error::OtherName(_),
    unicode_path_is_in_the_local_header: [alias(file("data/x", b"x"), 1, 1, b"data/x", b"data/y")]
        => Error::OtherName(_),
    unicode_path_of_another_name: [alias(file("data/x", b"x"), 0, 1, b"data/z", b"data/y")]
        => Error::OtherName(_),
    unicode_path_of_another_version: [alias(file("data/x", b"x"), 0, 2, b"data/x", b"data/y")]
        => Error::OtherName(_),
    unicode_path_ends_in_a_slash: [alias(file("data/x", b"x"), 0, 1, b"data/x", b"data/x/")]
        => Error::OtherName(_),
    unicode_path_is_empty: [alias(file("data/x", b"x"), 0, 1, b"data/x", b"")]
        => Error::OtherName(_),
    unicode_path_is_cut_off: [change(file("data/x", b"x"), |p| p.extra[0] = b"up\x02\0\x01\0".to_vec())]
        => Error::OtherName(_),
    unicode_path_second_one: [change(file("data/x", b"x"), |p| {
        let same = unicode_path(1, b"data/x", b"data/x");
        p.extra[0] = [same, unicode_path(1, b"data/x", b"data/y")].concat();
    })] => Error::OtherName(_),
    dot_slash_twice: [file("././data/x", b"")] => Error::BadName { .. },
    dot_slash_climbing: [file("./../x", b"")] => Error::Climbs(_),
    dot_slash_absolute: [file(".//data/x", b"")] => Error::Absolute(_),
    dot_slash_drive: [file("./C:\\x", b"")] => Error::Absolute(_),
    dot_slash_backslash: [file(".\\data\\x", b"")] => Error::Backslash(_),
    dot_slash_duplicate: [file("data/x", b"1"), file("./data/x", b"2")] => Error::Duplicate(_),
    dot_slash_metadata_twice: [change(metadata(), |p| {
        p.name = b"./metadata".to_vec();
        p.local_name = p.name.clone();
    })] => Error::Duplicate(_),
    dot_slash_through_link: [link("data/l", "/"), file("./data/l/x", b"")] => Error::ThroughLink(_),
    dot_slash_file_and_directory: [file("./data/a", b""), file("data/a/b", b"")]
        => Error::FileAndDirectory(_),
    dot_slash_is_a_file: [piece("./", 0o100_644, b""), file("data/x", b"")] => Error::Kind { .. },
    dot_slash_is_a_link: [link("./", "/tmp"), file("data/x", b"")] => Error::Kind { .. },
    dot_slash_only_locally: [change(file("data/x", b"x"), |p| p.local_name = b"./data/x".to_vec())]
        => Error::Mismatch { what: "name", .. },
    huge_metadata_size: [change(file("data/x", b"x"), |p| p.member.offset = 1), change(metadata(), |p| p.name = b"data/m".to_vec())]
        => Error::Mismatch { .. },
}

#[test]
fn members_that_share_bytes() {
    // The second header lies inside the data of the first.
    let inner = archive(&[file("data/y", b"y")]);
    let mut outer = file("data/x", &inner[..inner.len() - 80]);
    outer.member.size = outer.data.len() as u64;
    let at = archive(&[metadata()]).len() as u64;
    let mut second = file("data/y", b"y");
    let start = local_header(b"metadata", &metadata().local, LocalSizes::Known { wide: false });
    let first_end = start.len() as u64 + 288;
    let header = local_header(b"data/x", &outer.local, LocalSizes::Known { wide: false });
    second.at = Some(first_end + header.len() as u64);
    assert!(at > 0);
    let error = refused(&archive(&[metadata(), outer, second]));
    assert!(matches!(error, Error::Overlap(_)), "{error:?}");
}

#[test]
fn ends_and_beginnings() {
    let good = archive(&[metadata(), file("data/x", b"x")]);
    assert!(attempt(&good, Limits::default()).2.is_ok());
    assert!(matches!(refused(&[&good[..], b"more"].concat()), Error::TrailingData(4)));
    assert!(matches!(refused(&[b"MZ", &good[..]].concat()), Error::Stray { length: 2, .. }));
    assert!(matches!(refused(b"hello"), Error::NotAZip));
    assert!(matches!(refused(b""), Error::NotAZip));
    // An end record in the comment of the end record.
    let mut twice = good.clone();
    let length = twice.len();
    twice[length - 2] = 22;
    twice.extend(&good[length - 22..]);
    assert!(matches!(refused(&twice), Error::AmbiguousEnd));
    let mut parts = good.clone();
    parts[length - 18] = 1;
    assert!(matches!(refused(&parts), Error::MultiPart));
    let mut count = good;
    count[length - 12] = 1;
    count[length - 14] = 1;
    assert!(matches!(refused(&count), Error::BadDirectory(_)));
}

#[test]
fn every_cut_is_refused() {
    let good = archive(&[metadata(), deflated("data/x", &[3; 4000]), link("data/l", "x")]);
    for length in 0..good.len() {
        refused(&good[..length]);
    }
}

#[test]
fn every_changed_byte_is_refused_or_harmless() {
    let good = archive(&[metadata(), deflated("data/x", &[3; 400]), link("data/l", "x")]);
    let mut refused = 0;
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x21;
        let (temp, store, result) = attempt(&bytes, Limits::default());
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
        match result {
            Ok(_) => assert_eq!(store.grains().unwrap().len(), 1),
            Err(_) => {
                refused += 1;
                assert_empty(&store);
            }
        }
    }
    assert!(refused > good.len() / 2);
}

#[test]
fn bombs_stop_at_the_limits() {
    let spiral = archive(&[metadata(), deflated("data/b", &b"bomb".repeat(1 << 20))]);
    let limits = Limits { total: 1 << 20, ..Limits::default() };
    let (_temp, store, result) = attempt(&spiral, limits);
    assert!(matches!(result, Err(Error::Limit { flag: "--max-size", .. })));
    assert_empty(&store);
    // 400 MiB of pattern from under 1 MiB: past what is free, far past any honest ratio.
    let bomb = archive(&[metadata(), deflated("data/b", &b"bomb".repeat(100 << 20))]);
    let limits = Limits { ratio: 50, ..Limits::default() };
    let (_temp, store, result) = attempt(&bomb, limits);
    assert!(matches!(result, Err(Error::Bomb { limit: 50, .. })));
    assert_empty(&store);
    // Zeros take no room, and are let through.
    let zeros = archive(&[metadata(), deflated("data/z", &vec![0; 300 << 20])]);
    let (_temp, _store, result) = attempt(&zeros, Limits::default());
    assert_eq!(result.unwrap().counts.bytes, 300 << 20);
}

#[test]
fn closed_data_is_usable_and_foreign_members_are_told() {
    let pieces = [
        metadata(),
        piece("data/", 0o040_000, b""),
        file("data/x", b"x"),
        file("__MACOSX/x", b"junk"),
        both(file("data/dos", b"x"), |m| (m.host, m.attributes) = (0, 0x20)),
    ];
    let (_temp, _store, result) = attempt(&archive(&pieces), Limits::default());
    let restored = result.unwrap();
    use std::os::unix::fs::MetadataExt;
    let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
    assert_eq!(mode(&restored.grain.var_path()), 0o700);
    assert_eq!(mode(&restored.grain.var_path().join("dos")), 0o660);
    assert_eq!(restored.notes.len(), 1);
    assert_eq!(restored.notes[0].path, b"__MACOSX/x");
}

#[test]
fn the_same_name_again_is_no_other_name() {
    let mut file = file("data/\u{fc}", b"x");
    file.extra = [(); 2].map(|()| unicode_path(1, &file.name, &file.name));
    let (_temp, _store, result) = attempt(&archive(&[metadata(), file]), Limits::default());
    assert_eq!(result.unwrap().counts.files, 1);
}

#[test]
fn what_was_zipped_from_inside_is_taken_and_a_folder_is_named() {
    let named = |prefix: &str, top: bool| {
        let mut pieces = vec![metadata(), piece("data/", 0o040_755, b""), file("data/x", b"x")];
        pieces.extend([link("data/l", "x"), file("log", b"printed")]);
        if top {
            pieces.insert(0, piece("", 0o040_755, b""));
        }
        for piece in &mut pieces {
            piece.name.splice(0..0, prefix.bytes());
            piece.local_name = piece.name.clone();
        }
        archive(&pieces)
    };
    for top in [true, false] {
        let (_temp, _store, result) = attempt(&named("./", top), Limits::default());
        let restored = result.unwrap();
        assert!(restored.notes.is_empty(), "{:?}", restored.notes);
        assert_eq!((restored.counts.files, restored.counts.links), (1, 1));
        assert_eq!(std::fs::read(restored.grain.var_path().join("x")).unwrap(), b"x");
        let error = refused(&named("holidays/", top)).to_string();
        assert!(error.contains("'holidays/metadata'"), "{error}");
    }
    // Not at the top, and not one below it.
    assert!(matches!(refused(&named("a/b/", false)), Error::NoMetadata));
}

/// A file with a `UT` time of these 32 bits; `dos` makes the header's other time.
fn with_unix_time(seconds: u32, dos: i64) -> Vec<u8> {
    let time = Time { seconds: dos, nanoseconds: 0 };
    let mut file = both(file("data/x", b"x"), |m| m.time = time);
    let ut = [&b"UT\x05\0\x01"[..], &seconds.to_le_bytes()].concat();
    file.extra = [ut.clone(), ut];
    archive(&[metadata(), file])
}

#[test]
fn times_have_a_sign_or_are_late() {
    use std::os::unix::fs::MetadataExt;
    const FIRST: i64 = 315_532_800; // 1980, where MS-DOS time begins and stays for all before
    for (seconds, dos, expected) in [
        (1 << 31, 1 << 31, 1 << 31),
        (4_102_444_800_u32, 2_147_472_000, 4_102_444_800),
        (u32::MAX, 4_294_967_294, 4_294_967_295),
        ((1 << 31) - 1, 2_147_483_646, (1 << 31) - 1),
        (1 << 31, FIRST, -(1 << 31)),
        (-5_i32 as u32, FIRST, -5),
        (7, FIRST, 7),
    ] {
        let bytes = with_unix_time(seconds, dos);
        let (_temp, _store, result) = attempt(&bytes, Limits::default());
        let restored = result.unwrap();
        let stat = restored.grain.var_path().join("x").metadata().unwrap();
        assert_eq!(stat.mtime(), expected, "{seconds} beside {dos}");
    }
}

#[test]
fn metadata_is_bounded_and_checked() {
    let large = file("metadata", &vec![0; (METADATA_LIMIT + 1) as usize]);
    for bad in [
        large,
        file("metadata", b""),
        file("metadata", &[0xff; 64]),
        file("metadata", &std::fs::read(data("metadata.bin")).unwrap()[..200]),
        link("metadata", "/etc/passwd"),
        piece("metadata/", 0o040_755, b""),
    ] {
        let error = refused(&archive(&[bad, file("data/x", b"x")]));
        assert!(matches!(error, Error::BadMetadata(_)), "{error:?}");
    }
    assert!(matches!(refused(&archive(&[file("data/x", b"")])), Error::NoMetadata));
    assert!(matches!(refused(&archive(&[metadata()])), Error::NoData));
}
