//! One layer: a tar, entry by entry.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use spk_files::{Time, printable};
use tar::EntryType;

use crate::blob::{Bounded, Exceeded};
use crate::error::Error;
use crate::input;
use crate::name::{self, Named};
use crate::notes::Unkept;
use crate::tree::{Attributes, Tree};

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// Applies layer `layer`, counted from 1, whose tar comes from `plain` and lies in `size` bytes.
pub fn apply(tree: &mut Tree<'_>, layer: usize, plain: impl Read, size: u64) -> Result<(), Error> {
    let limits = *tree.limits();
    let compressed = Rc::new(Cell::new(size));
    let (mut plain, exceeded) = Bounded::new(plain, compressed, limits.ratio, tree.bytes_left());
    let told = |error: Error| match exceeded.get() {
        Some(Exceeded::Ratio) => {
            Error::Bomb { what: format!("layer {layer}"), limit: limits.ratio }
        }
        Some(Exceeded::Total) => input::total(&limits),
        None => error,
    };
    tree.begin(layer);
    entries(tree, layer, &mut plain).map_err(told)?;
    // What stands behind the end of the tar belongs to the layer's digest.
    io::copy(&mut plain, &mut io::sink())
        .map_err(|source| told(Error::Layer { layer, name: String::new(), source }))?;
    Ok(())
}

fn entries(tree: &mut Tree<'_>, layer: usize, plain: &mut dyn Read) -> Result<(), Error> {
    let damaged = |name: &[u8]| {
        let name = printable::line(name);
        move |source| Error::Layer { layer, name, source }
    };
    let between = Rc::new(Cell::new(None));
    let mut tar = tar::Archive::new(Metered {
        inner: Padded { inner: plain, read: 0, is_between: between.clone() },
        left: between.clone(),
    });
    let mut read = tar.entries().map_err(damaged(b""))?;
    let mut last = Vec::new();
    loop {
        between.set(Some(HEADERS));
        let Some(entry) = read.next() else { return Ok(()) };
        let mut entry = entry.map_err(damaged(&last))?;
        between.set(None);
        let kind = entry.header().entry_type();
        let raw = entry.path_bytes().into_owned();
        last.clone_from(&raw);
        if kind == EntryType::XGlobalHeader {
            skip(&mut entry).map_err(damaged(&raw))?;
            continue;
        }
        let mut attributes = Attributes {
            mode: entry.header().mode().map_err(damaged(&raw))?,
            time: Time {
                // Before 1970 in base-256, which the library gives as a large number.
                seconds: entry.header().mtime().map_err(damaged(&raw))? as i64,
                nanoseconds: 0,
            },
        };
        let extended = extended(&mut entry, &mut attributes).map_err(damaged(&raw))?;
        if !matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse) {
            skip(&mut entry).map_err(damaged(&raw))?;
        }
        let named = name::read(layer, &raw)?;
        if named != Named::Driver {
            tree.count()?;
        }
        let path = match named {
            Named::Path(path) => path,
            Named::Root => {
                tree.root(attributes.time);
                continue;
            }
            other => {
                skip(&mut entry).map_err(damaged(&raw))?;
                match other {
                    Named::Whiteout(path) => tree.whiteout(&path)?,
                    Named::Opaque(path) => tree.opaque(&path)?,
                    _ => {}
                }
                continue;
            }
        };
        if extended.has_capabilities {
            tree.note(Unkept::Capabilities, &path);
        }
        if extended.has_others {
            tree.note(Unkept::Attributes, &path);
        }
        let is_directory = kind == EntryType::Directory
            // The oldest tars have no type for them.
            || (kind == EntryType::Regular && raw.ends_with(b"/"));
        if attributes.mode & SET_ID != 0 && !is_directory && kind != EntryType::Symlink {
            tree.note(Unkept::SetId, &path);
        }
        match kind {
            _ if is_directory => tree.directory(&path, attributes)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                tree.file(&path, attributes, &mut entry)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                tree.symlink(&path, &target, attributes)?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                tree.hard_link(&path, &target)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => tree.special(&path)?,
            other => {
                let kind = char::from(other.as_byte());
                return Err(Error::UnknownType { layer, name: printable::line(&path), kind });
            }
        }
    }
}

/// What the headers of one entry may have: long names, and extended attributes of 64 KiB each. The
/// library keeps them in memory.
const HEADERS: u64 = 4 << 20;

/// Ends with an error where more is read than is `left`, while that says something.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if let Some(left) = self.left.get() {
            let less = left.checked_sub(count as u64);
            self.left.set(Some(less.ok_or_else(|| invalid("headers of more than 4 MiB"))?));
        }
        Ok(count)
    }
}

/// Bytes of a block.
const BLOCK: u64 = 512;

/// Fills the last block of a tar with zeros, where its writer did not (umoci's `insert`): behind contents,
/// not in them.
struct Padded<R> {
    inner: R,
    read: u64,
    is_between: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Padded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = self.inner.read(buffer)?;
        if count == 0 && self.is_between.get().is_some() {
            let lacks = self.read.next_multiple_of(BLOCK) - self.read;
            count = buffer.len().min(lacks as usize);
            buffer[..count].fill(0);
        }
        self.read += count as u64;
        Ok(count)
    }
}

/// Contents that are not wanted, so that none are between entries.
fn skip(entry: &mut impl Read) -> io::Result<()> {
    io::copy(entry, &mut io::sink()).map(drop)
}

/// What PAX records say that packages do not have.
#[derive(Default)]
struct Extended {
    has_capabilities: bool,
    has_others: bool,
}

/// Reads the records which the library does not: times, extended attributes, sparse files.
fn extended<R: Read>(
    entry: &mut tar::Entry<'_, R>,
    attributes: &mut Attributes,
) -> io::Result<Extended> {
    let mut extended = Extended::default();
    let Some(records) = entry.pax_extensions()? else { return Ok(extended) };
    for record in records {
        // The library ends a record at a newline, which values in binary may have: what is told of these
        // is that there are some.
        let Ok(record) = record else {
            extended.has_others = true;
            continue;
        };
        let key = record.key_bytes();
        if let Some(name) = [&b"SCHILY.xattr."[..], b"LIBARCHIVE.xattr."]
            .iter()
            .find_map(|of| key.strip_prefix(*of))
        {
            match name {
                b"security.capability" => extended.has_capabilities = true,
                _ => extended.has_others = true,
            }
        } else if key == b"mtime" {
            let time = std::str::from_utf8(record.value_bytes()).ok().and_then(time);
            attributes.time = time.ok_or_else(|| invalid("a modification time makes no sense"))?;
        } else if key.starts_with(b"GNU.sparse.") {
            return Err(invalid("a sparse file in the form of PAX, which is not supported"));
        }
    }
    Ok(extended)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// `-1.25`: seconds since 1970, with a fraction.
fn time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(fraction) || !is_digits(whole.strip_prefix('-').unwrap_or(whole)) {
        return None;
    }
    let digits = format!("{fraction:0<9}");
    let nanoseconds: u32 = digits.get(..9)?.parse().ok()?;
    let seconds: i64 = whole.parse().ok()?;
    Some(match whole.starts_with('-') && nanoseconds > 0 {
        // Rounded towards the past.
        true => Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds },
        false => Time { seconds, nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions() {
        let is = |text, seconds, nanoseconds| {
            assert_eq!(time(text), Some(Time { seconds, nanoseconds }), "{text}");
        };
        is("0", 0, 0);
        is("1700000000.5", 1_700_000_000, 500_000_000);
        is("1.1234567891", 1, 123_456_789);
        is("-1.25", -2, 750_000_000);
        is("-1", -1, 0);
        for bad in ["", "a", "1.a", "1.-2", "--1", "-", "1e5", "99999999999999999999"] {
            assert_eq!(time(bad), None, "{bad}");
        }
    }
}
