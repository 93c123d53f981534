//! Reading an archive of our own back, in constant memory: its central directory record by record,
//! each record's local header, and all data, on all cores.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, mpsc};

use spk_package::progress::Progress;

use super::member::{Reader, check_local, reading};
use super::read::find_end;
use super::record::{CENTRAL_LENGTH, Member, Take, take_central};
use crate::backup::error::{Error, shown};

/// Bytes of the central directory read at once.
const PIECE: usize = 64 << 10;

/// Longest record: its fixed part, and three fields whose lengths are 16-bit numbers.
const LONGEST: usize = CENTRAL_LENGTH + 3 * 0xffff;

/// Members given to a thread together, unless they are large, and how many of such batches wait.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;
const WAITING: usize = 4;

struct Job {
    name: Vec<u8>,
    member: Member,
    data: u64,
}

/// Checks an archive that has no descriptors and should have so many members; tells how many bytes
/// of them it has read.
///
/// # Errors
/// Whatever does not read back.
pub fn verify(file: &File, members: u64, progress: &mut dyn Progress) -> Result<(), Error> {
    let watched = progress.watched();
    let (tell, told) = mpsc::channel();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let (jobs, queue) = mpsc::sync_channel(WAITING);
    let queue: Mutex<mpsc::Receiver<Vec<Job>>> = Mutex::new(queue);
    let check = |tell: mpsc::Sender<u64>| -> Result<(), Error> {
        let mut reader = Reader::new();
        let mut found = Ok(());
        loop {
            let next = queue.lock().map_or(None, |queue| queue.recv().ok());
            let Some(batch) = next else { return found };
            for Job { name, member, data } in batch {
                // After a failure the rest is only taken, so that nobody waits for room.
                if found.is_ok() {
                    found = reader.read(file, (&name, &member), data, |piece| {
                        if watched {
                            // Who asked listens to the end.
                            let _ = tell.send(piece.len() as u64);
                        }
                        Ok(())
                    });
                }
            }
        }
    };
    let check = &check;
    std::thread::scope(|scope| {
        let spawn = |_| {
            let tell = tell.clone();
            std::thread::Builder::new().spawn_scoped(scope, move || check(tell))
        };
        let checkers: io::Result<Vec<_>> = (0..threads).map(spawn).collect();
        drop(tell);
        let checkers = checkers.map_err(reading)?;
        // Checkers take all there is, so there is always one to send to.
        let send = |batch| jobs.send(batch).map_err(|_| Error::BadDirectory("checking it failed"));
        let (mut batch, mut bytes): (Vec<Job>, _) = (Vec::new(), 0);
        let walked = walk(file, members, |job| {
            bytes += job.member.size;
            batch.push(job);
            if batch.len() < BATCH && bytes < BATCH_BYTES {
                return Ok(());
            }
            bytes = 0;
            told.try_iter().for_each(|bytes| progress.advance(bytes));
            send(std::mem::take(&mut batch))
        });
        let walked = walked.and_then(|()| send(batch));
        drop(jobs);
        // Until the last checker is done.
        told.iter().for_each(|bytes| progress.advance(bytes));
        let mut found = Ok(());
        for checker in checkers {
            let checked = checker.join();
            let checked = checked.unwrap_or(Err(Error::BadDirectory("checking it failed")));
            found = found.and(checked);
        }
        found.and(walked)
    })
}

/// Goes through the central directory, which is in the order of the data.
fn walk(
    file: &File,
    members: u64,
    mut each: impl FnMut(Job) -> Result<(), Error>,
) -> Result<(), Error> {
    let end = find_end(file, file.metadata().map_err(reading)?.len())?;
    if end.members != members {
        return Err(Error::BadDirectory("not as many members as were written"));
    }
    let mut directory =
        Directory { file, at: end.offset, left: end.size, bytes: Vec::new(), taken: 0 };
    let mut expected = 0;
    for _ in 0..members {
        let (name, member) = directory.next()?;
        if member.offset != expected {
            return Err(Error::Overlap(shown(&name)));
        }
        let data = check_local(file, &name, &member)?;
        expected = data + member.compressed;
        each(Job { name, member, data })?;
    }
    if expected != end.offset || directory.remains() {
        return Err(Error::BadDirectory("it does not begin where the last member ends"));
    }
    Ok(())
}

/// The part of the central directory that has not been taken yet.
struct Directory<'a> {
    file: &'a File,
    at: u64,
    left: u64,
    /// What has been read of it.
    bytes: Vec<u8>,
    /// How much of that has been taken.
    taken: usize,
}

impl Directory<'_> {
    fn remains(&self) -> bool {
        self.left > 0 || self.taken < self.bytes.len()
    }

    fn next(&mut self) -> Result<(Vec<u8>, Member), Error> {
        if self.left > 0 && self.bytes.len() - self.taken < LONGEST {
            self.fill().map_err(reading)?;
        }
        let mut take = Take(&self.bytes[self.taken..]);
        let central = take_central(&mut take).ok_or(Error::BadDirectory("record cut off"))?;
        let (name, member) = (central.name.to_vec(), central.member);
        self.taken = self.bytes.len() - take.0.len();
        Ok((name, member))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        let before = self.bytes.len();
        let count = self.left.min((LONGEST + PIECE) as u64) as usize;
        self.bytes.resize(before + count, 0);
        self.file.read_exact_at(&mut self.bytes[before..], self.at)?;
        self.at += count as u64;
        self.left -= count as u64;
        Ok(())
    }
}
