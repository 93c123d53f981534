//! The addresses of the shell's origin.
//!
//! ```text
//! /  /grain/ID                     the page
//! /shared/TOKEN                    the page, for whoever has a share link
//! /offer-template.html             an offer template, framed by an app
//! /assets/NAME                     its files
//! /icons/PACKAGE/KEY               a package's icon
//! /download/TICKET                 a backup that was made, once
//! GET  /api/state                  packages and grains
//! GET  /api/events?log=ID&developer=1
//!                                  what happens, and, where asked for, a grain's log and what a
//!                                  development session records, as lines of JSON
//! POST /api/upload?name=NAME       a package or a backup
//! POST /api/grains                 makes a grain
//! POST /api/grains/ID/session      opens a grain for a user
//! POST /api/grains/ID/{rename,stop,restart,delete,undelete,upgrade,backup,share,powerbox,token}
//! GET  /api/grains/ID/{activity,usage}
//! POST /api/shared/TOKEN           opens a shared grain for a user
//! ```
//!
//! Answers of `/api` are JSON; errors are `{"error": text, "hint": text}` with a fitting status.

use std::rc::Rc;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spk_grains::store::GrainId;
use spk_package::package_id::PackageId;

use super::events::Wanted;
use super::problem::Problem;
use super::{Shell, assets, blocking, events, guard, sign_in, usage};
use crate::serve::front::Front;
use crate::serve::front::body::Outgoing;
use crate::serve::front::pages;

/// Largest JSON body: titles and names.
const BODY_LIMIT: usize = 64 << 10;

type Answer = Result<Response<Outgoing>, Problem>;

/// Answers a request.
pub(super) async fn answer(shell: Rc<Shell>, request: Request<Incoming>) -> Response<Outgoing> {
    let Ok(front) = shell.front() else {
        return guard::refuse(StatusCode::SERVICE_UNAVAILABLE, "spk is ending");
    };
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let answer = match segments.as_slice() {
        ["api", "shared", token] => {
            match guard::own_page(&parts, &guard::share_key(&front, token)) {
                Err(refused) => Err(refused),
                Ok(()) if parts.method == Method::POST => shared(&shell, token, body).await,
                Ok(()) => Err(method()),
            }
        }
        ["api", rest @ ..] => match guard::own_page(&parts, &sign_in::key(&front)) {
            Err(refused) => Err(refused),
            Ok(()) => api(&shell, &parts, rest, body).await,
        },
        segments => pages_and_files(&shell, &front, &parts, segments).await,
    };
    answer.unwrap_or_else(|problem| {
        let mut value = json!({ "error": problem.text });
        if let Some(hint) = problem.hint {
            value["hint"] = json!(hint);
        }
        json_answer(problem.status, &value)
    })
}

async fn pages_and_files(
    shell: &Rc<Shell>,
    front: &Rc<Front>,
    parts: &Parts,
    segments: &[&str],
) -> Answer {
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(guard::refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET"));
    }
    if let ["assets", name @ ..] = segments {
        let found = assets::asset(&name.join("/"));
        return found.ok_or_else(|| Problem::missing("file"));
    }
    if guard::framed(&parts.headers) && *segments != ["offer-template.html"] {
        return Ok(guard::refuse(StatusCode::FORBIDDEN, "this page is not for frames"));
    }
    match segments {
        [""] | ["grain", _] => {
            let key = sign_in::given(front, &parts.uri).unwrap_or_default();
            let site = segments.get(1).map(|id| front.grain_origin(id));
            Ok(assets::index(front, &key, &site.unwrap_or_default()))
        }
        ["shared", token] => {
            // Whoever has the link has the key of its page.
            let grain = shell.shared_grain(token);
            let key = grain.as_ref().map(|_| guard::share_key(front, token)).unwrap_or_default();
            let site = grain.map(|id| front.grain_origin(id.as_str())).unwrap_or_default();
            Ok(assets::index(front, &key, &site))
        }
        ["offer-template.html"] => Ok(assets::offer_template(front)),
        ["icons", id, key] if guard::same_origin(&parts.headers) => {
            match sign_in::same(key.as_bytes(), guard::icon_key(front, id).as_bytes()) {
                true => icon(shell, id).await,
                false => Err(Problem::missing("icon")),
            }
        }
        ["download", ticket] if guard::same_origin(&parts.headers) => {
            let mut response = shell.download(ticket)?;
            assets::protect(response.headers_mut(), "default-src 'none'; sandbox");
            Ok(response)
        }
        _ => Ok(guard::refuse(StatusCode::NOT_FOUND, "no such page")),
    }
}

async fn icon(shell: &Rc<Shell>, id: &str) -> Answer {
    let id: PackageId = id.parse().map_err(|_| Problem::missing("package"))?;
    let (store, packages) = (shell.store.clone(), shell.packages.clone());
    let info = blocking(move || packages.get(&store, &id)).await?;
    let (kind, bytes) = info.icon.clone().ok_or_else(|| Problem::missing("icon"))?;
    Ok(assets::icon(kind, bytes))
}

async fn shared(shell: &Rc<Shell>, token: &str, body: Incoming) -> Answer {
    let ask = read(body).await?;
    Ok(json_answer(StatusCode::OK, &shell.shared(token, ask).await?))
}

async fn api(shell: &Rc<Shell>, parts: &Parts, path: &[&str], body: Incoming) -> Answer {
    let value = match (parts.method.as_str(), path) {
        ("GET", ["state"]) => shell.listing().await?,
        ("GET", ["events"]) => return Ok(streamed(events::all(shell, wanted(parts)))),
        ("POST", ["upload"]) => shell.upload(upload_name(parts), body).await?,
        ("POST", ["grains"]) => shell.new_grain(read(body).await?).await?,
        ("GET", ["grains", id, what]) => match (*what, grain_id(id)?) {
            ("activity", id) => activity(shell, &id),
            ("usage", id) => usage(shell, id).await?,
            _ => return Err(Problem::missing("address")),
        },
        ("POST", ["grains", id, what]) => match (*what, grain_id(id)?) {
            ("session", id) => shell.session(id, read(body).await?).await?,
            ("rename", id) => shell.rename(id, read(body).await?).await?,
            ("stop", id) => shell.stop(id).await?,
            ("restart", id) => shell.restart(id).await?,
            ("delete", id) => shell.delete(id).await?,
            ("undelete", id) => shell.undo_delete(&id)?,
            ("upgrade", id) => shell.upgrade(id, read(body).await?).await?,
            ("backup", id) => shell.backup(id).await?,
            ("share", id) => shell.share(id, read(body).await?).await?,
            ("powerbox", id) => shell.powerbox(id, read(body).await?).await?,
            ("token", id) => shell.template_token(id, read(body).await?).await?,
            _ => return Err(Problem::missing("address")),
        },
        ("GET" | "POST", _) => return Err(Problem::missing("address")),
        _ => return Err(method()),
    };
    Ok(json_answer(StatusCode::OK, &value))
}

fn method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address has no such method")
}

fn grain_id(text: &str) -> Result<GrainId, Problem> {
    text.parse().map_err(|_| Problem::missing("grain"))
}

/// A parameter of the query.
fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let query = parts.uri.query()?;
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// The name of the uploaded file.
fn upload_name(parts: &Parts) -> String {
    let name = parameter(parts, "name").unwrap_or("the file");
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
    name.chars().take(200).collect()
}

fn wanted(parts: &Parts) -> Wanted {
    Wanted {
        log: parameter(parts, "log").and_then(|id| id.parse().ok()),
        developer: parameter(parts, "developer").is_some(),
    }
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Problem> {
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body.map_err(|_| Problem::bad("the request's body is too large"))?.to_bytes();
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    serde_json::from_slice(body).map_err(|error| Problem::bad(&error.to_string()))
}

fn json_answer(status: StatusCode, value: &Value) -> Response<Outgoing> {
    let kind = "application/json; charset=UTF-8";
    streamed(pages::page(status, kind, value.to_string()))
}

/// With the headers of everything that is no page.
fn streamed(mut response: Response<Outgoing>) -> Response<Outgoing> {
    assets::protect(response.headers_mut(), "default-src 'none'; frame-ancestors 'none'; sandbox");
    response
}

fn activity(shell: &Rc<Shell>, id: &GrainId) -> Value {
    let open = shell.open.borrow().get(id).cloned();
    let mut value = open
        .map_or_else(|| json!({ "notes": [], "denied": [], "lost": [] }), |open| open.feed.json());
    value["explained"] = json!(shell.policy.explain);
    value
}

async fn usage(shell: &Rc<Shell>, id: GrainId) -> Result<Value, Problem> {
    // Not held while we look: the grain can be closed meanwhile.
    let pid = shell.open.borrow().get(&id).and_then(|open| open.grain.pid());
    let store = shell.store.clone();
    blocking(move || {
        let disk = store.grain_size(&id)?;
        let mut value = pid.and_then(usage::of).unwrap_or_else(|| json!({ "processes": 0 }));
        value["disk"] = json!(disk);
        Ok(value)
    })
    .await
}
