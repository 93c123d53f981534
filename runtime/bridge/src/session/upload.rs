//! Bodies that arrive in pieces: `RequestStream` (http-bridge §4.9).

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::request_stream;

use super::Call;
use crate::error::Error;
use crate::fifo_lock::FifoLock;
use crate::http::connection::Connection;
use crate::http::exchange::receive;
use crate::http::write::HeadWriter;

/// One upload. Dropping it without `done` closes the connection in the middle of the body, which is
/// how the app learns that it is incomplete.
pub(super) struct Upload {
    connection: Rc<Connection>,
    state: RefCell<State>,
    /// The response once `getResponse` has taken it.
    call: RefCell<Option<Call>>,
    /// The app answered, and may have stopped reading.
    answered: Cell<bool>,
    /// Sending failed. The answer may still arrive, so that callers hear of this only from `done`.
    broken: RefCell<Option<Error>>,
    /// Keeps overlapping calls in order.
    order: FifoLock,
}

enum State {
    /// The head is held back until it is known how the body will be framed.
    Head(HeadWriter),
    /// That many bytes are to come.
    Length(u64),
    Chunked,
    Done,
}

impl Upload {
    pub(super) async fn open(port: u16, head: HeadWriter, call: Call) -> Result<Upload, Error> {
        let connection = Rc::new(Connection::open(port).await?);
        connection.send_at_once();
        Ok(Upload {
            connection,
            state: RefCell::new(State::Head(head)),
            call: RefCell::new(Some(call)),
            answered: Cell::new(false),
            broken: RefCell::new(None),
            order: FifoLock::default(),
        })
    }

    /// Sends the head with the line that says how the body is framed, if that was not done yet.
    fn begin(&self, length: Option<u64>) -> Vec<u8> {
        let mut state = self.state.borrow_mut();
        let State::Head(head) = &mut *state else { return Vec::new() };
        let mut head = std::mem::replace(head, HeadWriter::lines());
        match length {
            Some(length) => {
                head.finished_lines(format!("Content-Length: {length}\r\n").as_bytes());
                *state = State::Length(length);
            }
            None => {
                head.finished_lines(b"Transfer-Encoding: chunked\r\n");
                *state = State::Chunked;
            }
        }
        head.finish()
    }

    /// Sends, or remembers why not.
    async fn send(&self, bytes: &[u8]) {
        if self.broken.borrow().is_some() {
            return;
        }
        if let Err(error) = self.connection.send(bytes).await {
            *self.broken.borrow_mut() = Some(error);
        }
    }

    async fn write_piece(&self, data: &[u8]) -> Result<(), Error> {
        if matches!(*self.state.borrow(), State::Done) {
            return Err(Error::Upload("write after done"));
        }
        let mut message = self.begin(None);
        match &mut *self.state.borrow_mut() {
            State::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or(Error::Upload("more bytes than expectSize announced"))?;
                message.extend_from_slice(data);
            }
            // An empty chunk would end the body.
            State::Chunked if !data.is_empty() => {
                message.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                message.extend_from_slice(data);
                message.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        self.send(&message).await;
        Ok(())
    }

    async fn announce(&self, size: u64) -> Result<(), Error> {
        match *self.state.borrow() {
            State::Done => return Err(Error::Upload("expectSize after done")),
            // Too late to say it in the head; it still has to be true.
            State::Length(left) if left != size => {
                return Err(Error::Upload("expectSize contradicts an earlier one"));
            }
            _ => {}
        }
        let head = self.begin(Some(size));
        self.send(&head).await;
        Ok(())
    }

    async fn end(&self) -> Result<(), Error> {
        let mut message = self.begin(Some(0));
        match std::mem::replace(&mut *self.state.borrow_mut(), State::Done) {
            State::Length(1..) => {
                return Err(Error::Upload("fewer bytes than expectSize announced"));
            }
            State::Done => return Err(Error::Upload("done was called twice")),
            State::Chunked => message.extend_from_slice(b"0\r\n\r\n"),
            State::Length(0) | State::Head(_) => {}
        }
        self.send(&message).await;
        match self.broken.borrow_mut().take() {
            Some(error) if !self.answered.get() => Err(error),
            _ => Ok(()),
        }
    }
}

impl byte_stream::Server for Upload {
    fn write(
        self: Rc<Self>,
        params: byte_stream::WriteParams,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let turn = self.order.queue();
        async move {
            let _turn = turn.wait().await;
            Ok(self.write_piece(params.get()?.get_data()?).await?)
        }
    }

    fn done(
        self: Rc<Self>,
        _: byte_stream::DoneParams,
        _: byte_stream::DoneResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let turn = self.order.queue();
        async move {
            let _turn = turn.wait().await;
            Ok(self.end().await?)
        }
    }

    fn expect_size(
        self: Rc<Self>,
        params: byte_stream::ExpectSizeParams,
        _: byte_stream::ExpectSizeResults,
    ) -> impl Future<Output = Result<(), capnp::Error>> + 'static {
        let turn = self.order.queue();
        async move {
            let _turn = turn.wait().await;
            Ok(self.announce(params.get()?.get_size()).await?)
        }
    }
}

impl request_stream::Server for Upload {
    /// Reads while the upload goes on, so that an early answer arrives early.
    async fn get_response(
        self: Rc<Self>,
        _: request_stream::GetResponseParams,
        mut results: request_stream::GetResponseResults,
    ) -> Result<(), capnp::Error> {
        let call = self.call.borrow_mut().take();
        let call = call.ok_or(Error::Upload("getResponse was called twice"))?;
        let may_stream = call.response_stream.is_some();
        let received = receive(&self.connection, false, may_stream).await?;
        self.answered.set(true);
        call.answer(received, results.get())
    }
}
