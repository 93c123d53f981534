//! As much of HTTP as the bridge needs, which is the only client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::text;

/// Largest body, in bytes.
const BODY_LIMIT: usize = 64 * 1024;
/// Largest head: request line and headers, in bytes.
const HEAD_LIMIT: u64 = 64 * 1024;

pub struct Request {
    pub method: String,
    pub path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }

    /// A field of the form that was sent.
    pub fn field(&self, name: &str) -> Option<String> {
        text::field(&self.body, name)
    }
}

pub struct Response {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Response {
    pub fn new(status: u16, kind: &str, body: impl Into<String>) -> Response {
        Response { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    pub fn plain(status: u16, message: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", format!("{message}\n"))
    }

    pub fn redirect(path: &str) -> Response {
        Response { status: 303, headers: vec![("Location", path.to_owned())], body: String::new() }
    }
}

/// Answers the requests on a connection until it ends.
pub fn serve(stream: TcpStream, answer: impl Fn(&Request) -> Response) {
    // A connection that breaks is nobody's fault.
    let _ = serve_all(stream, answer);
}

fn serve_all(mut stream: TcpStream, answer: impl Fn(&Request) -> Response) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        let response = match &request {
            Ok(request) => answer(request),
            Err((status, message)) => Response::plain(*status, message),
        };
        let head_only = matches!(&request, Ok(request) if request.method == "HEAD");
        let mut text = format!("HTTP/1.1 {} -\r\n", response.status);
        for (name, value) in &response.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", response.body.len()));
        if !head_only {
            text.push_str(&response.body);
        }
        stream.write_all(text.as_bytes())?;
        if request.is_err() {
            break;
        }
    }
    Ok(())
}

type Refusal = (u16, &'static str);

fn read(reader: &mut impl BufRead) -> io::Result<Option<Result<Request, Refusal>>> {
    let mut head = reader.take(HEAD_LIMIT);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Ok(Some(Err((400, "that is no request"))));
    };
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let mut headers = Vec::new();
    loop {
        line.clear();
        head.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
    }
    let mut request = Request { method, path, headers, body: String::new() };
    let mut body = Vec::new();
    if request.header("transfer-encoding").eq_ignore_ascii_case("chunked") {
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let Ok(size) = usize::from_str_radix(size, 16) else {
                return Ok(Some(Err((400, "that is no chunk"))));
            };
            if body.len().saturating_add(size) > BODY_LIMIT {
                return Ok(Some(Err((413, "that is too long for a note"))));
            }
            let start = body.len();
            body.resize(start + size, 0);
            reader.read_exact(&mut body[start..])?;
            line.clear();
            reader.read_line(&mut line)?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or(0);
        if length > BODY_LIMIT {
            return Ok(Some(Err((413, "that is too long for a note"))));
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
    }
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(Ok(request)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let text = "POST /notes?x HTTP/1.1\r\nContent-Length: 12\r\nX-A: b\r\n\r\ntext=a+b%2Bc";
        let request = read(&mut text.as_bytes()).unwrap().unwrap().ok().unwrap();
        assert_eq!((request.path.as_str(), request.header("x-a")), ("/notes", "b"));
        assert_eq!(request.field("text").unwrap(), "a b+c");
        let text = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n1\r\nc\r\n0\r\n\r\n";
        let request = read(&mut text.as_bytes()).unwrap().unwrap().ok().unwrap();
        assert_eq!(request.field("a").unwrap(), "bc");
    }

    #[test]
    fn long_bodies_are_refused() {
        let text = "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n";
        assert_eq!(read(&mut text.as_bytes()).unwrap().unwrap().err().unwrap().0, 413);
    }
}
