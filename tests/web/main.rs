//! The web app of the tests: answers what a request's own header asks for, byte for byte, records
//! what it was asked, and has a page for each thing HTTP can do.
//!
//! `spk-web [PORT]`. Blocking, a thread for each connection: nothing of the code under test.
#![allow(clippy::unwrap_used, reason = "a connection that cannot go on ends with its thread")]

mod chat;
mod request;
mod script;
mod transfer;

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use request::Request;

/// How often each target was asked for.
static SEEN: Mutex<Option<HashMap<String, usize>>> = Mutex::new(None);

/// Stack of a connection's thread: hundreds of them must fit.
const STACK: usize = 256 * 1024;

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).map_or(8000, |port| port.parse().unwrap());
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        let _ = stream.set_nodelay(true);
        let spawned = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let _ = connection(stream);
        });
        if let Err(error) = spawned {
            eprintln!("a connection is not served: {error}");
        }
    }
    Ok(())
}

/// Serves one connection until it ends.
fn connection(stream: TcpStream) -> io::Result<()> {
    let mut input = io::BufReader::with_capacity(transfer::PIECE, stream.try_clone()?);
    let mut output = stream;
    while let Some(mut request) = Request::read(&mut input)? {
        let target = request.target.clone();
        *SEEN.lock().unwrap().get_or_insert_default().entry(target.clone()).or_default() += 1;
        if let Some(steps) = request.header("x-sandstorm-app-answer") {
            let steps = steps.to_owned();
            return script::play(&steps, &mut request, &mut input, output);
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/fast" => output.write_all(FAST)?,
            "/seen" => {
                let seen = SEEN.lock().unwrap().as_ref().and_then(|seen| seen.get(query).copied());
                text(&mut output, &seen.unwrap_or(0).to_string())?;
            }
            "/sink" => transfer::sink(&mut request, &mut input, &mut output)?,
            "/source" => transfer::source(query, &mut output)?,
            "/events" => return transfer::events(query, output),
            "/websocket" => return chat::echo(&request, &input, output),
            "/chat" => return chat::page(&mut output),
            "/chat/socket" => return chat::socket(&request, &input, output),
            _ => {
                let mut seen = request.head.clone();
                let at = seen.len();
                let body = request.read_body(&mut input)?;
                seen.extend_from_slice(&body);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Sandstorm-App-Body-At: {at}\
                     \r\nContent-Length: {}\r\n\r\n",
                    seen.len()
                );
                output.write_all(&[head.as_bytes(), &seen].concat())?;
            }
        }
        if request.is_last() {
            return Ok(());
        }
    }
    Ok(())
}

const FAST_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n";

/// The answer of the benchmark: 1 KiB.
const FAST: &[u8] = &{
    let mut answer = [b'.'; FAST_HEAD.len() + 1024];
    let (head, _) = answer.split_at_mut(FAST_HEAD.len());
    head.copy_from_slice(FAST_HEAD);
    answer
};

/// A small answer.
fn text(output: &mut TcpStream, text: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    output.write_all(head.as_bytes())
}
