//! As much of ELF as it takes to see which libraries a file needs. The input is any file: every
//! offset is checked, every table has a limit.

use std::io;
use std::os::unix::fs::FileExt;

/// How ELF files begin.
pub const MAGIC: &[u8; 4] = b"\x7fELF";
/// Program headers looked at; linkers make about a dozen.
const MAX_HEADERS: u64 = 128;
/// Bytes of the dynamic section looked at, 16 an entry; some dozen entries are usual.
const MAX_DYNAMIC: u64 = 64 << 10;
/// Length of one library's name (`NAME_MAX`).
const MAX_NAME: usize = 255;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

/// Bytes of a file in which names are looked for; larger ones are mostly data.
const MAX_SEARCHED: usize = 64 << 20;
/// Names of libraries found in one file; more are a list of something else.
const MAX_FOUND: usize = 1000;

/// What a file asks the system for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The program that loads it (`PT_INTERP`): an absolute path.
    pub interpreter: Option<Vec<u8>>,
    /// Libraries without which it does not start (`DT_NEEDED`).
    pub libraries: Vec<Vec<u8>>,
}

/// The names of the libraries a little-endian 64-bit ELF file needs (`DT_NEEDED`); none for any
/// other ELF file.
///
/// # Errors
/// When it cannot be read, or ends before its own tables do.
pub fn needed(file: &impl FileExt) -> io::Result<Vec<Vec<u8>>> {
    Ok(needs(file)?.libraries)
}

/// Names in a file that look like those of libraries, such as a program gives to `dlopen`: `lib`,
/// something, `.so`, perhaps a version; sorted, each once.
pub fn library_names(content: &[u8]) -> Vec<Vec<u8>> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    let content = &content[..content.len().min(MAX_SEARCHED)];
    let mut found = std::collections::BTreeSet::new();
    for word in content.split(|&byte| !part(byte)) {
        let Some(rest) = word.strip_prefix(b"lib") else { continue };
        if word.len() > MAX_NAME || found.len() >= MAX_FOUND {
            continue;
        }
        let Some(at) = rest.windows(3).position(|window| window == b".so") else { continue };
        let version = &rest[at + 3..];
        let versioned = version.strip_prefix(b".").is_some_and(|version| {
            !version.is_empty() && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        });
        if at > 0 && (version.is_empty() || versioned) {
            found.insert(word.to_vec());
        }
    }
    found.into_iter().collect()
}

/// What a little-endian 64-bit ELF file asks for; nothing for any other ELF file.
///
/// # Errors
/// When it cannot be read, or ends before its own tables do.
pub fn needs(file: &impl FileExt) -> io::Result<Needs> {
    let mut needs = Needs::default();
    let header = read::<64>(file, 0)?;
    // 64 bits, little endian
    if header[..4] != MAGIC[..] || header[4] != 2 || header[5] != 1 {
        return Ok(needs);
    }
    let table = u64_at(&header, 32);
    let size = u64::from(u16_at(&header, 54));
    let count = u64::from(u16_at(&header, 56)).min(MAX_HEADERS);
    let (mut loads, mut dynamic) = (Vec::new(), None);
    for index in 0..count {
        let at = table.checked_add(index * size).ok_or(io::ErrorKind::InvalidData)?;
        let entry = read::<56>(file, at)?;
        let (offset, address, length) = (u64_at(&entry, 8), u64_at(&entry, 16), u64_at(&entry, 32));
        match u32_at(&entry, 0) {
            PT_LOAD => loads.push((address, offset, length)),
            PT_INTERP => needs.interpreter = Some(text(file, offset)?),
            PT_DYNAMIC => dynamic = Some((offset, length.min(MAX_DYNAMIC))),
            _ => {}
        }
    }
    let Some((offset, length)) = dynamic else { return Ok(needs) };
    let (mut names, mut strings) = (Vec::new(), None);
    for index in 0..length / 16 {
        let at = offset.checked_add(index * 16).ok_or(io::ErrorKind::InvalidData)?;
        let entry = read::<16>(file, at)?;
        match (u64_at(&entry, 0), u64_at(&entry, 8)) {
            (0, _) => break,
            (DT_NEEDED, name) => names.push(name),
            (DT_STRTAB, address) => strings = Some(address),
            _ => {}
        }
    }
    let inside = |address: u64| {
        let load = loads.iter().find(|(start, _, length)| {
            address.checked_sub(*start).is_some_and(|distance| distance < *length)
        })?;
        load.1.checked_add(address - load.0)
    };
    let Some(strings) = strings.and_then(inside) else { return Ok(needs) };
    needs.libraries = names
        .into_iter()
        .map(|name| text(file, strings.checked_add(name).ok_or(io::ErrorKind::InvalidData)?))
        .collect::<io::Result<_>>()?;
    Ok(needs)
}

fn text(file: &impl FileExt, at: u64) -> io::Result<Vec<u8>> {
    let mut bytes = [0; MAX_NAME + 1];
    let length = file.read_at(&mut bytes, at)?;
    let end = bytes[..length].iter().position(|&byte| byte == 0);
    Ok(bytes[..end.ok_or(io::ErrorKind::InvalidData)?].to_vec())
}

fn read<const N: usize>(file: &impl FileExt, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_what_ldd_names() {
        let Ok(shell) = std::fs::File::open("/bin/sh") else { panic!("no /bin/sh") };
        let names = needed(&shell).unwrap();
        assert!(names.iter().any(|name| name.starts_with(b"libc.")), "{names:?}");
        let interpreter = needs(&shell).unwrap().interpreter.unwrap();
        assert!(interpreter.starts_with(b"/lib"), "{interpreter:?}");
    }

    #[test]
    fn names_of_libraries_are_told_from_other_words() {
        let content = b"x\0libssl.so.3\0/usr/lib/libz.so\0lib.so\0libx.so.old\0liby.soft\0\
                        libcrypto.so.1.1\xfflibssl.so.3\0mylibq.so\0";
        let names = library_names(content);
        let expected: [&[u8]; 3] = [b"libcrypto.so.1.1", b"libssl.so.3", b"libz.so"];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..400),
            plausible: bool,
        ) {
            if plausible && bytes.len() > 64 {
                bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
                bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
                bytes[54..58].copy_from_slice(&[56, 0, 3, 0]);
            }
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("x"), &bytes).unwrap();
            let _ = needed(&std::fs::File::open(dir.path().join("x")).unwrap());
            let _ = library_names(&bytes);
        }
    }
}
