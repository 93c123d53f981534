//! A request as a call on a session, as a host makes it (http-bridge §4 and §5).

use std::convert::Infallible;

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session;
use spk_web_session::{Described, Failure, Hold, Policy, Refusal};

use super::Body;
use crate::limits;

/// Calls the session's method for this request.
pub(super) async fn forward(
    session: &web_session::Client,
    request: Request<Incoming>,
) -> Result<Response<Body>, Failure> {
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let Some(path) = target.strip_prefix('/') else {
        let text = "the path does not begin with a slash";
        return Err(Refusal { status: StatusCode::BAD_REQUEST, text }.into());
    };
    let request = spk_web_session::Request {
        method: &head.method,
        headers: &head.headers,
        path,
        described: &Described::read(&head.headers, None)?,
        policy: &AsItIs,
        base: &base(&head),
        collected: limits::PROXY_BODY,
    };
    request.send(session, body, Unmetered).await
}

/// The server that the app believes to ask: the session does not depend on it, but what is to stay
/// on one server must.
fn base(head: &Parts) -> String {
    let host = || head.headers.get(header::HOST)?.to_str().ok();
    let authority = head.uri.authority().map(http::uri::Authority::as_str).or_else(host);
    let scheme = head.uri.scheme_str().unwrap_or("http");
    format!("{scheme}://{}", authority.unwrap_or_default())
}

/// The app gets what the session says, without cookies: programs have none.
struct AsItIs;

impl Policy for AsItIs {
    fn passes_cookies(&self) -> bool {
        false
    }

    fn apply(&self, _: &mut HeaderMap) {}
}

/// The only client is the app, within its own memory: its answers are not counted.
pub(super) struct Unmetered;

impl Hold for Unmetered {
    type Room = Infallible;

    async fn room_for(&self, _: usize) -> Option<Infallible> {
        None
    }

    /// The host may give its calls up.
    fn lend(&self, stream: byte_stream::Client) -> byte_stream::Client {
        spk_rpc::answered(stream)
    }
}
