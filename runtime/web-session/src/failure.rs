//! Why a request has no answer from the session.

use capnp::ErrorKind;
use http::StatusCode;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The call failed.
    Rpc(capnp::Error),
    /// The request is answered without asking the session.
    Refused(Refusal),
    /// The client stopped sending; there is nobody to answer.
    ClientGone,
}

/// What a request gets that cannot become a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 4xx or 5xx.
    pub status: StatusCode,
    /// What is wrong with the request.
    pub text: &'static str,
}

impl Refusal {
    pub(crate) fn bad_request(text: &'static str) -> Refusal {
        Refusal { status: StatusCode::BAD_REQUEST, text }
    }
}

impl From<capnp::Error> for Failure {
    fn from(error: capnp::Error) -> Failure {
        Failure::Rpc(error)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Refused(refusal)
    }
}

/// Old apps say "failed" with these words when they mean "unimplemented" (http-bridge §4.9;
/// grain-runtime §C.1).
pub fn is_unimplemented(error: &capnp::Error) -> bool {
    error.kind == ErrorKind::Unimplemented
        || (error.kind == ErrorKind::Failed && error.extra.contains("not implemented"))
}

/// The status that a failed call becomes (http-bridge §5.12); `None` if the session is gone, which each
/// caller tells in its own way.
pub fn status_of(error: &capnp::Error) -> Option<StatusCode> {
    match error.kind {
        ErrorKind::Disconnected => None,
        ErrorKind::Overloaded => Some(StatusCode::SERVICE_UNAVAILABLE),
        ErrorKind::Unimplemented => Some(StatusCode::NOT_IMPLEMENTED),
        _ => Some(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
