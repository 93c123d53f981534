//! Streaming a response body to the host (http-bridge §5.3).

use std::rc::Rc;

use spk_schema::util_capnp::{byte_stream, handle};
use tokio::task::AbortHandle;

use crate::http::exchange::Incoming;
use crate::underway::Answer;

/// Ends a transfer when the host drops it.
struct Transfer(AbortHandle);

impl Drop for Transfer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl handle::Server for Transfer {
    async fn ping(
        self: Rc<Self>,
        _: handle::PingParams,
        _: handle::PingResults,
    ) -> Result<(), capnp::Error> {
        Ok(())
    }
}

/// Sends `incoming` to `stream` in the background. The handle owns the transfer.
///
/// The stream is released without `done` if the app breaks off, so that the host can break off
/// too; a failing write ends the transfer and with it the connection to the app.
pub(super) fn stream(
    incoming: Incoming,
    length: Option<u64>,
    stream: byte_stream::Client,
    underway: Answer,
) -> handle::Client {
    // Sent before the answer itself is, so that the host has it in time for the head it sends.
    if let Some(length) = length {
        expect_size(&stream, length);
    }
    own(async move {
        // What went wrong is known to whoever broke off.
        let _ = send(incoming, &stream).await;
        drop(underway);
    })
}

/// Announces a length without sending anything, in answer to HEAD: the host prints it
/// (http-bridge §12).
pub(super) fn announce(length: u64, stream: byte_stream::Client) -> handle::Client {
    expect_size(&stream, length);
    own(async move {
        let _ = stream.done_request().send().promise.await;
    })
}

fn own(task: impl Future<Output = ()> + 'static) -> handle::Client {
    capnp_rpc::new_client(Transfer(tokio::task::spawn_local(task).abort_handle()))
}

/// Failures do not matter (http-bridge §3.3.4).
fn expect_size(stream: &byte_stream::Client, length: u64) {
    let mut request = stream.expect_size_request();
    request.get().set_size(length);
    let promise = request.send().promise;
    tokio::task::spawn_local(async move {
        let _ = promise.await;
    });
}

async fn send(mut incoming: Incoming, stream: &byte_stream::Client) -> Result<(), capnp::Error> {
    let mut more = true;
    while more {
        if !incoming.ready.is_empty() {
            let mut request = stream.write_request();
            request.get().set_data(&incoming.ready);
            // Waits while too much is on its way: the app is not read meanwhile.
            request.send().await?;
        }
        more = incoming.advance().await?;
    }
    stream.done_request().send().promise.await?;
    Ok(())
}
