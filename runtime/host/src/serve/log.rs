//! The grain's log: what the app writes to its standard output and error, through a pipe.
//!
//! The app never holds the log file itself, so it can neither rewrite history nor fill the disk
//! (grain-runtime §A.14, §H.1 item 29).

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use spk_files::printable;

use super::log_lines::{CONTINUED, Lines, whole};
use super::throttle::Throttle;

/// `log` is moved to `log.1` when it would grow beyond this, unless told otherwise; so at most
/// twice this is kept (the original's figure, grain-runtime §A.14).
pub const LOG_CAP: u64 = 512 * 1024;

/// How many last lines an error shows.
const TAIL_LINES: usize = 20;
/// How much of a single line an error shows: an app may write megabytes without a line break.
const TAIL_LINE: usize = 1000;

/// Bytes of output a second that are taken of an app for long, and at once: an app that writes more
/// waits, so that it neither fills the disk's queue nor keeps a processor busy.
const RATE: u64 = 4 << 20;
const BURST: u64 = 16 << 20;

/// Pieces of the log that somebody who follows it may be behind; more, and some are lost to them.
const FOLLOWED: usize = 256;

/// What is written to a log from some moment on, piece by piece.
pub type Followed = tokio::sync::broadcast::Receiver<Arc<[u8]>>;

/// A log being written.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Mutex<Shared>>,
    /// How many pipes are being drained.
    draining: Arc<tokio::sync::watch::Sender<usize>>,
    /// Whether it has been moved to `log.1`.
    rotated: tokio::sync::watch::Receiver<bool>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    file: File,
    size: u64,
    /// The byte that was written last.
    last: u8,
    lines: Lines,
    cap: u64,
    rotated: tokio::sync::watch::Sender<bool>,
    followers: tokio::sync::broadcast::Sender<Arc<[u8]>>,
    tail: Tail,
}

impl Log {
    /// Opens `path` for appending; creates it, readable by its owner only. At `cap` bytes it is
    /// moved to `log.1`.
    pub fn open(path: &Path, cap: u64) -> io::Result<Log> {
        let file = open(path)?;
        let size = file.metadata()?.len();
        let last = last_byte(path, size)?;
        let lines = Lines::after(last != b'\n');
        let (sender, rotated) = tokio::sync::watch::channel(false);
        let path = path.to_owned();
        let (followers, _) = tokio::sync::broadcast::channel(FOLLOWED);
        let tail = Tail::default();
        let shared =
            Shared { path, file, size, last, lines, cap, rotated: sender, followers, tail };
        let (draining, _) = tokio::sync::watch::channel(0);
        Ok(Log { shared: Arc::new(Mutex::new(shared)), draining: Arc::new(draining), rotated })
    }

    /// Copies what arrives on `output` to the log until its other end is closed everywhere, on a
    /// thread of its own: an app that writes a lot must not slow its own requests down further, up to
    /// a rate that nothing but a flood has.
    pub fn drain(&self, mut output: io::PipeReader) -> io::Result<JoinHandle<()>> {
        let shared = self.shared.clone();
        let draining = Draining::begin(self.draining.clone());
        std::thread::Builder::new().name("grain-log".into()).spawn(move || {
            let _draining = draining;
            let mut throttle = Throttle::new(RATE, BURST, Instant::now());
            let mut buffer = vec![0; 16 * 1024];
            loop {
                match output.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        locked(&shared).app_wrote(&buffer[..count]);
                        std::thread::sleep(throttle.spend(count as u64, Instant::now()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            locked(&shared).app_ended();
        })
    }

    /// Waits until every pipe was read to its end: the app is gone and its last words are here.
    pub async fn drained(&self) {
        // The sender lives as long as `self`.
        let _ = self.draining.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Resolves when the log has been moved to `log.1` for the first time.
    pub fn rotated(&self) -> impl Future<Output = ()> + use<> {
        let mut rotated = self.rotated.clone();
        async move {
            if rotated.wait_for(|rotated| *rotated).await.is_err() {
                // The log is gone, and with it the chance.
                std::future::pending().await
            }
        }
    }

    /// One line of the host's own, which nothing that the app writes looks like.
    pub fn note(&self, line: &str) {
        let mut shared = locked(&self.shared);
        let written = shared.lines.host(line);
        shared.write(&written);
    }

    /// The last whole lines of the log, of at most `length` bytes, and all that comes after them.
    pub fn follow(&self, length: u64) -> io::Result<(Vec<u8>, Followed)> {
        // Nothing is written while the lock is held, so nothing is lost or doubled in between.
        let shared = locked(&self.shared);
        let mut file = File::open(&shared.path)?;
        let size = file.metadata()?.len();
        file.seek(io::SeekFrom::Start(size.saturating_sub(length)))?;
        let mut last = Vec::new();
        file.take(length).read_to_end(&mut last)?;
        if size > length {
            last = whole(&last).to_vec();
        }
        Ok((last, shared.followers.subscribe()))
    }

    /// The last lines the app wrote since this log was opened; untrusted bytes, made printable.
    pub fn tail(&self) -> Vec<String> {
        locked(&self.shared).tail.lines()
    }

    /// Forgets the tail: a new start of the app begins.
    pub fn forget_tail(&self) {
        locked(&self.shared).tail = Tail::default();
    }
}

struct Draining(Arc<tokio::sync::watch::Sender<usize>>);

impl Draining {
    fn begin(count: Arc<tokio::sync::watch::Sender<usize>>) -> Draining {
        count.send_modify(|count| *count += 1);
        Draining(count)
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A thread that panicked while it held the lock leaves a log that can still be appended to.
fn locked(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

/// The last byte of a file of that size; a line's end, where there is none.
fn last_byte(path: &Path, size: u64) -> io::Result<u8> {
    let mut last = [b'\n'];
    if size > 0 {
        File::open(path)?.read_exact_at(&mut last, size - 1)?;
    }
    Ok(last[0])
}

impl Shared {
    fn app_wrote(&mut self, bytes: &[u8]) {
        let written = self.lines.app(bytes);
        self.write(&written);
    }

    fn app_ended(&mut self) {
        let written = self.lines.flush();
        self.write(&written);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.tail.push(bytes);
        if self.followers.receiver_count() > 0 {
            let _ = self.followers.send(bytes.into());
        }
        let cap = usize::try_from(self.cap).unwrap_or(usize::MAX).max(1);
        // Of a piece as large as the log there would be no room for what marks it as a part.
        for bytes in bytes.chunks(cap.saturating_sub(CONTINUED.len()).max(1)) {
            if self.size + bytes.len() as u64 > self.cap {
                let in_line = self.last != b'\n';
                self.rotate();
                if in_line {
                    self.append(CONTINUED);
                }
            }
            self.append(bytes);
        }
    }

    fn append(&mut self, bytes: &[u8]) {
        // A full disk loses log lines; it must not stop the app.
        if self.file.write_all(bytes).is_ok() {
            self.size += bytes.len() as u64;
            self.last = bytes.last().copied().unwrap_or(self.last);
        }
    }

    fn rotate(&mut self) {
        let mut old = self.path.clone().into_os_string();
        old.push(".1");
        if std::fs::rename(&self.path, PathBuf::from(old)).is_ok()
            && let Ok(file) = open(&self.path)
        {
            self.file = file;
        } else if self.file.set_len(0).is_err() {
            return;
        }
        self.size = 0;
        self.rotated.send_replace(true);
    }
}

/// The last complete lines and the unfinished one.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: Vec<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = TAIL_LINE.saturating_sub(self.open.len());
            self.open.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                if self.lines.len() == TAIL_LINES {
                    self.lines.pop_front();
                }
                self.lines.push_back(std::mem::take(&mut self.open));
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let open = (!self.open.is_empty()).then_some(&self.open);
        self.lines.iter().chain(open).map(|line| printable::text(line.trim_ascii_end())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_rotated_at_its_cap_and_the_tail_shows_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(&path, LOG_CAP).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = log.drain(reader).unwrap();
        let line = [b'x'; 1023];
        for _ in 0..1300 {
            writer.write_all(&line).unwrap();
            writer.write_all(b"\n").unwrap();
        }
        writer.write_all(b"one\n\x1b[31mtwo\r\nthree").unwrap();
        drop(writer);
        thread.join().unwrap();
        let now = std::fs::metadata(&path).unwrap().len();
        let old = std::fs::metadata(dir.path().join("log.1")).unwrap().len();
        assert!(now <= LOG_CAP && old <= LOG_CAP, "{now} {old}");
        let tail = log.tail();
        assert_eq!(tail.len(), TAIL_LINES + 1);
        assert_eq!(tail[TAIL_LINES - 2..], ["one", "\\u{1b}[31mtwo", "three"]);
        assert!(std::fs::read(&path).unwrap().ends_with(b"two\r\nthree"));
    }

    #[test]
    fn a_cap_below_what_arrives_at_once_holds_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(&path, 4096).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = log.drain(reader).unwrap();
        writer.write_all(&[b'x'; 100_000]).unwrap();
        drop(writer);
        thread.join().unwrap();
        for name in ["log", "log.1"] {
            let length = std::fs::metadata(dir.path().join(name)).unwrap().len();
            assert!(length <= 4096, "{name}: {length}");
        }
    }

    /// Where the log is moved away in the middle of a line of the app's, what follows is no beginning.
    #[test]
    fn no_place_in_the_log_makes_a_line_of_the_hosts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(&path, 4096).unwrap();
        log.note("begun");
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = log.drain(reader).unwrap();
        let mut line = b"** spk: forged ".repeat(2000);
        line.push(b'\n');
        writer.write_all(&line).unwrap();
        writer.write_all(b"** spk: forged").unwrap();
        drop(writer);
        thread.join().unwrap();
        drop(log);
        // The next start goes on in that line.
        let log = Log::open(&path, 4096).unwrap();
        log.note("again");
        for length in 0..4096 {
            let (last, _) = log.follow(length).unwrap();
            let text = String::from_utf8(last).unwrap();
            let own: Vec<&str> = text.lines().filter(|line| line.starts_with("** spk: ")).collect();
            assert!(own.is_empty() || own == ["** spk: again"], "{length}: {own:?}");
        }
        let old = std::fs::read_to_string(dir.path().join("log.1")).unwrap();
        assert!(!old.lines().any(|line| line.starts_with("** spk: forged")), "{old}");
    }

    /// What an error shows is what the log has: nothing twice, no line of the host's that is none.
    #[test]
    fn the_tail_shows_what_is_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(&path, LOG_CAP).unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let thread = log.drain(reader).unwrap();
        writer.write_all(b"** spk: forged\n** s").unwrap();
        drop(writer);
        thread.join().unwrap();
        log.note("stopped");
        let lines = ["> ** spk: forged", "** s", "** spk: stopped"];
        assert_eq!(log.tail(), lines);
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_log_that_is_a_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("log")).unwrap();
        assert!(Log::open(&dir.path().join("log"), LOG_CAP).is_err());
    }

    #[test]
    fn a_line_without_end_does_not_grow_the_tail() {
        let mut tail = Tail::default();
        for _ in 0..100 {
            tail.push(&[b'y'; 4096]);
        }
        assert_eq!(tail.lines()[0].len(), TAIL_LINE);
    }
}
