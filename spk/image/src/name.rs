//! Names of entries in layers.

use spk_files::path::is_name;
use spk_files::printable;

use crate::error::Error;
use crate::limits;

/// What an entry's name says (OCI image specification, `layer.md`, "Whiteouts").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// The image's root itself.
    Root,
    /// A path, without slashes at its ends and without `.`.
    Path(Vec<u8>),
    /// What lower layers have at this path is gone.
    Whiteout(Vec<u8>),
    /// What lower layers have in this directory is gone.
    Opaque(Vec<u8>),
    /// A file of the storage driver's, which is not part of the image.
    Driver,
}

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs keeps beside the files (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`).
const DRIVER: &[u8] = b".wh..wh.";

/// Reads the name of an entry of layer `layer`.
pub fn read(layer: usize, name: &[u8]) -> Result<Named, Error> {
    let path = plain(layer, name)?;
    let mut components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let last = components.pop().unwrap_or_default();
    if components.iter().any(|name| name.starts_with(DRIVER)) {
        return Ok(Named::Driver);
    }
    if components.iter().any(|name| name.starts_with(WHITEOUT)) {
        return Err(bad(layer, name, "'.wh.' begins names of whiteouts only"));
    }
    let parent = components.join(&b'/');
    if last == OPAQUE {
        return Ok(Named::Opaque(parent));
    }
    if last.starts_with(DRIVER) {
        return Ok(Named::Driver);
    }
    match last.strip_prefix(WHITEOUT) {
        Some(gone) if is_name(gone) => Ok(Named::Whiteout(spk_files::path::join(&parent, gone))),
        Some(_) => Err(bad(layer, name, "a whiteout of nothing")),
        None if path.is_empty() => Ok(Named::Root),
        None => Ok(Named::Path(path)),
    }
}

/// A path in plain form: of names alone, empty for the root. Tars have `./a`, `a/` and `a//b` as well.
pub fn plain(layer: usize, name: &[u8]) -> Result<Vec<u8>, Error> {
    // umoci calls the root so.
    if name.starts_with(b"/") && name.iter().any(|&byte| byte != b'/') {
        return Err(Error::Absolute { layer, name: printable::line(name) });
    }
    let components: Vec<&[u8]> = name
        .split(|&byte| byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .collect();
    if components.contains(&&b".."[..]) {
        return Err(Error::Climbs { layer, name: printable::line(name) });
    }
    if components.iter().any(|component| !is_name(component)) {
        return Err(bad(layer, name, "it has a NUL"));
    }
    if components.iter().any(|component| component.len() > limits::NAME) {
        return Err(bad(layer, name, "a part of it has more than 255 bytes"));
    }
    if components.len() > limits::DEPTH {
        return Err(bad(layer, name, "it is in more than 1024 directories"));
    }
    let path = components.join(&b'/');
    if path.len() > limits::PATH {
        return Err(bad(layer, name, "it has more than 4095 bytes"));
    }
    Ok(path)
}

fn bad(layer: usize, name: &[u8], what: &'static str) -> Error {
    // The beginning shows which one it is.
    Error::BadName { layer, name: printable::line(&name[..name.len().min(200)]), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_the_specification_says() {
        let path = |path: &str| Named::Path(path.as_bytes().to_vec());
        for (name, expected) in [
            ("a/b", path("a/b")),
            ("./a/./b//c/", path("a/b/c")),
            ("./", Named::Root),
            ("/", Named::Root),
            ("", Named::Root),
            ("a/.wh.b", Named::Whiteout(b"a/b".to_vec())),
            (".wh.b", Named::Whiteout(b"b".to_vec())),
            ("a/.wh..wh..opq", Named::Opaque(b"a".to_vec())),
            (".wh..wh..opq", Named::Opaque(b"".to_vec())),
            ("./.wh..b", Named::Whiteout(b".b".to_vec())),
            (".wh..wh.aufs", Named::Driver),
            (".wh..wh.plnk/12.3", Named::Driver),
            (".wha", path(".wha")),
        ] {
            assert_eq!(read(1, name.as_bytes()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn unusable_names_are_refused() {
        let long = "a/".repeat(2100);
        let wide = "a".repeat(256);
        for (name, why) in [
            ("/etc/passwd", "absolute"),
            ("a/../../b", "climbs"),
            ("..", "climbs"),
            ("a\0b", "NUL"),
            (".wh.", "whiteout of nothing"),
            (".wh..", "whiteout of nothing"),
            (".wh...", "whiteout of nothing"),
            (".wh.a/b", "whiteouts only"),
            (&wide, "255"),
            (&long, "1024"),
        ] {
            let error = read(7, name.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("layer 7"), "{name}: {error}");
        }
    }
}
