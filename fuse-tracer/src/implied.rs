//! Files that were not opened but that opened files are useless without.
//!
//! Python reads a module's byte code, and of its source only the attributes; without the source
//! beside it, the byte code is not even looked at (PEP 3147). A list of what was opened would
//! therefore make a package in which nothing can be imported.

use std::collections::BTreeSet;

use spk_package::view::{NodeKind, View};

/// Where Python keeps byte code.
const CACHE: &[u8] = b"__pycache__";

/// The used paths, and what they need.
pub fn with_implied(view: &View, used: BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let sources: Vec<Vec<u8>> = used
        .iter()
        .filter_map(|path| source_of(path))
        .filter(|source| {
            matches!(view.lookup(source), Ok(Some(node)) if node.kind() == NodeKind::File
                || node.kind() == NodeKind::Symlink)
        })
        .collect();
    let mut all = used;
    all.extend(sources);
    all
}

/// `a/name.py` for `a/__pycache__/name.cpython-311.pyc`, with or without `.opt-1` in it.
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let stem = path.strip_suffix(b".pyc")?;
    let slash = stem.iter().rposition(|&byte| byte == b'/')?;
    let (dir, name) = (&stem[..slash], &stem[slash + 1..]);
    let parent = dir.strip_suffix(CACHE)?;
    if !parent.is_empty() && !parent.ends_with(b"/") {
        return None;
    }
    // The tag cannot have a dot, but for the level of optimisation; a module's name cannot either.
    let name = name.split(|&byte| byte == b'.').next()?;
    (!name.is_empty()).then(|| [parent, name, b".py"].concat())
}

#[cfg(test)]
mod tests {
    use super::source_of;

    #[test]
    fn byte_code_names_its_source() {
        let source = |path: &str| {
            source_of(path.as_bytes()).map(|source| String::from_utf8(source).unwrap())
        };
        assert_eq!(
            source("usr/lib/python3/re/__pycache__/_parser.cpython-311.pyc").as_deref(),
            Some("usr/lib/python3/re/_parser.py")
        );
        assert_eq!(source("__pycache__/a.cpython-311.opt-2.pyc").as_deref(), Some("a.py"));
        for other in ["a.pyc", "a/b.pyc", "my__pycache__/a.x.pyc", "__pycache__/a.py", "x", ""] {
            assert_eq!(source(other), None, "{other}");
        }
    }
}
