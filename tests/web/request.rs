//! A request as it arrives.

use std::io::{self, BufRead};

/// Head of a request, and where its body stands.
pub struct Request {
    /// Everything up to and with the empty line.
    pub head: Vec<u8>,
    /// The target of the request line.
    pub target: String,
    headers: Vec<(String, String)>,
    body: Body,
}

enum Body {
    /// Bytes that are still to come.
    Length(u64),
    /// Bytes of this chunk that are still to come; 0: a size line comes next.
    Chunk(u64),
    End,
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn line(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    Ok(line)
}

impl Request {
    /// The next one; `None` at the end of the connection.
    pub fn read(input: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut head = line(input)?;
        if head.is_empty() {
            return Ok(None);
        }
        let first = String::from_utf8_lossy(&head).into_owned();
        let target = first.split(' ').nth(1).ok_or_else(|| bad("no target"))?.to_owned();
        let mut headers = Vec::new();
        loop {
            let next = line(input)?;
            head.extend_from_slice(&next);
            if next == b"\r\n" {
                break;
            }
            let text = String::from_utf8_lossy(&next).into_owned();
            let (name, value) = text.split_once(':').ok_or_else(|| bad("no header"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Request { head, target, headers, body: Body::End };
        if request.header("transfer-encoding") == Some("chunked") {
            request.body = Body::Chunk(0);
        } else if let Some(length) = request.header("content-length") {
            request.body = Body::Length(length.parse().map_err(|_| bad("no length"))?);
        }
        Ok(Some(request))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the client wants no other answer on this connection.
    pub fn is_last(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Reads some of the body into `buffer`; 0 at its end.
    pub fn read_some(&mut self, input: &mut impl BufRead, buffer: &mut [u8]) -> io::Result<usize> {
        if let Body::Chunk(0) = self.body {
            let size = line(input)?;
            let size = String::from_utf8_lossy(&size);
            let size = u64::from_str_radix(size.trim(), 16).map_err(|_| bad("no chunk size"))?;
            self.body = Body::Chunk(size);
            if size == 0 {
                self.body = Body::End;
                line(input)?;
            }
        }
        let (Body::Length(left) | Body::Chunk(left)) = &mut self.body else { return Ok(0) };
        let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if most == 0 {
            // A reader without anything buffered would wait, even for nothing.
            return Ok(0);
        }
        let count = input.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= count as u64;
        if let Body::Chunk(0) = self.body {
            line(input)?;
        }
        Ok(count)
    }

    /// Reads all of the body.
    pub fn read_body(&mut self, input: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        let mut buffer = [0; 16384];
        loop {
            let count = self.read_some(input, &mut buffer)?;
            if count == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&buffer[..count]);
        }
    }
}
