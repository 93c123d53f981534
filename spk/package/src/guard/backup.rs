//! Whether a zip file is a backup of a grain, by the names in it.

use memchr::memmem;

/// Head of a member.
const LOCAL: &[u8] = b"PK\x03\x04";
/// Entry of the directory at the end.
const CENTRAL: &[u8] = b"PK\x01\x02";

/// Whether a file that begins and ends like this is a backup: `metadata` beside `data/` or `log`,
/// at its top or in the one directory that somebody zipped.
pub fn is_backup(head: &[u8], tail: &[u8]) -> bool {
    if !head.starts_with(LOCAL) {
        return false;
    }
    let names: Vec<&[u8]> =
        names(head, LOCAL, 26, 30).chain(names(tail, CENTRAL, 28, 46)).collect();
    let Some(metadata) = names.iter().find(|name| name.ends_with(b"metadata")) else {
        return false;
    };
    let top = &metadata[..metadata.len() - b"metadata".len()];
    let slashes = top.iter().filter(|&&byte| byte == b'/').count();
    let at_top = top.is_empty() || (slashes == 1 && top.ends_with(b"/"));
    at_top
        && names.iter().any(|name| {
            name.strip_prefix(top).is_some_and(|rest| rest == b"log" || rest.starts_with(b"data/"))
        })
}

/// Names of the records that begin with `mark`; their length is at `length`, they at `start`.
fn names<'a>(
    bytes: &'a [u8],
    mark: &'a [u8],
    length: usize,
    start: usize,
) -> impl Iterator<Item = &'a [u8]> {
    memmem::find_iter(bytes, mark).filter_map(move |place| {
        let record = &bytes[place..];
        let field = record.get(length..length + 2)?;
        record.get(start..start + usize::from(u16::from_le_bytes([field[0], field[1]])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zip without contents: the heads of its members, and the directory.
    fn zip(names: &[&str]) -> (Vec<u8>, Vec<u8>) {
        let record = |mark: &[u8], length: usize, start: usize, name: &str| {
            let mut record = vec![0; start];
            record[..4].copy_from_slice(mark);
            record[length] = name.len() as u8;
            record.extend(name.bytes());
            record
        };
        let all = |mark, length, start| {
            names.iter().flat_map(|name| record(mark, length, start, name)).collect()
        };
        (all(LOCAL, 26, 30), all(CENTRAL, 28, 46))
    }

    #[test]
    fn a_backup_is_told_by_its_layout() {
        for (names, is) in [
            (&["metadata", "log", "data/", "data/a"][..], true),
            (&["data/", "data/x", "metadata"], true),
            (&["notes/", "notes/data/a", "notes/metadata"], true),
            (&["metadata"], false),
            (&["data/", "data/x"], false),
            (&["a/b/metadata", "a/b/data/x"], false),
            (&["META-INF/", "Main.class"], false),
            (&["app/metadata", "data/x"], false),
        ] {
            let (head, tail) = zip(names);
            assert_eq!(is_backup(&head, &tail), is, "{names:?}");
            // of a large one only one end may say all
            assert_eq!(is_backup(LOCAL, &tail), is, "{names:?}");
        }
        assert!(!is_backup(b"", &zip(&["metadata", "log"]).1));
    }
}
