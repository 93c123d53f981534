//! One member of an archive: its local header against its central record, and its data.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flate2::{Decompress, FlushDecompress, Status};

use super::record::{
    DESCRIPTOR_SIGNATURE, FLAG_DESCRIPTOR, FLAG_ENCRYPTED, FLAG_PATCHED, FLAG_STRONG_ENCRYPTION,
    LOCAL_LENGTH, Member, STORED, Take, Wide, extra, take_local,
};
use crate::backup::error::{Error, shown};

/// Bytes read from the archive at once.
const INPUT: usize = 128 << 10;

/// Bytes given to whoever takes the data at once.
pub const OUTPUT: usize = 256 << 10;

/// Compares a local header; where the data begins.
pub fn check_local(file: &File, name: &[u8], member: &Member) -> Result<u64, Error> {
    let mismatch = |what| Error::Mismatch { name: shown(name), what };
    let mut fixed = [0; LOCAL_LENGTH];
    let cut = |error| match out_of_file(&error) {
        true => mismatch("place"),
        false => reading(error),
    };
    file.read_exact_at(&mut fixed, member.offset).map_err(cut)?;
    let local = take_local(&fixed).ok_or_else(|| mismatch("place"))?;
    let name_length = usize::from(local.name_length);
    let mut rest = vec![0; name_length + usize::from(local.extra_length)];
    file.read_exact_at(&mut rest, member.offset + LOCAL_LENGTH as u64).map_err(cut)?;
    if rest[..name_length] != *name {
        return Err(mismatch("name"));
    }
    let significant = FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_DESCRIPTOR | FLAG_PATCHED;
    if (local.flags ^ member.flags) & significant != 0 {
        return Err(mismatch("flags"));
    }
    if local.method != member.method {
        return Err(mismatch("compression method"));
    }
    let extra = extra(&rest[name_length..], name).ok_or_else(|| mismatch("extra fields"))?;
    if extra.renamed {
        return Err(Error::OtherName(shown(name)));
    }
    let mut wide = Wide::of(&extra);
    let (Some(size), Some(compressed)) = (wide.take(local.size), wide.take(local.compressed))
    else {
        return Err(mismatch("extra fields"));
    };
    let follow = member.flags & FLAG_DESCRIPTOR != 0;
    let same = |local: u64, central: u64| local == central || (follow && local == 0);
    if !same(size, member.size) || !same(compressed, member.compressed) {
        return Err(mismatch("size"));
    }
    if !same(u64::from(local.crc), u64::from(member.crc)) {
        return Err(mismatch("checksum"));
    }
    Ok(member.offset + (LOCAL_LENGTH + rest.len()) as u64)
}

/// Compares the descriptor behind the data; its length. It comes with and without signature,
/// with 4 and with 8 bytes a size: the one that fits what must be there is meant.
pub fn check_descriptor(
    file: &File,
    name: &[u8],
    member: &Member,
    at: u64,
    next: u64,
) -> Result<u64, Error> {
    let mut bytes = [0; 24];
    let room = (next - at).min(24) as usize;
    let mismatch = || Error::Mismatch { name: shown(name), what: "size or checksum" };
    file.read_exact_at(&mut bytes[..room], at).map_err(|error| match out_of_file(&error) {
        true => mismatch(),
        false => reading(error),
    })?;
    for (signature, wide) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut take = Take(&bytes[..room]);
        let mut fits = || {
            if signature && take.take32()? != DESCRIPTOR_SIGNATURE {
                return None;
            }
            let crc = take.take32()?;
            let mut number = || if wide { take.take64() } else { take.take32().map(u64::from) };
            let (compressed, size) = (number()?, number()?);
            (crc == member.crc && compressed == member.compressed && size == member.size)
                .then(|| room - take.0.len())
        };
        match fits() {
            Some(length) if at + length as u64 == next => return Ok(length as u64),
            _ => {}
        }
    }
    Err(mismatch())
}

/// Reads the data of members, one after the other.
pub struct Reader {
    inflate: Decompress,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Reader {
    /// With buffers for any member.
    pub fn new() -> Reader {
        Reader { inflate: Decompress::new(false), input: vec![0; INPUT], output: vec![0; OUTPUT] }
    }

    /// Gives a member's data, which begins at `data`, to `sink` piece by piece (at most [`OUTPUT`]
    /// bytes each), and checks size and checksum.
    ///
    /// # Errors
    /// Damaged data, or what `sink` says.
    pub fn read(
        &mut self,
        file: &File,
        (name, member): (&[u8], &Member),
        data: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Reader { inflate, input, output } = self;
        let name = || shown(name);
        let mut crc = crc32fast::Hasher::new();
        let mut position = data;
        let mut left = member.compressed;
        let mut size = 0u64;
        let mut take = |piece: &[u8], size: &mut u64| {
            *size += piece.len() as u64;
            if *size > member.size {
                return Err(Error::LyingSize(name()));
            }
            crc.update(piece);
            sink(piece)
        };
        if member.method == STORED {
            while left > 0 {
                let count = left.min(input.len() as u64) as usize;
                file.read_exact_at(&mut input[..count], position).map_err(reading)?;
                take(&input[..count], &mut size)?;
                position += count as u64;
                left -= count as u64;
            }
        } else {
            inflate.reset(false);
            let (mut from, mut filled, mut pending) = (0, 0, 0);
            loop {
                if from == filled && left > 0 {
                    filled = left.min(input.len() as u64) as usize;
                    from = 0;
                    file.read_exact_at(&mut input[..filled], position).map_err(reading)?;
                    position += filled as u64;
                    left -= filled as u64;
                }
                let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
                let status = inflate
                    .decompress(&input[from..filled], &mut output[pending..], FlushDecompress::None)
                    .map_err(|_| Error::BadDeflate(name()))?;
                let read = (inflate.total_in() - before_in) as usize;
                let made = (inflate.total_out() - before_out) as usize;
                from += read;
                pending += made;
                let ended = status == Status::StreamEnd;
                if pending == output.len() || ended {
                    take(&output[..pending], &mut size)?;
                    pending = 0;
                }
                if ended {
                    break;
                }
                if read == 0 && made == 0 && from == filled && left == 0 {
                    return Err(Error::BadDeflate(name()));
                }
                if read == 0 && made == 0 && from < filled && pending < output.len() {
                    return Err(Error::BadDeflate(name()));
                }
            }
            if from < filled || left > 0 {
                return Err(Error::LyingSize(name()));
            }
        }
        if size != member.size {
            return Err(Error::LyingSize(name()));
        }
        if crc.finalize() != member.crc {
            return Err(Error::Checksum(name()));
        }
        Ok(())
    }
}

/// Whether the archive says that something lies behind its end, or where no file reaches.
fn out_of_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput)
}

pub fn reading(error: io::Error) -> Error {
    Error::Archive("read", error)
}
