//! API hosts: how programs use the app, with a token instead of a session's name (http-bridge
//! §4.11, §5.11, §7.9).

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use spk_grains::store::capabilities::ApiToken;
use spk_grains::store::now;
use spk_web_session::{Described, values};

use super::ask_app::{NoAnswer, ask, refuse};
use super::body::Outgoing;
use super::policy::Policy;
use super::{Front, pages};
use crate::serve::grain::Grain;
use crate::serve::hosts;
use crate::serve::losses::Loss;
use crate::serve::session::{Access, Browser, Kind, Session};
use crate::serve::token;
use crate::serve::user::User;

/// Where a client without headers of its own puts the token: WebSockets of a browser.
const IN_PATH: &str = "/.sandstorm-token/";

/// Asks for the token's life to be prolonged instead of asking the app.
const KEEPALIVE: HeaderName = HeaderName::from_static("x-sandstorm-token-keepalive");

/// Says what of the client the app may know.
const PASSTHROUGH: HeaderName = HeaderName::from_static("x-sandstorm-passthrough");

/// The longest time a keep-alive can ask for, in seconds: a day.
const LONGEST_KEEPALIVE: u64 = 24 * 60 * 60;

/// Clients that may use Basic on the host that all tokens share: those that know nothing else.
const BASIC_CLIENTS: [&str; 6] = [
    "git/",
    "GitHub-Hookshot/",
    "mirall/",
    "litmus/",
    "Mozilla/5.0 (iOS) ownCloud-iOS/",
    "Mozilla/5.0 (Android) ownCloud-android/",
];

/// What every API session may be asked with; the method asked for comes to it.
const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/// Answers a request to an API host; `host` is the ID of a token's own.
pub(super) async fn answer(
    front: &Rc<Front>,
    host: Option<&str>,
    mut request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    let weak = host.is_some() || may_use_basic(request.headers());
    let Some(secret) = given_token(&mut request, weak) else {
        return Ok(without_token(front, host, weak, &request));
    };
    let hash = token::hash(&secret);
    let found = front.grains.all().into_iter().find_map(|grain| {
        let record = grain.objects.records.read(|records| records.tokens.get(&hash).cloned())?;
        Some((grain, record))
    });
    let Some((grain, record)) = found else {
        return refuse(StatusCode::FORBIDDEN, "there is no such API token");
    };
    // The original takes any token on any API host (P18).
    if host.is_some_and(|host| host != record.host) {
        return refuse(StatusCode::FORBIDDEN, "this API token belongs to another host");
    }
    if let Some(reason) = worthless(&record) {
        front.programs.forget(&hash);
        return refuse(StatusCode::FORBIDDEN, reason);
    }
    if let Some(wanted) = request.headers().get(KEEPALIVE) {
        let wanted = wanted.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
        return Ok(keep_alive(&grain, &hash, &record, wanted).await);
    }
    if record.expires_if_unused.is_some() {
        let used = grain
            .objects
            .records
            .change(|records| {
                if let Some(record) = records.tokens.get_mut(&hash) {
                    record.expires_if_unused = None;
                }
            })
            .await;
        if let Err(error) = used {
            front.notes.once(&format!("cannot write down that an API token is used: {error}"));
        }
    }
    let session = session(front, &grain, &hash, &record);
    let preflight = (request.method() == Method::OPTIONS).then(|| request.headers().clone());
    let mut result = ask_app(front, &session, request).await;
    if let (Some(asked), Ok(response)) = (preflight, &mut result) {
        allow(&asked, response.headers_mut());
    }
    result
}

async fn ask_app(
    front: &Rc<Front>,
    session: &Rc<Session>,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, NoAnswer> {
    if front.explain {
        for name in request.headers().keys().filter(|name| super::headers::is_lost(name)) {
            front.notes.lost(&Loss::RequestHeader(name.as_str().to_owned()));
        }
    }
    let described = match Described::read(request.headers(), None) {
        Ok(described) => described,
        Err(refusal) => return refuse(refusal.status, refusal.text),
    };
    let browser = Browser { address: address(request.headers()), ..Browser::default() };
    front.unless_failed(ask(front, session, &browser, &described, Policy::api(), request)).await
}

/// The session of a token's bearer.
fn session(front: &Rc<Front>, grain: &Rc<Grain>, hash: &str, record: &ApiToken) -> Rc<Session> {
    front.programs.get(hash, || {
        let (user, access) = match &record.user {
            // The token's maker acts, with what the token allows of what the maker may do.
            Some(name) => (User::named(name), Access::Within(record.role.clone())),
            None => (User::named("anonymous"), Access::Chosen(record.role.clone())),
        };
        let base = hosts::api_origin(&record.host, front.port());
        Session::new(grain.clone(), user, Kind::Api, access, hash, base)
    })
}

/// Why a token is not worth anything any more.
fn worthless(record: &ApiToken) -> Option<&'static str> {
    let over = |end: Option<u64>| end.is_some_and(|end| end <= now());
    if record.revoked {
        return Some("this API token was revoked");
    }
    (over(record.expires) || over(record.expires_if_unused)).then_some("this API token has expired")
}

async fn keep_alive(
    grain: &Rc<Grain>,
    hash: &str,
    record: &ApiToken,
    wanted: Option<u64>,
) -> Response<Outgoing> {
    let Some(milliseconds) = wanted else {
        let text = "X-Sandstorm-Token-Keepalive is a number of milliseconds";
        return pages::text(StatusCode::BAD_REQUEST, text);
    };
    if record.expires_if_unused.is_some() {
        let end = now() + (milliseconds / 1000).min(LONGEST_KEEPALIVE);
        let kept = grain
            .objects
            .records
            .change(|records| {
                if let Some(record) = records.tokens.get_mut(hash) {
                    record.expires_if_unused = record.expires_if_unused.map(|old| old.max(end));
                }
            })
            .await;
        if let Err(error) = kept {
            grain.notes.once(&format!("cannot prolong an API token: {error}"));
            return pages::text(StatusCode::INTERNAL_SERVER_ERROR, "cannot prolong the token");
        }
    }
    let mut response = Response::new(Outgoing::full(Vec::new()));
    any_origin(response.headers_mut());
    response
}

fn any_origin(headers: &mut HeaderMap) {
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
}

/// What a browser needs to let another site's page use the API (http-bridge §5.11).
fn allow(asked: &HeaderMap, headers: &mut HeaderMap) {
    any_origin(headers);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    let mut methods = METHODS.join(", ");
    let method = asked.get(header::ACCESS_CONTROL_REQUEST_METHOD).and_then(|m| m.to_str().ok());
    if let Some(method) = method.filter(|method| !METHODS.contains(method)) {
        methods.push_str(", ");
        methods.push_str(method);
    }
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
}

/// What is answered to somebody without a token.
fn without_token(
    front: &Front,
    host: Option<&str>,
    weak: bool,
    request: &Request<Incoming>,
) -> Response<Outgoing> {
    let open = host.map(|host| {
        let of = |grain: Rc<Grain>| {
            grain.objects.records.read(|records| {
                let mut tokens = records.tokens.values();
                let token = tokens.find(|token| token.host == host && worthless(token).is_none());
                token.map(|token| token.unauthenticated.clone())
            })
        };
        front.grains.all().into_iter().find_map(of).unwrap_or_default()
    });
    if request.method() == Method::OPTIONS {
        let mut response = Response::new(Outgoing::full(Vec::new()));
        let headers = response.headers_mut();
        allow(request.headers(), headers);
        let dav = open.map(|open| open.dav.join(", ")).filter(|dav| !dav.is_empty());
        if let Some(dav) = dav.and_then(|dav| HeaderValue::from_str(&dav).ok()) {
            headers.insert("dav", dav);
            let exposed = HeaderValue::from_static("DAV");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
        return response;
    }
    let head = request.method() == Method::HEAD;
    if (head || request.method() == Method::GET)
        && let Some(resource) =
            open.and_then(|mut open| open.resources.remove(request.uri().path()))
    {
        let length = resource.body.len();
        let body = if head { Vec::new() } else { resource.body.into_bytes() };
        let mut response = Response::new(Outgoing::full(body));
        let headers = response.headers_mut();
        any_origin(headers);
        headers.insert(header::CONTENT_LENGTH, length.into());
        for (name, value) in [
            (header::CONTENT_TYPE, Some(resource.kind)),
            (header::CONTENT_LANGUAGE, resource.language),
            (header::CONTENT_ENCODING, resource.encoding),
        ] {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        return response;
    }
    if !weak {
        let text = "this host needs an API token: Authorization: Bearer TOKEN";
        return pages::text(StatusCode::FORBIDDEN, text);
    }
    let mut response = pages::text(StatusCode::UNAUTHORIZED, "an API token is needed");
    let basic = HeaderValue::from_static("Basic realm='Sandstorm API'");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
    any_origin(response.headers_mut());
    response
}

/// Whether a client on the shared host may use Basic, or the path.
fn may_use_basic(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| {
        BASIC_CLIENTS.iter().any(|client| agent.starts_with(client)) || agent.contains(" mirall/")
    })
}

/// The token, wherever it is; taken out of the path.
fn given_token(request: &mut Request<Incoming>, weak: bool) -> Option<Vec<u8>> {
    let value = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if let Some(value) = value {
        if let Some(token) = after(value, b"bearer ") {
            return Some(token.to_vec());
        }
        if weak
            && let Some(encoded) = after(value, b"basic ")
            && let Ok(pair) = STANDARD.decode(encoded.trim_ascii())
            && let Some(colon) = pair.iter().position(|byte| *byte == b':')
        {
            let password = pair[colon + 1..].trim_ascii();
            // Git tries an empty one first, and asks for another when it is refused.
            if !password.is_empty() {
                return Some(password.to_vec());
            }
        }
    }
    if !weak {
        return None;
    }
    let target = request.uri().path_and_query()?.as_str();
    let rest = target.strip_prefix(IN_PATH)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (token, path) = rest.split_at(end);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let path = format!("{slash}{path}").parse().ok()?;
    let token = token.as_bytes().to_vec();
    *request.uri_mut() = path;
    (!token.is_empty()).then_some(token)
}

/// What follows a scheme's name, in any letter case.
fn after<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (given, rest) = value.split_at_checked(scheme.len())?;
    given.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// The client's address, if it lets the app have it. Everybody who can connect is on this machine,
/// and may be a proxy that says for whom it asks.
fn address(headers: &HeaderMap) -> Option<IpAddr> {
    let wanted = values::joined(headers, &PASSTHROUGH)
        .is_some_and(|list| values::comma_list(&list).iter().any(|item| item == b"address"));
    let said = headers.get("x-real-ip").and_then(|value| value.to_str().ok());
    let said = said.and_then(|value| value.trim().parse().ok());
    wanted.then(|| said.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
}
