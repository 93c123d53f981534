//! The scripted app: takes raw requests, sends raw responses.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A listening app. Connections without a request are ignored, as apps do.
pub struct App {
    pub port: u16,
    connections: RefCell<mpsc::UnboundedReceiver<Connection>>,
    /// Requests that [`App::answering`] has seen.
    pub requests: Rc<RefCell<Vec<Vec<u8>>>>,
}

/// A connection whose request head has arrived.
pub struct Connection {
    pub stream: TcpStream,
    /// What has arrived: the head, and perhaps the start of the body.
    pub received: Vec<u8>,
}

impl App {
    /// An app whose connections the test serves by hand.
    pub async fn manual() -> App {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        App::on(listener)
    }

    pub fn on(listener: TcpListener) -> App {
        let port = listener.local_addr().unwrap().port();
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let sender = sender.clone();
                tokio::task::spawn_local(async move {
                    let mut connection = Connection { stream, received: Vec::new() };
                    if connection.read_until(b"\r\n\r\n").await {
                        let _ = sender.send(connection);
                    }
                });
            }
        });
        App { port, connections: RefCell::new(receiver), requests: Rc::default() }
    }

    /// An app that answers every request with the same bytes and then closes the connection.
    pub async fn answering(response: impl Into<Vec<u8>>) -> Rc<App> {
        let app = Rc::new(App::manual().await);
        let response = response.into();
        let server = app.clone();
        tokio::task::spawn_local(async move {
            loop {
                let mut connection = server.accept().await;
                let (response, requests) = (response.clone(), server.requests.clone());
                tokio::task::spawn_local(async move {
                    connection.read_body().await;
                    requests.borrow_mut().push(connection.received.clone());
                    connection.send(&response).await;
                });
            }
        });
        app
    }

    /// The next connection with a request.
    #[allow(clippy::await_holding_refcell_ref, reason = "one test waits at a time")]
    pub async fn accept(&self) -> Connection {
        self.connections.borrow_mut().recv().await.unwrap()
    }

    /// The only request so far, as text.
    pub fn request(&self) -> String {
        let requests = self.requests.borrow();
        assert_eq!(requests.len(), 1);
        String::from_utf8_lossy(&requests[0]).into_owned()
    }
}

impl Connection {
    /// Reads until `end` has arrived. False if the connection ends before.
    pub async fn read_until(&mut self, end: &[u8]) -> bool {
        loop {
            if self.received.windows(end.len()).any(|window| window == end) {
                return true;
            }
            if !self.read_more().await {
                return false;
            }
        }
    }

    /// Reads the body the head announces.
    pub async fn read_body(&mut self) {
        let head = String::from_utf8_lossy(&self.received).to_lowercase();
        if let Some((_, rest)) = head.split_once("\r\ncontent-length: ") {
            let length: usize = rest.lines().next().unwrap().parse().unwrap();
            let end = head.find("\r\n\r\n").unwrap() + 4 + length;
            while self.received.len() < end {
                assert_ne!(self.stream.read_buf(&mut self.received).await.unwrap(), 0);
            }
        } else if head.contains("\r\ntransfer-encoding: chunked") {
            assert!(self.read_until(b"\r\n0\r\n\r\n").await);
        }
    }

    /// Reads once. False if the connection has ended.
    pub async fn read_more(&mut self) -> bool {
        self.stream.read_buf(&mut self.received).await.unwrap_or(0) != 0
    }

    /// Reads until the other side closes; false if it resets the connection.
    pub async fn read_to_end(&mut self) -> bool {
        loop {
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The bridge may close as soon as it has what it needs.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Closes with a reset instead of an end.
    pub fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// What came behind the head.
    pub fn body(&self) -> &[u8] {
        let end = self.received.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        &self.received[end + 4..]
    }
}
