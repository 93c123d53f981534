//! What the way to the app costs: the same app asked directly, through nginx as a reverse proxy,
//! and through front end, sandbox and bridge. By turns in one run, so that what else happens on the
//! machine meets all of them.
//!
//! `cargo bench --workspace --bench http [-- ROUNDS]`; it builds the programs first.
#![allow(clippy::unwrap_used, reason = "a benchmark ends where something is wrong")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use spk_tests::bins::built;
use spk_tests::{Who, http, memory, web};

/// Clients at the same time, for the rate.
const CLIENTS: usize = 16;
/// Requests of each of them in a round.
const EACH: usize = 150;
/// Requests one after the other in a round, for the latency.
const ALONE: usize = 500;
/// Bytes of an answer's body.
const BODY: usize = 1024;

/// Somebody who serves the app.
struct Way {
    name: &'static str,
    host: String,
    port: u16,
    /// Seconds of each round's many requests.
    rates: Vec<f64>,
    /// Microseconds of each request alone.
    alone: Vec<f64>,
    /// Microseconds of each request among many.
    among: Vec<f64>,
}

impl Way {
    fn new(name: &'static str, host: String, port: u16) -> Way {
        Way { name, host, port, rates: Vec::new(), alone: Vec::new(), among: Vec::new() }
    }

    /// Sends `count` requests on one connection; microseconds of each.
    fn ask(&self, count: usize) -> Vec<f64> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let mut output = stream;
        let request = format!(
            "GET /fast HTTP/1.1\r\nHost: {}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n",
            self.host
        );
        let mut line = String::new();
        let mut body = [0; BODY];
        (0..count)
            .map(|_| {
                let start = Instant::now();
                output.write_all(request.as_bytes()).unwrap();
                line.clear();
                assert_ne!(input.read_line(&mut line).unwrap(), 0);
                assert!(line.contains(" 200 "), "{}: {line}", self.name);
                while line != "\r\n" {
                    line.clear();
                    assert_ne!(input.read_line(&mut line).unwrap(), 0);
                }
                input.read_exact(&mut body).unwrap();
                start.elapsed().as_secs_f64() * 1e6
            })
            .collect()
    }

    fn round(&mut self) {
        let alone = self.ask(ALONE);
        self.alone.extend(alone);
        let start = Instant::now();
        let among: Vec<f64> = std::thread::scope(|scope| {
            let way = &*self;
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| way.ask(EACH))).collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
        });
        self.rates.push((CLIENTS * EACH) as f64 / start.elapsed().as_secs_f64());
        self.among.extend(among);
    }
}

fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * part).round() as usize]
}

/// Ends with the benchmark.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The app outside of any sandbox.
fn app() -> (KilledOnDrop, u16) {
    let mut child = Command::new(built("spk-web")).arg("0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
    (KilledOnDrop(child), port)
}

/// nginx in front of it, with one worker: the front end has one thread, too. `keepalive`: with
/// connections to the app that are used again, which the bridge's protocol forbids it.
fn nginx(dir: &std::path::Path, app: u16, keepalive: bool) -> (KilledOnDrop, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (pool, headers) = match keepalive {
        true => ("keepalive 32;", "proxy_http_version 1.1; proxy_set_header Connection '';"),
        false => ("", "proxy_http_version 1.1; proxy_set_header Connection close;"),
    };
    let config = format!(
        "daemon off; worker_processes 1; pid {0}/pid; error_log {0}/error;\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p;\n\
         fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         keepalive_requests 1000000; upstream app {{ server 127.0.0.1:{app}; {pool} }}\n\
         server {{ listen 127.0.0.1:{port}; location / {{ {headers}\n\
         proxy_pass http://app; }} }} }}\n",
        dir.display()
    );
    let file = dir.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let child = Command::new("/usr/sbin/nginx").arg("-p").arg(dir).arg("-c").arg(&file).spawn();
    let child = KilledOnDrop(child.expect("nginx is installed"));
    let end = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nginx does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    (child, port)
}

/// Builds what is measured, as cargo has built this benchmark.
fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--workspace", "--bins"]).status();
    assert!(built.unwrap().success(), "the programs do not build");
}

fn main() {
    build();
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(7);
    let (_app, app_port) = app();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_nginx, nginx_port) = nginx(one.path(), app_port, false);
    let (_keeping, keeping_port) = nginx(two.path(), app_port, true);
    let stage = web::packed(Who::User);
    let server = web::serve(&stage, &["--idle", "0"]);
    let (host, port, _) = http::split(&server.session_url());
    let mut ways = [
        Way::new("app", "app".into(), app_port),
        Way::new("nginx", "nginx".into(), nginx_port),
        Way::new("nginx, keepalive", "nginx".into(), keeping_port),
        Way::new("spk", host, port),
    ];
    for way in &ways {
        way.ask(ALONE);
    }
    let watched = memory::host_and_bridge(server.pid());
    let before = watched.each_ref().map(memory::Watched::processor_time);
    for _ in 0..rounds {
        ways.iter_mut().for_each(Way::round);
    }
    let requests = (rounds * (ALONE + CLIENTS * EACH)) as f64;
    println!("{rounds} rounds by turns, medians; microseconds");
    println!("| | alone p50 | p99 | {CLIENTS} clients p50 | p99 | requests/s |");
    println!("|---|---|---|---|---|---|");
    for way in &ways {
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            way.name,
            quantile(&way.alone, 0.5),
            quantile(&way.alone, 0.99),
            quantile(&way.among, 0.5),
            quantile(&way.among, 0.99),
            quantile(&way.rates, 0.5),
        );
    }
    let [app, nginx, keeping, spk] = &ways;
    let rate = |way: &Way| quantile(&way.rates, 0.5);
    println!("rate: {:.2} of nginx's", rate(spk) / rate(nginx));
    println!("rate: {:.2} of nginx's with keepalive", rate(spk) / rate(keeping));
    let added = quantile(&spk.alone, 0.5) - quantile(&app.alone, 0.5);
    println!("added at p50: {added:.0} microseconds");
    for (process, before) in watched.iter().zip(before) {
        let spent = process.processor_time() - before;
        println!(
            "{}: {:.0} microseconds of processor time per request",
            process.name,
            spent / requests * 1e6
        );
    }
    server.stop();
}
