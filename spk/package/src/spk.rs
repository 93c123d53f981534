//! Opening a package: from the file's bytes to an archive whose signature and hash hold
//! (format, "verification", steps 1 to 8).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256, Sha512};

use crate::app_id::AppId;
use crate::archive::read::{self, Archive};
use crate::limits::{MAGIC, MAX_ARCHIVE_BYTES};
use crate::package_id::PackageId;
use crate::progress::{Progress, Stage};
use crate::replacements::{Revoked, Table};
use crate::signature::{self, ArchiveHash};
use crate::xz::decode::{self, Decoder};

/// Input is read in steps of this many bytes.
const INPUT: usize = 256 << 10;

/// Output that may wait to be hashed, in pieces of at most 256 KiB.
const QUEUE: usize = 32;

/// Why a file is not a package whose signature holds.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening or reading the package failed.
    #[error("cannot read the package")]
    Read(#[source] io::Error),
    /// The file does not start like a package.
    #[error("this is not a package: it does not begin with the magic number of .spk files")]
    Magic,
    /// The compressed data is damaged.
    #[error(transparent)]
    Xz(#[from] decode::Error),
    /// The signature is damaged or wrong.
    #[error(transparent)]
    Signature(#[from] signature::Error),
    /// The data ends within the signature.
    #[error("the package ends within its signature")]
    SignatureCut,
    /// Larger than allowed.
    #[error("the package unpacks to more than 1 GiB, which no server accepts")]
    TooLarge,
    /// The contents are not those that were signed.
    #[error("the package's contents do not match its signature")]
    Hash,
    /// Signed with a key that was revoked.
    #[error(transparent)]
    Revoked(#[from] Revoked),
    /// The archive is damaged.
    #[error(transparent)]
    Archive(#[from] read::Error),
    /// Writing the decompressed archive failed.
    #[error("cannot write a temporary file in {}", .directory.display())]
    Temporary {
        /// Where.
        directory: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A package whose signature and hash hold.
pub(crate) struct Package {
    /// The app's identity, after replacement.
    pub(crate) app_id: AppId,
    pub(crate) package_id: PackageId,
    pub(crate) archive: Archive,
    /// Bytes of the decompressed archive.
    pub(crate) archive_bytes: u64,
}

/// Reads a package from `input`, decompressing the archive to an unnamed file in `directory`, on
/// `threads` threads.
pub(crate) fn open(
    input: &mut dyn Read,
    size: Option<u64>,
    directory: &Path,
    threads: usize,
    progress: &mut dyn Progress,
) -> Result<Package, Error> {
    progress.stage(Stage::Verify, size);
    let mut magic = [0; MAGIC.len()];
    let got = read_full(input, &mut magic).map_err(Error::Read)?;
    if magic[..got] != MAGIC {
        return Err(Error::Magic);
    }
    let mut hash = Sha256::new_with_prefix(magic);
    let temporary = |source| Error::Temporary { directory: directory.to_owned(), source };
    let file = tempfile::tempfile_in(directory).map_err(temporary)?;
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let spool = thread::Builder::new()
            .name("spk-hash".into())
            .spawn_scoped(scope, move || Spool::new(file).run(&receiver))
            .map_err(temporary)?;
        let decoded = (|| -> Result<(), Error> {
            let mut decoder = Decoder::new(threads);
            // When the other side has given up, its error is the one to report.
            let mut sink = |bytes: &[u8]| -> Result<(), Error> {
                if bytes.is_empty() {
                    return Ok(());
                }
                sender.send(bytes.to_vec()).map_err(|_| Error::Hash)
            };
            let mut buffer = vec![0; INPUT];
            loop {
                let got = read_full(input, &mut buffer).map_err(Error::Read)?;
                if got == 0 {
                    return decoder.finish(&mut sink);
                }
                hash.update(&buffer[..got]);
                decoder.feed(&buffer[..got], &mut sink)?;
                progress.advance(got as u64);
            }
        })();
        drop(sender);
        let spooled = match spool.join() {
            Ok(spooled) => spooled,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        // A cut-off package: that the data ended is the cause, and that the signature is
        // incomplete only follows.
        let spooled = match (decoded, spooled) {
            (Ok(()), spooled) => spooled.map_err(|error| error.shown(directory))?,
            (Err(error), Err(Stop::SignatureCut) | Ok(_)) => return Err(error),
            (Err(_), Err(stop)) => return Err(stop.shown(directory)),
        };
        let package_id = PackageId::from_hash(hash);
        if spooled.actual != spooled.signed {
            return Err(Error::Hash);
        }
        let app_id = Table::built_in().canonical(spooled.key, package_id)?;
        let archive_bytes = spooled.length;
        let archive = Archive::open(spooled.file, archive_bytes)?;
        Ok(Package { app_id, package_id, archive, archive_bytes })
    })
}

/// Why the second thread stopped.
enum Stop {
    Signature(signature::Error),
    SignatureCut,
    TooLarge,
    Write(io::Error),
}

impl Stop {
    fn shown(self, directory: &Path) -> Error {
        match self {
            Stop::Signature(error) => Error::Signature(error),
            Stop::SignatureCut => Error::SignatureCut,
            Stop::TooLarge => Error::TooLarge,
            Stop::Write(source) => Error::Temporary { directory: directory.to_owned(), source },
        }
    }
}

struct Spooled {
    file: File,
    length: u64,
    key: AppId,
    signed: ArchiveHash,
    actual: ArchiveHash,
}

/// Takes the signature off the front, checks it before anything else is done, and then hashes and
/// keeps the archive.
struct Spool {
    file: File,
    length: u64,
    head: Vec<u8>,
    signed: Option<(AppId, ArchiveHash)>,
    hash: Sha512,
}

impl Spool {
    fn new(file: File) -> Spool {
        Spool { file, length: 0, head: Vec::new(), signed: None, hash: Sha512::new() }
    }

    fn run(mut self, pieces: &mpsc::Receiver<Vec<u8>>) -> Result<Spooled, Stop> {
        for piece in pieces {
            self.take(piece)?;
        }
        let Some((key, signed)) = self.signed else { return Err(Stop::SignatureCut) };
        let mut actual = [0; 64];
        actual.copy_from_slice(&self.hash.finalize());
        Ok(Spooled { file: self.file, length: self.length, key, signed, actual })
    }

    fn take(&mut self, piece: Vec<u8>) -> Result<(), Stop> {
        if self.signed.is_some() {
            return self.archive(&piece);
        }
        self.head.extend(piece);
        let length = signature::message_length(&self.head).map_err(Stop::Signature)?;
        let Some(length) = length.filter(|&length| length <= self.head.len()) else {
            return Ok(());
        };
        let rest = self.head.split_off(length);
        self.signed = Some(signature::verify(&self.head).map_err(Stop::Signature)?);
        self.archive(&rest)
    }

    fn archive(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.length += bytes.len() as u64;
        if self.length > MAX_ARCHIVE_BYTES {
            return Err(Stop::TooLarge);
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).map_err(Stop::Write)
    }
}

/// Fills `buffer` as far as the input goes.
pub(crate) fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(got) => filled += got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
