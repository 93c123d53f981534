//! Writing a request head by hand: order and empty values matter to apps (http-bridge §4.4).

use capnp::text;
use spk_schema::headers;
use spk_schema::web_session_capnp::web_session::context;
use spk_web_session::tag;

use super::{is_clean, is_token};
use crate::error::Error;

/// Request method names the bridge sends.
pub type Method = &'static str;

/// A request head that grows line by line.
pub struct HeadWriter {
    bytes: Vec<u8>,
}

impl HeadWriter {
    /// Starts with the request line: the root path and the path of the call, nothing decoded,
    /// normalised or encoded.
    pub fn request(method: Method, root: &[u8], path: &[u8]) -> Result<HeadWriter, Error> {
        // A space would end the target early, and a control character the line.
        if !root.iter().chain(path).all(|&byte| byte > b' ' && byte != 0x7f) {
            return Err(Error::ForbiddenCharacter("the request path"));
        }
        let mut bytes = Vec::with_capacity(1024);
        for part in [method.as_bytes(), b" ", root, path, b" HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part);
        }
        Ok(HeadWriter { bytes })
    }

    /// Starts in the middle of a head.
    pub fn lines() -> HeadWriter {
        HeadWriter { bytes: Vec::new() }
    }

    /// Adds `name: value`.
    pub fn line(&mut self, name: &'static str, value: &[u8]) -> Result<(), Error> {
        if !is_clean(value) {
            return Err(Error::ForbiddenCharacter(name));
        }
        self.push(name.as_bytes(), value);
        Ok(())
    }

    /// Adds lines that were checked before.
    pub fn finished_lines(&mut self, lines: &[u8]) {
        self.bytes.extend_from_slice(lines);
    }

    /// Adds lines 18 to 22 of the head: what differs from request to request.
    pub fn context(&mut self, context: context::Reader<'_>) -> Result<(), capnp::Error> {
        self.cookies(context)?;
        self.accept(context)?;
        self.additional(context)?;
        self.precondition(context)
    }

    /// Adds the empty line and returns the bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(b"\r\n");
        self.bytes
    }

    /// The bytes so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, b": ", value, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
    }

    fn cookies(&mut self, context: context::Reader<'_>) -> Result<(), capnp::Error> {
        let mut value = Vec::new();
        for cookie in context.get_cookies()? {
            if !value.is_empty() {
                value.extend_from_slice(b"; ");
            }
            value.extend_from_slice(cookie.get_key()?.as_bytes());
            value.push(b'=');
            value.extend_from_slice(cookie.get_value()?.as_bytes());
        }
        if !value.is_empty() {
            self.line("Cookie", &value)?;
        }
        Ok(())
    }

    fn accept(&mut self, context: context::Reader<'_>) -> Result<(), capnp::Error> {
        let mut value = Vec::new();
        for accepted in context.get_accept()? {
            push_with_quality(&mut value, accepted.get_mime_type()?, accepted.get_q_value());
        }
        self.line("Accept", if value.is_empty() { b"*/*" } else { &value })?;
        value.clear();
        for accepted in context.get_accept_encoding()? {
            push_with_quality(&mut value, accepted.get_content_coding()?, accepted.get_q_value());
        }
        if !value.is_empty() {
            self.line("Accept-Encoding", &value)?;
        }
        Ok(())
    }

    /// The list is checked here too: the caller may be another app, not the host.
    fn additional(&mut self, context: context::Reader<'_>) -> Result<(), capnp::Error> {
        for header in context.get_additional_headers()? {
            let (name, value) = (header.get_name()?.as_bytes(), header.get_value()?.as_bytes());
            if !headers::REQUEST.allows(name) {
                continue;
            }
            if !is_token(name) || !is_clean(value) {
                return Err(Error::ForbiddenCharacter("an additional header").into());
            }
            self.push(name, value);
        }
        Ok(())
    }

    fn precondition(&mut self, context: context::Reader<'_>) -> Result<(), capnp::Error> {
        use context::e_tag_precondition::Which;
        let (name, tags) = match context.get_e_tag_precondition().which() {
            Ok(Which::None(())) => return Ok(()),
            Ok(Which::Exists(())) => return Ok(self.line("If-Match", b"*")?),
            Ok(Which::DoesntExist(())) => return Ok(self.line("If-None-Match", b"*")?),
            Ok(Which::MatchesOneOf(tags)) => ("If-Match", tags?),
            Ok(Which::MatchesNoneOf(tags)) => ("If-None-Match", tags?),
            Err(capnp::NotInSchema(_)) => {
                return Err(capnp::Error::failed("unknown precondition".into()));
            }
        };
        let mut value = Vec::new();
        for tag in tags {
            if !value.is_empty() {
                value.extend_from_slice(b", ");
            }
            let text = tag.get_value()?.as_bytes();
            if !is_clean(text) {
                return Err(Error::ForbiddenCharacter("an entity tag").into());
            }
            tag::write(&mut value, text, tag.get_weak());
        }
        Ok(self.line(name, &value)?)
    }
}

/// Whether the call asked for a response only if the entity differs (`If-None-Match`).
pub fn asks_if_none_match(context: context::Reader<'_>) -> bool {
    use context::e_tag_precondition::Which;
    matches!(
        context.get_e_tag_precondition().which(),
        Ok(Which::DoesntExist(()) | Which::MatchesNoneOf(_))
    )
}

/// `text/html; q=0.4`, without the quality if it is one. `f32` prints the shortest text that reads
/// back as the same value.
fn push_with_quality(out: &mut Vec<u8>, item: text::Reader<'_>, quality: f32) {
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(item.as_bytes());
    if quality != 1.0 && quality.is_finite() {
        out.extend_from_slice(format!("; q={quality}").as_bytes());
    }
}
