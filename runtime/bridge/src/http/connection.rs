//! One TCP connection to the app.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpStream;

use crate::error::Error;

/// A connection that can be read and written from several places at once, and whose sending
/// direction is never closed alone: some servers take that as an abort (http-bridge 4.9).
pub struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Connects to the app on 127.0.0.1.
    pub async fn open(port: u16) -> Result<Connection, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        match TcpStream::connect(address).await {
            Ok(stream) => Ok(Connection { stream }),
            Err(source) => Err(Error::Connect { port, source }),
        }
    }

    /// Sends small writes at once, for streams of messages.
    pub fn send_at_once(&self) {
        // Failing only costs latency.
        let _ = self.stream.set_nodelay(true);
    }

    /// Sends everything. Not to be called from two places at once.
    pub async fn send(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(0) => return Err(Error::Send(io::ErrorKind::WriteZero.into())),
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await.map_err(Error::Send)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Send(error)),
            }
        }
        Ok(())
    }

    /// Reads once into the free room of `buffer`, which must have some. 0: the app closed the
    /// connection.
    pub async fn receive(&self, buffer: &mut Vec<u8>) -> Result<usize, Error> {
        loop {
            if let Some(read) = self.receive_now(buffer)? {
                return Ok(read);
            }
            self.stream.readable().await.map_err(Error::Receive)?;
        }
    }

    /// As [`Connection::receive`], but `None` if nothing is there.
    pub fn receive_now(&self, buffer: &mut Vec<u8>) -> Result<Option<usize>, Error> {
        loop {
            match self.stream.try_read_buf(buffer) {
                Ok(read) => return Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Receive(error)),
            }
        }
    }
}
