//! A session: one user's way into the app, and the calls on it.

mod answer;
mod calls;
mod dav;
mod download;
mod fixed_head;
mod losses;
mod upload;
mod websocket;

pub(crate) use losses::asked_for;

pub use fixed_head::{
    ApiClient, Browser, Common, FixedHead, PowerboxApi, SessionType, address_text,
};

use std::rc::Rc;

use capnp::capability::Results;
use capnp::text;
use percent_encoding::percent_decode;
use spk_schema::grain_capnp::app_persistent;
use spk_schema::losses_capnp;
use spk_schema::sandstorm_http_bridge_internal_capnp::{bridge_http_session, bridge_object_id};
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session::{context, response};

use crate::error::Error;
use crate::http::connection::Connection;
use crate::http::exchange::{Received, exchange};
use crate::http::write::{HeadWriter, Method, asks_if_none_match};
use crate::http_api::HttpApi;
use crate::underway::{self, Underway};

/// Serves `WebSession` and `ApiSession`: each call becomes one HTTP request on a new connection to
/// the app.
pub struct Session {
    port: u16,
    underway: Underway,
    fixed: FixedHead,
    /// Who wants to hear what of answers clients do not get.
    listener: Option<losses_capnp::losses::Client>,
    /// What the session is restored from, and its label, if it can be saved.
    persistent: Option<(HttpApi, Vec<u8>)>,
    /// Lives as long as the session does: its entry in the table of sessions.
    _registration: Option<crate::sessions::Registration>,
}

impl app_persistent::Server<bridge_object_id::Owned> for Session {
    async fn save(
        self: Rc<Self>,
        _: app_persistent::SaveParams<bridge_object_id::Owned>,
        mut results: app_persistent::SaveResults<bridge_object_id::Owned>,
    ) -> Result<(), capnp::Error> {
        let Some((api, label)) = &self.persistent else {
            return Err(capnp::Error::unimplemented("sessions cannot be saved".into()));
        };
        let mut results = results.get();
        api.fill(results.reborrow().init_object_id().init_http_api());
        results.init_label().set_default_text(text::Reader(label));
        Ok(())
    }
}

impl bridge_http_session::Server for Session {}

/// What is needed of a call after its request was sent.
struct Call {
    path: Vec<u8>,
    is_get: bool,
    to_head: bool,
    conditional: bool,
    response_stream: Option<byte_stream::Client>,
    underway: underway::Answer,
    listener: Option<losses_capnp::losses::Client>,
}

impl Session {
    /// A session with the app on `port`, whose answers are among those `underway`.
    pub fn new(
        port: u16,
        underway: Underway,
        fixed: FixedHead,
        registration: Option<crate::sessions::Registration>,
    ) -> Session {
        Session {
            port,
            underway,
            fixed,
            listener: None,
            persistent: None,
            _registration: registration,
        }
    }

    /// The same session, of whose answers somebody wants to hear what clients do not get.
    pub(crate) fn heard_by(mut self, listener: Option<losses_capnp::losses::Client>) -> Session {
        self.listener = listener;
        self
    }

    /// The same session as one that can be saved.
    pub fn persistent(mut self, api: HttpApi, label: Vec<u8>) -> Session {
        self.persistent = Some((api, label));
        self
    }

    /// Keeps the paths of a capability below its prefix, whatever the app makes of dots.
    fn confine(&self, path: &[u8]) -> Result<(), Error> {
        let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        let is_dots = |segment: &[u8]| {
            let segment: Vec<u8> = percent_decode(segment).collect();
            segment.split(|&byte| byte == b'/' || byte == b'\\').any(|part| part == b"..")
        };
        if self.persistent.is_some() && path.split(|&byte| byte == b'/').any(is_dots) {
            return Err(Error::ForbiddenCharacter("the request path"));
        }
        Ok(())
    }

    /// The first lines of a request that is not an upgrade.
    fn start(&self, method: Method, path: text::Reader<'_>) -> Result<HeadWriter, Error> {
        self.confine(path.as_bytes())?;
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
            is_get: false,
            to_head: false,
            conditional: asks_if_none_match(context),
            response_stream: context
                .has_response_stream()
                .then(|| context.get_response_stream())
                .transpose()?,
            underway: self.underway.begin(),
            listener: self.listener.clone(),
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
