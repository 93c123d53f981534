//! Making a backup: the grain's tree is walked through directory descriptors, compressed on all
//! cores, and written in order.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{FileType, Stat};
use spk_package::progress::{Progress, Stage};

use super::error::{Error, shown};
use super::zip::deflate::{CHUNK, Done, InOrder, Pool, Ticket, Treat, tail};
use super::zip::record::{DEFLATED, STORED};
use super::zip::write::{Head, LONGEST_NAME, Writer};
use crate::store::{LOG, SANDBOX};
use spk_files::holes::next_data;
use spk_files::lend::{self, Lender};
use spk_files::path::{self, join};
use spk_files::{Dir, Time, is_gone};

/// Most bytes of one file's log that are packed: the log is bounded (grain-runtime §A.14), unless
/// the app extended it sparsely.
pub(crate) const LOG_LIMIT: u64 = 64 << 20;

/// Whether anybody changes the data while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// Nobody: the grain is locked, or this is a copy of it. All of it is read, or the export fails.
    Still,
    /// The app goes on (`--live`): what it removed since it was seen is left out, and told.
    Changing,
}

/// Something in the grain that is not in the backup, or not as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path below the grain's data, as bytes.
    pub path: Vec<u8>,
    /// Why: "socket", "vanished", ….
    pub reason: String,
}

/// What went into a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symbolic links.
    pub links: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// What was left out.
    pub skipped: Vec<Skipped>,
    /// What is in the backup, but needs a flag, or another file system, to be restored.
    pub warnings: Vec<Skipped>,
}

/// One thing to be written, in order.
enum Step {
    Batch(Vec<Head>, Ticket),
    Begin(Head, u64),
    Chunk(Ticket),
    Zeros(std::sync::Arc<Zeros>),
    End,
}

/// A chunk of zeros after zeros, compressed once for all holes.
struct Zeros {
    deflated: Vec<u8>,
    crc: crc32fast::Hasher,
}

/// A backup being made.
pub(crate) struct Exporter<'p> {
    progress: &'p mut dyn Progress,
    /// Bytes of members that were told to it.
    told: u64,
    writer: Writer,
    pool: Pool,
    steps: InOrder<Step>,
    batch: Batch,
    data: Data,
    store: bool,
    zeros: Option<std::sync::Arc<Zeros>>,
    /// Of the member being written.
    crc: crc32fast::Hasher,
    size: u64,
    in_data: bool,
    contents: Contents,
}

/// Members that fit in one chunk, on their way to one thread together.
#[derive(Default)]
struct Batch {
    heads: Vec<Head>,
    pieces: Vec<(Vec<u8>, Treat)>,
    bytes: usize,
}

/// Members in a batch at most.
const BATCH: usize = 64;

impl<'p> Exporter<'p> {
    pub fn new(
        writer: Writer,
        data: Data,
        store: bool,
        progress: &'p mut dyn Progress,
    ) -> io::Result<Exporter<'p>> {
        let pool = Pool::new()?;
        let steps = InOrder::new(pool.capacity());
        Ok(Exporter {
            progress,
            told: 0,
            writer,
            pool,
            steps,
            batch: Batch::default(),
            data,
            store,
            zeros: None,
            crc: crc32fast::Hasher::new(),
            size: 0,
            in_data: false,
            contents: Contents::default(),
        })
    }

    /// Writes the whole archive of the grain in `grain`; gives back the writer to be finished, and
    /// how many bytes all members have.
    pub fn run(mut self, grain: &Dir, metadata: Vec<u8>) -> Result<(Writer, Contents, u64), Error> {
        // Looking at all of a large grain takes a while.
        let total = match self.progress.watched() {
            true => grain.file_bytes().ok(),
            false => None,
        };
        self.progress.stage(Stage::Export, total);
        let now = Time { seconds: crate::store::now() as i64, nanoseconds: 0 };
        let head = Head { name: b"metadata".to_vec(), mode: 0o100_600, time: now };
        self.small(head, metadata)?;
        self.log(grain)?;
        let sandbox = grain.open_dir(SANDBOX.as_bytes()).map_err(|e| read(SANDBOX, e))?;
        self.tree(&sandbox)?;
        self.end_batch()?;
        while let Some(step) = self.steps.pop() {
            self.perform(step)?;
        }
        Ok((self.writer, self.contents, self.told))
    }

    fn tell(&mut self, bytes: u64) {
        self.told += bytes;
        self.progress.advance(bytes);
    }

    fn log(&mut self, grain: &Dir) -> Result<(), Error> {
        let failed = |error| read(LOG, error);
        let Some(file) = open_log(grain).map_err(failed)? else { return Ok(()) };
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        let head = Head { name: b"log".to_vec(), mode: stat.st_mode, time: Time::of(&stat) };
        let size = (stat.st_size as u64).min(LOG_LIMIT);
        self.file(head, &file, size, false)
    }

    /// All of the app's data. Directories are opened one at a time, by their path from the top,
    /// so that neither descriptors nor the stack grow with the depth.
    fn tree(&mut self, sandbox: &Dir) -> Result<(), Error> {
        let mut lender = Lender::new(sandbox);
        let mut pending: Vec<Vec<u8>> = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let (dir, stat) = match lender.open_dir(&path) {
                Ok(opened) => opened,
                Err(error) => {
                    self.vanished(&path, error)?;
                    continue;
                }
            };
            let mut name = [b"data/", &path[..]].concat();
            if !path.is_empty() {
                name.push(b'/');
            }
            check_length(&name)?;
            self.contents.directories += 1;
            let head = Head { name, mode: stat.st_mode, time: Time::of(&stat) };
            self.add(head, Vec::new(), Treat::Store)?;
            let mut below = Vec::new();
            for name in dir.names().map_err(|e| read_below(&path, e))? {
                let full = join(&path, &name);
                if self.entry(&dir, &name, &full)? {
                    below.push(full);
                }
            }
            // The last one pushed comes first: keeps the order of names.
            pending.extend(below.into_iter().rev());
        }
        let kept = |(_, error): &(_, io::Error)| self.data == Data::Still || !is_gone(error);
        match lender.give_back().into_iter().find(kept) {
            Some((path, source)) => Err(not_given_back(&path, source)),
            None => Ok(()),
        }
    }

    /// Packs one entry; whether it is a directory, which the caller does later.
    fn entry(&mut self, dir: &Dir, name: &[u8], full: &[u8]) -> Result<bool, Error> {
        let stat = match dir.stat(name) {
            Ok(stat) => stat,
            Err(error) => {
                self.vanished(full, error)?;
                return Ok(false);
            }
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return Ok(true);
        }
        let head =
            Head { name: [b"data/", full].concat(), mode: stat.st_mode, time: Time::of(&stat) };
        check_length(&head.name)?;
        self.warn_of_name(full);
        match kind {
            FileType::RegularFile => match lend::open_file(dir, name, &stat) {
                Ok((file, stat)) => {
                    let head = Head { mode: stat.st_mode, time: Time::of(&stat), ..head };
                    self.contents.files += 1;
                    self.file(head, &file, stat.st_size as u64, is_sparse(&stat))?;
                }
                Err(error) => self.vanished(full, error)?,
            },
            FileType::Symlink => match dir.read_link(name) {
                Ok(target) => {
                    self.contents.links += 1;
                    // The kernel shows links as 0777; so does everybody else.
                    self.add(head, target, Treat::Store)?;
                }
                Err(error) => self.vanished(full, error)?,
            },
            FileType::Socket => self.skip(full, "socket".into()),
            FileType::Fifo => self.skip(full, "pipe".into()),
            _ => self.skip(full, "device".into()),
        }
        Ok(false)
    }

    /// A file up to `size` bytes, as it was when it was opened.
    fn file(&mut self, head: Head, file: &File, size: u64, sparse: bool) -> Result<(), Error> {
        let name = head.name.clone();
        let failed = |error| read_below(&name, error);
        if size <= CHUNK as u64 {
            let mut data = Vec::with_capacity(size as usize);
            file.take(size).read_to_end(&mut data).map_err(failed)?;
            self.check_all_there(data.len() as u64 == size).map_err(failed)?;
            return self.small(head, data);
        }
        self.end_batch()?;
        self.push(Step::Begin(head, size))?;
        let mut position = 0;
        let mut before = Vec::new();
        let mut zeros_before = false;
        let mut data_at = 0;
        loop {
            let count = (size - position).min(CHUNK as u64) as usize;
            if sparse && zeros_before && count == CHUNK && position + (count as u64) < size {
                if data_at < position + count as u64 {
                    data_at = next_data(file, position, size);
                }
                if data_at >= position + count as u64 {
                    let zeros = self.zeros().map_err(|e| Error::Archive("write", e))?;
                    self.push(Step::Zeros(zeros))?;
                    position += count as u64;
                    continue;
                }
            }
            let mut data = vec![0; count];
            let got = read_full(file, &mut data, position).map_err(failed)?;
            data.truncate(got);
            position += got as u64;
            // A file that became shorter ends here.
            self.check_all_there(got == count).map_err(failed)?;
            let last = got < count || position == size;
            let next = tail(&data);
            zeros_before = got == CHUNK && data[..] == ZEROS[..];
            let treat = match (self.store, last) {
                (true, _) => Treat::Store,
                (false, false) => Treat::Deflate,
                (false, true) => Treat::DeflateLast,
            };
            let ticket = self.pool.submit(data, std::mem::replace(&mut before, next), treat);
            self.push(Step::Chunk(ticket))?;
            if last {
                return self.push(Step::End);
            }
        }
    }

    /// A member that fits in one chunk.
    fn small(&mut self, head: Head, data: Vec<u8>) -> Result<(), Error> {
        let store = self.store || data.is_empty();
        let treat = if store { Treat::Store } else { Treat::DeflateLast };
        self.add(head, data, treat)
    }

    fn add(&mut self, head: Head, data: Vec<u8>, treat: Treat) -> Result<(), Error> {
        self.batch.heads.push(head);
        self.batch.bytes += data.len();
        self.batch.pieces.push((data, treat));
        if self.batch.bytes < CHUNK && self.batch.heads.len() < BATCH {
            return Ok(());
        }
        self.end_batch()
    }

    fn end_batch(&mut self) -> Result<(), Error> {
        let Batch { heads, pieces, .. } = std::mem::take(&mut self.batch);
        if heads.is_empty() {
            return Ok(());
        }
        let ticket = self.pool.submit_all(pieces);
        self.push(Step::Batch(heads, ticket))
    }

    fn push(&mut self, step: Step) -> Result<(), Error> {
        match self.steps.push(step) {
            Some(oldest) => self.perform(oldest),
            None => Ok(()),
        }
    }

    fn perform(&mut self, step: Step) -> Result<(), Error> {
        self.try_perform(step).map_err(|error| Error::Archive("write", error))
    }

    fn try_perform(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Batch(heads, ticket) => {
                for (head, done) in heads.iter().zip(ticket.wait()?) {
                    self.write_whole(head, done)?;
                }
                Ok(())
            }
            Step::Begin(head, size) => {
                (self.crc, self.size) = (crc32fast::Hasher::new(), 0);
                self.in_data = head.name.starts_with(b"data/");
                self.writer.begin(head, self.store, size)
            }
            Step::Chunk(ticket) => {
                for Done { data, deflated, crc } in ticket.wait()? {
                    self.crc.combine(&crc);
                    self.size += data.len() as u64;
                    self.tell(data.len() as u64);
                    self.writer.data(if self.store { &data } else { &deflated })?;
                }
                Ok(())
            }
            Step::Zeros(zeros) => {
                self.crc.combine(&zeros.crc);
                self.size += CHUNK as u64;
                self.tell(CHUNK as u64);
                self.writer.data(if self.store { &ZEROS } else { &zeros.deflated })
            }
            Step::End => {
                if self.in_data {
                    self.contents.bytes += self.size;
                }
                self.writer.finish_member(self.crc.clone().finalize(), self.size)
            }
        }
    }

    fn write_whole(&mut self, head: &Head, done: Done) -> io::Result<()> {
        let Done { data, deflated, crc } = done;
        let (method, packed) = if !deflated.is_empty() && deflated.len() < data.len() {
            (DEFLATED, &deflated)
        } else {
            (STORED, &data)
        };
        self.tell(data.len() as u64);
        let regular = head.mode & 0o170_000 == 0o100_000;
        if regular && head.name.starts_with(b"data/") {
            self.contents.bytes += data.len() as u64;
        }
        self.writer.whole(head, method, crc.finalize(), data.len() as u64, packed)
    }

    fn zeros(&mut self) -> io::Result<std::sync::Arc<Zeros>> {
        if let Some(zeros) = &self.zeros {
            return Ok(zeros.clone());
        }
        let data = ZEROS.to_vec();
        let mut done = self.pool.submit(data, tail(&ZEROS), Treat::Deflate).wait()?;
        let Some(Done { deflated, crc, .. }) = done.pop() else {
            return Err(io::Error::other("nothing was compressed"));
        };
        let zeros = std::sync::Arc::new(Zeros { deflated, crc });
        self.zeros = Some(zeros.clone());
        Ok(zeros)
    }

    /// What was seen cannot be read any more: that is how it is with data that changes.
    fn vanished(&mut self, path: &[u8], error: io::Error) -> Result<(), Error> {
        match self.data {
            Data::Changing if is_gone(&error) && !path.is_empty() => {
                self.skip(path, format!("changed meanwhile ({error})"));
                Ok(())
            }
            _ => Err(read_below(path, error)),
        }
    }

    /// Nobody cuts files of data that is still.
    fn check_all_there(&self, whole: bool) -> io::Result<()> {
        match whole || self.data == Data::Changing {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter")),
        }
    }

    fn skip(&mut self, path: &[u8], reason: String) {
        self.contents.skipped.push(Skipped { path: path.to_vec(), reason });
    }

    /// Says beforehand what [`super::restore`] will ask a flag for.
    fn warn_of_name(&mut self, path: &[u8]) {
        if super::names::backslashes_climb(path::name(path)) {
            let reason = "restoring it needs --literal-backslashes".to_owned();
            self.contents.warnings.push(Skipped { path: path.to_vec(), reason });
        }
        if path.len() + b"data/".len() > super::limits::NAME_LENGTH {
            let reason = "restoring it needs --max-name-length".to_owned();
            self.contents.warnings.push(Skipped { path: path.to_vec(), reason });
        }
    }
}

/// The log of the grain in this directory, if there is one.
pub(crate) fn open_log(grain: &Dir) -> io::Result<Option<File>> {
    let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match grain.open_file(LOG.as_bytes()) {
        Err(error) if missing(&error) && grain.stat(LOG.as_bytes()).is_err_and(|e| missing(&e)) => {
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

static ZEROS: [u8; CHUNK] = [0; CHUNK];

fn read_full(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn is_sparse(stat: &Stat) -> bool {
    (stat.st_blocks as u64).saturating_mul(512) < stat.st_size as u64
}

/// Bytes of a path too long that are shown.
const SHOWN: usize = 200;

/// Refuses what no zip file can hold; leaving it out would be no backup.
fn check_length(name: &[u8]) -> Result<(), Error> {
    match name.len() > LONGEST_NAME {
        true => Err(Error::LongPath { name: shown(&name[..SHOWN]), length: name.len() }),
        false => Ok(()),
    }
}

/// The grain's own directory stays open to its owner.
pub(crate) fn not_given_back(path: &[u8], source: io::Error) -> Error {
    Error::Io { action: "restore the permissions of", path: shown(path).into(), source }
}

fn read(what: &str, source: io::Error) -> Error {
    Error::Io { action: "read", path: what.into(), source }
}

fn read_below(path: &[u8], source: io::Error) -> Error {
    match path.is_empty() {
        true => read(SANDBOX, source),
        false => Error::Io { action: "read", path: shown(path).into(), source },
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;
    use spk_package::progress::Silent;

    use super::*;
    use crate::backup::zip::write::Output;

    #[test]
    fn only_what_is_gone_is_left_out_and_only_where_an_app_goes_on() {
        const GONE: [Errno; 3] = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
        const THERE: [Errno; 9] = [
            Errno::IO,
            Errno::UCLEAN,
            Errno::STALE,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NXIO,
        ];
        for data in [Data::Still, Data::Changing] {
            let writer = Writer::new(Output::pipe(Box::new(io::sink())));
            let mut silent = Silent;
            let mut exporter = Exporter::new(writer, data, true, &mut silent).unwrap();
            for errno in GONE {
                let left_out = exporter.vanished(b"d/x", errno.into());
                assert_eq!(left_out.is_ok(), data == Data::Changing, "{data:?} {errno}");
            }
            for errno in THERE {
                let error = exporter.vanished(b"d/x", errno.into()).unwrap_err();
                assert_eq!(error.to_string(), "cannot read d/x", "{data:?} {errno}");
            }
            // Without its top there is no grain.
            assert!(exporter.vanished(b"", Errno::NOENT.into()).is_err());
            let expected = if data == Data::Changing { GONE.len() } else { 0 };
            assert_eq!(exporter.contents.skipped.len(), expected);
        }
    }
}
