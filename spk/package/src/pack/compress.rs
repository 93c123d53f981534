//! The pipeline: one thread reads and hashes, others compress, and blocks come out in order.

use std::collections::BTreeMap;
use std::sync::{Mutex, mpsc};
use std::thread;

use sha2::{Digest, Sha512};

use super::cache::Cache;
use super::plan::Block as Plan;
use super::{Error, source};
use crate::archive::layout::Layout;
use crate::progress::Progress;
use crate::xz::container::Block;
use crate::xz::encode::{self, Settings};

/// A block to compress: its number, contents and settings.
struct Job {
    number: usize,
    contents: Vec<u8>,
    settings: Settings,
}

/// What a worker has to say.
enum News {
    /// So many more bytes are compressed.
    Advance(u64),
    /// The block of this number is done, or failed.
    Done(usize, Result<Block, encode::Error>),
}

/// Compresses the archive block by block, hashing it on the way, and hands the blocks to `sink` in
/// order.
pub(super) fn run(
    layout: &Layout<'_>,
    plan: &[Plan],
    threads: usize,
    cache: Option<&Cache>,
    hash: &mut Sha512,
    progress: &mut dyn Progress,
    sink: &mut dyn FnMut(Block) -> Result<(), Error>,
) -> Result<(), Error> {
    let threads = threads.clamp(1, plan.len().max(1));
    let (jobs, queue) = mpsc::sync_channel::<Job>(0);
    let queue = &Mutex::new(queue);
    thread::scope(|scope| {
        let jobs = jobs;
        let (done, news) = mpsc::channel::<News>();
        for _ in 0..threads {
            let done = done.clone();
            thread::Builder::new()
                .name("spk-compress".into())
                .spawn_scoped(scope, move || work(queue, cache, &done))
                .map_err(Error::Threads)?;
        }
        drop(done);
        let mut order = Order { news, waiting: BTreeMap::new(), next: 0, running: 0, sink };
        let mut cutter = Cutter { plan, number: 0, offset: 0, contents: Vec::new() };
        let mut take = |bytes: &[u8]| -> Result<(), Error> {
            hash.update(bytes);
            cutter.take(bytes, &mut |job| {
                order.running += 1;
                let gone = |_| Error::Threads(std::io::ErrorKind::BrokenPipe.into());
                jobs.send(job).map_err(gone)?;
                // The next block is read when a thread is free for it: that takes no time beside
                // compressing it, and the memory of one block more is saved.
                while order.running >= threads {
                    order.wait(progress)?;
                }
                Ok(())
            })
        };
        take(&layout.tables)?;
        let mut buffer = Vec::new();
        for file in &layout.files {
            source::read(file, &mut buffer, &mut take)?;
            let path = String::from_utf8_lossy(&file.path);
            tracing::debug!(%path, bytes = file.size, "file read");
        }
        drop(jobs);
        while order.running > 0 {
            order.wait(progress)?;
        }
        Ok(())
    })
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, cache: Option<&Cache>, done: &mpsc::Sender<News>) {
    loop {
        let job = match queue.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => return,
        };
        let Ok(Job { number, contents, settings }) = job else { return };
        // Nobody listens any more only when all has failed: then the block is wasted too.
        let mut progress = |bytes| drop(done.send(News::Advance(bytes)));
        let block = match cache {
            Some(cache) => cache.block(&contents, &settings, &mut progress),
            None => encode::block_with(&contents, &settings, &mut progress),
        };
        tracing::debug!(number, bytes = contents.len(), "block done");
        drop(contents);
        if done.send(News::Done(number, block)).is_err() {
            return;
        }
    }
}

/// Cuts the archive where the plan says.
struct Cutter<'a> {
    plan: &'a [Plan],
    number: usize,
    offset: u64,
    contents: Vec<u8>,
}

impl Cutter<'_> {
    fn take(
        &mut self,
        mut bytes: &[u8],
        send: &mut dyn FnMut(Job) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let (false, Some(block)) = (bytes.is_empty(), self.plan.get(self.number)) {
            if self.contents.capacity() == 0 {
                self.contents.reserve_exact((block.end - self.offset) as usize);
            }
            let room = (block.end - self.offset).min(bytes.len() as u64) as usize;
            let (now, later) = bytes.split_at(room);
            self.contents.extend_from_slice(now);
            self.offset += now.len() as u64;
            bytes = later;
            if self.offset == block.end {
                let contents = std::mem::take(&mut self.contents);
                let number = self.number;
                self.number += 1;
                send(Job { number, contents, settings: block.settings })?;
            }
        }
        Ok(())
    }
}

/// Puts finished blocks back in order.
struct Order<'a> {
    news: mpsc::Receiver<News>,
    waiting: BTreeMap<usize, Block>,
    next: usize,
    running: usize,
    sink: &'a mut dyn FnMut(Block) -> Result<(), Error>,
}

impl Order<'_> {
    /// Waits for one block.
    fn wait(&mut self, progress: &mut dyn Progress) -> Result<(), Error> {
        let (number, block) = loop {
            match self.news.recv() {
                Ok(News::Advance(bytes)) => progress.advance(bytes),
                Ok(News::Done(number, block)) => break (number, block),
                Err(_) => return Err(Error::Threads(std::io::ErrorKind::BrokenPipe.into())),
            }
        };
        self.running -= 1;
        self.waiting.insert(number, block?);
        while let Some(block) = self.waiting.remove(&self.next) {
            (self.sink)(block)?;
            self.next += 1;
        }
        Ok(())
    }
}
