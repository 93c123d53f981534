//! Status codes and the branches of a response, in both directions (http-bridge §3.3.1, §5.4). Which
//! headers pass, [`spk_schema::headers`] says.

use capnp::NotInSchema;
use http::StatusCode;
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

/// The status of a content branch; a code that is not known is 200.
pub fn success(code: Result<SuccessCode, NotInSchema>) -> StatusCode {
    match code {
        Ok(SuccessCode::Created) => StatusCode::CREATED,
        Ok(SuccessCode::Accepted) => StatusCode::ACCEPTED,
        Ok(SuccessCode::NoContent) => StatusCode::NO_CONTENT,
        Ok(SuccessCode::PartialContent) => StatusCode::PARTIAL_CONTENT,
        Ok(SuccessCode::MultiStatus) => StatusCode::MULTI_STATUS,
        Ok(SuccessCode::NotModified) => StatusCode::NOT_MODIFIED,
        Ok(SuccessCode::Ok) | Err(NotInSchema(_)) => StatusCode::OK,
    }
}

/// The status of a redirect.
pub fn redirect(permanent: bool, switch_to_get: bool) -> StatusCode {
    match (permanent, switch_to_get) {
        (true, true) => StatusCode::MOVED_PERMANENTLY,
        (true, false) => StatusCode::PERMANENT_REDIRECT,
        (false, true) => StatusCode::SEE_OTHER,
        (false, false) => StatusCode::TEMPORARY_REDIRECT,
    }
}

/// The status of a client error; a code that is not known is 400.
pub fn client_error(code: Result<ClientErrorCode, NotInSchema>) -> StatusCode {
    use ClientErrorCode as Code;
    match code {
        Ok(Code::Forbidden) => StatusCode::FORBIDDEN,
        Ok(Code::NotFound) => StatusCode::NOT_FOUND,
        Ok(Code::MethodNotAllowed) => StatusCode::METHOD_NOT_ALLOWED,
        Ok(Code::NotAcceptable) => StatusCode::NOT_ACCEPTABLE,
        Ok(Code::Conflict) => StatusCode::CONFLICT,
        Ok(Code::Gone) => StatusCode::GONE,
        Ok(Code::RequestEntityTooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        Ok(Code::RequestUriTooLong) => StatusCode::URI_TOO_LONG,
        Ok(Code::UnsupportedMediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Ok(Code::ImATeapot) => StatusCode::IM_A_TEAPOT,
        Ok(Code::PreconditionFailed) => StatusCode::PRECONDITION_FAILED,
        Ok(Code::UnprocessableEntity) => StatusCode::UNPROCESSABLE_ENTITY,
        Ok(Code::BadRequest) | Err(NotInSchema(_)) => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a status becomes on its way through both directions.
    fn there_and_back(status: u16) -> Option<u16> {
        let back = match branch(status) {
            Branch::Content(code) => success(Ok(code)),
            Branch::NoContent { reset_form: false } => StatusCode::NO_CONTENT,
            Branch::NoContent { reset_form: true } => StatusCode::RESET_CONTENT,
            Branch::Redirect { permanent, switch_to_get } => redirect(permanent, switch_to_get),
            Branch::ClientError(code) => client_error(Ok(code)),
            Branch::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Branch::PreconditionFailed | Branch::Unsupported => return None,
        };
        Some(back.as_u16())
    }

    #[test]
    fn s01_to_s17_statuses_that_the_protocol_names_stay() {
        let named = [
            200, 201, 202, 204, 205, 206, 207, 301, 303, 307, 308, 400, 403, 404, 405, 406, 409,
            410, 413, 414, 415, 418, 422, 500,
        ];
        for status in 100..700 {
            let expected = match status {
                status if named.contains(&status) => Some(status),
                200..=299 => Some(200),
                302 => Some(303),
                412 => None,
                400..=499 => Some(400),
                500..=599 => Some(500),
                _ => None,
            };
            assert_eq!(there_and_back(status), expected, "{status}");
        }
    }
}
