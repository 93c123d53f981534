//! Reading the files that are packed, and noticing when they change meanwhile.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::Error;
use crate::archive::layout;
use crate::archive::tree::Contents;

/// Files are read in steps of this many bytes.
const STEP: usize = 1 << 20;

/// Hands out a file's contents piece by piece, padding included.
pub(super) fn read(
    file: &layout::File<'_>,
    buffer: &mut Vec<u8>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = match file.source {
        Contents::Bytes(bytes) => {
            sink(bytes)?;
            return pad(file, sink);
        }
        Contents::Path(path) => path.clone(),
        Contents::Source(source) => source.path(),
    };
    let shown = || spk_files::printable::line(&file.path);
    let failed = |source| Error::Read { path: shown(), file: path.clone(), source };
    let changed = || Error::Changed { path: shown(), file: path.clone() };
    let mut input = open(file.source).map_err(failed)?;
    let before = input.metadata().map_err(failed)?;
    if !before.is_file() || before.len() != file.size {
        return Err(changed());
    }
    buffer.resize(STEP, 0);
    let mut rest = file.size;
    while rest > 0 {
        let step = rest.min(STEP as u64) as usize;
        let got = input.read(&mut buffer[..step]).map_err(failed)?;
        if got == 0 {
            return Err(changed());
        }
        sink(&buffer[..got])?;
        rest -= got as u64;
    }
    let after = input.metadata().map_err(failed)?;
    if stamp(&before) != stamp(&after) {
        return Err(changed());
    }
    pad(file, sink)
}

fn pad(
    file: &layout::File<'_>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    sink(&[0; 8][..(file.padded() - file.size) as usize])
}

/// Opens the file: not through a link, nor a FIFO, that took its place since the tree was made.
pub(crate) fn open(contents: &Contents) -> io::Result<File> {
    match contents {
        Contents::Source(source) => source.open(),
        Contents::Path(path) => {
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
        }
        Contents::Bytes(_) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}
