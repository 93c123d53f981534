//! Many requests, some from clients that misbehave: those who behave notice nothing, and nothing
//! stays behind.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use spk_tests::{Server, Stage, Who, http, memory, web};

/// Requests one after the other.
const SEQUENTIAL: usize = 10_000;
/// Clients at the same time, and requests of each.
const CLIENTS: usize = 200;
const EACH: usize = 10;
/// Clients of each bad kind at the same time.
const BAD: usize = 8;
/// What memory may grow by after the warm-up, in percent.
const GROWTH: u64 = 10;
/// How often that may be more, before it is taken for a leak.
const ATTEMPTS: usize = 3;
/// How long what was left behind may take to go: only what a broken program takes.
const SETTLE: Duration = Duration::from_secs(60);

/// The app's address as a client sees it.
#[derive(Clone)]
struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(SETTLE)).unwrap();
        stream
    }

    fn head(&self, line: &str, headers: &str) -> Vec<u8> {
        format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host).into_bytes()
    }
}

/// A client that asks again and again on one connection, and checks each answer.
struct Healthy {
    address: Address,
    connection: BufReader<TcpStream>,
}

impl Healthy {
    fn new(address: &Address) -> Healthy {
        Healthy { address: address.clone(), connection: BufReader::new(address.connect()) }
    }

    /// Asks, and reads a whole answer.
    fn ask(&mut self, line: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut request = self.address.head(line, headers);
        request.extend_from_slice(body);
        self.connection.get_mut().write_all(&request).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let count = self.connection.read_line(&mut head);
            let count = count.unwrap_or_else(|error| panic!("{line}, after {head:?}: {error}"));
            assert_ne!(count, 0, "the connection was closed after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap_or_else(|| panic!("{head}")).parse().unwrap()];
        self.connection.read_exact(&mut body).unwrap();
        (status, body)
    }

    /// One request of a few kinds.
    fn request(&mut self, number: usize) {
        match number % 4 {
            0 | 1 => {
                let (status, body) = self.ask("GET /fast", "", b"");
                assert_eq!((status, body.len()), (200, 1024));
            }
            2 => {
                let text = format!("request {number}");
                let headers = format!("Content-Length: {}\r\n", text.len());
                let (status, body) = self.ask("POST /echo", &headers, text.as_bytes());
                assert!(status == 200 && body.ends_with(text.as_bytes()));
            }
            _ => {
                let (status, body) = self.ask("GET /source?70000", "", b"");
                assert!(status == 200 && body == web::pattern(0)[..70_000]);
            }
        }
    }
}

/// Clients that misbehave until `stop`.
fn misbehave(address: &Address, kind: usize, stop: &AtomicBool) {
    /// How long a client stalls before it gives up: others have to be served meanwhile.
    const STALL: Duration = Duration::from_millis(300);
    /// Between two attempts: this is about what they leave behind, not about who is faster.
    const PAUSE: Duration = Duration::from_millis(20);
    let mut round = 0usize;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        let mut stream = address.connect();
        let sent = match kind {
            // Half a head, and then nothing.
            0 => stream.write_all(b"GET / HTTP/1.1\r\nHost: ").map(|()| STALL),
            // Some of a body, and away.
            1 => {
                let head = address.head("POST /sink", "Content-Length: 1000000\r\n");
                stream.write_all(&[head, vec![0; 10_000]].concat()).map(|()| Duration::ZERO)
            }
            // Some of a body, and then nothing.
            2 => {
                let head = address.head("PUT /sink", "Transfer-Encoding: chunked\r\n");
                stream.write_all(&[head, b"5\r\nabc".to_vec()].concat()).map(|()| STALL)
            }
            // Garbage.
            3 => {
                let garbage = &web::pattern(round as u64 * 1000)[..5000];
                stream.write_all(garbage).map(|()| Duration::ZERO)
            }
            // A download nobody reads.
            4 => stream.write_all(&address.head("GET /source?50000000", "")).map(|()| STALL),
            // A download left in the middle.
            5 => {
                let _ = stream.write_all(&address.head("GET /source?50000000", ""));
                stream.read_exact(&mut [0; 100_000]).map(|()| Duration::ZERO)
            }
            // A WebSocket that is dropped.
            6 => {
                let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n";
                let _ = stream.write_all(&address.head("GET /websocket", headers));
                stream.read_exact(&mut [0; 12]).map(|()| Duration::ZERO)
            }
            // Events, left after the first.
            _ => {
                let _ = stream.write_all(&address.head("GET /events?1,0", ""));
                stream.read_exact(&mut [0; 12]).map(|()| STALL)
            }
        };
        // Whether it could be sent or read does not matter: this client is not to be trusted.
        std::thread::sleep(sent.unwrap_or(Duration::ZERO) + PAUSE);
    }
}

/// Kinds of clients that misbehave.
const KINDS: usize = 8;

/// The healthy clients at the same time as the others, of which there are `bad` of each kind.
fn crowd(address: &Address, stage: &Stage, bad: usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        for number in 0..bad * KINDS {
            scope.spawn(move || misbehave(address, number % KINDS, stop));
        }
        let healthy: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || {
                    let mut healthy = Healthy::new(address);
                    (0..EACH).for_each(|number| healthy.request(client + number));
                })
            })
            .collect();
        let failed = healthy.into_iter().filter_map(|client| client.join().err()).count();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(failed, 0, "healthy clients failed: {}", app_log(stage));
    });
}

fn sequence(address: &Address, count: usize) {
    let mut healthy = Healthy::new(address);
    (0..count).for_each(|number| healthy.request(number));
}

/// Waits until `is_so`; false if it never is.
fn settles(is_so: impl Fn() -> bool) -> bool {
    let end = Instant::now() + SETTLE;
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// What the app said, for the message of a failure.
fn app_log(stage: &Stage) -> String {
    let find = "find \"$0\" -name 'log*' -type f -exec tail -n 30 {} +";
    let output = stage.run("sh").args(["-c", find]).arg(stage.state()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Open descriptors, for the message of a failure.
fn opened(watched: &[memory::Watched]) -> String {
    watched.iter().map(|process| format!("\n{}: {:?}", process.name, process.open())).collect()
}

/// Largest rise of memory that two equal rounds of the warm-up may still show, in percent, and how
/// many rounds it may take until then: what is kept for reuse depends on how many requests
/// happened to be under way at once.
const SETTLED: u64 = 2;
const ROUNDS: usize = 8;

/// Does all that is measured, requests in sequence less often, until memory stays as it is.
fn warm_up(address: &Address, stage: &Stage, watched: &[memory::Watched], bad: usize) {
    let mut before: Vec<u64> = watched.iter().map(memory::Watched::resident).collect();
    for _ in 0..ROUNDS {
        // More of them than are measured: nothing that follows needs more at once.
        crowd(address, stage, bad * 3 / 2);
        sequence(address, SEQUENTIAL / 20);
        let now: Vec<u64> = watched.iter().map(memory::Watched::resident).collect();
        let settled =
            now.iter().zip(&before).all(|(now, before)| *now <= before + before * SETTLED / 100);
        before = now;
        if settled {
            return;
        }
    }
    panic!("memory grows with every round of the warm-up: {before:?}");
}

fn served() -> (Stage, Server, Address) {
    let stage = web::packed(Who::User);
    // The app has a thread for each connection.
    let server = web::serve(&stage, &["--idle", "0", "--limit-processes", "2000"]);
    let (host, port, _) = http::split(&server.session_url());
    (stage, server, Address { host, port })
}

#[test]
fn bad_clients_harm_nobody_and_leave_no_connection() {
    let (stage, server, address) = served();
    let watched = memory::host_and_bridge(server.pid());
    sequence(&address, 20);
    let descriptors = watched.each_ref().map(memory::Watched::descriptors);
    let open = |more: usize| {
        watched.iter().zip(descriptors).all(|(process, before)| {
            let now = process.descriptors();
            now <= before + more
        })
    };
    for _ in 0..3 {
        crowd(&address, &stage, BAD);
        sequence(&address, SEQUENTIAL / 20);
    }
    // No session is stuck: the one that all had answers, and a new one, of another browser.
    sequence(&address, 4);
    let (status, _) = Healthy::new(&address).ask("GET /fast", "User-Agent: another\r\n", b"");
    assert_eq!(status, 200);
    // The clients may have left a moment ago.
    assert!(settles(|| open(1)), "connections stay open: {}", opened(&watched));
    let starts = server.said().matches("starting the app again").count();
    assert_eq!(starts, 0, "{}", app_log(&stage));
    server.stop();
}

/// Many requests in sequence and from many clients at a time, beside `bad` clients of each kind
/// that misbehave: memory stays as the warm-up left it. How many clients are served at the same
/// moment is chance: where more were than in the warm-up, that was part of it, and all is done once
/// more. What leaks grows each time.
fn memory_stays_flat(bad: usize) {
    let (stage, server, address) = served();
    let watched = memory::host_and_bridge(server.pid());
    warm_up(&address, &stage, &watched, bad);
    let is_flat = (0..ATTEMPTS).any(|_| {
        let before = watched.each_ref().map(memory::Watched::resident);
        sequence(&address, SEQUENTIAL);
        crowd(&address, &stage, bad);
        watched.iter().zip(before).all(|(process, before)| {
            let most = before + before * GROWTH / 100;
            let is_flat = settles(|| process.resident() <= most);
            let (before, after) = (before >> 10, process.resident() >> 10);
            eprintln!("{}: {before} KiB after the warm-up, {after} KiB at the end", process.name);
            is_flat
        })
    });
    assert!(is_flat, "memory grew {ATTEMPTS} times by more than {GROWTH} %");
    server.stop();
}

#[test]
fn memory_stays_flat_with_healthy_clients() {
    memory_stays_flat(0);
}

#[test]
fn memory_stays_flat_with_bad_clients() {
    memory_stays_flat(BAD);
}

/// Downloads that nobody reads, as many as there are connections but for one.
#[test]
fn stalled_downloads_hold_up_nobody_else() {
    /// All but this one of the front end's connections.
    const STALLED: usize = 511;
    let (_stage, server, address) = served();
    sequence(&address, 4);
    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let mut stream = address.connect();
        stream.write_all(&address.head("GET /source?50000000", "")).unwrap();
        let begun = stream.read_exact(&mut [0; 12]);
        begun.unwrap_or_else(|error| panic!("after {number}: {error}\n{}", server.said()));
        stalled.push(stream);
    }
    sequence(&address, 100);
    // One of them reads on after all.
    let mut reader = BufReader::new(stalled.swap_remove(STALLED / 2));
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0);
    }
    let mut body = vec![0; 50_000_000];
    reader.read_exact(&mut body).unwrap();
    let mut expected = body.as_slice();
    while !expected.is_empty() {
        let at = (body.len() - expected.len()) as u64;
        let piece = web::pattern(at);
        let length = piece.len().min(expected.len());
        assert!(expected[..length] == piece[..length], "it differs from {at} on");
        expected = &expected[length..];
    }
    drop(stalled);
    sequence(&address, 4);
    server.stop();
}
