//! Random damage: every damaged package gives an error, leaves nothing behind, and costs neither
//! much memory nor much time. Damage that is signed again, which only a malicious author can make,
//! either gives an error or a package that both verifies and unpacks.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha512};
use spk_package::keyring::Key;
use spk_package::progress::Silent;
use spk_package::unpack::{self, unpack_from};
use spk_package::verify::{self, verify};
use spk_package::xz::container::{stored_block, stream_end, stream_header};
use spk_package::{limits, signature};
use support::data;

/// Mutations of the file, as the requirements ask.
const FILE_MUTATIONS: u64 = 100_000;

/// Mutations of the archive, signed again; each that is valid is also unpacked.
const ARCHIVE_MUTATIONS: u64 = 20_000;

/// No mutation may take longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nothing here may need more memory, in KiB: xz's limit and a little.
const MEMORY: u64 = 400 << 10;

/// A small random number generator, so that a failure can be repeated from its number.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// One to three changes: a bit, a byte, a word, a cut, something inserted, something doubled.
fn mutate(original: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..1 + random.below(3) {
        let place = random.below(bytes.len());
        match random.below(8) {
            0 | 1 => bytes[place] ^= 1 << random.below(8),
            2 => bytes[place] = random.next() as u8,
            3 | 4 => {
                let word = place / 8 * 8;
                let value = match random.below(3) {
                    0 => random.next(),
                    1 => random.next() & 0xff,
                    _ => u64::MAX,
                };
                let end = (word + 8).min(bytes.len());
                bytes[word..end].copy_from_slice(&value.to_le_bytes()[..end - word]);
            }
            5 => bytes.truncate(place.max(1)),
            6 => bytes.insert(place, random.next() as u8),
            _ => {
                let end = (place + 1 + random.below(16)).min(bytes.len());
                let piece = bytes[place..end].to_vec();
                bytes.splice(place..place, piece);
            }
        }
    }
    bytes
}

fn options(directory: &Path) -> verify::Options {
    verify::Options { directory: directory.to_owned(), threads: 1 }
}

fn try_unpack(bytes: &[u8], out: &Path) -> Result<(), unpack::Error> {
    let options = unpack::Options { threads: 1, strictness: unpack::Strictness::Verified };
    unpack_from(&mut &bytes[..], None, out, &options, &mut Silent).map(|_| ())
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn damaged_files_give_errors_and_leave_nothing() {
    let original = fs::read(data("vector/spec.spk")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut tried = 0;
    for number in 0..FILE_MUTATIONS {
        let bytes = mutate(&original, &mut Random::new(number));
        if bytes == original {
            continue;
        }
        let started = Instant::now();
        // Half of them each way: the two share all that is before the manifest.
        let refused = match number % 2 {
            0 => verify(&mut &bytes[..], None, &options(dir.path()), &mut Silent).is_err(),
            _ => try_unpack(&bytes, &out).is_err(),
        };
        assert!(refused, "mutation {number} was accepted");
        assert!(started.elapsed() < PATIENCE, "mutation {number}");
        tried += 1;
        if number % 1000 == 0 {
            assert!(is_empty(dir.path()), "before mutation {number}");
        }
    }
    assert!(is_empty(dir.path()));
    assert!(tried > FILE_MUTATIONS * 9 / 10);
    assert!(peak_memory() < MEMORY, "{} KiB", peak_memory());
}

fn sign(archive: &[u8], key: &Key) -> Vec<u8> {
    let hash: [u8; 64] = Sha512::digest(archive).into();
    let blocks = [stored_block(&signature::sign(key.signing_key(), &hash)), stored_block(archive)];
    let records: Vec<_> = blocks.iter().map(|block| block.record).collect();
    let [head, body] = blocks;
    [&limits::MAGIC[..], &stream_header(), &head.bytes, &body.bytes, &stream_end(&records)].concat()
}

#[test]
fn damaged_archives_either_fail_or_verify_and_unpack() {
    let original = fs::read(data("vector/spec.archive")).unwrap();
    let key = Key::from_seed([9; 32]);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let (mut good, mut bad) = (0, 0);
    for number in 0..ARCHIVE_MUTATIONS {
        let archive = mutate(&original, &mut Random::new(number));
        let package = sign(&archive, &key);
        let started = Instant::now();
        let verified = verify(&mut &package[..], None, &options(dir.path()), &mut Silent);
        let unpacked = try_unpack(&package, &out);
        assert_eq!(verified.is_ok(), unpacked.is_ok(), "mutation {number}: {unpacked:?}");
        match unpacked {
            Ok(()) => {
                good += 1;
                fs::remove_dir_all(&out).unwrap();
            }
            Err(error) => {
                assert!(!matches!(error, unpack::Error::Write { .. }), "{number}: {error:?}");
                bad += 1;
            }
        }
        assert!(is_empty(dir.path()), "mutation {number}");
        assert!(started.elapsed() < PATIENCE, "mutation {number}");
    }
    // Changed times and contents are fine; the rest is not. If either were rare, this would test
    // little.
    assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
    assert!(peak_memory() < MEMORY, "{} KiB", peak_memory());
}
