//! Who may do what in a grain: one answer for a user, wherever they appear (http-bridge §7.6).
//! Computed anew whenever a session opens, from what the app says of its roles then.

use std::collections::HashMap;

use serde::Serialize;
use spk_grains::store::capabilities::{Assignment, Records, Role, Share};

use super::view_info::ViewInfo;

/// What is known of a grain's users besides its records: what the command line said.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// Whom the grain is served for; owns it as long as nothing is shared.
    pub user: String,
    /// What this user may do, if it was said.
    pub role: Option<Assignment>,
}

/// Why a user has the permissions they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Why {
    /// The grain is theirs.
    Owner,
    /// The command line says so.
    CommandLine,
    /// It was shared with them.
    Share,
    /// Nobody said anything of them: what the app gives everybody.
    Default,
    /// They were chosen for this session, whoever looks.
    Chosen,
}

/// Permissions of a user: bits in the app's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The bits.
    pub bits: Vec<bool>,
    /// Where they come from.
    pub why: Why,
}

/// Who owns the grain: whoever did when it was shared first, and until then the user that it is
/// served for.
pub(crate) fn owner<'a>(records: &'a Records, said: &'a Said) -> &'a str {
    records.owner.as_deref().unwrap_or(&said.user)
}

/// The permissions of `user`: what the command line says of them; everything for the owner; what is
/// shared with them; and, where nobody said anything, what a share without a role would give, or
/// everything in an app that has no such role and would let nobody in.
pub(crate) fn permissions_of(
    info: &ViewInfo,
    records: &Records,
    said: &Said,
    user: &str,
) -> Result<Held, Unknown> {
    if let Some(role) = said.role.as_ref().filter(|_| user == said.user) {
        return Ok(Held { bits: assigned(info, role)?, why: Why::CommandLine });
    }
    let owner = owner(records, said);
    let why = match records.shares.iter().any(|share| share.to == user) {
        _ if user == owner => Why::Owner,
        true => Why::Share,
        false => Why::Default,
    };
    Ok(Held { bits: shared(info, &records.shares, owner, user)?, why })
}

/// A name that the app does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unknown {
    /// Of a permission.
    #[error("the app has no permission {name:?}; it has: {}", list(known))]
    Permission { name: String, known: Vec<String> },
    /// Of a role.
    #[error("the app has no role {name:?}; it has: {}", list(known))]
    Role { name: String, known: Vec<String> },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// A role as people and commands name it: nothing and "none", "all", its number, its title.
fn role(text: Option<&str>) -> Role {
    match text.map(str::trim) {
        None | Some("" | "none") => Role::None,
        Some("all") => Role::AllAccess,
        Some(text) => match text.parse() {
            Ok(index) => Role::Id(index),
            Err(_) => Role::Titled(text.to_owned()),
        },
    }
}

/// An assignment out of a role and permissions: either alone, or the role and what is added; none
/// of them is everything.
pub(crate) fn assignment(role_name: Option<&str>, permissions: Option<&[String]>) -> Assignment {
    match (role_name, permissions) {
        (None, None) => Assignment { role: Role::AllAccess, ..Assignment::default() },
        (name, permissions) => {
            // Permissions alone are all there is: a role that does not exist gives nothing.
            let role = match name {
                None => Role::Id(u16::MAX),
                name => role(name),
            };
            let add = permissions.unwrap_or_default().to_vec();
            Assignment { role, add, remove: Vec::new() }
        }
    }
}

/// What the command line says of its user; `None`: nothing.
pub(crate) fn asked(permissions: Option<&[String]>, role: Option<&str>) -> Option<Assignment> {
    (permissions.is_some() || role.is_some()).then(|| assignment(role, permissions))
}

/// The bits of permissions given by name.
fn named(info: &ViewInfo, names: &[String]) -> Result<Vec<bool>, Unknown> {
    if let Some(name) = names.iter().find(|name| !info.permissions.contains(name)) {
        let known = info.permissions.clone();
        return Err(Unknown::Permission { name: name.clone(), known });
    }
    Ok(info.permissions.iter().map(|name| names.contains(name)).collect())
}

/// The bits that an assignment gives.
pub(crate) fn assigned(info: &ViewInfo, assignment: &Assignment) -> Result<Vec<bool>, Unknown> {
    let count = info.permissions.len();
    let sized = |bits: &[bool]| {
        let mut bits = bits.to_vec();
        bits.resize(count, false);
        bits
    };
    let mut bits = match &assignment.role {
        Role::AllAccess => vec![true; count],
        Role::None => match info.roles.iter().find(|role| role.default) {
            Some(role) => sized(&role.permissions),
            None => vec![false; count],
        },
        Role::Id(index) => match info.roles.get(usize::from(*index)) {
            Some(role) => sized(&role.permissions),
            None => vec![false; count],
        },
        Role::Titled(name) => {
            let named = |title: &str| title.to_lowercase() == name.to_lowercase();
            match info.roles.iter().find(|role| named(&role.title)) {
                Some(role) => sized(&role.permissions),
                None => {
                    let known = info.roles.iter().map(|role| role.title.clone()).collect();
                    return Err(Unknown::Role { name: name.clone(), known });
                }
            }
        }
    };
    for (bit, add) in bits.iter_mut().zip(named(info, &assignment.add)?) {
        *bit |= add;
    }
    for (bit, remove) in bits.iter_mut().zip(named(info, &assignment.remove)?) {
        *bit &= !remove;
    }
    Ok(bits)
}

/// A user with whom nobody has shared.
fn stranger(info: &ViewInfo) -> Vec<bool> {
    let count = info.permissions.len();
    let default = info.roles.iter().find(|role| role.default);
    let mut bits = default.map_or_else(|| vec![true; count], |role| role.permissions.clone());
    bits.resize(count, false);
    bits
}

/// What the owner and shares give `user`: along a chain of shares what each of them lets through,
/// and over several chains what any of them does.
fn shared(
    info: &ViewInfo,
    shares: &[Share],
    owner: &str,
    user: &str,
) -> Result<Vec<bool>, Unknown> {
    let none = vec![false; info.permissions.len()];
    let is_given = |who: &str| shares.iter().any(|share| share.to == who);
    let by_oneself = |who: &str| match who == owner {
        true => Some(vec![true; info.permissions.len()]),
        false => (!is_given(who)).then(|| stranger(info)),
    };
    if let Some(bits) = by_oneself(user) {
        return Ok(bits);
    }
    let edges: Vec<(&Share, Vec<bool>)> = shares
        .iter()
        .map(|share| Ok((share, assigned(info, &share.role)?)))
        .collect::<Result<_, _>>()?;
    // From nothing upwards until nothing changes: a circle of shares gives nobody anything.
    let mut held: HashMap<&str, Vec<bool>> = HashMap::new();
    loop {
        let mut changed = false;
        for (share, bits) in &edges {
            let given = || held.get(share.from.as_str()).unwrap_or(&none).clone();
            let from = by_oneself(&share.from).unwrap_or_else(given);
            let to = held.entry(&share.to).or_insert_with(|| none.clone());
            for index in 0..to.len() {
                if bits[index] && from[index] && !to[index] {
                    to[index] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            return Ok(held.remove(user).unwrap_or(none));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view_info::RoleDef;
    use super::*;

    fn info() -> ViewInfo {
        let role = |title: &str, bits: [bool; 3], default| RoleDef {
            title: title.into(),
            permissions: bits.to_vec(),
            default,
            ..RoleDef::default()
        };
        ViewInfo {
            permissions: ["view", "comment", "edit"].map(String::from).to_vec(),
            roles: vec![
                role("Editor", [true, true, true], false),
                role("Viewer", [true, false, false], true),
                role("Commenter", [true, true, false], false),
            ],
            ..ViewInfo::default()
        }
    }

    fn share(from: &str, to: &str, role: Role) -> Share {
        let role = Assignment { role, ..Assignment::default() };
        Share { from: from.into(), to: to.into(), role }
    }

    fn held(records: &Records, said: &Said, user: &str) -> (String, Why) {
        let held = permissions_of(&info(), records, said, user).unwrap();
        (held.bits.iter().map(|bit| if *bit { '1' } else { '0' }).collect(), held.why)
    }

    fn said(user: &str) -> Said {
        Said { user: user.into(), role: None }
    }

    fn of(shares: &[Share], user: &str) -> String {
        let records = Records { shares: shares.to_vec(), ..Records::default() };
        held(&records, &said("alice"), user).0
    }

    #[test]
    fn l01_l02_the_owner_and_a_role() {
        let viewer = [share("alice", "bob", Role::Id(1))];
        assert_eq!((of(&viewer, "alice").as_str(), of(&viewer, "bob").as_str()), ("111", "100"));
        assert_eq!(of(&viewer, "dave"), "100", "nobody said anything of dave");
    }

    #[test]
    fn the_owner_is_whom_the_grain_is_served_for_until_it_is_shared() {
        let mut records = Records::default();
        assert_eq!(held(&records, &said("bob"), "bob"), ("111".into(), Why::Owner));
        assert_eq!(held(&records, &said("bob"), "alice"), ("100".into(), Why::Default));
        records.shares.push(share("bob", "carol", Role::Id(2)));
        records.owner = Some("bob".into());
        // Served for somebody else, it is still bob's, and what he gave holds.
        assert_eq!(held(&records, &said("carol"), "carol"), ("110".into(), Why::Share));
        assert_eq!(held(&records, &said("alice"), "bob"), ("111".into(), Why::Owner));
        assert_eq!(held(&records, &said("alice"), "alice"), ("100".into(), Why::Default));
        // A share back to the owner takes nothing from him, and nothing from what he gave.
        records.shares.push(share("carol", "bob", Role::Id(1)));
        assert_eq!(held(&records, &said("alice"), "bob"), ("111".into(), Why::Owner));
        assert_eq!(held(&records, &said("alice"), "carol"), ("110".into(), Why::Share));
    }

    #[test]
    fn what_the_command_line_says_is_of_its_user_only() {
        let shares = vec![share("alice", "bob", Role::Id(1))];
        let records = Records { owner: Some("alice".into()), shares, ..Records::default() };
        let role = Assignment { role: Role::Titled("Commenter".into()), ..Assignment::default() };
        let said = Said { user: "bob".into(), role: Some(role) };
        assert_eq!(held(&records, &said, "bob"), ("110".into(), Why::CommandLine));
        assert_eq!(held(&records, &said, "alice"), ("111".into(), Why::Owner));
        assert_eq!(held(&records, &said, "dave"), ("100".into(), Why::Default));
    }

    #[test]
    fn an_app_without_a_default_role_lets_strangers_in() {
        let mut info = info();
        info.roles.iter_mut().for_each(|role| role.default = false);
        let records = Records::default();
        let of = |records: &Records| permissions_of(&info, records, &said("alice"), "bob").unwrap();
        assert_eq!(of(&records), Held { bits: vec![true; 3], why: Why::Default });
        let shares = vec![share("alice", "bob", Role::None)];
        let records = Records { shares, ..Records::default() };
        assert_eq!(of(&records), Held { bits: vec![false; 3], why: Why::Share });
    }

    #[test]
    fn l03_a_share_without_a_role() {
        assert_eq!(of(&[share("alice", "bob", Role::None)], "bob"), "100");
    }

    #[test]
    fn l04_a_chain() {
        let chain = [share("alice", "bob", Role::Id(2)), share("bob", "carol", Role::Id(0))];
        assert_eq!(of(&chain, "carol"), "110");
    }

    #[test]
    fn l05_two_shares() {
        let both = [share("alice", "bob", Role::Id(1)), share("alice", "bob", Role::Id(2))];
        assert_eq!(of(&both, "bob"), "110");
    }

    #[test]
    fn what_leads_nowhere_gives_nothing() {
        let circle =
            [share("bob", "carol", Role::AllAccess), share("carol", "bob", Role::AllAccess)];
        assert_eq!(of(&circle, "bob"), "000");
        assert_eq!(of(&[share("alice", "bob", Role::Id(9))], "bob"), "000");
        // Nobody gives more than they have: dave is a stranger himself.
        assert_eq!(of(&[share("dave", "bob", Role::AllAccess)], "bob"), "100");
    }

    #[test]
    fn roles_are_named_in_several_ways() {
        assert_eq!(role(None), Role::None);
        assert_eq!(role(Some("all")), Role::AllAccess);
        assert_eq!(role(Some("1")), Role::Id(1));
        assert_eq!(role(Some(" Editor ")), Role::Titled("Editor".into()));
    }

    #[test]
    fn bits_are_added_and_then_removed() {
        let info = info();
        let assignment = Assignment {
            role: Role::Titled("VIEWER".into()),
            add: vec!["comment".into(), "edit".into()],
            remove: vec!["edit".into()],
        };
        assert_eq!(assigned(&info, &assignment).unwrap(), [true, true, false]);
        let wrong = Assignment { add: vec!["fly".into()], ..Assignment::default() };
        let error = assigned(&info, &wrong).unwrap_err().to_string();
        assert_eq!(error, "the app has no permission \"fly\"; it has: view, comment, edit");
        let wrong = Assignment { role: Role::Titled("Boss".into()), ..Assignment::default() };
        let error = assigned(&info, &wrong).unwrap_err().to_string();
        assert_eq!(error, "the app has no role \"Boss\"; it has: Editor, Viewer, Commenter");
        let roleless = ViewInfo { permissions: vec!["x".into()], ..ViewInfo::default() };
        assert_eq!(assigned(&roleless, &Assignment::default()).unwrap(), [false]);
    }
}
