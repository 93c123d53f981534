//! What of an answer does not reach the client, told to a host that asked for it: spk's own, which
//! explains to developers what their app's users get. Others ask for nothing, and hear nothing.

use spk_schema::headers;
use spk_schema::losses_capnp::{loss, losses, session_params};
use spk_web_session::status::{self, Branch};
use spk_web_session::tag;

use crate::http::cookie;
use crate::http::disposition;
use crate::http::head::Head;

/// Losses of one answer that are told.
const TOLD: usize = 100;

/// Headers of the connection, which are made anew, and of the server, which nobody misses.
const MADE_ANEW: [&[u8]; 10] = [
    b"connection",
    b"content-length",
    b"date",
    b"keep-alive",
    b"proxy-connection",
    b"server",
    b"set-cookie",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
];

/// Headers that describe a body.
const OF_A_BODY: [&[u8]; 3] = [b"content-encoding", b"content-language", b"content-type"];

/// Who wants to hear of losses in a session with these parameters.
pub(crate) fn asked_for(params: capnp::any_pointer::Reader<'_>) -> Option<losses::Client> {
    let params: session_params::Reader<'_> = params.get_as().ok()?;
    if params.has_losses() { params.get_losses().ok() } else { None }
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
enum Loss<'a> {
    Status { said: u16, sent: u16 },
    Header(&'a [u8]),
    Cookie { name: &'a [u8], why: loss::Problem },
}

/// Which call it was, as far as the status depends on it.
#[derive(Clone, Copy)]
pub(super) enum Asked {
    /// OPTIONS, of whose answer only `DAV` is passed on.
    Options,
    /// GET or HEAD with `If-None-Match`.
    NotModified,
    Other,
}

/// Tells whoever wants to hear it. Nobody waits for that.
pub(super) fn tell(listener: &losses::Client, head: &Head, path: &[u8], asked: Asked) {
    let lost = of(head, path, asked);
    if lost.is_empty() {
        return;
    }
    let mut request = listener.answered_request();
    let count = lost.len().min(TOLD);
    let mut list = request.get().init_losses(count as u32);
    for (index, one) in lost.iter().take(count).enumerate() {
        let mut item = list.reborrow().get(index as u32);
        match one {
            Loss::Status { said, sent } => {
                let mut status = item.init_status();
                status.set_said(*said);
                status.set_sent(*sent);
            }
            Loss::Header(name) => item.set_header(capnp::text::Reader(name)),
            Loss::Cookie { name, why } => {
                let mut cookie = item.init_cookie();
                cookie.set_name(capnp::text::Reader(name));
                cookie.set_why(*why);
            }
        }
    }
    let promise = request.send().promise;
    tokio::task::spawn_local(async move {
        let _ = promise.await;
    });
}

fn of<'a>(head: &'a Head, path: &[u8], asked: Asked) -> Vec<Loss<'a>> {
    let branch = status::branch(head.status);
    let sent = match asked {
        Asked::Options => 200,
        _ => sent(head.status, branch, matches!(asked, Asked::NotModified)),
    };
    let mut lost = Vec::new();
    if sent != head.status {
        lost.push(Loss::Status { said: head.status, sent });
    }
    for (name, value) in head.fields() {
        let told = Loss::Header(name);
        if !MADE_ANEW.contains(&name)
            && !is_used(name, value, path, branch, asked)
            && !lost.contains(&told)
        {
            lost.push(told);
        }
    }
    lost.extend(head.all("set-cookie").filter_map(why_no_cookie));
    lost
}

/// The status that clients get.
fn sent(said: u16, branch: Branch, not_modified: bool) -> u16 {
    match branch {
        Branch::Content(code) => status::success(Ok(code)).as_u16(),
        Branch::NoContent { reset_form } => {
            if reset_form {
                205
            } else {
                204
            }
        }
        Branch::PreconditionFailed => {
            if not_modified {
                304
            } else {
                412
            }
        }
        Branch::Redirect { permanent, switch_to_get } => {
            status::redirect(permanent, switch_to_get).as_u16()
        }
        Branch::ClientError(code) => status::client_error(Ok(code)).as_u16(),
        Branch::ServerError => 500,
        // There is no answer at all.
        Branch::Unsupported => said,
    }
}

/// Whether the header reaches the client, or means nothing with such a status.
fn is_used(name: &[u8], value: &[u8], path: &[u8], branch: Branch, asked: Asked) -> bool {
    if let Asked::Options = asked {
        return name == b"dav" || OF_A_BODY.contains(&name);
    }
    if OF_A_BODY.contains(&name) || headers::RESPONSE.allows(name) {
        return true;
    }
    match (name, branch) {
        (b"etag", Branch::Content(_) | Branch::NoContent { .. } | Branch::PreconditionFailed) => {
            tag::parse(value).is_some()
        }
        (b"content-disposition", Branch::Content(_)) => {
            value.eq_ignore_ascii_case(b"inline")
                || disposition::download_name(value, path).is_some()
        }
        (b"location", Branch::Redirect { .. }) => true,
        _ => false,
    }
}

/// Why no browser keeps this cookie, unless it does.
fn why_no_cookie(header: &[u8]) -> Option<Loss<'_>> {
    let Some(cookie) = cookie::parse(header) else {
        let name = header.split(|byte| matches!(byte, b';' | b'=')).next().unwrap_or_default();
        return Some(Loss::Cookie { name: name.trim_ascii(), why: loss::Problem::NoName });
    };
    let separates = |text: &[u8]| text.iter().any(|byte| matches!(byte, b';' | b','));
    let starts = |prefix: &[u8]| {
        cookie.name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    let why = if separates(cookie.name)
        || separates(cookie.value)
        || cookie.path.is_some_and(separates)
    {
        loss::Problem::Separators
    } else if starts(b"__secure-") || starts(b"__host-") {
        loss::Problem::Prefix
    } else {
        return None;
    };
    Some(Loss::Cookie { name: cookie.name, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head;

    fn lost(text: &str, asked: Asked) -> Vec<String> {
        let head = head::parse(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = |loss: &Loss<'_>| match loss {
            Loss::Status { said, sent } => format!("{said}→{sent}"),
            Loss::Header(name) => text(name),
            Loss::Cookie { name, why } => format!("cookie {} {why:?}", text(name)),
        };
        of(&head, b"x", asked).iter().map(said).collect()
    }

    #[test]
    fn statuses_headers_and_cookies() {
        let cases: [(&str, Asked, &[&str]); 20] = [
            ("200 OK\r\nContent-Type: a/b\r\nServer: x\r\nDate: y", Asked::Other, &[]),
            ("200 OK\r\nETag: \"a\"\r\nX-OC-MTime: 1", Asked::Other, &[]),
            ("200 OK\r\nETag: a\r\nLink: <x>\r\nLink: <y>", Asked::Other, &["etag", "link"]),
            ("203 X", Asked::Other, &["203→200"]),
            ("201 X\r\nLocation: /x", Asked::Other, &["location"]),
            ("302 X\r\nLocation: /x\r\nContent-Type: a/b", Asked::Other, &["302→303"]),
            ("308 X\r\nLocation: /x\r\nETag: \"a\"", Asked::Other, &["etag"]),
            ("401 X\r\nWWW-Authenticate: Basic", Asked::Other, &["401→400", "www-authenticate"]),
            ("429 X\r\nRetry-After: 1", Asked::Other, &["429→400", "retry-after"]),
            ("503 X", Asked::Other, &["503→500"]),
            ("404 X\r\nContent-Type: a/b", Asked::Other, &[]),
            ("412 X\r\nETag: \"a\"", Asked::NotModified, &["412→304"]),
            ("304 X", Asked::NotModified, &[]),
            ("412 X", Asked::Other, &[]),
            ("204 X\r\nDAV: 1,2\r\nAllow: GET", Asked::Options, &["204→200", "allow"]),
            ("200 OK\r\nDAV: 1,2", Asked::Other, &["dav"]),
            (
                "200 OK\r\nContent-Disposition: inline\r\nContent-Disposition: attachment; filename=a",
                Asked::Other,
                &[],
            ),
            (
                "200 OK\r\nContent-Disposition: inline; filename=a",
                Asked::Other,
                &["content-disposition"],
            ),
            ("200 OK\r\nSet-Cookie: a=1; Secure; SameSite=Lax", Asked::Other, &[]),
            (
                "200 OK\r\nSet-Cookie: novalue; Path=/\r\nSet-Cookie: a=b,c\r\n\
                 Set-Cookie: b=1; Path=/a,b\r\nSet-Cookie: __Host-x=1; Secure; Path=/",
                Asked::Other,
                &[
                    "cookie novalue NoName",
                    "cookie a Separators",
                    "cookie b Separators",
                    "cookie __Host-x Prefix",
                ],
            ),
        ];
        for (text, asked, expected) in cases {
            assert_eq!(lost(text, asked), expected, "{text}");
        }
    }
}
