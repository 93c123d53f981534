//! A plain HTTP/1.1 client that sends exactly what it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a response may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A whole response.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, with chunked framing undone.
    pub body: Vec<u8>,
}

impl Response {
    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Host (with port), port and path of an `http://` URL.
pub fn split(url: &str) -> (String, u16, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = authority.rsplit_once(':').map_or(80, |(_, port)| port.parse().unwrap());
    (authority.to_owned(), port, format!("/{path}"))
}

/// `url` with `path` (no leading slash) in place of its own path.
pub fn join(url: &str, path: &str) -> String {
    let (authority, _, base) = split(url);
    assert!(base == "/" || base.is_empty(), "not an origin: {url}");
    format!("http://{authority}/{path}")
}

/// GET.
pub fn get(url: &str) -> Response {
    request("GET", url, &[], b"")
}

/// POST of a form.
pub fn post_form(url: &str, body: &str) -> Response {
    request("POST", url, &[("Content-Type", "application/x-www-form-urlencoded")], body.as_bytes())
}

/// Any request. The connection goes to loopback whatever the host's name, as a browser's would
/// for names below `.localhost`.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let (authority, port, path) = split(url);
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" || method == "PUT" {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    head += "\r\n";
    let mut raw = head.into_bytes();
    raw.extend_from_slice(body);
    let head_only = method == "HEAD";
    // Some servers keep the connection open all the same.
    let answer = read(port, &raw, |answer| is_whole(answer, head_only));
    parse(&answer, head_only)
}

/// Sends bytes to a port on loopback and gives all that comes back until the end.
pub fn exchange(port: u16, raw: &[u8]) -> Vec<u8> {
    read(port, raw, |_| false)
}

/// As [`exchange`], but until `enough` is there.
fn read(port: u16, raw: &[u8], enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .unwrap_or_else(|error| panic!("cannot connect to 127.0.0.1:{port}: {error}"));
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(raw).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 64 << 10];
    while !enough(&answer) {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&piece[..length]),
            // A read with a time limit is not gone on with when the process was stopped meanwhile.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("cannot read from 127.0.0.1:{port}: {error}"),
        }
    }
    answer
}

/// Whether the body is there as far as the head says its length.
fn is_whole(raw: &[u8], head_only: bool) -> bool {
    let Some(end) = find(raw, b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&raw[..end]).to_ascii_lowercase();
    let body = &raw[end + 4..];
    if head.split(' ').nth(1).is_some_and(|status| status.starts_with('1')) {
        return is_whole(body, head_only);
    }
    let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    head_only || length.is_some_and(|length| body.len() >= length)
}

/// Takes a raw response apart.
pub fn parse(raw: &[u8], head_only: bool) -> Response {
    let end = find(raw, b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no response head in {:?}", String::from_utf8_lossy(raw)));
    let head = String::from_utf8_lossy(&raw[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no status in {status_line:?}"));
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response { status, headers, body: raw[end + 4..].to_vec() };
    if (100..200).contains(&status) {
        return parse(&response.body, head_only);
    }
    if head_only {
        response.body.clear();
    } else if response.header("transfer-encoding").is_some_and(|value| value == "chunked") {
        response.body = unchunk(&response.body);
    } else if let Some(length) = response.header("content-length") {
        let length: usize = length.parse().unwrap();
        assert!(response.body.len() >= length, "the body ended early");
        response.body.truncate(length);
    }
    response
}

fn unchunk(mut raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = find(raw, b"\r\n").expect("a chunk's size line ends");
        let size = std::str::from_utf8(&raw[..end]).unwrap();
        let size = usize::from_str_radix(size.split(';').next().unwrap().trim(), 16).unwrap();
        raw = &raw[end + 2..];
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&raw[..size]);
        raw = &raw[size + 2..];
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
