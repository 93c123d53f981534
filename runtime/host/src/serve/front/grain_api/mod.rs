//! What can be asked of the host about a grain: tokens, shares, the powerbox, wake locks. Other
//! processes ask with a [`Question`] through the grain's control socket; the shell calls the same
//! methods.

mod powerbox;
mod shares;
mod tokens;

use std::rc::Rc;

use serde::Serialize;
use serde_json::{Value, json};

use super::Front;
use crate::serve::grain::Grain;
use crate::serve::question::Question;
use crate::serve::user::{KNOWN, User};
use crate::serve::view_info::RoleDef;

pub(crate) use powerbox::Outcome;
pub(super) use tokens::announced;

/// A grain, and the front end that serves it.
pub(crate) struct GrainApi<'a> {
    front: &'a Front,
    grain: &'a Rc<Grain>,
}

/// The answer to [`Question::View`].
#[derive(Serialize)]
struct View<'a> {
    permissions: &'a [String],
    roles: Vec<Role<'a>>,
    users: [&'a str; KNOWN.len()],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Role<'a> {
    title: &'a str,
    verb_phrase: &'a str,
    permissions: &'a [bool],
    obsolete: bool,
    default: bool,
}

impl<'a> From<&'a RoleDef> for Role<'a> {
    fn from(role: &'a RoleDef) -> Role<'a> {
        Role {
            title: &role.title,
            verb_phrase: &role.verb_phrase,
            permissions: &role.permissions,
            obsolete: role.obsolete,
            default: role.default,
        }
    }
}

impl Front {
    /// What can be asked about a grain that is served here.
    pub fn of<'a>(&'a self, grain: &'a Rc<Grain>) -> GrainApi<'a> {
        GrainApi { front: self, grain }
    }
}

impl GrainApi<'_> {
    /// Answers a question in JSON.
    pub async fn ask_json(&self, question: Value) -> Result<Value, String> {
        let question = serde_json::from_value(question);
        self.ask(question.map_err(|error| format!("not a question: {error}"))?).await
    }

    /// Answers a question.
    pub async fn ask(&self, question: Question) -> Result<Value, String> {
        let objects = &self.grain.objects;
        match question {
            Question::View => self.view().await,
            Question::Token(wanted) => written(&self.new_token(wanted).await?.in_full()),
            Question::Tokens => Ok(self.tokens()),
            Question::Revoke { id } => self.revoke_token(&id).await,
            Question::Share { from, to, role, permissions } => {
                self.share(from.as_deref(), &to, role.as_deref(), permissions.as_deref()).await
            }
            Question::Unshare { to } => self.unshare(&to).await,
            Question::Shares => objects.records.read(|records| written(&records.shares)),
            Question::Session { user } => {
                let session = self.front.session_for(self.grain, &User::named(&user), None);
                Ok(address(session.base()))
            }
            Question::Choices { query } => written(&self.choices(&query).await?),
            Question::Choose { choice } => written(&self.choose(&choice)?),
            Question::Request { user, query } => {
                written(&self.request_session(&User::named(&user), &query, self.grain.id())?)
            }
            Question::Outcome { request } => written(&self.outcome(request)?),
            Question::Offers => Ok(self.offers()),
            Question::Accept { offer, user } => self.accept(offer, &User::named(&user)),
            Question::Awake => {
                let locks = objects.awake.list().into_iter();
                let shown =
                    locks.map(|(lock, caption)| json!({ "lock": lock, "caption": caption }));
                Ok(Value::Array(shown.collect()))
            }
            Question::Cancel { lock } => match objects.awake.cancel(lock) {
                true => Ok(json!({})),
                false => Err(format!("there is no wake lock {lock}")),
            },
            Question::Events => written(&*objects.events.borrow()),
            Question::Jobs => Ok(self.jobs()),
        }
    }

    async fn view(&self) -> Result<Value, String> {
        let app = self.grain.app().await.map_err(|error| error.to_string())?;
        let roles = app.info.roles.iter().map(Role::from).collect();
        written(&View { permissions: &app.info.permissions, roles, users: KNOWN })
    }

    fn jobs(&self) -> Value {
        self.grain.objects.records.read(|records| {
            let jobs = records.jobs.iter().map(|(number, job)| {
                json!({ "job": number, "name": job.name, "due": job.due, "period": job.period })
            });
            Value::Array(jobs.collect())
        })
    }
}

/// An answer in JSON.
fn written(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}

/// The address of a session.
fn address(base: &str) -> Value {
    json!({ "url": format!("{base}/") })
}
