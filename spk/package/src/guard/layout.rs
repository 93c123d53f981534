//! What a directory is by what lies in it, whatever its name.

use super::Kind;

/// What a directory is; `child` says of a name whether it is there, and a directory.
pub fn of(child: impl Fn(&[u8]) -> Option<bool>) -> Option<Kind> {
    let dir = |name: &str| child(name.as_bytes()) == Some(true);
    let file = |name: &str| child(name.as_bytes()) == Some(false);
    if (dir("sandbox") && file("grain.json")) || (dir("grains") && dir("packages") && dir("tmp")) {
        // As this tool stores them.
        Some(Kind::Grain)
    } else if dir("data") && file("metadata") && file("log") {
        // A backup that was unzipped.
        Some(Kind::Backup)
    } else if dir("objects") && dir("refs") && file("HEAD") {
        // A repository of git's without files.
        Some(Kind::VersionControl)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_known_by_what_is_in_it() {
        for (children, kind) in [
            (&["grain.json", "log", "sandbox/"][..], Some(Kind::Grain)),
            (&["grains/", "packages/", "tmp/", "lock"], Some(Kind::Grain)),
            (&["data/", "log", "metadata"], Some(Kind::Backup)),
            (&["HEAD", "config", "objects/", "refs/"], Some(Kind::VersionControl)),
            (&["grain.json", "sandbox"], None),
            (&["data/", "metadata"], None),
            (&["packages/", "tmp/"], None),
            (&["HEAD", "objects/"], None),
            (&[], None),
        ] {
            let child = |name: &[u8]| {
                children.iter().find_map(|child| {
                    let plain = child.trim_end_matches('/');
                    (plain.as_bytes() == name).then_some(plain != *child)
                })
            };
            assert_eq!(of(child), kind, "{children:?}");
        }
    }
}
