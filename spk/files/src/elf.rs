//! As much of ELF as it takes to see what a file is and what it asks the system for. The input is
//! any file: the `object` crate checks every offset, and all that is read has a limit.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use object::elf::{
    DT_NEEDED, DT_NULL, DT_STRTAB, EM_386, EM_X86_64, ET_DYN, ET_EXEC, FileHeader32, FileHeader64,
    FileType, Machine, PT_DYNAMIC, PT_INTERP, PT_LOAD, ProgramHeader64,
};
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _};
use object::read::{ReadCache, ReadCacheOps, ReadRef as _};
use object::{Endianness, LittleEndian};

/// How ELF files begin.
pub const MAGIC: &[u8; 4] = b"\x7fELF";

/// Program headers in a file; linkers make about a dozen.
const MAX_HEADERS: u16 = 128;

/// Bytes of the dynamic section, 16 an entry; some dozen entries are usual.
const MAX_DYNAMIC: u64 = 64 << 10;

/// Length of a loader's path, as the kernel takes it (`PATH_MAX`).
const MAX_PATH: u64 = 4096;

/// Length of a library's name (`NAME_MAX`), with the NUL.
const MAX_NAME: u64 = 256;

/// For what machine a file is, and how far it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    machine: Machine,
    file_type: FileType,
}

impl Kind {
    /// From the first bytes of a file, 64 at least; `None` for what is no ELF file.
    pub fn of(head: &[u8]) -> Option<Kind> {
        fn read<H: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<Kind> {
            let header = H::parse(head).ok()?;
            let endian = header.endian().ok()?;
            Some(Kind { machine: header.e_machine(endian), file_type: header.e_type(endian) })
        }
        read::<FileHeader64<Endianness>>(head).or_else(|| read::<FileHeader32<Endianness>>(head))
    }

    /// Whether this is code for x86-64, which packages are for.
    pub fn is_x86_64(self) -> bool {
        self.machine == EM_X86_64
    }

    /// Whether this is code for any processor of the x86 family.
    pub fn is_x86(self) -> bool {
        self.is_x86_64() || self.machine == EM_386
    }

    /// A program or a library, in which calls lead somewhere; not what is to be linked yet.
    pub fn is_linked(self) -> bool {
        matches!(self.file_type, ET_EXEC | ET_DYN)
    }
}

/// A little-endian 64-bit ELF file.
pub struct Elf<'f>(ReadCache<Positioned<'f>>);

impl<'f> Elf<'f> {
    /// Opens `file`; `None` for what is no such file. Its position is neither used nor changed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(file: &'f File) -> io::Result<Option<Elf<'f>>> {
        let mut head = [0; 6];
        let mut got = 0;
        while got < head.len() {
            match file.read_at(&mut head[got..], got as u64)? {
                0 => return Ok(None),
                count => got += count,
            }
        }
        // 64 bits, little endian
        let is = head.starts_with(MAGIC) && head[4..] == [2, 1];
        Ok(is.then(|| Elf(ReadCache::new(Positioned { file, at: 0 }))))
    }

    /// The program that loads it (`PT_INTERP`): a path. `None`: the kernel does.
    ///
    /// # Errors
    /// When it cannot be read, or its tables lead nowhere.
    pub fn interpreter(&self) -> io::Result<Option<Vec<u8>>> {
        let is = |header: &&Header| header.p_type(LittleEndian) == PT_INTERP;
        let Some(header) = self.headers()?.iter().find(is) else { return Ok(None) };
        limit(header.p_filesz(LittleEndian), MAX_PATH)?;
        let path = header.interpreter(LittleEndian, &self.0).map_err(damaged)?;
        Ok(path.map(<[u8]>::to_vec))
    }

    /// Libraries without which it does not start (`DT_NEEDED`).
    ///
    /// # Errors
    /// When it cannot be read, or its tables lead nowhere.
    pub fn libraries(&self) -> io::Result<Vec<Vec<u8>>> {
        let headers = self.headers()?;
        let is = |header: &&Header| header.p_type(LittleEndian) == PT_DYNAMIC;
        let Some(header) = headers.iter().find(is) else { return Ok(Vec::new()) };
        limit(header.p_filesz(LittleEndian), MAX_DYNAMIC)?;
        let dynamic = header.dynamic(LittleEndian, &self.0).map_err(damaged)?.unwrap_or_default();
        let (mut names, mut strings) = (Vec::new(), None);
        for entry in dynamic {
            match entry.tag(LittleEndian) {
                DT_NULL => break,
                DT_NEEDED => names.push(entry.val(LittleEndian)),
                DT_STRTAB => strings = Some(entry.val(LittleEndian)),
                _ => {}
            }
        }
        let Some(strings) = strings.and_then(|address| offset_of(headers, address)) else {
            return Ok(Vec::new());
        };
        names.into_iter().map(|name| self.text(strings.checked_add(name))).collect()
    }

    fn headers(&self) -> io::Result<&[Header]> {
        let header = FileHeader64::<LittleEndian>::parse(&self.0).map_err(damaged)?;
        limit(header.e_phnum(LittleEndian), MAX_HEADERS)?;
        header.program_headers(LittleEndian, &self.0).map_err(damaged)
    }

    fn text(&self, at: Option<u64>) -> io::Result<Vec<u8>> {
        let at = at.ok_or(io::ErrorKind::InvalidData)?;
        let end = at.saturating_add(MAX_NAME).min(self.0.len().unwrap_or_default());
        let text = (&self.0).read_bytes_at_until(at..end, 0);
        Ok(text.map_err(|()| io::ErrorKind::InvalidData)?.to_vec())
    }
}

type Header = ProgramHeader64<LittleEndian>;

/// Where in the file an address is loaded from.
fn offset_of(headers: &[Header], address: u64) -> Option<u64> {
    headers.iter().filter(|header| header.p_type(LittleEndian) == PT_LOAD).find_map(|header| {
        let distance = address.checked_sub(header.p_vaddr(LittleEndian))?;
        let inside = distance < header.p_filesz(LittleEndian);
        header.p_offset(LittleEndian).checked_add(distance).filter(|_| inside)
    })
}

/// A number that decides how much is read.
fn limit<N: PartialOrd>(number: N, most: N) -> io::Result<()> {
    if number <= most { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn damaged(error: object::read::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// A file as `object` reads it, whose own position stays.
struct Positioned<'f> {
    file: &'f File,
    at: u64,
}

impl ReadCacheOps for Positioned<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(drop)
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.at = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let count = self.file.read_at(buffer, self.at).map_err(drop)?;
        self.at += count as u64;
        Ok(count)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        self.file.read_exact_at(buffer, self.at).map_err(drop)?;
        self.at += buffer.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Seek, Write};

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn names_what_ldd_names() {
        let mut shell = File::open("/bin/sh").unwrap();
        let elf = Elf::open(&shell).unwrap().unwrap();
        let names = elf.libraries().unwrap();
        assert!(names.iter().any(|name| name.starts_with(b"libc.")), "{names:?}");
        let interpreter = elf.interpreter().unwrap().unwrap();
        assert!(interpreter.starts_with(b"/lib"), "{interpreter:?}");
        drop(elf);
        assert_eq!(shell.stream_position().unwrap(), 0);
    }

    #[test]
    fn this_test_is_static() {
        let own = File::open(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::open(&own).unwrap().unwrap();
        assert_eq!(elf.interpreter().unwrap(), None);
        assert_eq!(elf.libraries().unwrap(), Vec::<Vec<u8>>::new());
    }

    /// A header that says so, and what `object` checks besides.
    fn head(class: u8, order: u8, machine: [u8; 2], file_type: [u8; 2]) -> Vec<u8> {
        let mut head = b"\x7fELF\0\0\x01".to_vec();
        head.resize(64, 0);
        (head[4], head[5]) = (class, order);
        head[16..18].copy_from_slice(&file_type);
        head[18..20].copy_from_slice(&machine);
        head
    }

    #[test]
    fn kinds_are_told_by_the_head() {
        let kind = |bytes: &[u8]| {
            Kind::of(bytes).map(|kind| (kind.is_x86_64(), kind.is_x86(), kind.is_linked()))
        };
        for (head, expected) in [
            (head(2, 1, [62, 0], [3, 0]), Some((true, true, true))),
            (head(2, 1, [62, 0], [1, 0]), Some((true, true, false))),
            (head(1, 1, [3, 0], [2, 0]), Some((false, true, true))),
            (head(2, 1, [0xb7, 0], [3, 0]), Some((false, false, true))),
            (head(2, 2, [0, 0x16], [0, 2]), Some((false, false, true))),
            (head(0, 1, [62, 0], [3, 0]), None),
            (b"\x7fELF".to_vec(), None),
            (b"#!/bin/sh".to_vec(), None),
        ] {
            assert_eq!(kind(&head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_claims_much_is_not_read() {
        let mut bytes = head(2, 1, [62, 0], [3, 0]);
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..58].copy_from_slice(&[56, 0, 1, 0]);
        for (kind, size) in [(3u32, u64::MAX), (2, 1 << 40), (3, 4097), (2, (64 << 10) + 16)] {
            let mut header = vec![0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            header[32..40].copy_from_slice(&size.to_le_bytes());
            let file = file(&[&bytes[..], &header].concat());
            // Sparse: as long as it claims.
            file.set_len(size.min(1 << 42)).unwrap();
            let elf = Elf::open(&file).unwrap().unwrap();
            assert_eq!(elf.interpreter().is_err(), kind == 3, "{kind} {size}");
            assert_eq!(elf.libraries().is_err(), kind == 2, "{kind} {size}");
        }
        // The number of headers may be in a section instead (PN_XNUM).
        bytes[54..58].copy_from_slice(&[56, 0, 0xff, 0xff]);
        let many = file(&bytes);
        assert!(Elf::open(&many).unwrap().unwrap().interpreter().is_err());
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
            let _ = Kind::of(&bytes);
            let file = file(&bytes);
            if let Some(elf) = Elf::open(&file).unwrap() {
                let _ = (elf.interpreter(), elf.libraries());
            }
        }
    }
}
