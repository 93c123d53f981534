//! Large bodies in both directions, and events.

use std::io::{self, Write};
use std::net::TcpStream;
use std::time::Duration;

use spk_tests::web::pattern;

use super::request::Request;

/// Bytes read and written at a time.
pub const PIECE: usize = 256 * 1024;

/// Reads a body, compares it with the pattern, says how many bytes it was and how it came.
pub fn sink(
    request: &mut Request,
    input: &mut io::BufReader<TcpStream>,
    output: &mut TcpStream,
) -> io::Result<()> {
    let framing = match request.header("content-length") {
        Some(_) => "length",
        None => "chunked",
    };
    let mut buffer = vec![0; PIECE];
    let mut total = 0u64;
    let mut same = true;
    loop {
        let count = request.read_some(input, &mut buffer)?;
        if count == 0 {
            break;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let expected = pattern(total);
            let length = rest.len().min(expected.len());
            same &= rest[..length] == expected[..length];
            total += length as u64;
            rest = &rest[length..];
        }
    }
    super::text(output, &format!("{total} bytes, {framing}, same={same}"))
}

/// Sends so many bytes of the pattern: `BYTES`, or `BYTES,chunked`, or `BYTES,tag` with an entity
/// tag.
pub fn source(query: &str, output: &mut TcpStream) -> io::Result<()> {
    let (bytes, how) = query.split_once(',').unwrap_or((query, ""));
    let bytes: u64 = bytes.parse().map_err(io::Error::other)?;
    let framing = match how {
        "chunked" => "Transfer-Encoding: chunked".to_owned(),
        "tag" => format!("Content-Length: {bytes}\r\nETag: \"pattern\""),
        _ => format!("Content-Length: {bytes}"),
    };
    let kind = "Content-Type: application/octet-stream";
    write!(output, "HTTP/1.1 200 OK\r\n{kind}\r\n{framing}\r\n\r\n")?;
    let mut sent = 0;
    while sent < bytes {
        let piece = pattern(sent);
        let length = piece.len().min(PIECE).min(usize::try_from(bytes - sent).unwrap_or(PIECE));
        if how == "chunked" {
            write!(output, "{length:x}\r\n")?;
        }
        output.write_all(&piece[..length])?;
        if how == "chunked" {
            output.write_all(b"\r\n")?;
        }
        sent += length as u64;
    }
    if how == "chunked" {
        output.write_all(b"0\r\n\r\n")?;
    }
    Ok(())
}

/// Server-sent events: `COUNT,MILLISECONDS` between them, then silence until the client leaves.
pub fn events(query: &str, mut output: TcpStream) -> io::Result<()> {
    let (count, pause) = query.split_once(',').unwrap_or((query, "0"));
    let (count, pause): (u32, u64) =
        (count.parse().map_err(io::Error::other)?, pause.parse().map_err(io::Error::other)?);
    output.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n",
    )?;
    for number in 1..=count {
        std::thread::sleep(Duration::from_millis(pause));
        // In one piece, so that it comes as one: tests look for it between the chunks' sizes.
        output.write_all(format!("id: {number}\ndata: event {number}\n\n").as_bytes())?;
    }
    io::copy(&mut output, &mut io::sink())?;
    Ok(())
}
