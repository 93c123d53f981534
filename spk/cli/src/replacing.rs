//! Which files may be replaced by what a command writes: older ones of the same sort. A newcomer
//! takes the output for the input; a source, a key or a text is not to be lost for that.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use memchr::memmem;
use spk_files::is_gone;
use spk_package::guard::backup::is_backup;
use spk_package::guard::keys::is_keyring;
use spk_package::limits::MAGIC;

use crate::error::{CliError, Result, ResultExt};

/// Bytes looked at, at either end.
const LOOKED_AT: u64 = 64 << 10;

/// What a command writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// `spk pack`.
    Package,
    /// `spk oci`.
    Image,
    /// `spk grain export`.
    Backup,
    /// `spk keygen` and all that make keys.
    Keyring,
    /// `spk init`.
    Definition,
}

impl Sort {
    const ALL: [Sort; 5] =
        [Sort::Package, Sort::Image, Sort::Backup, Sort::Keyring, Sort::Definition];

    fn name(self) -> &'static str {
        match self {
            Sort::Package => "a package",
            Sort::Image => "an image",
            Sort::Backup => "a backup of a grain",
            Sort::Keyring => "a keyring",
            Sort::Definition => "a package definition",
        }
    }

    /// Whether a file that begins and ends like this is one.
    fn is(self, head: &[u8], tail: &[u8]) -> bool {
        match self {
            Sort::Package => head.starts_with(&MAGIC),
            Sort::Image => {
                head.get(257..262) == Some(b"ustar")
                    && (head.starts_with(b"blobs/") || head.starts_with(b"oci-layout"))
            }
            Sort::Backup => is_backup(head, tail),
            Sort::Keyring => is_keyring(head),
            Sort::Definition => memmem::find(head, b"PackageDefinition").is_some(),
        }
    }
}

/// Refuses to replace what is at `path`, unless it is of that sort, or empty, or `force`. What is
/// no file at all is refused in any case.
///
/// # Errors
/// The refusal, which says what is there.
pub fn allow(path: &Path, sort: Sort, force: bool) -> Result<()> {
    let shown = path.display();
    let cannot = || format!("cannot see what {shown} is, and whether it may be replaced");
    let metadata = match path.metadata() {
        // Writing says what is wrong with its directory.
        Err(error) if is_gone(&error) => return Ok(()),
        metadata => metadata.context(cannot())?,
    };
    if !metadata.is_file() {
        return Err(CliError::usage(format!("{shown} is no regular file, and is not replaced"))
            .hint("name a file"));
    }
    if force || metadata.size() == 0 {
        return Ok(());
    }
    let (head, tail) = ends(path, metadata.size()).context(cannot())?;
    if sort.is(&head, &tail) {
        return Ok(());
    }
    let other = Sort::ALL.into_iter().find(|other| other.is(&head, &tail));
    let found = other.map_or("something else", Sort::name);
    let wanted = sort.name();
    Err(CliError::usage(format!("{shown} is {found}, not {wanted}, and is not replaced"))
        .hint(format!("name another file for {wanted}, or --force replaces it")))
}

/// The first and last bytes of a file.
fn ends(path: &Path, size: u64) -> std::io::Result<(Vec<u8>, Vec<u8>)> {
    let file = File::open(path)?;
    let part = |start: u64| {
        let mut bytes = vec![0; LOOKED_AT.min(size) as usize];
        file.read_exact_at(&mut bytes, start).map(|()| bytes)
    };
    Ok((part(0)?, part(size - LOOKED_AT.min(size))?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use spk_package::keyring::Key;

    #[test]
    fn only_the_same_sort_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut tar = vec![0; 512];
        tar[..6].copy_from_slice(b"blobs/");
        tar[257..262].copy_from_slice(b"ustar");
        let zip = [&b"PK\x03\x04"[..], &[0; 22], b"\x08\0\0\0metadata"].concat();
        let zip = [&zip[..], b"PK\x03\x04", &[0; 22], b"\x06\0\0\0data/x"].concat();
        let files: [(&str, Vec<u8>, Option<Sort>); 8] = [
            ("a.spk", MAGIC.to_vec(), Some(Sort::Package)),
            ("a.tar", tar, Some(Sort::Image)),
            ("a.zip", zip, Some(Sort::Backup)),
            ("ring", Key::from_seed([1; 32]).to_message().to_vec(), Some(Sort::Keyring)),
            (
                "def.capnp",
                b"const pkgdef :Spk.PackageDefinition = ();".to_vec(),
                Some(Sort::Definition),
            ),
            ("app.py", b"print()".to_vec(), None),
            ("other.zip", b"PK\x03\x04".to_vec(), None),
            ("other.tar", vec![0; 512], None),
        ];
        for (name, bytes, is) in &files {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            for sort in Sort::ALL {
                let allowed = allow(&path, sort, false);
                assert_eq!(allowed.is_ok(), *is == Some(sort), "{name}: {sort:?}");
                assert!(allow(&path, sort, true).is_ok(), "{name}: {sort:?}");
            }
        }
    }

    #[test]
    fn what_is_not_there_or_empty_may_be_written_and_directories_never() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        assert!(allow(&empty, Sort::Package, false).is_ok());
        assert!(allow(&dir.path().join("none"), Sort::Package, false).is_ok());
        assert!(allow(dir.path(), Sort::Package, true).is_err());
        assert!(allow(Path::new("/dev/null"), Sort::Package, true).is_err());
    }
}
