//! `POST http://http-bridge/session/<id>/claim`: a powerbox token from the browser becomes a saved
//! capability.

use std::rc::Rc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use capnp::Error;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::reply::{full, plain};
use super::{Body, failure};
use crate::bridge::Bridge;
use crate::limits;

pub(super) async fn answer(bridge: &Rc<Bridge>, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    let id = path.strip_prefix("/session/").and_then(|rest| rest.strip_suffix("/claim"));
    let (Some(id), &Method::POST) = (id.map(str::to_owned), request.method()) else {
        return plain(StatusCode::NOT_FOUND, "the bridge has no such resource");
    };
    if request.uri().query().is_some() {
        return plain(StatusCode::BAD_REQUEST, "a claim has no query");
    }
    let body = Limited::new(request.into_body(), limits::CLAIM_BODY).collect().await;
    let Ok(body) = body else {
        return plain(StatusCode::BAD_REQUEST, "the claim's body cannot be read");
    };
    let Ok(claim) = serde_json::from_slice::<Value>(&body.to_bytes()) else {
        return plain(StatusCode::BAD_REQUEST, "the claim's body is not JSON");
    };
    match perform(bridge, &id, &claim).await {
        Ok(token) => {
            let body = json!({ "cap": STANDARD.encode(token) }).to_string();
            full(StatusCode::OK, "application/json", body.into_bytes())
        }
        Err(error) => failure(&error),
    }
}

/// Claims and saves; returns the token.
async fn perform(bridge: &Rc<Bridge>, id: &str, claim: &Value) -> Result<Vec<u8>, Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let wanted: Vec<String> = match &claim["requiredPermissions"] {
        Value::Array(names) => names.iter().map(text).collect(),
        _ => Vec::new(),
    };
    let names = bridge.config.permissions();
    let mut request = bridge.sessions.find(id.as_bytes())?.context.claim_request_request();
    request.get().set_request_token(text(&claim["requestToken"]));
    // The list of permissions comes from the package, whose size fits 29 bits.
    let mut bits = request.get().init_required_permissions(names.len() as u32);
    for (index, name) in names.iter().enumerate() {
        bits.set(index as u32, wanted.iter().any(|wanted| wanted.as_bytes() == name));
    }
    let response = request.send().promise.await?;
    let claimed: capnp::capability::Client = response.get()?.get_cap().get_as_capability()?;
    let mut request = bridge.api()?.save_request();
    request.get().init_cap().set_as_capability(claimed.hook);
    request.get().init_label().set_default_text(text(&claim["label"]["defaultText"]));
    let response = request.send().promise.await?;
    Ok(response.get()?.get_token()?.to_vec())
}
