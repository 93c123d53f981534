//! Deflate on all cores: data is cut into chunks that are compressed independently, each knowing
//! the 32 KiB before it, and whose outputs put one after the other are one deflate stream.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};

/// Bytes compressed at a time. Larger chunks gain nothing measurable (the dictionary carries over
/// what matters), smaller ones cost an empty block each.
pub const CHUNK: usize = 256 << 10;

/// How far back deflate looks.
const WINDOW: usize = 32 << 10;

/// Level 6, the default of zip tools.
const LEVEL: u32 = 6;

/// Chunks waiting per thread: enough that no core idles while the output is written.
const WAITING_PER_THREAD: usize = 4;

/// One chunk compressed.
#[derive(Debug)]
pub struct Done {
    /// The data as it was.
    pub data: Vec<u8>,
    /// Compressed; empty when it is to be stored.
    pub deflated: Vec<u8>,
    /// Checksum of `data`, to be combined.
    pub crc: crc32fast::Hasher,
}

/// How a chunk is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treat {
    /// Only checksummed.
    Store,
    /// Compressed, more follows.
    Deflate,
    /// Compressed, the stream ends here.
    DeflateLast,
}

struct Job {
    pieces: Vec<(Vec<u8>, Treat)>,
    before: Vec<u8>,
    done: Sender<io::Result<Vec<Done>>>,
}

/// The result of a job, when it is ready.
pub struct Ticket(Receiver<io::Result<Vec<Done>>>);

impl Ticket {
    /// Waits for it: one result for each piece.
    pub fn wait(self) -> io::Result<Vec<Done>> {
        self.0.recv().unwrap_or_else(|_| Err(io::Error::other("a compressing thread ended")))
    }
}

/// Threads that compress.
pub struct Pool {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// One thread per core.
    pub fn new() -> io::Result<Pool> {
        let count = std::thread::available_parallelism().map_or(1, |count| count.get());
        let (jobs, queue) = mpsc::sync_channel(count * WAITING_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..count)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name("deflate".into()).spawn(move || work(&queue))
            })
            .collect::<io::Result<_>>()?;
        Ok(Pool { jobs: Some(jobs), threads })
    }

    /// How many chunks may sensibly be on their way at once.
    pub fn capacity(&self) -> usize {
        self.threads.len() * WAITING_PER_THREAD
    }

    /// Hands over a chunk. `before` is the end of what precedes it in the same stream.
    pub fn submit(&self, data: Vec<u8>, before: Vec<u8>, treat: Treat) -> Ticket {
        self.hand_over(vec![(data, treat)], before)
    }

    /// Hands over small things, each a stream of its own: one thread does them all, since waking
    /// it for each would cost more than the work.
    pub fn submit_all(&self, pieces: Vec<(Vec<u8>, Treat)>) -> Ticket {
        self.hand_over(pieces, Vec::new())
    }

    fn hand_over(&self, pieces: Vec<(Vec<u8>, Treat)>, before: Vec<u8>) -> Ticket {
        let (done, ticket) = mpsc::channel();
        if let Some(jobs) = &self.jobs {
            // When no thread is left the ticket says so.
            let _ = jobs.send(Job { pieces, before, done });
        }
        Ticket(ticket)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The part of a chunk that the next one may refer to.
pub fn tail(chunk: &[u8]) -> Vec<u8> {
    chunk[chunk.len().saturating_sub(WINDOW)..].to_vec()
}

fn work(queue: &Mutex<Receiver<Job>>) {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    // Knows no dictionary and no flush, but what comes in one piece it does in half the time.
    let mut whole = Compressor::new(CompressionLvl::new(LEVEL as i32).unwrap_or_default());
    loop {
        let job = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(Job { pieces, before, done }) = job else { return };
        let each = |(data, treat): (Vec<u8>, Treat)| {
            let deflated = match treat {
                Treat::Store => Vec::new(),
                Treat::DeflateLast if before.is_empty() => deflate_whole(&mut whole, &data)?,
                Treat::Deflate => deflate(&mut compress, &data, &before, FlushCompress::Sync)?,
                Treat::DeflateLast => {
                    deflate(&mut compress, &data, &before, FlushCompress::Finish)?
                }
            };
            let mut crc = crc32fast::Hasher::new();
            crc.update(&data);
            Ok(Done { data, deflated, crc })
        };
        // Nobody waits any more: the export has failed.
        let _ = done.send(pieces.into_iter().map(each).collect());
    }
}

fn deflate_whole(compressor: &mut Compressor, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = vec![0; compressor.deflate_compress_bound(data.len())];
    let length = compressor.deflate_compress(data, &mut out).map_err(io::Error::other)?;
    out.truncate(length);
    Ok(out)
}

fn deflate(
    compress: &mut Compress,
    data: &[u8],
    before: &[u8],
    flush: FlushCompress,
) -> io::Result<Vec<u8>> {
    compress.reset();
    if !before.is_empty() {
        compress.set_dictionary(before).map_err(io::Error::other)?;
    }
    let mut out = Vec::with_capacity(data.len() / 2 + 1024);
    loop {
        let consumed = compress.total_in() as usize;
        let rest = data.get(consumed..).unwrap_or_default();
        let status = compress.compress_vec(rest, &mut out, flush).map_err(io::Error::other)?;
        let all_in = compress.total_in() as usize >= data.len();
        let room = out.len() < out.capacity();
        if status == Status::StreamEnd || (flush == FlushCompress::Sync && all_in && room) {
            return Ok(out);
        }
        out.reserve(out.capacity().max(1024));
    }
}

/// Results in the order of submission, with a bound on what is on its way.
pub struct InOrder<T> {
    steps: VecDeque<T>,
    limit: usize,
}

impl<T> InOrder<T> {
    /// At most `limit` steps wait.
    pub fn new(limit: usize) -> Self {
        InOrder { steps: VecDeque::new(), limit: limit.max(1) }
    }

    /// Adds a step; gives back the oldest one when there are too many.
    pub fn push(&mut self, step: T) -> Option<T> {
        self.steps.push_back(step);
        if self.steps.len() > self.limit { self.steps.pop_front() } else { None }
    }

    /// The oldest step.
    pub fn pop(&mut self) -> Option<T> {
        self.steps.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn whole(chunks: &[&[u8]]) -> Vec<u8> {
        let pool = Pool::new().unwrap();
        let mut before = Vec::new();
        let mut tickets = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let last = index + 1 == chunks.len();
            let treat = if last { Treat::DeflateLast } else { Treat::Deflate };
            tickets.push(pool.submit(chunk.to_vec(), before, treat));
            before = tail(chunk);
        }
        let done = tickets.into_iter().flat_map(|ticket| ticket.wait().unwrap());
        done.flat_map(|done| done.deflated).collect()
    }

    #[test]
    fn chunks_make_one_stream_and_use_what_was_before() {
        let mut state = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(20_000)
        .collect();
        let chunks: [&[u8]; 5] = [&noise, &noise, b"", &[0; CHUNK], &noise[..1]];
        let stream = whole(&chunks);
        // The second chunk is nothing but a reference to the first.
        assert!(stream.len() < 21_500, "{}", stream.len());
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut back).unwrap();
        assert!(back == chunks.concat());
    }

    #[test]
    fn an_empty_end_ends_the_stream() {
        let mut back = Vec::new();
        let stream = whole(&[b"abc", b""]);
        flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, b"abc");
    }
}
