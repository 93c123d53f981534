//! Who looks at a grain, and with which permissions: the user switcher, the role picker, which
//! chooses other permissions than the user has, and links that share a role.

use std::rc::Rc;

use serde::Deserialize;
use serde_json::{Value, json};
use spk_grains::store::capabilities::{Assignment, Role};
use spk_grains::store::{GrainId, random_name};

use super::Shell;
use super::problem::{Problem, printable};
use super::supervisor::Open;
use crate::serve::app::App;
use crate::serve::permissions::{Unknown, Why, assignment};
use crate::serve::view_info::{RoleDef, ViewInfo};
use crate::serve::{KNOWN, User};

/// Who may be named besides the known: any name of this length that is plain text.
const LONGEST_NAME: usize = 60;

/// Share links that one run remembers.
const SHARES: usize = 1000;

/// Who opens a grain, and as what.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Ask {
    /// None: the user that spk was started for, or, with a link, a visitor.
    user: Option<String>,
    #[serde(flatten)]
    chosen: Chosen,
}

/// Permissions that are to count instead of what the user has in the grain.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Chosen {
    /// Number of a role of the app; wins over `permissions`.
    role: Option<usize>,
    /// Names of permissions.
    permissions: Option<Vec<String>>,
}

impl Chosen {
    /// What was chosen, if anything was.
    fn read(self, info: &ViewInfo) -> Result<Option<Assignment>, Problem> {
        if let Some(index) = self.role {
            info.roles.get(index).ok_or_else(|| Problem::missing("role of this app"))?;
            let id = u16::try_from(index).map_err(|_| Problem::missing("role of this app"))?;
            return Ok(Some(Assignment { role: Role::Id(id), ..Assignment::default() }));
        }
        // An address may be older than the app: what it does not know any more is left out.
        Ok(self.permissions.map(|names| {
            let known = names.into_iter().filter(|name| info.permissions.contains(name));
            assignment(None, Some(&known.collect::<Vec<_>>()))
        }))
    }
}

/// A link that lets whoever has it into one grain.
#[derive(Clone)]
pub(super) struct Share {
    grain: GrainId,
    /// What the link calls it.
    name: String,
    /// What it gives.
    role: Assignment,
}

/// The role that has just these permissions, by its number: the app's default role before others,
/// those that are not for new shares last.
fn role_of(info: &ViewInfo, held: &[bool]) -> Option<usize> {
    let count = info.permissions.len();
    let is_held = |role: &RoleDef| {
        (0..count).all(|bit| role.permissions.get(bit).copied().unwrap_or(false) == held[bit])
    };
    let fitting = info.roles.iter().enumerate().filter(|(_, role)| is_held(role));
    fitting.min_by_key(|(_, role)| (role.obsolete, !role.default)).map(|(index, _)| index)
}

/// What a link gives of which nothing is said: the app's default role, or everything if it has
/// none.
fn by_default(info: &ViewInfo) -> Assignment {
    let role = match info.roles.iter().any(|role| role.default) {
        true => Role::None,
        false => Role::AllAccess,
    };
    Assignment { role, ..Assignment::default() }
}

/// What people call it.
fn name_of(info: &ViewInfo, role: &Assignment) -> String {
    let index = match &role.role {
        Role::None => info.roles.iter().position(|role| role.default),
        Role::Id(index) => Some(usize::from(*index)),
        Role::AllAccess => return "all permissions".to_owned(),
        Role::Titled(title) => return printable(title),
    };
    let known = index.and_then(|index| info.roles.get(index));
    known.map_or_else(|| "chosen permissions".to_owned(), |role| printable(&role.title))
}

impl Shell {
    /// A session for the page to put into its frame; starts the app if needed.
    pub(super) async fn session(self: &Rc<Self>, id: GrainId, ask: Ask) -> Result<Value, Problem> {
        let front = self.front()?;
        let user = named_or(ask.user.as_deref(), front.user())?;
        let (open, app) = self.running(&id).await?;
        let chosen = ask.chosen.read(&app.info)?;
        let session = front.session_for(&open.grain, &user, chosen.as_ref());
        let unknown = |unknown: Unknown| Problem::bad(&unknown.to_string());
        let held = session.permissions(&app.info).map_err(unknown)?;
        let titles = &app.info.permission_titles;
        let all: Vec<Value> = (app.info.permissions.iter().zip(&held.bits).enumerate())
            .map(|(index, (name, held))| {
                let title = titles.get(index).filter(|title| !title.is_empty()).unwrap_or(name);
                json!({ "name": name, "title": printable(title), "held": held })
            })
            .collect();
        // An owner has no role; a chosen one is the one that was chosen.
        let role = match (&chosen, held.why) {
            (Some(Assignment { role: Role::Id(index), .. }), _) => {
                Some(usize::from(*index)).filter(|index| *index < app.info.roles.len())
            }
            (Some(_), _) | (None, Why::Owner) => None,
            (None, _) => role_of(&app.info, &held.bits),
        };
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
            "role": role, "why": held.why, "permissions": all, "roles": roles,
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
    pub(super) async fn share(self: &Rc<Self>, id: GrainId, ask: Chosen) -> Result<Value, Problem> {
        let (_, app) = self.running(&id).await?;
        let role = ask.read(&app.info)?.unwrap_or_else(|| by_default(&app.info));
        let name = name_of(&app.info, &role);
        let mut shares = self.shares.borrow_mut();
        if shares.len() >= SHARES {
            return Err(Problem::conflict("there are too many share links; restart spk"));
        }
        let token = random_name(32)?;
        let url = format!("{}/shared/{token}", self.front()?.grain_origin(id.as_str()));
        shares.insert(token, Share { grain: id, name, role });
        Ok(json!({ "url": url }))
    }

    /// What a link that was made here, by its token, leads to.
    pub(super) fn shared_grain(&self, token: &str) -> Option<GrainId> {
        self.shares.borrow().get(token).map(|share| share.grain.clone())
    }

    /// A session for whoever has a share link.
    pub(super) async fn shared(self: &Rc<Self>, token: &str, ask: Ask) -> Result<Value, Problem> {
        let share = self.shares.borrow().get(token).cloned();
        let share = share.ok_or_else(|| Problem::missing("share link"))?;
        let front = self.front()?;
        // Nothing is known of whoever comes by a link: least of all that they own the grain.
        let user = named_or(ask.user.as_deref(), &User::named("anonymous"))?;
        let (open, _) = self.running(&share.grain).await?;
        let session = front.session_for(&open.grain, &user, Some(&share.role));
        Ok(json!({
            "origin": session.base(), "user": user.key(), "name": printable(user.display_name()),
            "share": share.name, "users": KNOWN,
            "title": printable(&open.held.borrow().meta().title),
        }))
    }
}

/// The user of this name, or, without one, `otherwise`.
fn named_or(name: Option<&str>, otherwise: &User) -> Result<User, Problem> {
    name.map_or_else(|| Ok(otherwise.clone()), user)
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
    fn what_is_chosen_is_a_role_or_permissions_that_the_app_has() {
        let read = |text: &str| serde_json::from_str::<Ask>(text).unwrap().chosen.read(&info());
        assert_eq!(read(r#"{"user": "bob"}"#).unwrap(), None);
        let viewer = Assignment { role: Role::Id(1), ..Assignment::default() };
        assert_eq!(read(r#"{"role": 1, "permissions": ["write"]}"#).unwrap(), Some(viewer));
        let names = read(r#"{"permissions": ["read", "unknown"]}"#).unwrap();
        assert_eq!(names, Some(assignment(None, Some(&["read".to_owned()]))));
        assert!(read(r#"{"role": 2}"#).is_err());
        assert!(read(r#"{"role": 65537}"#).is_err());
    }

    #[test]
    fn permissions_are_shown_as_the_role_that_has_them() {
        let info = info();
        assert_eq!(role_of(&info, &[true, true]), Some(0));
        assert_eq!(role_of(&info, &[true, false]), Some(1));
        assert_eq!(role_of(&info, &[false, true]), None);
    }

    #[test]
    fn a_link_gives_the_default_role_or_all() {
        let names = |info: &ViewInfo| name_of(info, &by_default(info));
        assert_eq!(names(&info()), "viewer");
        assert_eq!(names(&ViewInfo::default()), "all permissions");
        let some = assignment(None, Some(&["read".to_owned()]));
        assert_eq!(name_of(&info(), &some), "chosen permissions");
    }
}
