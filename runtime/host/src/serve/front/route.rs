//! From a request to whoever answers it: checks that need no app, then the shell's pages or a
//! session (http-bridge §7.3).

use std::rc::Rc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use spk_web_session::{Described, values};

use super::ask_app::{NoAnswer, ask, refuse};
use super::body::Outgoing;
use super::client_limits::HEAD_LIMIT;
use super::policy::Policy;
use super::{Front, api_origin, identicon, pages, published};
use crate::serve::hosts::{self, Site};
use crate::serve::losses::Loss;
use crate::serve::session::{Browser, Session};

/// The front end's own cookie, which no app sees (http-bridge §4.7).
const OWN_COOKIE: &str = "sandstorm-sid";

/// Answers one request.
pub(crate) async fn answer(
    front: &Rc<Front>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    // A chunked request is the last of its connection: where one reader sees the length of the
    // chunks and another that of a Content-Length beside it, nothing may follow (RFC 9112, 6.1).
    let last = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut result = checked(front, request).await;
    if last && let Ok(response) = &mut result {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    result
}

async fn checked(
    front: &Rc<Front>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if has_encoded_nul(target) {
        return refuse(StatusCode::BAD_REQUEST, "the request target has an encoded NUL");
    }
    let size = |name: &HeaderName, value: &HeaderValue| name.as_str().len() + value.len() + 4;
    let head: usize = request.headers().iter().map(|(name, value)| size(name, value)).sum();
    let cookies = request.headers().get_all(header::COOKIE).iter();
    let cookies: usize = cookies.map(|value| size(&header::COOKIE, value)).sum();
    if head - cookies + target.len() > HEAD_LIMIT {
        let text = "the request head is too large";
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text);
    }
    let too_many_cookies = head + target.len() > HEAD_LIMIT;
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default().to_owned(),
        (None, _) => return refuse(StatusCode::BAD_REQUEST, "missing Host header"),
        (Some(_), Some(_)) => return refuse(StatusCode::BAD_REQUEST, "more than one Host header"),
    };
    // In absolute form the target names a host, too: it must be the same (RFC 9112, 3.2.2).
    let is_absolute = uri.scheme() == Some(&http::uri::Scheme::HTTP)
        && uri.authority().is_some_and(|given| given.as_str().eq_ignore_ascii_case(&host));
    let is_path = uri.scheme().is_none() && uri.authority().is_none();
    if !(is_path || is_absolute) || !uri.path().starts_with('/') {
        return refuse(StatusCode::BAD_REQUEST, "the request target must be a path");
    }
    if request.version() != Version::HTTP_11 && request.version() != Version::HTTP_10 {
        return refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "this is an HTTP/1.1 server");
    }
    let site = hosts::site(&host, front.port());
    // The shell has none, whatever an app's page sets for the site.
    if too_many_cookies && !matches!(site, None | Some(Site::Shell)) {
        return Ok(cure());
    }
    match site {
        Some(Site::Shell) => match front.site.get() {
            Some(site) => Ok(site.clone().answer(request).await),
            None => refuse(StatusCode::NOT_FOUND, "there is no page here"),
        },
        Some(Site::Session(id)) => {
            // Under the name of another grain's site its page could set cookies there.
            let name = |origin: &str| hosts::name(origin.trim_start_matches("http://")).to_owned();
            let session = front.origins.find(&id);
            match session.filter(|session| name(session.base()).eq_ignore_ascii_case(&name(&host)))
            {
                Some(session) => browser_session(front, session, request).await,
                None => refuse(StatusCode::NOT_FOUND, "no such session"),
            }
        }
        Some(Site::Api(id)) => api_origin::answer(front, Some(&id), request).await,
        Some(Site::SharedApi) => api_origin::answer(front, None, request).await,
        Some(Site::Public(id)) => Ok(published::answer(front, &id, &request).await),
        Some(Site::Static) => Ok(identicon::answer(&request)),
        Some(Site::SelfTest) => Ok(self_test(&request)),
        None => Ok(pages::page(StatusCode::NOT_FOUND, "text/html; charset=UTF-8", UNKNOWN_HOST)),
    }
}

/// What is answered to a browser that has more cookies of a site than any request may have: it forgets
/// them, and the next request is answered.
fn cure() -> Response<Outgoing> {
    let text = "the request head is too large: it has too many cookies, which are gone now";
    let mut response = pages::text(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, text);
    let cookies = HeaderValue::from_static("\"cookies\"");
    response.headers_mut().insert("clear-site-data", cookies);
    response
}

const UNKNOWN_HOST: &str = "<!doctype html><title>Not found</title>\n\
    <p>Nothing is served under this name. Open the address that spk printed.</p>\n";

fn has_encoded_nul(target: &str) -> bool {
    target.as_bytes().windows(3).any(|window| window == b"%00")
}

/// `GET /` on a self-test name (G12).
fn self_test(request: &Request<Incoming>) -> Response<Outgoing> {
    if request.method() != Method::GET || request.uri().path() != "/" {
        return pages::text(StatusCode::BAD_REQUEST, "Bad request.");
    }
    let mut response = pages::page(StatusCode::OK, "text/plain; charset=UTF-8", "Self-test OK.");
    let any = HeaderValue::from_static("*");
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

/// A request on a session's own origin. Its host name was the key; what is left to check is that
/// no other site's page makes the request (http-bridge §7.3).
async fn browser_session(
    front: &Rc<Front>,
    session: Rc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        let own = origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(session.base()));
        if !own && origin.as_bytes() != b"null" {
            return refuse(StatusCode::FORBIDDEN, "CSRF not allowed");
        }
    }
    if let Some(query) = request.uri().query()
        && request.uri().path() == "/_sandstorm-init"
    {
        return Ok(init(query));
    }
    if front.explain {
        // People are logged in by Sandstorm, whatever their browsers say.
        let is_lost =
            |name: &&HeaderName| super::headers::is_lost(name) || **name == header::AUTHORIZATION;
        for name in request.headers().keys().filter(is_lost) {
            session.grain().notes.lost(&Loss::RequestHeader(name.as_str().to_owned()));
        }
    }
    let described = match Described::read(request.headers(), Some(OWN_COOKIE)) {
        Ok(described) => described,
        Err(refusal) => return refuse(refusal.status, refusal.text),
    };
    let policy = Policy::Browser {
        parent: session.page(),
        base: session.base().to_owned(),
        foreign: session.is_foreign(),
    };
    let browser = Browser {
        user_agent: values::joined(request.headers(), &header::USER_AGENT)
            .unwrap_or_else(|| b"UnknownAgent/0.0".to_vec()),
        languages: values::languages(request.headers()),
        address: None,
    };
    front.unless_failed(ask(front, &session, &browser, &described, policy, request)).await
}

/// The original's way into a session; here the host name is enough, so it only leads to the path
/// (G02 to G05).
fn init(query: &str) -> Response<Outgoing> {
    let mut path = None;
    let mut id = None;
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("path", value)) => path = Some(percent_encoding::percent_decode_str(value)),
            Some(("sessionid", value)) => id = Some(value),
            _ => {}
        }
    }
    let (Some(path), Some(id)) = (path, id) else {
        return pages::text(StatusCode::BAD_REQUEST, "sessionid and path are needed");
    };
    let path: Vec<u8> = path.collect();
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    let location = [slash, path.as_slice()].concat();
    // A path that a browser would take for another site (G05): it leaves tabs and line ends out of
    // addresses wherever they stand, and other control characters have no business there.
    let elsewhere = location.starts_with(b"//")
        || location.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control());
    let (Ok(location), false) = (HeaderValue::from_bytes(&location), elsewhere) else {
        return pages::text(StatusCode::BAD_REQUEST, "path must be a path");
    };
    let mut response = pages::text(StatusCode::SEE_OTHER, "opened");
    response.headers_mut().insert(header::LOCATION, location);
    if id.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && let Ok(cookie) = HeaderValue::from_str(&format!("{OWN_COOKIE}={id}; HttpOnly"))
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
