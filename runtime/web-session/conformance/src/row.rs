//! One row: what a client sends, what the session is told and answers, what the client gets.

use crate::client::{Answer, Client};
use crate::session::{Call, Reply, Script, Seen, Streams, echo, script};

/// One row.
pub struct Row {
    line: String,
    headers: String,
    body: Vec<u8>,
    script: Script,
    streams: Streams,
    told: Option<String>,
    called: bool,
    status: u16,
    wanted: Vec<(&'static str, Option<String>)>,
    wanted_body: Option<Vec<u8>>,
    breaks_after: Option<Vec<u8>>,
    once: bool,
}

/// A request whose line is this; it is answered with 200 by a session that says what it was told.
pub(crate) fn ask(line: &str) -> Row {
    Row {
        line: line.to_owned(),
        headers: String::new(),
        body: Vec::new(),
        script: echo(),
        streams: Streams::Yes,
        told: None,
        called: true,
        status: 200,
        wanted: Vec::new(),
        wanted_body: None,
        breaks_after: None,
        once: false,
    }
}

impl Row {
    /// The request has this header line. `{base}` in it is the address of the server.
    pub(crate) fn with(mut self, line: &str) -> Row {
        self.headers.push_str(line);
        self.headers.push_str("\r\n");
        self
    }

    /// The request has this body, and says how long it is.
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Row {
        self.body = body.into();
        let length = format!("Content-Length: {}", self.body.len());
        self.with(&length)
    }

    /// The request has this body in one chunk.
    pub(crate) fn chunked(mut self, body: &[u8]) -> Row {
        let mut chunks = Vec::new();
        if !body.is_empty() {
            chunks.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
            chunks.extend_from_slice(body);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        self.body = chunks;
        self.with("Transfer-Encoding: chunked")
    }

    /// The session takes bodies in pieces, or not.
    pub(crate) fn streams(mut self, streams: Streams) -> Row {
        self.streams = streams;
        self
    }

    /// The session answers so.
    pub(crate) fn answered(self, fill: impl Fn(&mut Reply) + 'static) -> Row {
        let fill = std::rc::Rc::new(fill);
        self.runs(script(move |_, mut reply| {
            let fill = fill.clone();
            async move {
                fill(&mut reply);
                Ok(())
            }
        }))
    }

    /// The session streams its answer so.
    pub(crate) fn streamed<F>(
        self,
        write: impl Fn(spk_schema::util_capnp::byte_stream::Client) -> F + 'static,
    ) -> Row
    where
        F: Future<Output = ()> + 'static,
    {
        self.runs(script(move |call: Call, mut reply: Reply| {
            tokio::task::spawn_local(write(reply.stream(&call)));
            async { Ok(()) }
        }))
    }

    /// The session does this.
    pub(crate) fn runs(mut self, script: Script) -> Row {
        self.script = script;
        self
    }

    /// The last call says this.
    pub(crate) fn told(mut self, text: impl Into<String>) -> Row {
        self.told = Some(text.into());
        self
    }

    /// The request is answered with this status, and the session is not called.
    pub(crate) fn refused(mut self, status: u16) -> Row {
        self.once = true;
        self.called = false;
        self.status(status)
    }

    /// The answer's status.
    pub(crate) fn status(mut self, status: u16) -> Row {
        self.status = status;
        self
    }

    /// The answer has this header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Row {
        self.wanted.push((name, Some(value.to_owned())));
        self
    }

    /// The answer has no header of this name.
    pub(crate) fn without(mut self, name: &'static str) -> Row {
        self.wanted.push((name, None));
        self
    }

    /// The answer has this body.
    pub(crate) fn says(mut self, body: impl Into<Vec<u8>>) -> Row {
        self.wanted_body = Some(body.into());
        self
    }

    /// The connection ends in the middle of the answer, after so much of its body.
    pub(crate) fn breaks_after(mut self, body: impl Into<Vec<u8>>) -> Row {
        self.breaks_after = Some(body.into());
        self
    }

    /// The connection may end after the answer.
    pub(crate) fn once(mut self) -> Row {
        self.once = true;
        self
    }

    /// What the session is to do.
    pub fn script(&self) -> Script {
        self.script.clone()
    }

    /// Whether it takes bodies in pieces.
    pub fn streaming(&self) -> Streams {
        self.streams
    }

    /// Sends the request, and compares. `base` is the address of the server; `prefix` comes before
    /// the path in the request line, and `extra` are header lines that each request needs.
    pub async fn check(
        &self,
        seen: &Seen,
        client: &mut Client,
        base: &str,
        prefix: &str,
        extra: &str,
    ) {
        let (method, path) = self.line.split_once(' ').unwrap();
        let line = format!("{method} {prefix}{path}");
        let headers = format!("{}{extra}", self.headers.replace("{base}", base));
        // Twice on one connection: a body too much or too little would spoil the second answer.
        for _ in 0..2 {
            let before = seen.calls.borrow().len();
            client.request(&line, &headers, &self.body).await;
            if let Some(body) = &self.breaks_after {
                assert!(client.broken().await == *body, "{self}");
                return;
            }
            let answer = client.answer(method == "HEAD").await;
            let Some(answer) = answer else { panic!("{self}: the connection was closed") };
            self.compare(&answer);
            assert_eq!(seen.calls.borrow().len() > before, self.called, "{self}: called");
            if let Some(told) = &self.told {
                assert_eq!(seen.calls.borrow().last(), Some(told), "{self}");
            }
            if self.once || answer.header("connection") == Some("close") {
                return;
            }
        }
    }

    fn compare(&self, answer: &Answer) {
        assert_eq!(answer.status, self.status, "{self}: {} {}", answer.head, answer.text());
        for (name, value) in &self.wanted {
            assert_eq!(answer.header(name), value.as_deref(), "{self}: {name} of {}", answer.head);
        }
        if let Some(body) = &self.wanted_body {
            assert!(answer.body == *body, "{self}: {:?}", answer.text());
        }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} with {:?}", self.line, self.headers)
    }
}
