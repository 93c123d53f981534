//! What an app's page asks the shell's page for: something from the powerbox, or a token for an
//! offer template (http-bridge §7.12 to §7.14).

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use spk_grains::store::GrainId;
use spk_grains::store::capabilities::{Object, Resource, Unauthenticated};

use super::Shell;
use super::problem::{Problem, printable};
use super::sessions;
use super::supervisor::Open;
use crate::serve::front::Front;
use crate::serve::front::grain_api::Outcome;
use crate::serve::question::{Choice, WantedToken};
use crate::serve::view_info::ViewInfo;

/// A token that nobody uses for so many seconds is worth nothing.
const UNUSED: u64 = 5 * 60;

/// A request of the app's, what the person chose, or the question what became of that.
#[derive(Debug, Deserialize)]
pub(super) struct AskPowerbox {
    /// Who asks.
    user: String,
    /// Descriptors, packed, in base64.
    #[serde(default)]
    query: Vec<String>,
    /// One of the choices; none: they are asked for.
    choice: Option<Value>,
    /// An app's own chooser that was opened before.
    request: Option<Asked>,
}

/// A request in an app's own chooser.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    /// Of which grain.
    grain: String,
    /// Its number there.
    number: u64,
}

/// What a token of an offer template is to be, as pages write it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AskToken {
    user: String,
    petname: Option<String>,
    /// `ViewSharingLink.RoleAssignment` in JSON: unions are objects with the name of the choice.
    role_assignment: Option<Map<String, Value>>,
    /// Whoever has the token is a visitor, rather than the user.
    for_sharing: bool,
    /// What the token's host answers without it.
    unauthenticated: Option<AskUnauthenticated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskUnauthenticated {
    options: AskOptions,
    resources: std::collections::BTreeMap<String, Resource>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AskOptions {
    dav: Vec<String>,
}

/// The role of an assignment as the host names it, and permissions that come and go.
#[derive(Debug, Default, PartialEq, Eq)]
struct Role {
    name: String,
    add: Vec<String>,
    remove: Vec<String>,
}

impl Role {
    fn read(assignment: Option<&Map<String, Value>>, info: &ViewInfo) -> Result<Role, Problem> {
        let bad = |what: &str| Problem::bad(&format!("roleAssignment: {what}"));
        let mut role = Role { name: "all".into(), ..Role::default() };
        for (key, value) in assignment.into_iter().flatten() {
            match key.as_str() {
                "none" => role.name = "none".into(),
                "allAccess" => role.name = "all".into(),
                "roleId" => {
                    let index = value.as_u64().ok_or_else(|| bad("roleId is a number"))?;
                    role.name = index.to_string();
                }
                "addPermissions" => role.add = names(value, info),
                "removePermissions" => role.remove = names(value, info),
                other => return Err(bad(&format!("{other:?} is none"))),
            }
        }
        Ok(role)
    }
}

/// The names of the bits that are set.
fn names(bits: &Value, info: &ViewInfo) -> Vec<String> {
    let bits = bits.as_array().map(Vec::as_slice).unwrap_or_default();
    let set = info.permissions.iter().zip(bits).filter(|(_, bit)| bit.as_bool() == Some(true));
    set.map(|(name, _)| name.clone()).collect()
}

impl Shell {
    /// The choices; what one of them is worth, or where the app asks further; what came of that.
    pub(super) async fn powerbox(
        self: &Rc<Self>,
        id: GrainId,
        ask: AskPowerbox,
    ) -> Result<Value, Problem> {
        let (front, open) = (self.front()?, self.open_grain(&id).await?);
        match (&ask.request, &ask.choice) {
            (Some(asked), _) => self.outcome(&front, &open, asked).await,
            (None, None) => self.choices(&front, &open, &ask.query).await,
            (None, Some(choice)) => match choice["kind"].as_str() {
                Some("app") => self.chooser(&front, id.clone(), &id, &ask).await,
                Some("grain") => {
                    let other = choice["grain"].as_str().and_then(|id| id.parse().ok());
                    let other = other.ok_or_else(|| Problem::missing("grain"))?;
                    self.chooser(&front, other, &id, &ask).await
                }
                _ => {
                    let choice: Choice =
                        Choice::deserialize(choice).map_err(|error| bad(&error))?;
                    let chosen = front.of(&open.grain).choose(&choice);
                    Ok(json!(chosen.map_err(|error| Problem::bad(&error))?))
                }
            },
        }
    }

    /// What this grain's host has, and what the apps of the grains that run here offer.
    async fn choices(
        self: &Rc<Self>,
        front: &Rc<Front>,
        asking: &Rc<Open>,
        query: &[String],
    ) -> Result<Value, Problem> {
        let found = front.of(&asking.grain).choices(query).await;
        let mut choices: Vec<Value> = Vec::new();
        for mut found in found.map_err(|error| Problem::bad(&error))? {
            if found.choice == Choice::App {
                found.title = title(asking);
            }
            choices.push(json!(found));
        }
        let mut others: Vec<(GrainId, Rc<Open>)> = (self.open.borrow().iter())
            .filter(|(_, open)| !Rc::ptr_eq(open, asking) && open.grain.running().is_some())
            .map(|(id, open)| (id.clone(), open.clone()))
            .collect();
        others.sort_by_key(|(id, open)| (title(open), id.as_str().to_owned()));
        for (id, open) in others {
            // One that ended meanwhile offers nothing.
            let Ok(found) = front.of(&open.grain).choices(query).await else { continue };
            if found.iter().any(|found| found.choice == Choice::App) {
                let choice = json!({ "kind": "grain", "grain": id.as_str() });
                choices.push(json!({ "choice": choice, "title": title(&open) }));
            }
        }
        Ok(json!({ "choices": choices }))
    }

    /// Has the app of a grain ask what of it is to be given, in the page of the one that asks.
    async fn chooser(
        self: &Rc<Self>,
        front: &Rc<Front>,
        id: GrainId,
        asking: &GrainId,
        ask: &AskPowerbox,
    ) -> Result<Value, Problem> {
        let user = sessions::user(&ask.user)?;
        let (open, _) = self.running(&id).await?;
        let opened = front.of(&open.grain).request_session(&user, &ask.query, asking.as_str());
        let opened = opened.map_err(|error| Problem::bad(&error))?;
        let asked = Asked { grain: id.as_str().to_owned(), number: opened.request };
        Ok(json!({ "request": asked, "url": opened.url }))
    }

    /// What came of a chooser; what another grain gave is from now on kept by the one that asked.
    async fn outcome(
        self: &Rc<Self>,
        front: &Rc<Front>,
        asking: &Rc<Open>,
        asked: &Asked,
    ) -> Result<Value, Problem> {
        let id: GrainId = asked.grain.parse().map_err(|_| Problem::missing("grain"))?;
        let giving = self.open_grain(&id).await?;
        let outcome = front.of(&giving.grain).outcome(asked.number);
        let mut outcome = outcome.map_err(|error| Problem::bad(&error))?;
        let Outcome::Fulfilled(chosen) = &mut outcome else { return Ok(json!(outcome)) };
        if Rc::ptr_eq(&giving, asking) {
            return Ok(json!(outcome));
        }
        let gone = || Problem::conflict("it took longer than 5 minutes");
        let claim =
            giving.grain.objects.powerbox.claim(chosen.token.as_bytes()).ok_or_else(gone)?;
        let object = match claim.object {
            Object::App(object) => Object::Other { grain: asked.grain.clone(), object },
            // Users and what is for tests are the same for all grains.
            object => object,
        };
        // What the giving app requires of its user was checked when it gave.
        let token = asking.grain.objects.powerbox.chosen(object, Vec::new());
        chosen.token = token.map_err(|error| bad(&error))?;
        Ok(json!(outcome))
    }

    /// A token for an offer template.
    pub(super) async fn template_token(
        self: &Rc<Self>,
        id: GrainId,
        ask: AskToken,
    ) -> Result<Value, Problem> {
        let user = sessions::user(&ask.user)?;
        let (open, app) = self.running(&id).await?;
        let role = Role::read(ask.role_assignment.as_ref(), &app.info)?;
        let open_to_all = ask.unauthenticated.unwrap_or_default();
        let open_to_all =
            Unauthenticated { dav: open_to_all.options.dav, resources: open_to_all.resources };
        let wanted = WantedToken {
            label: ask.petname.unwrap_or_default(),
            user: (!ask.for_sharing).then(|| user.name().to_owned()),
            role: Some(role.name),
            permissions: Some(role.add),
            without: role.remove,
            expires: None,
            expires_if_unused: Some(UNUSED),
            unauthenticated: open_to_all,
        };
        let made = self.front()?.of(&open.grain).new_token(wanted).await;
        let made = made.map_err(|error| Problem::bad(&error))?;
        Ok(json!({
            "token": made.token, "host": made.url.trim_start_matches("http://"),
            "slug": slug(&open.held.borrow().meta().title),
        }))
    }
}

fn bad(error: &dyn std::error::Error) -> Problem {
    Problem::bad(&error.to_string())
}

fn title(open: &Open) -> String {
    printable(&open.held.borrow().meta().title)
}

/// A title as it may stand in a URL: letters, digits and hyphens.
fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_has_nothing_that_means_something_in_a_url() {
        assert_eq!(slug("My Notes: 2/3 \u{fc}"), "my-notes-2-3");
        assert_eq!(slug("..//"), "");
    }

    #[test]
    fn role_assignments_are_read_as_pages_write_them() {
        let info =
            ViewInfo { permissions: vec!["read".into(), "write".into()], ..ViewInfo::default() };
        let read = |text: &str| {
            let ask: AskToken = serde_json::from_str(text).unwrap();
            Role::read(ask.role_assignment.as_ref(), &info).map_err(|problem| problem.text)
        };
        let role = |name: &str, add: &[&str], remove: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            Ok(Role { name: name.into(), add: owned(add), remove: owned(remove) })
        };
        assert_eq!(read("{}"), role("all", &[], &[]));
        assert_eq!(read(r#"{"roleAssignment": {"allAccess": null}}"#), role("all", &[], &[]));
        assert_eq!(read(r#"{"roleAssignment": {"none": null}}"#), role("none", &[], &[]));
        let text = r#"{"roleAssignment": {"roleId": 2, "addPermissions": [false, true],
                       "removePermissions": [true, 1, true]}}"#;
        assert_eq!(read(text), role("2", &["write"], &["read"]));
        assert!(read(r#"{"roleAssignment": {"roleId": "x"}}"#).is_err());
        assert!(read(r#"{"roleAssignment": {"boss": null}}"#).unwrap_err().contains("boss"));
    }
}
