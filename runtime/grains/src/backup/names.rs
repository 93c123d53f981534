//! Names of members: which are the grain's, which are nobody's, and which are an attack.

use super::error::{Error, shown};
use super::limits::COMPONENT_LENGTH;
use super::zip::record::{HOST_MACOS, HOST_UNIX, Member};

/// What a member is for, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// `metadata`.
    Metadata,
    /// Below `data/`, without that and without a slash at the end; empty: `data/` itself.
    Data(&'a [u8]),
    /// The top itself.
    Top,
    /// Something else at the top: the log, or what a zip tool added. Not restored.
    Other,
}

/// What a member is, by its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
}

/// Mode of files from systems without modes.
const FILE_MODE: u32 = 0o660;

/// Mode of directories that the archive does not describe (as the original's unpacker: 0777
/// without the umask 0007).
pub const DIRECTORY_MODE: u32 = 0o770;

/// MS-DOS attribute of a directory.
const DOS_DIRECTORY: u32 = 0x10;

/// Checks a name and says what it is for.
///
/// # Errors
/// Each kind of unusable name has its own.
pub fn place<'a>(
    name: &'a [u8],
    member: &Member,
    name_limit: usize,
    literal_backslashes: bool,
) -> Result<Place<'a>, Error> {
    let bad = |what| Err(Error::BadName { name: shown(name), what });
    if name.is_empty() {
        return Ok(Place::Top);
    }
    if name.contains(&0) {
        return bad("it contains a NUL byte");
    }
    if name.len() > name_limit {
        return Err(Error::Limit {
            what: "bytes in a member's name",
            found: name.len() as u64,
            limit: name_limit as u64,
            flag: "--max-name-length",
        });
    }
    let drive = name.len() >= 2 && name[0].is_ascii_alphabetic() && name[1] == b':';
    if name[0] == b'/' || (drive && matches!(name.get(2), None | Some(b'/' | b'\\'))) {
        return Err(Error::Absolute(shown(name)));
    }
    let path = name.strip_suffix(b"/").unwrap_or(name);
    let mut components = path.split(|&byte| byte == b'/');
    if components.clone().any(|component| component == b"..") {
        return Err(Error::Climbs(shown(name)));
    }
    let unix = matches!(member.host, HOST_UNIX | HOST_MACOS);
    let top = components.clone().next().unwrap_or_default();
    // On Unix a backslash is a letter like any other; elsewhere, at the top, and where it would
    // lead out if it were a separator, it is not believed to be one.
    let suspect =
        |component: &[u8]| component.contains(&b'\\') && (!unix || backslashes_climb(component));
    if top.contains(&b'\\') || (!literal_backslashes && components.clone().any(suspect)) {
        return Err(Error::Backslash(shown(name)));
    }
    for component in components.by_ref() {
        if component.is_empty() {
            return bad("an empty component");
        }
        if component == b"." {
            return bad("a component '.'");
        }
        if component.len() > COMPONENT_LENGTH {
            return bad("a component of more than 255 bytes");
        }
    }
    Ok(match path {
        b"metadata" => Place::Metadata,
        b"data" => Place::Data(b""),
        _ => path.strip_prefix(b"data/").map_or(Place::Other, Place::Data),
    })
}

/// Whether a name would lead upwards, or to a root, if its backslashes were separators.
pub fn backslashes_climb(component: &[u8]) -> bool {
    component.first() == Some(&b'\\')
        || (component.contains(&b'\\')
            && component.split(|&byte| byte == b'\\').any(|part| part == b".."))
}

/// What a member is, and its permissions without set-id and sticky bits; whether those were
/// there.
///
/// # Errors
/// Special files, and types that contradict name or size.
pub fn kind(name: &[u8], member: &Member) -> Result<(Kind, u32, bool), Error> {
    // The top's own name has nothing but that.
    let slash = name.is_empty() || name.ends_with(b"/");
    let wrong = |what| Err(Error::Kind { name: shown(name), what });
    let special = |kind| Err(Error::Special { name: shown(name), kind });
    let unix = matches!(member.host, HOST_UNIX | HOST_MACOS);
    let mode = if unix { member.attributes >> 16 } else { 0 };
    let kind = match mode & 0o170_000 {
        0o100_000 => Kind::File,
        0o040_000 => Kind::Directory,
        0o120_000 => Kind::Link,
        0 if slash || member.attributes & DOS_DIRECTORY != 0 => Kind::Directory,
        0 => Kind::File,
        0o010_000 => return special("pipe"),
        0o140_000 => return special("socket"),
        0o020_000 => return special("character device"),
        0o060_000 => return special("block device"),
        _ => return special("file of an unknown type"),
    };
    if kind == Kind::File && member.linked {
        return Err(Error::HardLink(shown(name)));
    }
    if slash && kind != Kind::Directory {
        return wrong("a name that ends in a slash, but no directory");
    }
    if kind == Kind::Directory && member.size != 0 {
        return wrong("a directory with contents of its own");
    }
    // Tools that store no mode, or none but the type, mean the default.
    let permissions = match (mode & 0o7777, kind) {
        (0, Kind::File) if mode == 0 => FILE_MODE,
        (0, Kind::Directory) if mode == 0 => DIRECTORY_MODE,
        (permissions, _) => permissions,
    };
    Ok((kind, permissions & 0o777, permissions & 0o7000 != 0))
}
