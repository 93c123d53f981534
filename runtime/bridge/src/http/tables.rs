//! Which headers and status codes pass, in one place (http-bridge 3.3.1, 4.5, 5.4, 5.7).

use spk_schema::web_session_capnp::web_session::response::{ClientErrorCode, SuccessCode};

/// Request headers that may be forwarded to the app. An entry that ends in `*` is a prefix, and the
/// prefix alone does not match.
pub const REQUEST_HEADERS: &[&str] = &[
    "x-sandstorm-app-*",
    "oc-total-length",
    "oc-chunk-size",
    "x-oc-mtime",
    "oc-fileid",
    "oc-chunked",
    "oc-checksum",
    "oc-chunk-offset",
    "oc-lazyops",
    "x-hgarg-*",
    "x-phabricator-*",
    "x-requested-with",
    "x-csrftoken",
    "x-csrf-token",
];

/// Response headers that may be forwarded to the client, in the same notation.
pub const RESPONSE_HEADERS: &[&str] = &["x-sandstorm-app-*", "x-oc-mtime"];

/// Whether `name` is in `list`, in any letter case.
pub fn allows(list: &[&str], name: &[u8]) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(prefix) => {
            name.len() > prefix.len()
                && name[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
        }
        None => name.eq_ignore_ascii_case(entry.as_bytes()),
    })
}

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

/// The branch for `status` (http-bridge 5.4). Success codes the protocol cannot name are passed on
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
