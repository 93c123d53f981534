//! Headers, index and footer of an xz stream (the `.xz` file format 1.2.1, sections 2 to 4).
//!
//! Written by hand so that blocks can be made on any thread, in any order, or taken from a cache,
//! and still be one plain stream: with both sizes in every block header, which is what lets
//! decoders work on several blocks at once.

use crc32fast::hash as crc32;

/// The check is CRC-64, `xz`'s own default.
const STREAM_FLAGS: [u8; 2] = [0, 4];
const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
const CHECK_BYTES: u64 = 8;

/// Bytes of the stream header, and of the footer.
pub const STREAM_HEADER: usize = 12;

/// Filters before LZMA2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// None.
    Plain,
    /// Jump addresses of x86 code made absolute.
    X86,
}

/// A finished block and what the index says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Header, data, padding and check.
    pub bytes: Vec<u8>,
    /// Its line in the index.
    pub record: Record,
}

/// A block's line in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Bytes of the block without its padding.
    pub unpadded: u64,
    /// Bytes it decompresses to.
    pub uncompressed: u64,
}

/// CRC-64/XZ, which protects a block's contents.
fn crc64(bytes: &[u8]) -> u64 {
    let mut digest = crc64fast::Digest::new();
    digest.write(bytes);
    digest.sum64()
}

/// The header of a stream.
pub fn stream_header() -> [u8; STREAM_HEADER] {
    let mut header = [0; STREAM_HEADER];
    header[..6].copy_from_slice(&HEADER_MAGIC);
    header[6..8].copy_from_slice(&STREAM_FLAGS);
    header[8..].copy_from_slice(&crc32(&STREAM_FLAGS).to_le_bytes());
    header
}

/// Index and footer of a stream with these blocks.
pub fn stream_end(records: &[Record]) -> Vec<u8> {
    let mut index = vec![0];
    number(&mut index, records.len() as u64);
    for record in records {
        number(&mut index, record.unpadded);
        number(&mut index, record.uncompressed);
    }
    pad(&mut index);
    let check = crc32(&index);
    index.extend(check.to_le_bytes());
    let backward = (index.len() / 4 - 1) as u32;
    let mut footer = [0; 6];
    footer[..4].copy_from_slice(&backward.to_le_bytes());
    footer[4..].copy_from_slice(&STREAM_FLAGS);
    index.extend(crc32(&footer).to_le_bytes());
    index.extend(footer);
    index.extend(FOOTER_MAGIC);
    index
}

/// Puts a block around `compressed`, the LZMA2 data that `contents` gave through `filter` with a
/// dictionary of `dictionary` bytes.
pub fn block(contents: &[u8], compressed: &[u8], filter: Filter, dictionary: u32) -> Block {
    let mut header = vec![0, 0];
    number(&mut header, compressed.len() as u64);
    number(&mut header, contents.len() as u64);
    let mut filters = 0;
    if filter == Filter::X86 {
        header.extend([0x04, 0]);
        filters += 1;
    }
    header.extend([0x21, 1, dictionary_byte(dictionary)]);
    // flags: both sizes are present; number of filters less one
    header[1] = 0xc0 | filters;
    pad(&mut header);
    header[0] = (header.len() / 4) as u8;
    let check = crc32(&header);
    header.extend(check.to_le_bytes());
    let unpadded = (header.len() + compressed.len()) as u64 + CHECK_BYTES;
    let mut bytes = header;
    bytes.reserve(compressed.len() + 12);
    bytes.extend(compressed);
    pad(&mut bytes);
    bytes.extend(crc64(contents).to_le_bytes());
    Block { bytes, record: Record { unpadded, uncompressed: contents.len() as u64 } }
}

/// A block of at most 64 KiB that is stored, not compressed: its size depends on the size of
/// `contents` alone, so that it can be put in place later.
pub fn stored_block(contents: &[u8]) -> Block {
    let mut data = Vec::with_capacity(contents.len() + 4);
    for (index, chunk) in contents.chunks(1 << 16).enumerate() {
        // 1: a stored chunk that resets the dictionary, 2: one that does not
        data.push(if index == 0 { 1 } else { 2 });
        data.extend(((chunk.len() - 1) as u16).to_be_bytes());
        data.extend(chunk);
    }
    data.push(0);
    block(contents, &data, Filter::Plain, 4096)
}

/// Smallest dictionary size the format can express that is not below `size`, as its one-byte code.
fn dictionary_byte(size: u32) -> u8 {
    (0u8..40).find(|&code| dictionary_size(code) >= size).unwrap_or(40)
}

fn dictionary_size(code: u8) -> u32 {
    (2 | u32::from(code & 1)) << (code / 2 + 11)
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_those_of_the_format() {
        // the check values of the CRC catalogue
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc64(b"123456789"), 0x995d_c9bb_df19_39fa);
        assert_eq!(crc64(b""), 0);
        // also where many bytes are taken at a time
        let long: Vec<u8> = (0..1000_u32).map(|number| (number * 7) as u8).collect();
        let slow = !long.iter().fold(u64::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u64::from(byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0xc96c_5795_d787_0f42 } else { crc >> 1 }
            })
        });
        assert_eq!(crc64(&long), slow);
    }

    #[test]
    fn dictionary_codes() {
        assert_eq!(dictionary_byte(4096), 0);
        assert_eq!(dictionary_byte(8 << 20), 22);
        assert_eq!(dictionary_byte(24 << 20), 25);
        assert_eq!(dictionary_byte(64 << 20), 28);
        assert_eq!(dictionary_byte(u32::MAX), 40);
    }

    #[test]
    fn stored_blocks_have_one_size() {
        let sizes: Vec<usize> =
            [[0; 192], [7; 192]].iter().map(|c| stored_block(c).bytes.len()).collect();
        assert_eq!(sizes[0], sizes[1]);
    }
}
