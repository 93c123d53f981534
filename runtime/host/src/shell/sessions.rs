//! Who looks at a grain, and with which permissions: the user switcher, the role picker, and links
//! that share a role.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Shell;
use super::problem::{Problem, printable};
use super::supervisor::Open;
use crate::serve::grain::{App, RoleDef, ViewInfo};
use crate::serve::{KNOWN, User};
use crate::store::{GrainId, random_name};

/// Who may be named besides the known: any name of this length that is plain text.
const LONGEST_NAME: usize = 60;

/// Share links that one run remembers.
const SHARES: usize = 1000;

/// Who opens a grain, and as what.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Ask {
    user: String,
    /// Number of a role of the app; wins over `permissions`.
    role: Option<usize>,
    /// Names of permissions; without both, the owner has all, and others what the app gives
    /// everybody.
    permissions: Option<Vec<String>>,
}

/// What is to be shared.
#[derive(Debug, Deserialize)]
pub(super) struct AskShare {
    role: Option<usize>,
    permissions: Option<Vec<String>>,
}

/// A link that lets whoever has it into one grain.
#[derive(Clone)]
pub(super) struct Share {
    grain: GrainId,
    /// What the link calls it.
    name: String,
    /// `None`: all permissions.
    permissions: Option<Vec<String>>,
}

/// The names of a role's permissions.
fn of_role(info: &ViewInfo, role: &RoleDef) -> Vec<String> {
    let held = info.permissions.iter().zip(&role.permissions).filter(|(_, held)| **held);
    held.map(|(name, _)| name.clone()).collect()
}

/// The permissions asked for: the number of the role they come from, and their names (`None`: all).
pub(super) fn permissions(
    info: &ViewInfo,
    user: &User,
    role: Option<usize>,
    names: Option<Vec<String>>,
) -> Result<(Option<usize>, Option<Vec<String>>), Problem> {
    if let Some(index) = role {
        let role = info.roles.get(index).ok_or_else(|| Problem::missing("role of this app"))?;
        return Ok((Some(index), Some(of_role(info, role))));
    }
    if let Some(names) = names {
        let held = info.permissions.iter().filter(|known| names.contains(known)).cloned();
        return Ok((None, Some(held.collect())));
    }
    // The owner has every permission; others what a share without a role gives (http-bridge §7.6).
    // An app without a default role would let nobody in: then it is all.
    let default = info.roles.iter().position(|role| role.default);
    match default
        .filter(|_| user.key() != OWNER)
        .and_then(|index| Some((index, info.roles.get(index)?)))
    {
        Some((index, role)) => Ok((Some(index), Some(of_role(info, role)))),
        None => Ok((None, None)),
    }
}

/// Who owns every grain here, as on a server the first account does.
const OWNER: &str = KNOWN[0];

impl Shell {
    /// A session for the page to put into its frame; starts the app if needed.
    pub(super) async fn session(self: &Rc<Self>, id: GrainId, ask: Ask) -> Result<Value, Problem> {
        let user = user(&ask.user)?;
        let (open, app) = self.running(&id).await?;
        let (role, names) = permissions(&app.info, &user, ask.role, ask.permissions)?;
        let session = self.front()?.session_for(&open.grain, &user, names.as_deref());
        let held = |name: &String| names.as_ref().is_none_or(|names| names.contains(name));
        let titles = &app.info.permission_titles;
        let all: Vec<Value> = (app.info.permissions.iter().enumerate())
            .map(|(index, name)| {
                let title = titles.get(index).filter(|title| !title.is_empty()).unwrap_or(name);
                json!({ "name": name, "title": printable(title), "held": held(name) })
            })
            .collect();
        let roles: Vec<Value> = (app.info.roles.iter().enumerate())
            .filter(|(_, role)| !role.obsolete)
            .map(|(index, role)| {
                json!({
                    "index": index, "title": printable(&role.title),
                    "verb": printable(&role.verb_phrase), "default": role.default,
                })
            })
            .collect();
        Ok(json!({
            "origin": session.base(), "user": user.key(), "name": printable(user.display_name()),
            "role": role, "permissions": all, "roles": roles,
            "title": printable(&open.held.borrow().meta().title),
        }))
    }

    /// Opens a grain and starts its app.
    pub(super) async fn running(
        self: &Rc<Self>,
        id: &GrainId,
    ) -> Result<(Rc<Open>, Rc<App>), Problem> {
        let open = self.open_grain(id).await?;
        let was = open.grain.running().is_some();
        let app = open.grain.app().await.map_err(|error| Problem::from(&*error))?;
        if !was {
            self.sizes.forget(id);
            self.changed();
        }
        Ok((open, app))
    }

    /// Makes a link that shares a grain. It is good as long as spk runs.
    pub(super) async fn share(
        self: &Rc<Self>,
        id: GrainId,
        ask: AskShare,
    ) -> Result<Value, Problem> {
        let (_, app) = self.running(&id).await?;
        let bearer = User::named("anonymous");
        let (role, names) = permissions(&app.info, &bearer, ask.role, ask.permissions)?;
        let name = role.and_then(|index| app.info.roles.get(index));
        let name = name.map_or_else(|| "chosen permissions".to_owned(), |r| printable(&r.title));
        let mut shares = self.shares.borrow_mut();
        if shares.len() >= SHARES {
            return Err(Problem::conflict("there are too many share links; restart spk"));
        }
        let token = random_name(32)?;
        shares.insert(token.clone(), Share { grain: id, name, permissions: names });
        let url = format!("{}/shared/{token}", self.front()?.shell_origin());
        Ok(json!({ "url": url }))
    }

    /// Whether this is the token of a link that was made here.
    pub(super) fn is_share(&self, token: &str) -> bool {
        self.shares.borrow().contains_key(token)
    }

    /// A session for whoever has a share link.
    pub(super) async fn shared(self: &Rc<Self>, token: &str, ask: Ask) -> Result<Value, Problem> {
        let share = self.shares.borrow().get(token).cloned();
        let share = share.ok_or_else(|| Problem::missing("share link"))?;
        let user = user(&ask.user)?;
        let (open, _) = self.running(&share.grain).await?;
        let session = self.front()?.session_for(&open.grain, &user, share.permissions.as_deref());
        Ok(json!({
            "origin": session.base(), "user": user.key(), "name": printable(user.display_name()),
            "share": share.name, "users": KNOWN,
            "title": printable(&open.held.borrow().meta().title),
        }))
    }
}

/// The user of this name.
pub(super) fn user(name: &str) -> Result<User, Problem> {
    let plain = name.chars().all(|c| !c.is_control()) && name.chars().count() <= LONGEST_NAME;
    if !plain || name.trim().is_empty() {
        return Err(Problem::bad("a user needs a name"));
    }
    Ok(User::named(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ViewInfo {
        let role = |title: &str, bits: &[bool], default| RoleDef {
            title: title.into(),
            permissions: bits.to_vec(),
            default,
            ..RoleDef::default()
        };
        ViewInfo {
            permissions: vec!["read".into(), "write".into()],
            permission_titles: Vec::new(),
            roles: vec![role("editor", &[true, true], false), role("viewer", &[true], true)],
            ..ViewInfo::default()
        }
    }

    #[test]
    fn the_owner_has_all_and_others_the_default_role() {
        let read = Some(vec!["read".to_owned()]);
        let of = |user: &str, role, names| permissions(&info(), &User::named(user), role, names);
        assert_eq!(of("alice", None, None).unwrap(), (None, None));
        assert_eq!(of("bob", None, None).unwrap(), (Some(1), read.clone()));
        assert_eq!(of("alice", Some(1), None).unwrap(), (Some(1), read.clone()));
        let names = Some(vec!["read".into(), "unknown".into()]);
        assert_eq!(of("bob", None, names).unwrap(), (None, read));
        assert!(of("bob", Some(2), None).is_err());
        let none = ViewInfo::default();
        let bob = User::named("bob");
        assert_eq!(permissions(&none, &bob, None, None).unwrap(), (None, None));
    }
}
