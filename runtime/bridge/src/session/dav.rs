//! WebDAV's methods (http-bridge §4.10) and what is left of OPTIONS (http-bridge §5.11).

use capnp::{Error, text};
use spk_schema::web_session_capnp::web_session::{
    self, PropfindDepth, context, copy_params, lock_params, move_params, propfind_params,
};

use super::{Call, Session};
use crate::http::head::Head;
use crate::http::trim;
use crate::http::write::Method;

type Request = (Vec<u8>, Call);

pub(super) fn propfind(
    session: &Session,
    params: propfind_params::Reader<'_>,
) -> Result<Request, Error> {
    let depth: &[u8] = match params.get_depth() {
        Ok(PropfindDepth::Zero) => b"0",
        Ok(PropfindDepth::One) => b"1",
        Ok(PropfindDepth::Infinity) | Err(capnp::NotInSchema(_)) => b"infinity",
    };
    let (path, xml, context) =
        (params.get_path()?, params.get_xml_content()?, params.get_context()?);
    with_xml(session, "PROPFIND", path, xml, context, &[("Depth", depth)])
}

pub(super) fn lock(session: &Session, params: lock_params::Reader<'_>) -> Result<Request, Error> {
    let (path, xml, context) =
        (params.get_path()?, params.get_xml_content()?, params.get_context()?);
    with_xml(session, "LOCK", path, xml, context, &[("Depth", depth(params.get_shallow()))])
}

pub(super) fn copy(session: &Session, params: copy_params::Reader<'_>) -> Result<Request, Error> {
    let destination = destination(session, params.get_destination()?)?;
    session.bare(
        "COPY",
        params.get_path()?,
        params.get_context()?,
        &[
            ("Destination", &destination),
            ("Overwrite", overwrite(params.get_no_overwrite())),
            ("Depth", depth(params.get_shallow())),
        ],
    )
}

pub(super) fn move_(session: &Session, params: move_params::Reader<'_>) -> Result<Request, Error> {
    let destination = destination(session, params.get_destination()?)?;
    session.bare(
        "MOVE",
        params.get_path()?,
        params.get_context()?,
        &[("Destination", &destination), ("Overwrite", overwrite(params.get_no_overwrite()))],
    )
}

/// A call with a body of XML, whose type is always the same.
pub(super) fn with_xml(
    session: &Session,
    method: Method,
    path: text::Reader<'_>,
    xml: text::Reader<'_>,
    context: context::Reader<'_>,
    lines: &[(&'static str, &[u8])],
) -> Result<Request, Error> {
    let mut head = session.start(method, path)?;
    for (name, value) in lines {
        head.line(name, value)?;
    }
    head.line("Content-Type", b"application/xml;charset=utf-8")?;
    head.line("Content-Length", xml.len().to_string().as_bytes())?;
    let (head, call) = session.rest(head, path, context)?;
    let mut request = head.finish();
    request.extend_from_slice(xml.as_bytes());
    Ok((request, call))
}

/// The absolute path of a path below the session's root (RFC 4918 §8.3, `path-absolute`): a server that
/// compares the scheme or the host of a URL with its own takes it, whether it thinks that it speaks http
/// or https. (The original gives a URL without the slash after the host, and without the root path of API
/// sessions, and refuses commas.)
fn destination(
    session: &Session,
    destination: text::Reader<'_>,
) -> Result<Vec<u8>, crate::error::Error> {
    let path = destination.as_bytes();
    if !path.iter().all(|&byte| byte > b' ') {
        return Err(crate::error::Error::ForbiddenCharacter("the destination"));
    }
    Ok([&session.fixed.root[..], path].concat())
}

fn depth(shallow: bool) -> &'static [u8] {
    if shallow { b"0" } else { b"infinity" }
}

fn overwrite(no_overwrite: bool) -> &'static [u8] {
    if no_overwrite { b"F" } else { b"T" }
}

/// Takes the tokens out of `DAV` headers.
pub(super) fn fill_options(head: &Head, mut options: web_session::options::Builder<'_>) {
    let mut extensions = Vec::new();
    for token in head.all("dav").flat_map(|value| value.split(|&byte| byte == b',')).map(trim) {
        match token {
            b"" => {}
            b"1" => options.set_dav_class1(true),
            b"2" => options.set_dav_class2(true),
            b"3" => options.set_dav_class3(true),
            other => extensions.push(other),
        }
    }
    // A head is limited to 80 KiB, and so are the tokens in it.
    let mut list = options.init_dav_extensions(extensions.len() as u32);
    for (index, extension) in extensions.iter().enumerate() {
        list.set(index as u32, text::Reader(extension));
    }
}
