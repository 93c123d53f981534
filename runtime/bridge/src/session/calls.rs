//! The methods of `WebSession` (http-bridge §4.1, §4.9), except WebDAV's own.

use std::rc::Rc;

use capnp::capability::Results;
use capnp::{Error, text};
use spk_schema::api_session_capnp::api_session;
use spk_schema::grain_capnp::ui_session;
use spk_schema::web_session_capnp::web_session::{self, context, options, post_content, response};

use super::upload::Upload;
use super::{Session, dav, losses, websocket};
use crate::http::exchange::Received;
use crate::http::write::{HeadWriter, Method};

impl ui_session::Server for Session {}
impl api_session::Server for Session {}

/// Whether a request without a type says so in an empty header, as the original does, or leaves it
/// out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptyType {
    Print,
    Omit,
}

/// Adds the lines that describe a body.
pub(super) fn content_lines(
    head: &mut HeadWriter,
    mime_type: text::Reader<'_>,
    encoding: text::Reader<'_>,
    length: Option<usize>,
    empty_type: EmptyType,
) -> Result<(), crate::error::Error> {
    if !mime_type.is_empty() || empty_type == EmptyType::Print {
        head.line("Content-Type", mime_type.as_bytes())?;
    }
    if let Some(length) = length {
        head.line("Content-Length", length.to_string().as_bytes())?;
    }
    if !encoding.is_empty() {
        head.line("Content-Encoding", encoding.as_bytes())?;
    }
    Ok(())
}

impl Session {
    /// A call without a body, after `lines` were added to the head.
    pub(super) fn bare(
        &self,
        method: Method,
        path: text::Reader<'_>,
        context: context::Reader<'_>,
        lines: &[(&'static str, &[u8])],
    ) -> Result<(Vec<u8>, super::Call), Error> {
        let mut head = self.start(method, path)?;
        for (name, value) in lines {
            head.line(name, value)?;
        }
        let (head, call) = self.rest(head, path, context)?;
        Ok((head.finish(), call))
    }

    /// A call with a body of any type.
    pub(super) fn with_content(
        &self,
        method: Method,
        path: text::Reader<'_>,
        content: post_content::Reader<'_>,
        context: context::Reader<'_>,
        empty_type: EmptyType,
    ) -> Result<(Vec<u8>, super::Call), Error> {
        let body = content.get_content()?;
        let mut head = self.start(method, path)?;
        let (mime_type, encoding) = (content.get_mime_type()?, content.get_encoding()?);
        content_lines(&mut head, mime_type, encoding, Some(body.len()), empty_type)?;
        let (head, call) = self.rest(head, path, context)?;
        let mut request = head.finish();
        request.extend_from_slice(body);
        Ok((request, call))
    }

    async fn start_upload(
        self: Rc<Self>,
        method: Method,
        params: UploadParams<'_>,
    ) -> Result<web_session::request_stream::Client, Error> {
        let UploadParams { path, mime_type, encoding, context } = params;
        let mut head = self.start(method, path)?;
        content_lines(&mut head, mime_type, encoding, None, EmptyType::Omit)?;
        let (head, call) = self.rest(head, path, context)?;
        let upload = Upload::open(self.port, head, call).await?;
        Ok(spk_rpc::new_client(upload))
    }
}

struct UploadParams<'a> {
    path: text::Reader<'a>,
    mime_type: text::Reader<'a>,
    encoding: text::Reader<'a>,
    context: context::Reader<'a>,
}

impl web_session::Server for Session {
    async fn get(
        self: Rc<Self>,
        params: web_session::GetParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let to_head = params.get_ignore_body();
            let method = if to_head { "HEAD" } else { "GET" };
            let (request, mut call) =
                self.bare(method, params.get_path()?, params.get_context()?, &[])?;
            call.is_get = true;
            call.to_head = to_head;
            (request, call)
        };
        // The parameters hold the caller's objects, which have to be released early.
        drop(params);
        self.respond(request, call, results).await
    }

    async fn post(
        self: Rc<Self>,
        params: web_session::PostParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            self.with_content("POST", path, params.get_content()?, context, EmptyType::Omit)?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn put(
        self: Rc<Self>,
        params: web_session::PutParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let content = params.get_content()?;
            let body = content.get_content()?;
            let path = params.get_path()?;
            let mut head = self.start("PUT", path)?;
            let (mime_type, encoding) = (content.get_mime_type()?, content.get_encoding()?);
            let length = Some(body.len());
            content_lines(&mut head, mime_type, encoding, length, EmptyType::Omit)?;
            let (head, call) = self.rest(head, path, params.get_context()?)?;
            let mut request = head.finish();
            request.extend_from_slice(body);
            (request, call)
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn patch(
        self: Rc<Self>,
        params: web_session::PatchParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            self.with_content("PATCH", path, params.get_content()?, context, EmptyType::Omit)?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn delete(
        self: Rc<Self>,
        params: web_session::DeleteParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            self.bare("DELETE", params.get_path()?, params.get_context()?, &[])?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn post_streaming(
        self: Rc<Self>,
        params: web_session::PostStreamingParams,
        mut results: web_session::PostStreamingResults,
    ) -> Result<(), Error> {
        let reader = params.get()?;
        let stream = self
            .start_upload(
                "POST",
                UploadParams {
                    path: reader.get_path()?,
                    mime_type: reader.get_mime_type()?,
                    encoding: reader.get_encoding()?,
                    context: reader.get_context()?,
                },
            )
            .await?;
        results.get().set_stream(stream);
        Ok(())
    }

    async fn put_streaming(
        self: Rc<Self>,
        params: web_session::PutStreamingParams,
        mut results: web_session::PutStreamingResults,
    ) -> Result<(), Error> {
        let reader = params.get()?;
        let stream = self
            .start_upload(
                "PUT",
                UploadParams {
                    path: reader.get_path()?,
                    mime_type: reader.get_mime_type()?,
                    encoding: reader.get_encoding()?,
                    context: reader.get_context()?,
                },
            )
            .await?;
        results.get().set_stream(stream);
        Ok(())
    }

    async fn open_web_socket(
        self: Rc<Self>,
        params: web_session::OpenWebSocketParams,
        results: web_session::OpenWebSocketResults,
    ) -> Result<(), Error> {
        websocket::open(self, params, results).await
    }

    /// Only the `DAV` header survives, whatever the status (http-bridge §5.11).
    async fn options(
        self: Rc<Self>,
        params: web_session::OptionsParams,
        mut results: Results<options::Owned>,
    ) -> Result<(), Error> {
        let request = {
            let params = params.get()?;
            self.bare("OPTIONS", params.get_path()?, params.get_context()?, &[])?.0
        };
        drop(params);
        let (Received::Complete(head, _) | Received::Streaming(head, _)) =
            self.ask(request).await?;
        if let Some(listener) = &self.listener {
            losses::tell(listener, &head, b"", losses::Asked::Options);
        }
        dav::fill_options(&head, results.get());
        Ok(())
    }

    async fn propfind(
        self: Rc<Self>,
        params: web_session::PropfindParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = dav::propfind(&self, params.get()?)?;
        drop(params);
        self.respond(request, call, results).await
    }

    async fn proppatch(
        self: Rc<Self>,
        params: web_session::ProppatchParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            dav::with_xml(&self, "PROPPATCH", path, params.get_xml_content()?, context, &[])?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn mkcol(
        self: Rc<Self>,
        params: web_session::MkcolParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            self.with_content("MKCOL", path, params.get_content()?, context, EmptyType::Print)?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn copy(
        self: Rc<Self>,
        params: web_session::CopyParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = dav::copy(&self, params.get()?)?;
        drop(params);
        self.respond(request, call, results).await
    }

    async fn move_(
        self: Rc<Self>,
        params: web_session::MoveParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = dav::move_(&self, params.get()?)?;
        drop(params);
        self.respond(request, call, results).await
    }

    async fn lock(
        self: Rc<Self>,
        params: web_session::LockParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = dav::lock(&self, params.get()?)?;
        drop(params);
        self.respond(request, call, results).await
    }

    async fn unlock(
        self: Rc<Self>,
        params: web_session::UnlockParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let token = params.get_lock_token()?.as_bytes();
            let lines = [("Lock-Token", token)];
            self.bare("UNLOCK", params.get_path()?, params.get_context()?, &lines)?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn acl(
        self: Rc<Self>,
        params: web_session::AclParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            dav::with_xml(&self, "ACL", path, params.get_xml_content()?, context, &[])?
        };
        drop(params);
        self.respond(request, call, results).await
    }

    async fn report(
        self: Rc<Self>,
        params: web_session::ReportParams,
        results: Results<response::Owned>,
    ) -> Result<(), Error> {
        let (request, call) = {
            let params = params.get()?;
            let (path, context) = (params.get_path()?, params.get_context()?);
            self.with_content("REPORT", path, params.get_content()?, context, EmptyType::Omit)?
        };
        drop(params);
        self.respond(request, call, results).await
    }
}
