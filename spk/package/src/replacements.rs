//! Apps whose signing key was replaced or revoked (format, "replacement / revocation table").
//!
//! The table is a constant of the schema (`appid-replacements.capnp`), so it changes with the
//! tool's releases only.

use std::sync::LazyLock;

use spk_schema::appid_replacements_capnp::APP_ID_REPLACEMENT_LIST;

use crate::app_id::AppId;
use crate::package_id::PackageId;

/// One event: `original` lost its key.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The app's ID, which stays its identity.
    pub original: AppId,
    /// Whose key signs for it now; `None` if there is no successor.
    pub replacement: Option<AppId>,
    /// When present, the original key signs nothing any more but these.
    pub revoked_except: Option<Vec<PackageId>>,
}

/// A package was signed with a revoked key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signing key {0} has been revoked")]
pub struct Revoked(pub AppId);

static BUILT_IN: LazyLock<Table> = LazyLock::new(|| {
    Table(read_schema().expect("the constant was checked by a test when the tool was built"))
});

fn read_schema() -> Option<Vec<Replacement>> {
    let list = APP_ID_REPLACEMENT_LIST.get().ok()?;
    list.iter()
        .map(|entry| {
            let id = |text: capnp::text::Reader| AppId::parse(text.as_bytes()).ok();
            let replacement = match entry.has_replacement() {
                true => Some(id(entry.get_replacement().ok()?)?),
                false => None,
            };
            let revoked_except = match entry.has_revoke_except_package_ids() {
                true => Some(
                    entry
                        .get_revoke_except_package_ids()
                        .ok()?
                        .iter()
                        .map(|text| text.ok()?.to_str().ok()?.parse().ok())
                        .collect::<Option<Vec<PackageId>>>()?,
                ),
                false => None,
            };
            Some(Replacement {
                original: id(entry.get_original().ok()?)?,
                replacement,
                revoked_except,
            })
        })
        .collect()
}

/// A list of replacements.
#[derive(Debug, Clone)]
pub struct Table(pub Vec<Replacement>);

impl Table {
    /// The table this release of the tool knows.
    pub fn built_in() -> &'static Table {
        &BUILT_IN
    }

    /// The identity of an app whose package `package` was signed by `key`.
    pub fn canonical(&self, key: AppId, package: PackageId) -> Result<AppId, Revoked> {
        // Only the actual signing key can be revoked, not the IDs it leads to.
        let revoked = self.0.iter().filter(|entry| entry.original == key).any(|entry| {
            entry.revoked_except.as_ref().is_some_and(|except| !except.contains(&package))
        });
        if revoked {
            return Err(Revoked(key));
        }
        Ok(self.follow(key, |entry, id| (entry.replacement == Some(id)).then_some(entry.original)))
    }

    /// The ID whose key signs for `app` now.
    pub fn signing(&self, app: AppId) -> AppId {
        self.follow(app, |entry, id| (entry.original == id).then_some(entry.replacement)?)
    }

    /// Steps along the table until nothing applies; at most as often as there are entries, so that
    /// a circle in the table ends.
    fn follow(&self, mut id: AppId, step: impl Fn(&Replacement, AppId) -> Option<AppId>) -> AppId {
        for _ in 0..self.0.len() {
            match self.0.iter().find_map(|entry| step(entry, id)) {
                Some(next) => id = next,
                None => break,
            }
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn id(text: &str) -> AppId {
        text.parse().unwrap()
    }

    #[test]
    fn the_built_in_table_is_sound() {
        let table = &read_schema().unwrap();
        assert_eq!(table.len(), 5);
        let originals: HashSet<_> = table.iter().map(|e| e.original).collect();
        let replacements: HashSet<_> = table.iter().filter_map(|e| e.replacement).collect();
        let packages: Vec<_> =
            table.iter().flat_map(|e| e.revoked_except.iter().flatten()).collect();
        assert_eq!(originals.len(), table.len());
        assert_eq!(replacements.len(), table.len());
        assert_eq!(packages.iter().collect::<HashSet<_>>().len(), packages.len());
        assert_eq!(packages.len(), 3);
    }

    #[test]
    fn replaced_revoked_and_excepted() {
        let table = Table::built_in();
        let drawio = id("nfqhx83vvzm80edpgkpax8mhqp176qj2vwg67rgq5e3kjc5r4cyh");
        let new = id("a3w50h1435gsxczugm16q0amwkqm9f4crykzea53sv61pt7phk8h");
        let any = PackageId([7; 16]);
        let old: PackageId = "1450e0caa29b59ec938b3795bf17cb02".parse().unwrap();
        assert_eq!(table.canonical(new, any), Ok(drawio));
        assert_eq!(table.canonical(drawio, any), Err(Revoked(drawio)));
        assert_eq!(table.canonical(drawio, old), Ok(drawio));
        assert_eq!(table.signing(drawio), new);
        assert_eq!(table.signing(new), new);
        // replaced but not revoked
        let wekan = id("m86q05rdvj14yvn78ghaxynqz7u2svw6rnttptxx49g1785cdv1h");
        assert_eq!(table.canonical(wekan, any), Ok(wekan));
    }

    #[test]
    fn chains_circles_and_empty_exceptions() {
        let [a, b, c] = [1, 2, 3].map(|n| AppId([n; 32]));
        let entry =
            |original, replacement| Replacement { original, replacement, revoked_except: None };
        let chain = Table(vec![entry(b, Some(c)), entry(a, Some(b))]);
        assert_eq!(chain.signing(a), c);
        assert_eq!(chain.canonical(c, PackageId([0; 16])), Ok(a));
        let circle = Table(vec![entry(a, Some(b)), entry(b, Some(a))]);
        let _ = circle.signing(a);
        let gone = Table(vec![Replacement {
            original: a,
            replacement: None,
            revoked_except: Some(Vec::new()),
        }]);
        assert_eq!(gone.canonical(a, PackageId([0; 16])), Err(Revoked(a)));
        assert_eq!(gone.signing(a), a);
    }
}
