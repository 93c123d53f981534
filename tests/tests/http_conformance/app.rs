//! The served app, and how the rows ask it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use spk_tests::http::{self, Response};
use spk_tests::{Server, Stage, Who, web};

/// Only what a broken program takes.
pub const LONGEST: Duration = Duration::from_secs(60);

/// A running `spk run`.
pub struct Served {
    pub server: Server,
    _stage: Stage,
}

impl Served {
    pub fn start() -> Served {
        let stage = web::packed(Who::User);
        let server = web::serve(&stage, &["--explain"]);
        Served { server, _stage: stage }
    }

    pub fn app(&self) -> App {
        let (host, port, _) = http::split(&self.server.session_url());
        App { host, port }
    }
}

/// The session of the app's only user.
pub struct App {
    /// Host name with port.
    pub host: String,
    pub port: u16,
}

/// What came back on a connection until it ended.
pub struct Raw {
    pub bytes: Vec<u8>,
}

impl App {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LONGEST)).unwrap();
        stream
    }

    /// Sends bytes, gives what comes back.
    pub fn raw(&self, request: impl AsRef<[u8]>) -> Raw {
        let mut stream = self.connect();
        // The answer may come, and the connection end, before all was sent.
        let _ = stream.write_all(request.as_ref());
        rest(&mut stream)
    }

    /// A request as bytes: `line` is method and target, `headers` end with CRLF each.
    pub fn request(&self, line: &str, headers: &str, body: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n{body}",
            self.host
        )
    }

    /// The answer to a request.
    #[track_caller]
    pub fn ask(&self, line: &str, headers: &str, body: &str) -> Response {
        let raw = self.raw(self.request(line, headers, body));
        assert!(!raw.bytes.is_empty(), "no answer to {line}");
        http::parse(&raw.bytes, line.starts_with("HEAD "))
    }

    /// What the app got: head and body, as they arrived.
    #[track_caller]
    pub fn seen(&self, line: &str, headers: &str, body: &str) -> String {
        let answer = self.ask(line, headers, body);
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        answer.text()
    }

    /// What the client gets when the app answers a GET with `raw`.
    #[track_caller]
    pub fn answered(&self, raw: &str) -> Response {
        self.answered_to("GET /x", "", raw)
    }

    /// What the client gets when the app answers this request with `raw`.
    #[track_caller]
    pub fn answered_to(&self, line: &str, headers: &str, raw: &str) -> Response {
        self.ask(line, &format!("{headers}{}", scripted(raw)), "")
    }

    /// How often the app was asked for this target.
    pub fn count(&self, target: &str) -> usize {
        self.ask(&format!("GET /seen?{target}"), "", "").text().parse().unwrap()
    }

    /// Origin of the session.
    pub fn origin(&self) -> String {
        format!("http://{}", self.host)
    }

    /// Origin of the page around the app.
    pub fn parent(&self) -> String {
        format!("http://{}", self.host.split_once('.').unwrap().1)
    }
}

/// The header line that makes the app answer so.
pub fn scripted(raw: &str) -> String {
    steps(&web::answer(raw))
}

/// The header line that makes the app do these steps (`web/script.rs`).
pub fn steps(steps: &str) -> String {
    format!("X-Sandstorm-App-Answer: {steps}\r\n")
}

/// Everything until the end.
pub fn rest(stream: &mut TcpStream) -> Raw {
    let mut bytes = Vec::new();
    // However it ends.
    let _ = stream.read_to_end(&mut bytes);
    Raw { bytes }
}

/// Reads until `end` has come, and that.
#[track_caller]
pub fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut got = Vec::new();
    let mut byte = [0];
    while !got.ends_with(end.as_bytes()) {
        let count = stream.read(&mut byte).unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&got));
        });
        assert_ne!(count, 0, "the end came after {:?}", String::from_utf8_lossy(&got));
        got.push(byte[0]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

/// The value of a header line in a head as text, `None` without one.
pub fn line<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.split("\r\n\r\n").next().unwrap_or_default().split("\r\n");
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
