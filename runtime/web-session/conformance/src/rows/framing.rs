//! 10.7: lengths, streams, failures.

use capnp::Error;
use spk_schema::util_capnp::byte_stream;

use crate::Row;
use crate::row::ask;
use crate::session::{Reply, done, expect_size, script, write};

/// HEAD: the length that GET would have, if it is known, and no body.
pub fn f01_f02_answers_to_head() -> Vec<Row> {
    let bytes = |reply: &mut Reply| {
        reply.response().init_content().get_body().set_bytes(b"long text");
    };
    let nothing = |reply: &mut Reply| {
        reply.response().init_content().get_body().set_bytes(b"");
    };
    let page = |reply: &mut Reply| {
        reply.response().init_client_error().set_description_html("long text");
    };
    let head = || ask("HEAD /").says("").without("transfer-encoding");
    vec![
        head()
            .streamed(|to| async move {
                let _ = expect_size(&to, 12345).await;
                let _ = done(&to).await;
            })
            .header("content-length", "12345"),
        head().streamed(|to| async move {
            let _ = done(&to).await;
        }),
        head().answered(bytes).header("content-length", "9"),
        head().answered(nothing).without("content-length"),
        head().answered(page).status(400),
    ]
}

async fn three_pieces(to: byte_stream::Client) {
    for piece in ["one", "two", "six"] {
        let _ = write(&to, piece.as_bytes()).await;
    }
    let _ = done(&to).await;
}

/// Bodies that arrive in pieces, of known length or not.
pub fn f03_f06_streams() -> Vec<Row> {
    vec![
        ask("GET /")
            .streamed(|to| async move {
                let _ = expect_size(&to, 9).await;
                three_pieces(to).await;
            })
            .header("content-length", "9")
            .says("onetwosix"),
        ask("GET /")
            .streamed(three_pieces)
            .header("transfer-encoding", "chunked")
            .without("content-length")
            .says("onetwosix"),
        ask("GET /")
            .streamed(|to| async move {
                let _ = done(&to).await;
            })
            .header("content-length", "0")
            .says(""),
    ]
}

/// The client learns that a body is not complete.
pub fn f10_streams_cut_short() -> Vec<Row> {
    vec![
        ask("GET /")
            .streamed(|to| async move {
                let _ = expect_size(&to, 100).await;
                let _ = write(&to, b"short").await;
            })
            .breaks(),
        ask("GET /")
            .streamed(|to| async move {
                let _ = write(&to, b"short").await;
            })
            .breaks(),
        ask("GET /")
            .streamed(|to| async move {
                let _ = expect_size(&to, 3).await;
                let _ = write(&to, b"more than three").await;
                let _ = done(&to).await;
            })
            .breaks(),
    ]
}

/// Failed calls have a status each.
pub fn f14_failed_calls() -> Vec<Row> {
    let failing = |make: fn(String) -> Error| {
        ask("GET /").runs(script(move |_, _| async move { Err(make("why".into())) }))
    };
    vec![
        failing(Error::failed).status(500),
        failing(Error::overloaded).status(503),
        failing(Error::unimplemented).status(501),
    ]
}
