//! API tokens of a grain.

use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value, json};
use spk_grains::store::capabilities::{ApiToken, Object};
use spk_grains::store::now;

use super::GrainApi;
use crate::serve::error::Error;
use crate::serve::event::ApiAccess;
use crate::serve::front::Front;
use crate::serve::grain::Grain;
use crate::serve::hosts;
use crate::serve::permissions::{assigned, assignment};
use crate::serve::question::WantedToken;
use crate::serve::record_store::{self, TOKENS};
use crate::serve::token;
use crate::serve::user::User;

/// Bytes of what an API host answers without a token (http-bridge §7.14).
const UNAUTHENTICATED: usize = 4 << 10;

/// A token that was made, with its secret.
#[derive(Serialize)]
pub(super) struct Made<'a> {
    id: &'a str,
    token: &'a str,
    url: &'a str,
    webkey: String,
}

impl ApiAccess {
    /// All that is known of it.
    pub(super) fn in_full(&self) -> Made<'_> {
        Made { id: &self.id, token: &self.token, url: &self.url, webkey: self.webkey() }
    }
}

/// Makes what the command line asked for, once the app answers: the API token `wanted`, and a
/// choice for each name of `grants`, with the token that claims it.
pub(in crate::serve::front) async fn announced(
    front: &Front,
    grain: &Rc<Grain>,
    grants: &[String],
    wanted: Option<WantedToken>,
) -> Result<(Option<ApiAccess>, Vec<(String, String)>), Error> {
    let choose = |name: &String| {
        let chosen = grain.objects.powerbox.chosen(Object::Grant(name.clone()), Vec::new());
        Ok((name.clone(), chosen.map_err(|error| Error::Random(error.to_string()))?))
    };
    let granted = grants.iter().map(choose).collect::<Result<_, Error>>()?;
    let made = match wanted {
        Some(wanted) => Some(front.of(grain).new_token(wanted).await.map_err(Error::Token)?),
        None => None,
    };
    Ok((made, granted))
}

impl GrainApi<'_> {
    /// Makes an API token.
    pub async fn new_token(&self, wanted: WantedToken) -> Result<ApiAccess, String> {
        let mut role = assignment(wanted.role.as_deref(), wanted.permissions.as_deref());
        role.remove = wanted.without;
        let app = self.grain.app().await.map_err(|error| error.to_string())?;
        // What the app does not know is said now, and not when somebody uses the token.
        assigned(&app.info, &role).map_err(|error| error.to_string())?;
        let size = serde_json::to_string(&wanted.unauthenticated).map_or(0, |text| text.len());
        if size > UNAUTHENTICATED {
            return Err(format!(
                "what is answered without the token has {size} bytes, more than {UNAUTHENTICATED}"
            ));
        }
        let secret = token::new().map_err(|error| error.to_string())?;
        let host = token::api_host(&secret);
        let end = |seconds: Option<u64>| seconds.map(|seconds| now().saturating_add(seconds));
        let record = ApiToken {
            id: String::new(),
            label: record_store::label(&wanted.label),
            host: host.clone(),
            user: wanted.user.filter(|name| !User::named(name).is_anonymous()),
            role,
            created: now(),
            expires: end(wanted.expires),
            expires_if_unused: end(wanted.expires_if_unused),
            revoked: false,
            unauthenticated: wanted.unauthenticated,
        };
        let id = self.keep_token(token::hash(secret.as_bytes()), record).await?;
        let url = hosts::api_origin(&host, self.front.port());
        Ok(ApiAccess { id, token: secret, url })
    }

    /// Writes a token down; its short name.
    async fn keep_token(&self, hash: String, mut record: ApiToken) -> Result<String, String> {
        let kept = self.grain.objects.records.change(|records| {
            let over = |end: Option<u64>| end.is_some_and(|end| end <= now());
            let gone = |token: &ApiToken| over(token.expires) || over(token.expires_if_unused);
            if records.tokens.len() >= TOKENS {
                records.tokens.retain(|_, token| !token.revoked && !gone(token));
            }
            if records.tokens.len() >= TOKENS {
                return None;
            }
            let numbers = records.tokens.values().filter_map(|token| token.id.parse().ok());
            record.id = (numbers.max().unwrap_or(0_u64) + 1).to_string();
            let id = record.id.clone();
            records.tokens.insert(hash, record);
            Some(id)
        });
        let id = kept.await.map_err(|error| error.to_string())?;
        id.ok_or_else(|| format!("the grain has {TOKENS} API tokens, the most"))
    }

    /// The tokens, without their secrets.
    pub(super) fn tokens(&self) -> Value {
        let port = self.front.port();
        self.grain.objects.records.read(|records| {
            let tokens = records.tokens.values().map(|token| {
                json!({
                    "id": token.id, "label": token.label, "user": token.user,
                    "role": token.role, "created": token.created, "expires": token.expires,
                    "revoked": token.revoked, "url": hosts::api_origin(&token.host, port),
                })
            });
            Value::Array(tokens.collect())
        })
    }

    /// Takes a token back; requests under way with it end as they do.
    pub(super) async fn revoke_token(&self, id: &str) -> Result<Value, String> {
        let revoked = self.grain.objects.records.change(|records| {
            let mut tokens = records.tokens.iter_mut();
            let (hash, token) = tokens.find(|(_, token)| token.id == id)?;
            token.revoked = true;
            Some(hash.clone())
        });
        let hash = revoked.await.map_err(|error| error.to_string())?;
        let hash = hash.ok_or_else(|| format!("the grain has no API token {id}"))?;
        self.front.programs.forget(&hash);
        Ok(json!({}))
    }
}
