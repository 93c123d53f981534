//! A plain HTTP client that shows every byte. It ends the test where something is wrong.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One connection to a server.
pub struct Client {
    /// The connection.
    pub stream: TcpStream,
    host: String,
    buffer: VecDeque<u8>,
}

/// A response, its body decoded.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// All lines before the body.
    pub head: String,
    /// Its body, decoded.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first line of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    /// All lines of a header.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects; `host` is what `Host` says.
    pub async fn connect(address: &str, host: &str) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        Client { stream, host: host.to_owned(), buffer: VecDeque::new() }
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends a request line and headers (each ended by CRLF), with the session's `Host`.
    pub async fn request(&mut self, line: &str, headers: &str, body: impl AsRef<[u8]>) {
        let head = format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.host);
        self.send([head.as_bytes(), body.as_ref()].concat()).await;
    }

    /// Gets a path.
    pub async fn get(&mut self, path: &str) -> Answer {
        self.exchange(&format!("GET {path}"), "", "").await
    }

    /// Sends a request and reads its answer.
    pub async fn exchange(&mut self, line: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.request(line, headers, body).await;
        self.answer(line.starts_with("HEAD")).await.expect("the connection was closed")
    }

    async fn fill(&mut self) -> bool {
        let mut piece = vec![0; 65536];
        let count = self.stream.read(&mut piece).await.unwrap_or(0);
        self.buffer.extend(&piece[..count]);
        count > 0
    }

    /// A line without its end, or `None` at the end of the connection.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// So many bytes; `None` if the connection ends before.
    pub async fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// What is there until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        self.buffer.drain(..).collect()
    }

    /// Reads one response head; `None` if the connection ends first.
    pub async fn head(&mut self) -> Option<(u16, String)> {
        let mut head = String::new();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                break;
            }
            head.push_str(&line);
            head.push('\n');
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, head))
    }

    /// One chunk of a chunked body; `None` when the connection ends.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line().await?, 16).ok()?;
        let data = self.exactly(size).await?;
        self.line().await?;
        Some(data)
    }

    /// The body of a response that does not become complete before the connection ends.
    pub async fn broken(&mut self) -> Vec<u8> {
        let Some((_, head)) = self.head().await else { panic!("no head before the end") };
        let answer = Answer { status: 0, head, body: Vec::new() };
        let mut rest = self.rest().await;
        if let Some(length) = answer.header("content-length") {
            assert!(rest.len() < length.parse().unwrap(), "complete: {}", answer.head);
            return rest;
        }
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"), "{}", answer.head);
        let mut body = Vec::new();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let size = str::from_utf8(line.trim_ascii()).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).unwrap();
            assert_ne!(size, 0, "complete: {}", answer.head);
            body.extend(rest.drain(..size.min(rest.len())));
            rest.drain(..2.min(rest.len()));
        }
        body
    }

    /// Reads one whole response; `None` if the connection ends before it is complete.
    pub async fn answer(&mut self, is_head: bool) -> Option<Answer> {
        let (status, head) = self.head().await?;
        let mut answer = Answer { status, head, body: Vec::new() };
        if is_head || matches!(status, 100..=199 | 204 | 304) {
            return Some(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let chunk = self.chunk().await?;
                if chunk.is_empty() {
                    return Some(answer);
                }
                answer.body.extend(chunk);
            }
        }
        answer.body = match answer.header("content-length") {
            Some(length) => self.exactly(length.parse().unwrap()).await?,
            None => self.rest().await,
        };
        Some(answer)
    }
}
