//! Which status codes pass (http-bridge §3.3.1, §5.4). Which headers do, [`spk_schema::headers`]
//! says.

use spk_schema::web_session_capnp::web_session::response::{ClientErrorCode, SuccessCode};

/// Which branch of a response a status leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Branch {
    /// 2xx with a body.
    Content(SuccessCode),
    /// 204 and 205.
    NoContent {
        /// 205: the client shall clear its form.
        reset_form: bool,
    },
    /// 304 and 412.
    PreconditionFailed,
    /// 3xx with a Location.
    Redirect {
        /// 301 and 308.
        permanent: bool,
        /// 301, 302 and 303.
        switch_to_get: bool,
    },
    /// 4xx.
    ClientError(ClientErrorCode),
    /// 5xx.
    ServerError,
    /// The protocol has no form for it.
    Unsupported,
}

/// The branch for `status` (http-bridge §5.4). Success codes the protocol cannot name are passed on
/// as 200, since their bodies are what the client asked for.
pub fn branch(status: u16) -> Branch {
    use ClientErrorCode as Code;
    match status {
        201 => Branch::Content(SuccessCode::Created),
        202 => Branch::Content(SuccessCode::Accepted),
        204 => Branch::NoContent { reset_form: false },
        205 => Branch::NoContent { reset_form: true },
        206 => Branch::Content(SuccessCode::PartialContent),
        207 => Branch::Content(SuccessCode::MultiStatus),
        200..=299 => Branch::Content(SuccessCode::Ok),
        301 => Branch::Redirect { permanent: true, switch_to_get: true },
        302 | 303 => Branch::Redirect { permanent: false, switch_to_get: true },
        307 => Branch::Redirect { permanent: false, switch_to_get: false },
        308 => Branch::Redirect { permanent: true, switch_to_get: false },
        304 | 412 => Branch::PreconditionFailed,
        403 => Branch::ClientError(Code::Forbidden),
        404 => Branch::ClientError(Code::NotFound),
        405 => Branch::ClientError(Code::MethodNotAllowed),
        406 => Branch::ClientError(Code::NotAcceptable),
        409 => Branch::ClientError(Code::Conflict),
        410 => Branch::ClientError(Code::Gone),
        413 => Branch::ClientError(Code::RequestEntityTooLarge),
        414 => Branch::ClientError(Code::RequestUriTooLong),
        415 => Branch::ClientError(Code::UnsupportedMediaType),
        418 => Branch::ClientError(Code::ImATeapot),
        422 => Branch::ClientError(Code::UnprocessableEntity),
        400..=499 => Branch::ClientError(Code::BadRequest),
        500..=599 => Branch::ServerError,
        _ => Branch::Unsupported,
    }
}
