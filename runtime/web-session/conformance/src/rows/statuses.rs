//! 10.5: which status an answer becomes.

use spk_schema::web_session_capnp::web_session::response::{ClientErrorCode, SuccessCode};

use crate::Row;
use crate::row::ask;
use crate::session::Reply;

/// Content. Statuses that cannot have a body, which native sessions may name, have none.
pub fn s01_success() -> Vec<Row> {
    let codes = [
        (SuccessCode::Ok, 200, "body"),
        (SuccessCode::Created, 201, "body"),
        (SuccessCode::Accepted, 202, "body"),
        (SuccessCode::PartialContent, 206, "body"),
        (SuccessCode::MultiStatus, 207, "body"),
        (SuccessCode::NoContent, 204, ""),
        (SuccessCode::NotModified, 304, ""),
    ];
    let mut rows = Vec::new();
    for (code, status, body) in codes {
        let row = ask("GET /").status(status).says(body).without("transfer-encoding");
        let row = row.answered(move |reply| {
            let mut content = reply.response().init_content();
            content.set_status_code(code);
            content.get_body().set_bytes(b"body");
        });
        rows.push(match body {
            "" => row.without("content-length"),
            _ => row.header("content-length", "4"),
        });
    }
    rows
}

/// No content.
pub fn s03_s04_no_content() -> Vec<Row> {
    vec![
        ask("GET /")
            .answered(|reply| reply.response().init_no_content().init_e_tag().set_value("t"))
            .status(204)
            .header("etag", "\"t\"")
            .without("content-length")
            .without("transfer-encoding"),
        ask("GET /")
            .answered(|reply| reply.response().init_no_content().set_should_reset_form(true))
            .status(205)
            .header("content-length", "0"),
    ]
}

/// Redirects, with a text that says so (H32).
pub fn s05_s06_h32_redirects() -> Vec<Row> {
    let kinds = [
        (true, true, 301, "Moved Permanently"),
        (false, true, 303, "See Other"),
        (false, false, 307, "Temporary Redirect"),
        (true, false, 308, "Permanent Redirect"),
    ];
    kinds
        .into_iter()
        .map(|(permanent, get_again, status, reason)| {
            ask("GET /")
                .answered(move |reply| {
                    let mut redirect = reply.response().init_redirect();
                    redirect.set_is_permanent(permanent);
                    redirect.set_switch_to_get(get_again);
                    redirect.set_location("//x/%2f y?z");
                })
                .status(status)
                .header("location", "//x/%2f y?z")
                .header("content-type", "text/plain; charset=UTF-8")
                .says(format!("{reason}: //x/%2f y?z"))
        })
        .collect()
}

/// "Not modified" answers only who asked for something else than what it has.
pub fn s09_to_s13_preconditions_that_failed() -> Vec<Row> {
    let failed = |line: &str| {
        ask(line).answered(|reply| {
            let failed = reply.response().init_precondition_failed();
            failed.init_matching_e_tag().set_value("t");
        })
    };
    let refused = |row: Row| row.status(412).without("etag").header("content-length", "0").says("");
    let mut rows = Vec::new();
    for line in ["GET /", "HEAD /"] {
        for tags in ["If-None-Match: \"t\"", "If-None-Match: *"] {
            let row = failed(line).with(tags).status(304).header("etag", "\"t\"");
            rows.push(row.without("content-length").without("transfer-encoding").says(""));
        }
    }
    rows.push(refused(failed("GET /")));
    rows.push(refused(failed("GET /").with("If-Match: \"t\"")));
    rows.push(refused(failed("PUT /").with("If-None-Match: \"t\"").body("")));
    rows
}

/// Client errors with a page.
pub fn s14_client_errors() -> Vec<Row> {
    use ClientErrorCode as C;
    let codes = [
        (C::BadRequest, 400),
        (C::Forbidden, 403),
        (C::NotFound, 404),
        (C::MethodNotAllowed, 405),
        (C::NotAcceptable, 406),
        (C::Conflict, 409),
        (C::Gone, 410),
        (C::RequestEntityTooLarge, 413),
        (C::RequestUriTooLong, 414),
        (C::UnsupportedMediaType, 415),
        (C::ImATeapot, 418),
        (C::PreconditionFailed, 412),
        (C::UnprocessableEntity, 422),
    ];
    codes
        .into_iter()
        .map(|(code, status)| {
            ask("GET /")
                .answered(move |reply| {
                    let mut error = reply.response().init_client_error();
                    error.set_status_code(code);
                    error.set_description_html("<b>no</b>");
                })
                .status(status)
                .header("content-type", "text/html; charset=UTF-8")
                .says("<b>no</b>")
        })
        .collect()
}

/// What only sessions say that are no bridge's.
pub fn s17_s23_s24_native_sessions() -> Vec<Row> {
    let typed = |reply: &mut Reply| {
        let mut error = reply.response().init_client_error();
        error.set_status_code(ClientErrorCode::NotFound);
        error.set_description_html("unused");
        let mut body = error.init_non_html_body();
        body.set_data(b"{}");
        body.set_mime_type("application/json");
        body.set_encoding("x");
        body.set_language("de");
    };
    vec![
        ask("GET /")
            .answered(|reply| {
                reply.response().init_server_error();
            })
            .status(500)
            .without("content-type")
            .says(""),
        // The all-zero response is a redirect to nowhere.
        ask("GET /").answered(|_| {}).status(307).header("location", ""),
        ask("GET /")
            .answered(typed)
            .status(404)
            .header("content-type", "application/json")
            .header("content-encoding", "x")
            .header("content-language", "de")
            .says("{}"),
    ]
}
