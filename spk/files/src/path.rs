//! Paths as bytes: names separated by `/`, relative to something that the caller knows.

/// Whether `name` can be the name of a directory entry: one component, and neither `.` nor `..`.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/') && !name.contains(&0)
}

/// `path` without trailing slashes if all its components are ordinary names; the empty path is
/// the root and fine.
pub fn normal_form(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    match (end, path.is_empty()) {
        (0, false) => None, // nothing but slashes
        (0, true) => Some(path),
        _ => Some(&path[..end]).filter(|path| components(path).all(is_name)),
    }
}

/// The names of which `path` is made, the outermost first; of the empty path one, which is empty.
pub fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
    path.split(|&byte| byte == b'/')
}

/// What `path` is in, and its last name. The parent of a single name is empty.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// What `path` is in: everything before its last slash.
pub fn parent(path: &[u8]) -> &[u8] {
    split(path).0
}

/// The last name of `path`.
pub fn name(path: &[u8]) -> &[u8] {
    split(path).1
}

/// All that `path` is in, from the outermost name to its parent: `a`, `a/b` for `a/b/c`.
pub fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
    slashes.map(|(slash, _)| &path[..slash])
}

/// `parent/name`, where the root is empty.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    push(&mut path, name);
    path
}

/// Makes `path` lead to `name` in it.
pub fn push(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// Whether `top` is `path` or above it, by whole components; the empty path is above all.
pub fn is_prefix(top: &[u8], path: &[u8]) -> bool {
    top.is_empty() || path.strip_prefix(top).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn splitting_undoes_joining(parent in "[a-c]{0,3}(/[a-c]{1,3}){0,3}", last in "[a-c]{1,3}") {
            let (parent, last) = (parent.trim_start_matches('/').as_bytes(), last.as_bytes());
            let path = join(parent, last);
            prop_assert_eq!(split(&path), (parent, last));
            prop_assert!(is_prefix(parent, &path));
            prop_assert_eq!(above(&path).last().unwrap_or_default(), parent);
            prop_assert_eq!(components(&path).next_back(), Some(last));
            prop_assert_eq!(normal_form(&path), Some(&path[..]));
        }

        #[test]
        fn no_path_is_too_strange(path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), any::<u8>()], 0..12)) {
            let (parent, last) = split(&path);
            prop_assert!(path.starts_with(parent) && path.ends_with(last));
            prop_assert!(!last.contains(&b'/'));
            if let Some(normal) = normal_form(&path) {
                prop_assert!(normal.is_empty() || components(normal).all(is_name));
            }
        }
    }

    #[test]
    fn normal_form_drops_trailing_slashes_only() {
        assert_eq!(normal_form(b"a/b//"), Some(&b"a/b"[..]));
        assert_eq!(normal_form(b""), Some(&b""[..]));
        for bad in [&b"/"[..], b"/a", b"a/./b", b".", b"a//b", b"..", b"a\0b"] {
            assert_eq!(normal_form(bad), None, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn prefixes_are_whole_components() {
        for (top, path, is) in [
            ("", "a", true),
            ("", "", true),
            ("a", "a", true),
            ("a", "a/b", true),
            ("a", "ab", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(is_prefix(top.as_bytes(), path.as_bytes()), is, "{top} {path}");
        }
    }

    #[test]
    fn what_is_above_begins_outside() {
        assert_eq!(above(b"a/b/c").collect::<Vec<_>>(), [&b"a"[..], b"a/b"]);
        assert_eq!(above(b"a").count(), 0);
        assert_eq!((parent(b"a"), name(b"a")), (&b""[..], &b"a"[..]));
        assert_eq!((join(b"", b"a"), join(b"a", b"")), (b"a".to_vec(), b"a".to_vec()));
    }
}
