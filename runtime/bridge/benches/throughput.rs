//! How much the bridge adds to a request: the same app asked directly, with one connection per
//! request as the bridge does, and through the real program over Cap'n Proto.
//!
//! `cargo bench -p spk-bridge`
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something is wrong")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use capnp::capability::FromClientHook;
use capnp_rpc::RpcSystem;
use capnp_rpc::rpc_twoparty_capnp::Side;
use capnp_rpc::twoparty::VatNetwork;
use spk_schema::grain_capnp::{session_context, ui_view};
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_util::compat::{TokioAsyncReadCompatExt, TokioAsyncWriteCompatExt};

const REQUESTS: usize = 10_000;
const CONCURRENCY: usize = 64;
const BODY: usize = 1024;
const DOWNLOAD: usize = 256 << 20;

fn main() {
    let port = start_app();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let direct = Rc::new(move || async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = Vec::with_capacity(2 * BODY);
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.len() > BODY);
        });
        measure("direct", direct.clone()).await;
        let (session, mut bridge) = start_bridge(port).await;
        let through = {
            let session = session.clone();
            Rc::new(move || {
                let session = session.clone();
                async move {
                    let mut request = session.get_request();
                    request.get().init_context().set_response_stream(capnp_rpc::new_client(Null));
                    let response = request.send().promise.await.unwrap();
                    assert!(response.get().unwrap().has_set_cookies());
                }
            })
        };
        let before = cpu_seconds(bridge.id());
        measure("bridge", through).await;
        let per_request =
            (cpu_seconds(bridge.id()) - before) / (REQUESTS * 2 + REQUESTS / 10) as f64;
        println!("bridge: {:.1} microseconds of processor time per request", per_request * 1e6);
        download(&session).await;
        let status = std::fs::read_to_string(format!("/proc/{}/status", bridge.id())).unwrap();
        for line in status.lines().filter(|line| line.starts_with("VmHWM")) {
            println!("bridge memory: {line}");
        }
        bridge.kill().unwrap();
        bridge.wait().unwrap();
    });
}

/// Processor time a process has used: the 14th and 15th field of its stat, in ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The fastest app there is: answers without looking.
fn start_app() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::task::spawn_local(async move {
                    let mut head = Vec::with_capacity(2048);
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let size = if head.starts_with(b"GET /big") { DOWNLOAD } else { BODY };
                    let mut answer = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\
                         Set-Cookie: a=b; Path=/\r\nContent-Length: {size}\r\n\r\n"
                    )
                    .into_bytes();
                    answer.resize(answer.len() + BODY, b'x');
                    let _ = stream.write_all(&answer).await;
                    let piece = vec![b'x'; 256 * BODY];
                    let mut left = size - BODY;
                    while left > 0 {
                        let take = left.min(piece.len());
                        if stream.write_all(&piece[..take]).await.is_err() {
                            return;
                        }
                        left -= take;
                    }
                });
            }
        });
    });
    port
}

async fn start_bridge(port: u16) -> (web_session::Client, std::process::Child) {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("config");
    let mut message = capnp::message::Builder::new_default();
    message.init_root::<spk_schema::package_capnp::bridge_config::Builder>();
    std::fs::write(&config, capnp::serialize::write_message_to_words(&message)).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let bridge = Command::new("/bin/sh")
        .args(["-c", "exec 3<&0 0</dev/null; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_sandstorm-http-bridge"))
        .arg("--config")
        .arg(&config)
        .arg("--api-socket")
        .arg(directory.path().join("api"))
        .args(["--proxy-port", "0", &port.to_string(), "sleep", "1000"])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .spawn()
        .unwrap();
    ours.set_nonblocking(true).unwrap();
    let (input, output) = tokio::net::UnixStream::from_std(ours).unwrap().into_split();
    let network = VatNetwork::new(
        futures::io::BufReader::with_capacity(1 << 16, input.compat()),
        futures::io::BufWriter::with_capacity(1 << 16, output.compat_write()),
        Side::Server,
        capnp::message::ReaderOptions::new(),
    );
    let mut system = RpcSystem::new(Box::new(network), None);
    let view: ui_view::Client = system.bootstrap(Side::Client);
    tokio::task::spawn_local(async move {
        let _ = system.await;
    });
    let mut request = view.new_session_request();
    let mut user = request.get().init_user_info();
    user.reborrow().init_display_name().set_default_text("Alice");
    user.set_identity_id(&[7; 32]);
    request.get().set_context(capnp_rpc::new_client::<session_context::Client, _>(Context));
    request.get().set_session_type(0xa507_11a1_4d35_a8ce);
    let params = request.get().get_session_params();
    let mut params: web_session::params::Builder = params.init_as();
    params.set_base_path("http://ui.spk.localhost:8000");
    let response = request.send().promise.await.unwrap();
    let session = response.get().unwrap().get_session().unwrap().cast_to();
    (session, bridge)
}

struct Context;
impl session_context::Server for Context {}

struct Null;
impl byte_stream::Server for Null {}

async fn measure<F>(name: &str, ask: Rc<impl Fn() -> F + 'static>)
where
    F: Future<Output = ()> + 'static,
{
    for _ in 0..REQUESTS / 10 {
        ask().await;
    }
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        ask().await;
        times.push(start.elapsed());
    }
    times.sort();
    let start = Instant::now();
    let workers = (0..CONCURRENCY).map(|_| {
        let ask = ask.clone();
        tokio::task::spawn_local(async move {
            for _ in 0..REQUESTS / CONCURRENCY {
                ask().await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let rate = REQUESTS as f64 / start.elapsed().as_secs_f64();
    println!(
        "{name}: one at a time p50 {:?}, p99 {:?}; {CONCURRENCY} at a time {rate:.0} requests/s",
        times[REQUESTS / 2],
        times[REQUESTS * 99 / 100]
    );
}

struct Count(std::cell::Cell<usize>, tokio::sync::Notify);

struct CountServer(Rc<Count>);

impl byte_stream::Server for CountServer {
    async fn write(self: Rc<Self>, params: byte_stream::WriteParams) -> Result<(), capnp::Error> {
        self.0.0.set(self.0.0.get() + params.get()?.get_data()?.len());
        Ok(())
    }

    async fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> Result<(), capnp::Error> {
        self.0.1.notify_one();
        Ok(())
    }
}

async fn download(session: &web_session::Client) {
    let count = Rc::new(Count(Default::default(), Default::default()));
    let mut request = session.get_request();
    request.get().set_path("big");
    request
        .get()
        .init_context()
        .set_response_stream(capnp_rpc::new_client(CountServer(count.clone())));
    let start = Instant::now();
    let _response = request.send().promise.await.unwrap();
    count.1.notified().await;
    assert_eq!(count.0.get(), DOWNLOAD);
    let time: Duration = start.elapsed();
    let rate = (DOWNLOAD >> 20) as f64 / time.as_secs_f64();
    println!("download: {} MiB in {time:?}, {rate:.0} MiB/s", DOWNLOAD >> 20);
}
