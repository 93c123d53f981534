//! Writing an archive: members one after the other, to a file (headers are patched) or to a pipe
//! (descriptors follow), in constant memory.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;

use tempfile::SpooledTempFile;

use super::record::{
    DEFLATED, FLAG_DESCRIPTOR, FLAG_UTF8, HOST_UNIX, LocalSizes, Member, STORED, central_header,
    descriptor, end, local_header,
};
use spk_files::Time;

/// Central records kept in memory before they go to a temporary file.
const CENTRAL_IN_MEMORY: usize = 4 << 20;

/// Bytes collected before they are written.
const BUFFER: usize = 256 << 10;

/// From this size on a member's local header has room for 64-bit sizes. Deflate expands what it
/// cannot compress by less than one in a thousand.
const WIDE: u64 = 0xffff_ffff - (64 << 20);

/// Longest name the format can hold.
pub const LONGEST_NAME: usize = 0xffff;

/// Where the archive goes.
pub enum Output {
    /// A file that is empty, from its beginning.
    File(BufWriter<File>),
    /// Something that cannot be changed afterwards.
    Pipe(BufWriter<Box<dyn Write + Send>>),
}

impl Output {
    /// Into a file.
    pub fn file(file: File) -> Output {
        Output::File(BufWriter::with_capacity(BUFFER, file))
    }

    /// Into a pipe.
    pub fn pipe(pipe: Box<dyn Write + Send>) -> Output {
        Output::Pipe(BufWriter::with_capacity(BUFFER, pipe))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Output::File(out) => out.write_all(bytes),
            Output::Pipe(out) => out.write_all(bytes),
        }
    }
}

/// Name, mode and time of a member.
#[derive(Clone, Debug)]
pub struct Head {
    /// At most [`LONGEST_NAME`] bytes; directories end in `/`.
    pub name: Vec<u8>,
    /// `st_mode`.
    pub mode: u32,
    /// Modification time.
    pub time: Time,
}

/// An archive being written.
pub struct Writer {
    out: Output,
    position: u64,
    central: SpooledTempFile,
    central_size: u64,
    count: u64,
    open: Option<Open>,
}

/// A member whose size is not known yet.
struct Open {
    head: Head,
    member: Member,
    sizes: LocalSizes,
}

impl Writer {
    /// Starts an archive.
    pub fn new(out: Output) -> Writer {
        Writer {
            out,
            position: 0,
            central: SpooledTempFile::new(CENTRAL_IN_MEMORY),
            central_size: 0,
            count: 0,
            open: None,
        }
    }

    /// A member that is all there: `data` is stored, or is the deflated form of `size` bytes.
    pub fn whole(
        &mut self,
        head: &Head,
        method: u16,
        crc: u32,
        size: u64,
        data: &[u8],
    ) -> io::Result<()> {
        let mut member = self.member(head, method);
        (member.crc, member.size, member.compressed) = (crc, size, data.len() as u64);
        self.put(&local_header(&head.name, &member, LocalSizes::Known { wide: false }))?;
        self.put(data)?;
        self.record(head, &member)
    }

    /// Begins a member of about `size` bytes.
    pub fn begin(&mut self, head: Head, store: bool, size: u64) -> io::Result<()> {
        let method = if store { STORED } else { DEFLATED };
        let mut member = self.member(&head, method);
        let wide = size >= WIDE;
        let sizes = match &self.out {
            Output::File(_) => LocalSizes::Known { wide },
            Output::Pipe(_) => {
                member.flags |= FLAG_DESCRIPTOR;
                LocalSizes::Follow { wide }
            }
        };
        self.put(&local_header(&head.name, &member, sizes))?;
        self.open = Some(Open { head, member, sizes });
        Ok(())
    }

    /// Adds to the member's data, compressed already if it is to be.
    pub fn data(&mut self, data: &[u8]) -> io::Result<()> {
        self.put(data)?;
        if let Some(open) = &mut self.open {
            open.member.compressed += data.len() as u64;
        }
        Ok(())
    }

    /// Ends the member.
    pub fn finish_member(&mut self, crc: u32, size: u64) -> io::Result<()> {
        let Some(Open { head, mut member, sizes }) = self.open.take() else { return Ok(()) };
        (member.crc, member.size) = (crc, size);
        match sizes {
            LocalSizes::Follow { wide } => self.put(&descriptor(&member, wide))?,
            LocalSizes::Known { .. } => {
                let header = local_header(&head.name, &member, sizes);
                if let Output::File(out) = &mut self.out {
                    out.flush()?;
                    out.get_ref().write_all_at(&header, member.offset)?;
                }
            }
        }
        self.record(&head, &member)
    }

    /// Writes the central directory. Gives back the file, flushed, and the archive's length and
    /// number of members.
    pub fn finish(mut self) -> io::Result<(Option<File>, u64, u64)> {
        let offset = self.position;
        self.central.rewind()?;
        let mut central = std::mem::replace(&mut self.central, SpooledTempFile::new(0));
        let mut buffer = vec![0; BUFFER];
        loop {
            match central.read(&mut buffer)? {
                0 => break,
                count => self.put(&buffer[..count])?,
            }
        }
        self.put(&end(self.count, self.central_size, offset))?;
        let file = match self.out {
            Output::File(out) => Some(out.into_inner().map_err(|error| error.into_error())?),
            Output::Pipe(mut out) => {
                out.flush()?;
                None
            }
        };
        Ok((file, self.position, self.count))
    }

    fn member(&self, head: &Head, method: u16) -> Member {
        // Names are bytes; the flag says that these bytes are UTF-8, where it matters.
        let utf8 = !head.name.is_ascii() && std::str::from_utf8(&head.name).is_ok();
        let directory = head.mode & 0o170_000 == 0o040_000;
        Member {
            flags: if utf8 { FLAG_UTF8 } else { 0 },
            method,
            crc: 0,
            compressed: 0,
            size: 0,
            host: HOST_UNIX,
            attributes: (head.mode & 0xffff) << 16 | if directory { 0x10 } else { 0 },
            offset: self.position,
            time: head.time,
            linked: false,
            renamed: false,
        }
    }

    fn record(&mut self, head: &Head, member: &Member) -> io::Result<()> {
        let record = central_header(&head.name, member);
        self.central.write_all(&record)?;
        self.central_size += record.len() as u64;
        self.count += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
