//! What a shell can ask of the host: tokens, shares, the powerbox, wake locks. The command line asks
//! through the grain's control socket ([`ask`](Front::ask)), with the words of [`Question`]; pages
//! of the shell call the same methods.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::descriptors::{descriptors, matches, packed, tagged, tags};
use super::{Front, api_origin, hosts};
use crate::serve::caps::grants::{self, GRANTS};
use crate::serve::error::Error;
use crate::serve::grain::Grain;
use crate::serve::keeper::{self, TOKENS};
use crate::serve::permissions::{assigned, assignment};
use crate::serve::powerbox::{Offer, Outcome};
use crate::serve::session::{Access, Kind, Session};
use crate::serve::user::{KNOWN, User};
use crate::serve::{ApiAccess, Settings};
use crate::store::capabilities::{ApiToken, Object, Share, Unauthenticated};
use crate::store::now;

/// Shares of a grain.
const SHARES: usize = 1000;

/// Bytes of what an API host answers without a token (http-bridge §7.14).
const UNAUTHENTICATED: usize = 4 << 10;

/// Sessions opened for requests and offers at a time; the oldest goes.
const PASSING: usize = 64;

/// A question of a shell's.
#[derive(Debug, Deserialize)]
#[serde(tag = "ask", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Question {
    /// Permissions, roles and users.
    View,
    /// Makes an API token.
    Token(Wanted),
    /// Lists the API tokens.
    Tokens,
    /// Takes one back, by its short name.
    Revoke { id: String },
    /// Says what a user may do.
    Share {
        #[serde(default)]
        from: Option<String>,
        to: String,
        #[serde(default)]
        role: Option<String>,
        #[serde(default)]
        permissions: Option<Vec<String>>,
    },
    /// Takes all shares with a user back.
    Unshare { to: String },
    /// Lists the shares.
    Shares,
    /// The address of a user's session.
    Session { user: String },
    /// What a request can be answered with; the query in base64, as the page sent it.
    Choices { query: Vec<String> },
    /// Answers a request with one of the choices.
    Choose { choice: Choice },
    /// Opens the app's own chooser.
    Request { user: String, query: Vec<String> },
    /// What became of that.
    Outcome { request: u64 },
    /// What the app offers.
    Offers,
    /// Brings an offer back to the app.
    Accept { offer: u64, user: String },
    /// What keeps the app awake.
    Awake,
    /// Lets it sleep.
    Cancel { lock: u64 },
    /// What the app posted.
    Events,
    /// Scheduled jobs.
    Jobs,
}

/// What a token is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    /// What it is for.
    pub label: String,
    /// Who acts; none: whoever has the token, as a visitor.
    pub user: Option<String>,
    /// Title or number of a role.
    pub role: Option<String>,
    /// Permissions by name.
    pub permissions: Option<Vec<String>>,
    /// Permissions by name that it does not have, whatever else is said.
    pub without: Vec<String>,
    /// Seconds until it ends.
    pub expires: Option<u64>,
    /// Seconds until it ends if nobody has used it.
    pub expires_if_unused: Option<u64>,
    /// What its host answers without it.
    pub unauthenticated: Unauthenticated,
}

/// One answer to a powerbox request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(crate) enum Choice {
    /// A user.
    Identity { user: String },
    /// One of the host's objects for tests.
    Grant { name: String },
    /// What the app itself has: opens a request session.
    App,
}

impl Front {
    /// Makes what the command line asked for, once the app answers.
    pub async fn announce(self: &Rc<Self>, settings: &Settings) -> Result<(), Error> {
        for name in &settings.grants {
            let chosen = self.grain.objects.powerbox.chosen(Object::Grant(name.clone()), vec![]);
            let token = chosen.map_err(|error| Error::Random(error.to_string()))?;
            self.granted.borrow_mut().push((name.clone(), token));
        }
        if let Some(permissions) = &settings.api_token {
            let wanted = Wanted {
                label: "spk run --api-token".into(),
                user: Some(self.user.name().to_owned()),
                // For the run: its address ends with the port.
                permissions: permissions.clone().or_else(|| settings.permissions.clone()),
                role: settings.role.clone(),
                ..Wanted::default()
            };
            let made = self.new_token(&self.grain, wanted).await;
            *self.token.borrow_mut() = Some(made.map_err(Error::Token)?);
        }
        Ok(())
    }

    /// Makes an API token of a grain.
    pub async fn new_token(&self, grain: &Rc<Grain>, wanted: Wanted) -> Result<ApiAccess, String> {
        let mut role = assignment(wanted.role.as_deref(), wanted.permissions.as_deref());
        role.remove = wanted.without;
        let app = grain.app().await.map_err(|error| error.to_string())?;
        // What the app does not know is said now, and not when somebody uses the token.
        assigned(&app.info, &role).map_err(|error| error.to_string())?;
        let size = serde_json::to_string(&wanted.unauthenticated).map_or(0, |text| text.len());
        if size > UNAUTHENTICATED {
            return Err(format!(
                "what is answered without the token has {size} bytes, more than {UNAUTHENTICATED}"
            ));
        }
        let token = keeper::new_token().map_err(|error| error.to_string())?;
        let host = api_origin::host_of(&token);
        let hash = keeper::hash(token.as_bytes());
        let end = |seconds: Option<u64>| seconds.map(|seconds| now().saturating_add(seconds));
        let mut record = ApiToken {
            id: String::new(),
            label: keeper::label(&wanted.label),
            host: host.clone(),
            user: wanted.user.filter(|name| !User::named(name).is_anonymous()),
            role,
            created: now(),
            expires: end(wanted.expires),
            expires_if_unused: end(wanted.expires_if_unused),
            revoked: false,
            unauthenticated: wanted.unauthenticated,
        };
        let kept = grain
            .objects
            .keeper
            .change(|records| {
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
            })
            .await
            .map_err(|error| error.to_string())?;
        let id = kept.ok_or_else(|| format!("the grain has {TOKENS} API tokens, the most"))?;
        let url = format!("http://api-{host}.{}:{}", hosts::PARENT, self.port);
        Ok(ApiAccess { id, token, url })
    }

    /// Takes a token back; requests under way with it end as they do. `false`: there is none.
    pub async fn revoke_token(&self, grain: &Rc<Grain>, id: &str) -> Result<bool, String> {
        let keeper = &grain.objects.keeper;
        let revoked = keeper
            .change(|records| {
                let mut tokens = records.tokens.iter_mut();
                let (hash, token) = tokens.find(|(_, token)| token.id == id)?;
                token.revoked = true;
                Some(hash.clone())
            })
            .await
            .map_err(|error| error.to_string())?;
        if let Some(hash) = &revoked {
            self.programs.forget(hash);
        }
        Ok(revoked.is_some())
    }

    /// Changes who may do what; sessions are opened anew (L06).
    async fn change_shares(
        &self,
        grain: &Rc<Grain>,
        change: impl FnOnce(&mut Vec<Share>),
    ) -> Result<(), String> {
        let (keeper, owner) = (&grain.objects.keeper, grain.owner());
        let kept = keeper.change(|records| {
            change(&mut records.shares);
            // Whose it is must not change with whom it is served for next.
            records.owner = (!records.shares.is_empty()).then_some(owner);
        });
        kept.await.map_err(|error| error.to_string())?;
        let sessions = self.sessions.borrow();
        sessions.values().filter(|s| Rc::ptr_eq(s.grain(), grain)).for_each(|s| s.close());
        self.programs.forget_grain(grain);
        Ok(())
    }

    /// A session for one purpose, with an origin of its own.
    fn passing_session(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        kind: Kind,
    ) -> Result<Rc<Session>, String> {
        let random = keeper::new_token().map_err(|error| error.to_string())?;
        let id = self.derive(&format!("passing {random}"));
        let host = format!("ui-{id}.{}:{}", hosts::PARENT, self.port);
        let base = format!("http://{host}");
        let session = Session::new(grain.clone(), user.clone(), kind, Access::Own, &host, base);
        let mut passing = self.passing.borrow_mut();
        if passing.len() >= PASSING
            && let Some(oldest) = passing.pop_front()
        {
            self.sessions.borrow_mut().remove(&oldest);
        }
        passing.push_back(id.clone());
        self.sessions.borrow_mut().insert(id, session.clone());
        Ok(session)
    }

    /// Opens an app's own chooser for somebody's request; the request's number among the grain's,
    /// and the chooser's address. `permissions`: the user's, if it is said; `Some(None)`: all.
    pub fn request_session(
        &self,
        grain: &Rc<Grain>,
        user: &User,
        query: &[String],
    ) -> Result<(u64, String), String> {
        let query = descriptors(query)?;
        let number = grain.objects.powerbox.request();
        let kind = Kind::Request { number, query };
        let session = self.passing_session(grain, user, kind)?;
        Ok((number, format!("{}/", session.base())))
    }

    /// What a request can be answered with here.
    async fn choices(
        &self,
        grain: &Rc<Grain>,
        query: &[u8],
    ) -> Result<Vec<(Choice, String)>, String> {
        let wanted = tags(query).map_err(|error| error.to_string())?;
        let mut choices = Vec::new();
        if matches(&wanted, &[crate::serve::IDENTITY]) {
            for name in KNOWN.into_iter().filter(|name| !User::named(name).is_anonymous()) {
                let user = User::named(name);
                let choice = Choice::Identity { user: name.to_owned() };
                choices.push((choice, user.display_name().to_owned()));
            }
        }
        for (name, what) in GRANTS {
            let object = Object::Grant(name.to_owned());
            let granted = grain.objects.granted.iter().any(|granted| granted == name);
            let tag = grants::tag_of(&object);
            if granted && tag.is_some_and(|tag| matches(&wanted, &[tag])) {
                choices.push((Choice::Grant { name: name.to_owned() }, what.to_owned()));
            }
        }
        let app = grain.app().await.map_err(|error| error.to_string())?;
        if app.info.match_requests.iter().any(|has| matches(&wanted, has)) {
            choices.push((Choice::App, self.title.clone()));
        }
        if choices.is_empty() {
            self.notes.once(&grants::why_none(&wanted));
        }
        Ok(choices)
    }

    /// A choice was made: what the page gets.
    fn choose(&self, grain: &Rc<Grain>, choice: &Choice) -> Result<Value, String> {
        let object = match choice {
            Choice::Identity { user } if User::named(user).is_anonymous() => {
                return Err("a visitor without account has no identity".into());
            }
            Choice::Identity { user } => Object::Identity(User::named(user).name().to_owned()),
            Choice::Grant { name } => {
                if !grain.objects.granted.contains(name) {
                    return Err(format!("{name} was not granted: spk run --grant {name}"));
                }
                Object::Grant(name.clone())
            }
            Choice::App => return Err("ask for a request session, and for its outcome".into()),
        };
        let tag = grants::tag_of(&object).ok_or("nothing is known about this choice")?;
        let token = grain.objects.powerbox.chosen(object, Vec::new());
        let token = token.map_err(|error| error.to_string())?;
        Ok(json!({ "token": token, "descriptor": packed(&tagged(tag))? }))
    }

    /// Answers a question in JSON about the grain that the front end was started for.
    pub async fn ask(self: &Rc<Self>, question: Value) -> Result<Value, String> {
        self.ask_about(&self.grain, question).await
    }

    /// Answers a question in JSON about a grain that is served here.
    pub async fn ask_about(
        self: &Rc<Self>,
        grain: &Rc<Grain>,
        question: Value,
    ) -> Result<Value, String> {
        let question: Question =
            serde_json::from_value(question).map_err(|error| format!("not a question: {error}"))?;
        let objects = &grain.objects;
        Ok(match question {
            Question::View => {
                let app = grain.app().await.map_err(|error| error.to_string())?;
                let roles: Vec<Value> = app
                    .info
                    .roles
                    .iter()
                    .map(|role| {
                        json!({
                            "title": role.title, "verbPhrase": role.verb_phrase,
                            "permissions": role.permissions, "obsolete": role.obsolete,
                            "default": role.default,
                        })
                    })
                    .collect();
                json!({ "permissions": app.info.permissions, "roles": roles, "users": KNOWN })
            }
            Question::Token(wanted) => {
                let made = self.new_token(grain, wanted).await?;
                json!({
                    "id": made.id, "token": made.token, "url": made.url, "webkey": made.webkey(),
                })
            }
            Question::Tokens => objects.keeper.read(|records| {
                let tokens = records.tokens.values().map(|token| {
                    json!({
                        "id": token.id, "label": token.label, "user": token.user,
                        "role": token.role, "created": token.created, "expires": token.expires,
                        "revoked": token.revoked,
                        "url": format!("http://api-{}.{}:{}", token.host, hosts::PARENT, self.port),
                    })
                });
                Value::Array(tokens.collect())
            }),
            Question::Revoke { id } => match self.revoke_token(grain, &id).await? {
                true => json!({}),
                false => return Err(format!("the grain has no API token {id}")),
            },
            Question::Share { from, to, role: name, permissions } => {
                let role = assignment(name.as_deref(), permissions.as_deref());
                let app = grain.app().await.map_err(|error| error.to_string())?;
                assigned(&app.info, &role).map_err(|error| error.to_string())?;
                let key = |name: &str| User::named(name).key().to_owned();
                let from = from.map_or_else(|| grain.owner(), |from| key(&from));
                let share = Share { from, to: key(&to), role };
                if objects.keeper.read(|records| records.shares.len() >= SHARES) {
                    return Err(format!("the grain has {SHARES} shares, the most"));
                }
                self.change_shares(grain, |shares| {
                    if !shares.contains(&share) {
                        shares.push(share);
                    }
                })
                .await?;
                json!({})
            }
            Question::Unshare { to } => {
                let to = User::named(&to).key().to_owned();
                self.change_shares(grain, |shares| shares.retain(|share| share.to != to)).await?;
                json!({})
            }
            Question::Shares => objects.keeper.read(|records| json!(records.shares)),
            Question::Session { user } => {
                let session = self.session_for(grain, &User::named(&user), None);
                json!({ "url": format!("{}/", session.base()) })
            }
            Question::Choices { query } => {
                let choices = self.choices(grain, &descriptors(&query)?).await?;
                let choices = choices
                    .into_iter()
                    .map(|(choice, title)| json!({ "choice": choice, "title": title }));
                Value::Array(choices.collect())
            }
            Question::Choose { choice } => self.choose(grain, &choice)?,
            Question::Request { user, query } => {
                let user = User::named(&user);
                let (number, url) = self.request_session(grain, &user, &query)?;
                json!({ "request": number, "url": url })
            }
            Question::Outcome { request } => match objects.powerbox.outcome(request) {
                None => return Err(format!("there is no request {request}")),
                Some(Outcome::Waiting) => json!({ "state": "waiting" }),
                Some(Outcome::Fulfilled { token, descriptor }) => json!({
                    "state": "fulfilled", "token": token, "descriptor": packed(&descriptor)?,
                }),
            },
            Question::Offers => {
                let shown = |(number, offer): &(u64, Offer)| {
                    json!({
                        "offer": number, "user": offer.user, "title": offer.title,
                        "requiredPermissions": offer.required,
                    })
                };
                Value::Array(objects.powerbox.offers().iter().map(shown).collect())
            }
            Question::Accept { offer, user } => {
                let taken = objects.powerbox.take_offer(offer);
                let taken = taken.ok_or_else(|| format!("there is no offer {offer}"))?;
                let kind = Kind::Offer { object: taken.object, descriptor: taken.descriptor };
                let session = self.passing_session(grain, &User::named(&user), kind)?;
                json!({ "url": format!("{}/", session.base()) })
            }
            Question::Awake => {
                let locks = objects.awake.list().into_iter();
                let shown =
                    locks.map(|(lock, caption)| json!({ "lock": lock, "caption": caption }));
                Value::Array(shown.collect())
            }
            Question::Cancel { lock } => match objects.awake.cancel(lock) {
                true => json!({}),
                false => return Err(format!("there is no wake lock {lock}")),
            },
            Question::Events => json!(*objects.events.borrow()),
            Question::Jobs => objects.keeper.read(|records| {
                let jobs = records.jobs.iter().map(|(number, job)| {
                    json!({
                        "job": number, "name": job.name, "due": job.due, "period": job.period,
                    })
                });
                Value::Array(jobs.collect())
            }),
        })
    }
}
