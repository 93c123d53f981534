//! A session: one user's way into the app, and the calls on it.

mod answer;
mod calls;
mod dav;
mod lines;
mod pump;
mod upload;
mod websocket;

pub use lines::{
    ApiClient, Browser, Common, Fixed, PowerboxApi, SessionType, User, address_text, hex, pronouns,
    user_id,
};

use std::rc::Rc;

use capnp::capability::Results;
use capnp::text;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{context, response};

use crate::error::Error;
use crate::http::connection::Connection;
use crate::http::exchange::{Received, exchange};
use crate::http::write::{HeadWriter, Method, asks_if_none_match};

/// Serves `WebSession` and `ApiSession`: each call becomes one HTTP request on a new connection to
/// the app.
pub struct Session {
    port: u16,
    fixed: Fixed,
    /// Lives as long as the session does: its entry in the table of sessions.
    _registration: Option<crate::sessions::Registration>,
}

/// What is needed of a call after its request was sent.
struct Call {
    path: Vec<u8>,
    to_head: bool,
    conditional: bool,
    response_stream: Option<byte_stream::Client>,
}

impl Session {
    /// A session with the app on `port`.
    pub fn new(
        port: u16,
        fixed: Fixed,
        registration: Option<crate::sessions::Registration>,
    ) -> Session {
        Session { port, fixed, _registration: registration }
    }

    /// The first lines of a request that is not an upgrade.
    fn start(&self, method: Method, path: text::Reader<'_>) -> Result<HeadWriter, Error> {
        let mut head = HeadWriter::request(method, &self.fixed.root, path.as_bytes())?;
        head.finished_lines(b"Connection: close\r\n");
        Ok(head)
    }

    /// Adds the lines all methods share, and remembers what the response depends on.
    fn rest(
        &self,
        mut head: HeadWriter,
        path: text::Reader<'_>,
        context: context::Reader<'_>,
    ) -> Result<(HeadWriter, Call), capnp::Error> {
        head.finished_lines(&self.fixed.languages);
        head.finished_lines(self.fixed.lines()?);
        head.context(context)?;
        let call = Call {
            path: path.as_bytes().to_vec(),
            to_head: false,
            conditional: asks_if_none_match(context),
            response_stream: context
                .has_response_stream()
                .then(|| context.get_response_stream())
                .transpose()?,
        };
        Ok((head, call))
    }

    /// Sends a finished request and turns the answer into the call's result.
    async fn respond(
        self: Rc<Self>,
        request: Vec<u8>,
        call: Call,
        mut results: Results<response::Owned>,
    ) -> Result<(), capnp::Error> {
        let connection = Rc::new(Connection::open(self.port).await?);
        let may_stream = call.response_stream.is_some();
        let received = exchange(&connection, request, call.to_head, may_stream).await?;
        call.answer(received, results.get())
    }

    /// Sends a finished request of which only the response's head matters.
    async fn ask(&self, request: Vec<u8>) -> Result<Received, Error> {
        let connection = Rc::new(Connection::open(self.port).await?);
        exchange(&connection, request, false, false).await
    }
}
