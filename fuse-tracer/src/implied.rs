//! Files that were not opened but that opened files are useless without.
//!
//! Python reads a module's byte code, and of its source only the attributes; without the source
//! beside it, or where the link to it leads nowhere, the byte code is not even looked at (PEP 3147).
//! And it knows its library's directory by a file in it that it looks at only (`getpath.py` in
//! CPython). A list of what was opened would therefore make a package in which nothing can be
//! imported.

use std::collections::BTreeSet;

use spk_files::path::{join, split};
use spk_package::selection;
use spk_package::view::View;

/// Where Python keeps byte code.
const CACHE: &[u8] = b"__pycache__";
/// The file by which CPython knows the directory of its library.
const LANDMARK: &[u8] = b"os.py";

/// The used paths, and what they need.
pub fn with_implied(view: &View, used: BTreeSet<Vec<u8>>) -> BTreeSet<Vec<u8>> {
    let mut wanted: BTreeSet<Vec<u8>> = used.iter().filter_map(|path| source_of(path)).collect();
    wanted.extend(used.iter().filter_map(|path| landmark_of(path)));
    // The links on the way as well.
    let taken = wanted.iter().filter_map(|path| selection::follow(view, path).ok()).flatten();
    let taken: Vec<Vec<u8>> = taken.collect();
    let mut all = used;
    all.extend(taken);
    all
}

/// `lib/python3.11/os.py` for `lib/python3.11/NAME.py`, or byte code of it.
fn landmark_of(path: &[u8]) -> Option<Vec<u8>> {
    let source = source_of(path);
    let file = source.as_deref().unwrap_or(path);
    let (dir, name) = split(file);
    let library = split(dir).1.strip_prefix(b"python")?;
    let is_version = library.first().is_some_and(u8::is_ascii_digit) && library.contains(&b'.');
    (is_version && name.ends_with(b".py")).then(|| join(dir, LANDMARK))
}

/// `a/name.py` for `a/__pycache__/name.cpython-311.pyc`, with or without `.opt-1` in it.
fn source_of(path: &[u8]) -> Option<Vec<u8>> {
    let stem = path.strip_suffix(b".pyc")?;
    let (dir, name) = split(stem);
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
    use super::{landmark_of, source_of};

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

    #[test]
    fn a_module_of_the_library_names_the_landmark() {
        let landmark = |path: &str| landmark_of(path.as_bytes());
        let os = Some(b"usr/lib/python3.11/os.py".to_vec());
        assert_eq!(landmark("usr/lib/python3.11/re.py"), os);
        assert_eq!(landmark("usr/lib/python3.11/__pycache__/re.cpython-311.pyc"), os);
        for other in ["usr/lib/python3/re.py", "usr/lib/python3.11/json/x.py", "re.py", "x", ""] {
            assert_eq!(landmark(other), None, "{other}");
        }
    }
}
