//! Parts of an image as streams: checked against their digests, decompressed, and counted.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use sha2::{Digest as _, Sha256, Sha512};
use spk_files::hex;

use crate::error::Error;

/// What a part should hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl Digest {
    /// Reads `ALGORITHM:HEX` (OCI image specification, `descriptor.md`, "Digests").
    pub fn read(text: &str) -> Result<Digest, Error> {
        let known = |algorithm, hex: &str, length| {
            let is = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            (hex.len() == length && hex.bytes().all(is))
                .then(|| Digest { algorithm, hex: hex.to_owned() })
        };
        let read = match text.split_once(':') {
            Some(("sha256", hex)) => known(Algorithm::Sha256, hex, 64),
            Some(("sha512", hex)) => known(Algorithm::Sha512, hex, 128),
            _ => None,
        };
        read.ok_or_else(|| Error::UnknownDigest(spk_files::printable::line(text)))
    }

    /// Where a layout keeps what has this digest.
    pub fn place(&self) -> String {
        match self.algorithm {
            Algorithm::Sha256 => format!("blobs/sha256/{}", self.hex),
            Algorithm::Sha512 => format!("blobs/sha512/{}", self.hex),
        }
    }
}

/// Hashes what is read through it.
pub struct Hashing<R> {
    inner: R,
    hash: Hash,
}

enum Hash {
    Sha256(Sha256),
    Sha512(Sha512),
    Nothing,
}

impl<R: Read> Hashing<R> {
    /// Compares with `digest` at the end; with none, hashes nothing.
    pub fn new(inner: R, digest: Option<&Digest>) -> Hashing<R> {
        let hash = match digest.map(|digest| digest.algorithm) {
            Some(Algorithm::Sha256) => Hash::Sha256(Sha256::new()),
            Some(Algorithm::Sha512) => Hash::Sha512(Sha512::new()),
            None => Hash::Nothing,
        };
        Hashing { inner, hash }
    }

    /// Whether all that was read is what `digest` says.
    pub fn is(self, digest: Option<&Digest>) -> bool {
        let found = match self.hash {
            Hash::Sha256(hash) => hex::encode(hash.finalize()),
            Hash::Sha512(hash) => hex::encode(hash.finalize()),
            Hash::Nothing => return digest.is_none(),
        };
        digest.is_some_and(|digest| digest.hex == found)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match &mut self.hash {
            Hash::Sha256(hash) => hash.update(&buffer[..count]),
            Hash::Sha512(hash) => hash.update(&buffer[..count]),
            Hash::Nothing => {}
        }
        Ok(count)
    }
}

/// Counts what is read through it, where others can see it.
pub struct Counting<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R> Counting<R> {
    /// With the counter.
    pub fn new(inner: R) -> (Counting<R>, Rc<Cell<u64>>) {
        let count = Rc::new(Cell::new(0));
        (Counting { inner, count: count.clone() }, count)
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// A stream without its compression, which its first bytes tell: media types say it differently, and
/// archives do not say it at all. One that is not compressed stays as it is.
pub fn decompressed<'a>(from: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut from = BufReader::with_capacity(BUFFER, from);
    let kind = Compression::of(from.fill_buf()?);
    Ok(match kind {
        // Several members one after the other, too: parallel compressors write them.
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(from)),
        Some(Compression::Zstd) => Box::new(zstd::stream::read::Decoder::with_buffer(from)?),
        Some(Compression::Xz) => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                XZ_MEMORY,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
        }
        None => Box::new(from),
    })
}

/// Read at once.
const BUFFER: usize = 128 << 10;

/// What decompressing may take: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;

/// By which a file can be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The `.xz` format.
    Xz,
}

impl Compression {
    /// By the first bytes.
    pub fn of(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
            // A frame that decoders skip, with which some writers begin.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
            _ => None,
        }
    }
}

/// Stops what grows out of proportion to the bytes that it is made of.
pub struct Bounded<R> {
    inner: R,
    /// Bytes of the compressed form so far.
    compressed: Rc<Cell<u64>>,
    written: u64,
    ratio: u64,
    /// What may come in all; then it ends with an error as well.
    left: u64,
    /// Which of the two it was, for the one who reads.
    exceeded: Rc<Cell<Option<Exceeded>>>,
}

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// More than the ratio allows.
    Ratio,
    /// More than there may be in all.
    Total,
}

impl<R> Bounded<R> {
    /// With what tells which limit was met.
    pub fn new(
        inner: R,
        compressed: Rc<Cell<u64>>,
        ratio: u64,
        left: u64,
    ) -> (Bounded<R>, Rc<Cell<Option<Exceeded>>>) {
        let exceeded = Rc::new(Cell::new(None));
        let bounded =
            Bounded { inner, compressed, written: 0, ratio, left, exceeded: exceeded.clone() };
        (bounded, exceeded)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)? as u64;
        self.written += count;
        let allowed = self.compressed.get().saturating_mul(self.ratio);
        let exceeded = if self.written > allowed.saturating_add(crate::limits::RATIO_FREE) {
            Some(Exceeded::Ratio)
        } else if count > self.left {
            Some(Exceeded::Total)
        } else {
            None
        };
        if exceeded.is_some() {
            self.exceeded.set(exceeded);
            return Err(io::Error::other("a limit was exceeded"));
        }
        self.left -= count;
        Ok(count as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn digests_are_of_two_kinds() {
        let digest = Digest::read(&format!("sha256:{}", "0a".repeat(32))).unwrap();
        assert_eq!(digest.place(), format!("blobs/sha256/{}", "0a".repeat(32)));
        Digest::read(&format!("sha512:{}", "0a".repeat(64))).unwrap();
        for bad in [
            String::new(),
            "sha256:".into(),
            format!("sha256:{}", "0A".repeat(32)),
            format!("sha256:{}", "0a".repeat(31)),
            format!("sha512:{}", "0a".repeat(32)),
            format!("md5:{}", "0a".repeat(16)),
            format!("sha256:../../{}", "0a".repeat(29)),
        ] {
            assert!(Digest::read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_read_is_compared() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = Digest::read(&format!("sha256:{empty}")).unwrap();
        assert!(Hashing::new(&b""[..], Some(&digest)).is(Some(&digest)));
        let mut other = Hashing::new(&b"x"[..], Some(&digest));
        other.read_to_end(&mut Vec::new()).unwrap();
        assert!(!other.is(Some(&digest)));
    }

    #[test]
    fn each_compression_is_undone_also_in_pieces() {
        let gzip = |text: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        let zstd = |text: &[u8]| zstd::stream::encode_all(text, 1).unwrap();
        let xz = |text: &[u8]| {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        };
        // As `zstd:chunked` does: an index that decoders skip.
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        for (name, stream) in [
            ("gzip", [gzip(b"one "), gzip(b"two")].concat()),
            ("zstd", [zstd(b"one "), skipped.clone(), zstd(b"two")].concat()),
            ("zstd with an index in front", [skipped, zstd(b"one "), zstd(b"two")].concat()),
            ("xz", [xz(b"one "), xz(b"two")].concat()),
            ("none", b"one two".to_vec()),
        ] {
            let mut text = String::new();
            decompressed(&stream[..]).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two", "{name}");
            if name != "none" {
                let cut = &stream[..stream.len() - 1];
                let read = decompressed(cut).and_then(|mut from| from.read_to_end(&mut Vec::new()));
                assert!(read.is_err(), "{name}, cut off");
            }
        }
    }

    #[test]
    fn bombs_and_totals_are_told_apart() {
        let run = |ratio, left| {
            let (compressed, count) = Counting::new(&b"x"[..]);
            let (mut bounded, exceeded) = Bounded::new(
                compressed.chain(io::repeat(0).take(crate::limits::RATIO_FREE + 10)),
                count,
                ratio,
                left,
            );
            let read = io::copy(&mut bounded, &mut io::sink());
            assert_eq!(read.is_err(), exceeded.get().is_some());
            exceeded.get()
        };
        assert_eq!(run(200, u64::MAX), None);
        assert_eq!(run(2, u64::MAX), Some(Exceeded::Ratio));
        assert_eq!(run(200, 100), Some(Exceeded::Total));
    }
}
