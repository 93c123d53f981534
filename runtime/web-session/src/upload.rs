//! POST and PUT: in one call, or as the body arrives (http-bridge §4.9).

use capnp::capability::FromClientHook;
use http::{Method, Response};
use spk_schema::util_capnp::byte_stream;
use spk_schema::web_session_capnp::web_session;

use crate::answer::Policy;
use crate::body::Body;
use crate::call::{Request, fill_content, send};
use crate::failure::{Failure, is_unimplemented};
use crate::hold::Hold;
use crate::source::{Broken, Source, collect};
use crate::stream;

/// A POST or PUT body of known length below this travels inside the call.
pub const SMALL: u64 = 65536;

/// Largest piece of a streamed upload, so that one call does not fill the stream's window.
const PIECE: usize = 64 * 1024;

impl<P: Policy> Request<'_, P> {
    pub(crate) async fn upload<H: Hold>(
        &self,
        web: &web_session::Client,
        body: impl Source,
        hold: H,
    ) -> Result<Response<Body<H>>, Failure> {
        let length = body.size_hint().exact();
        if length.is_some_and(|length| length < SMALL) {
            return self.post_or_put(web, body, hold).await;
        }
        let (stream, incoming) = stream::pair();
        let upload = match self.start_upload(web, hold.lend(stream)).await {
            Ok(upload) => upload,
            // Real servers' sessions are like that, and old apps.
            Err(error) if is_unimplemented(&error) => {
                return self.post_or_put(web, body, hold).await;
            }
            Err(error) => return Err(error.into()),
        };
        // Asked for before the first byte: an early answer must not wait for the whole upload.
        let answer = upload.get_response_request().send().promise;
        let (gone, client_gone) = tokio::sync::oneshot::channel::<()>();
        tokio::task::spawn_local(async move {
            if send_body(upload, length, body).await == Err(Broken) {
                let _ = gone.send(());
            }
        });
        tokio::select! {
            biased;
            response = answer => Ok(self.translate(response?.get()?, incoming, hold).await?),
            Ok(()) = client_gone => Err(Failure::ClientGone),
        }
    }

    async fn start_upload(
        &self,
        web: &web_session::Client,
        stream: byte_stream::Client,
    ) -> Result<web_session::request_stream::Client, capnp::Error> {
        macro_rules! start {
            ($request:expr) => {{
                let mut request = $request;
                let mut params = request.get();
                params.set_path(self.path);
                if let Some(kind) = self.content_type() {
                    params.set_mime_type(kind);
                }
                if let Some(encoding) = self.content_encoding() {
                    params.set_encoding(encoding);
                }
                self.described.fill(params.init_context(), Some(stream));
                request.send().promise.await?.get()?.get_stream()
            }};
        }
        if self.method == Method::POST {
            start!(web.post_streaming_request())
        } else {
            start!(web.put_streaming_request())
        }
    }

    async fn post_or_put<H: Hold>(
        &self,
        web: &web_session::Client,
        body: impl Source,
        hold: H,
    ) -> Result<Response<Body<H>>, Failure> {
        let content = collect(body, self.collected).await?;
        if self.method == Method::POST {
            let mut request = web.post_request();
            fill_content!(self, request, &content);
            drop(content);
            send!(self, request, hold)
        } else {
            let mut request = web.put_request();
            fill_content!(self, request, &content);
            drop(content);
            send!(self, request, hold)
        }
    }
}

/// Sends a body as it arrives. A session that takes no more ends it without an error: its answer
/// decides. Only the client's failure is one.
async fn send_body(
    upload: web_session::request_stream::Client,
    length: Option<u64>,
    mut body: impl Source,
) -> Result<(), Broken> {
    let stream: byte_stream::Client = FromClientHook::new(upload.client.hook);
    if let Some(length) = length {
        let mut request = stream.expect_size_request();
        request.get().set_size(length);
        // Only a hint: whether the session knows the method does not matter.
        let _ = request.send().promise.await;
    }
    while let Some(data) = body.piece().await {
        for piece in data?.chunks(PIECE) {
            let mut request = stream.write_request();
            request.get().set_data(piece);
            if request.send().await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = stream.done_request().send().promise.await;
    Ok(())
}
