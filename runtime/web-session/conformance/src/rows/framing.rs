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

/// The client gets all that was sent, and learns that it is not complete: a byte, what fits into one
/// write of the server's, and more than a connection holds.
pub fn f10_streams_cut_short() -> Vec<Row> {
    let mut rows = Vec::new();
    for length in [1, 100, 100 << 10, 4 << 20] {
        for sized in [true, false] {
            let body: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let sent = body.clone();
            rows.push(
                ask("GET /")
                    .streamed(move |to| {
                        let body = sent.clone();
                        async move {
                            if sized {
                                let _ = expect_size(&to, body.len() as u64 + 1).await;
                            }
                            for piece in body.chunks(64 << 10) {
                                let _ = write(&to, piece).await;
                            }
                        }
                    })
                    .breaks_after(body),
            );
        }
    }
    rows.push(
        ask("GET /")
            .streamed(|to| async move {
                let _ = expect_size(&to, 3).await;
                let _ = write(&to, b"more than three").await;
                let _ = done(&to).await;
            })
            .breaks_after(""),
    );
    // What follows a head alone is nothing, whatever becomes of it.
    rows.push(
        ask("HEAD /")
            .streamed(|to| async move {
                let _ = expect_size(&to, 100).await;
            })
            .header("content-length", "100"),
    );
    rows
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
