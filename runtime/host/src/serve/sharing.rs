//! Who may do what: roles of the app, and shares from person to person (http-bridge §7.6). Computed
//! anew whenever a session opens, from what the app says of its roles then.

use std::collections::HashMap;

use super::grain::ViewInfo;
use crate::store::capabilities::{Assignment, Role, Share};

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

/// The bits of permissions given by name.
pub(crate) fn named(info: &ViewInfo, names: &[String]) -> Result<Vec<bool>, Unknown> {
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

/// The permissions of `user`: everything for the owner; along a chain of shares what each of them
/// lets through, and over several chains what any of them does. A user with whom nobody has shared
/// has everything on this host, where there is nobody to ask.
pub(crate) fn of_user(
    info: &ViewInfo,
    shares: &[Share],
    owner: &str,
    user: &str,
) -> Result<Vec<bool>, Unknown> {
    let all = vec![true; info.permissions.len()];
    let restricted = |who: &str| who != owner && shares.iter().any(|share| share.to == who);
    if !restricted(user) {
        return Ok(all);
    }
    let edges: Vec<(&Share, Vec<bool>)> = shares
        .iter()
        .map(|share| Ok((share, assigned(info, &share.role)?)))
        .collect::<Result<_, _>>()?;
    // From nothing upwards until nothing changes: a circle of shares gives nobody anything.
    let mut held: HashMap<&str, Vec<bool>> = HashMap::new();
    let none = vec![false; info.permissions.len()];
    loop {
        let mut changed = false;
        for (share, bits) in &edges {
            let from = if restricted(&share.from) {
                held.get(share.from.as_str()).unwrap_or(&none).clone()
            } else {
                all.clone()
            };
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
    use super::super::grain::RoleDef;
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

    fn of(shares: &[Share], user: &str) -> String {
        let bits = of_user(&info(), shares, "alice", user).unwrap();
        bits.iter().map(|bit| if *bit { '1' } else { '0' }).collect()
    }

    #[test]
    fn l01_l02_the_owner_and_a_role() {
        let viewer = [share("alice", "bob", Role::Id(1))];
        assert_eq!((of(&viewer, "alice").as_str(), of(&viewer, "bob").as_str()), ("111", "100"));
        assert_eq!(of(&viewer, "dave"), "111", "nobody said anything of dave");
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
