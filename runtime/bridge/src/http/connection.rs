//! One TCP connection to the app.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, connect, getpeername, send, socket_with,
};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::error::Error;
use crate::limits;

/// A connection that can be read and written from several places at once, and whose sending
/// direction is never closed alone: some servers take that as an abort (http-bridge §4.9).
pub struct Connection {
    stream: TcpStream,
}

/// Begins to connect. Nothing is waited for: a full backlog must not stop everything else.
fn start(port: u16) -> io::Result<std::net::TcpStream> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    set_socket_recv_buffer_size(&socket, limits::APP_RECEIVE)?;
    match connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the connection is there. On loopback it usually is as soon as it was asked for,
/// which saves a turn of the event loop.
async fn finish(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    let is_there = getpeername(&stream).is_ok();
    let stream = TcpStream::from_std(stream)?;
    if !is_there {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok(stream)
}

impl Connection {
    /// Connects to the app on 127.0.0.1.
    pub async fn open(port: u16) -> Result<Connection, Error> {
        let opened = match start(port) {
            Ok(stream) => finish(stream).await,
            Err(error) => Err(error),
        };
        opened.map(|stream| Connection { stream }).map_err(|reason| Error::Connect { port, reason })
    }

    /// Sends small writes at once, for streams of messages.
    pub fn send_at_once(&self) {
        // Failing only costs latency.
        let _ = self.stream.set_nodelay(true);
    }

    /// Sends everything. Not to be called from two places at once.
    pub async fn send(&self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            // Not through the event loop, which does not know yet that a new socket is writable.
            match send(&self.stream, bytes, SendFlags::NOSIGNAL) {
                Ok(0) => return Err(Error::Send(io::ErrorKind::WriteZero.into())),
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::AGAIN) => self.wait_for_room().await.map_err(Error::Send)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::Send(error.into())),
            }
        }
        Ok(())
    }

    /// Waits until the socket takes more. The event loop may still believe that it does.
    async fn wait_for_room(&self) -> io::Result<()> {
        let refused = || io::Error::from(io::ErrorKind::WouldBlock);
        self.stream
            .async_io(Interest::WRITABLE, || {
                // Writing nothing tells nothing: ask the kernel.
                let mut fds = [PollFd::new(&self.stream, PollFlags::OUT)];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                match poll(&mut fds, Some(&now))? {
                    0 => Err(refused()),
                    _ => Ok(()),
                }
            })
            .await
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
