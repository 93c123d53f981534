//! Reading an archive without trusting it: every byte of the file belongs to exactly one thing,
//! both headers of a member agree, and no declared size is believed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::member::{Reader, check_descriptor, check_local, reading};
use super::record::{
    CENTRAL_LENGTH, Central, DEFLATED, END_LENGTH, END_SIGNATURE, END64_LENGTH, END64_SIGNATURE,
    FLAG_DESCRIPTOR, FLAG_ENCRYPTED, FLAG_MASKED, FLAG_PATCHED, FLAG_STRONG_ENCRYPTION,
    LOCATOR_LENGTH, LOCATOR_SIGNATURE, Member, SEE_ZIP64, STORED, Take, take_central,
};
use crate::backup::error::{Error, shown};

/// What is accepted before anything is extracted.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryLimits {
    /// Number of members.
    pub members: u64,
    /// Bytes of the central directory, which is kept in memory.
    pub directory: u64,
}

/// An archive whose directory has been read and checked against all local headers.
pub struct Archive {
    file: File,
    /// In the order of their data.
    members: Vec<Indexed>,
    names: Vec<u8>,
}

struct Indexed {
    member: Member,
    name: (usize, usize),
    data: u64,
}

impl Archive {
    /// Reads the directory and all local headers.
    ///
    /// # Errors
    /// Whatever does not fit together, with the member's name.
    pub fn open(file: File, limits: DirectoryLimits) -> Result<Archive, Error> {
        let length = file.metadata().map_err(reading)?.len();
        let end = find_end(&file, length)?;
        if end.members > limits.members {
            return Err(Error::Limit {
                what: "members of the backup",
                found: end.members,
                limit: limits.members,
                flag: "--max-entries",
            });
        }
        if end.size > limits.directory {
            return Err(Error::Limit {
                what: "bytes of the backup's central directory",
                found: end.size,
                limit: limits.directory,
                flag: "--max-entries",
            });
        }
        let mut directory = vec![0; end.size as usize];
        file.read_exact_at(&mut directory, end.offset).map_err(reading)?;
        let mut archive = Archive {
            file,
            members: Vec::with_capacity((end.members as usize).min(directory.len() / 46 + 1)),
            names: Vec::new(),
        };
        let mut take = Take(&directory);
        for _ in 0..end.members {
            let central = take_central(&mut take).ok_or(Error::BadDirectory("record cut off"))?;
            archive.index(&central)?;
        }
        if !take.0.is_empty() {
            return Err(Error::BadDirectory("more records than counted"));
        }
        drop(directory);
        archive.members.sort_by_key(|indexed| indexed.member.offset);
        archive.check_names()?;
        archive.check_locals(end.offset)?;
        Ok(archive)
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Name and description of a member; they are numbered in the order of their data. What stands
    /// for the top itself (`./`, as some tools write before every name) is not in the name.
    pub fn member(&self, index: usize) -> (&[u8], &Member) {
        let (name, member) = self.as_written(index);
        (name.strip_prefix(b"./").unwrap_or(name), member)
    }

    fn as_written(&self, index: usize) -> (&[u8], &Member) {
        let indexed = &self.members[index];
        (&self.names[indexed.name.0..indexed.name.1], &indexed.member)
    }

    fn index(&mut self, central: &Central<'_>) -> Result<(), Error> {
        let Central { member, name, disk } = central;
        let name_of = || shown(name);
        if *disk != 0 {
            return Err(Error::MultiPart);
        }
        if member.flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTION | FLAG_MASKED) != 0 {
            return Err(Error::Encrypted(name_of()));
        }
        if !matches!(member.method, STORED | DEFLATED) || member.flags & FLAG_PATCHED != 0 {
            return Err(Error::Method { name: name_of(), method: member.method });
        }
        if member.method == STORED && member.size != member.compressed {
            return Err(Error::LyingSize(name_of()));
        }
        if member.renamed {
            return Err(Error::OtherName(name_of()));
        }
        if name.is_empty() {
            return Err(Error::BadName { name: String::new(), what: "empty" });
        }
        let start = self.names.len();
        self.names.extend_from_slice(name);
        self.members.push(Indexed { member: *member, name: (start, self.names.len()), data: 0 });
        Ok(())
    }

    /// Refuses two members of one name, and members below one that is no directory.
    fn check_names(&self) -> Result<(), Error> {
        let mut order: Vec<u32> = (0..self.members.len() as u32).collect();
        let key = |index: u32| {
            let name = self.member(index as usize).0;
            name.strip_suffix(b"/").unwrap_or(name)
        };
        // `/` sorts before everything: what is below a name then follows it directly.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { u16::from(*byte) + 1 };
        order.sort_unstable_by(|a, b| key(*a).iter().map(rank).cmp(key(*b).iter().map(rank)));
        for pair in order.windows(2) {
            let (name, next) = (key(pair[0]), key(pair[1]));
            if name == next {
                return Err(Error::Duplicate(shown(name)));
            }
            let below = next.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'/'));
            let (full, member) = self.member(pair[0] as usize);
            let kind = member.attributes >> 16 & 0o170_000;
            if below && kind == 0o120_000 {
                return Err(Error::ThroughLink(shown(name)));
            }
            if below && kind != 0o040_000 && !full.ends_with(b"/") {
                return Err(Error::FileAndDirectory(shown(name)));
            }
        }
        Ok(())
    }

    /// Checks that local headers say the same, and that members fill the file without overlap.
    fn check_locals(&mut self, directory: u64) -> Result<(), Error> {
        let mut expected = 0;
        for index in 0..self.members.len() {
            let next = self.members.get(index + 1).map_or(directory, |next| next.member.offset);
            let (name, member) = self.as_written(index);
            if member.offset > expected {
                let length = member.offset - expected;
                return Err(Error::Stray { offset: expected, length });
            }
            let overlap = || Error::Overlap(shown(name));
            let data = check_local(&self.file, name, member)?;
            let data_end = data.checked_add(member.compressed).ok_or_else(overlap)?;
            if data_end > next {
                return Err(overlap());
            }
            expected = data_end;
            if member.flags & FLAG_DESCRIPTOR != 0 {
                expected += check_descriptor(&self.file, name, member, data_end, next)?;
            }
            if expected > next {
                return Err(overlap());
            }
            self.members[index].data = data;
        }
        if expected < directory {
            return Err(Error::Stray { offset: expected, length: directory - expected });
        }
        Ok(())
    }

    /// Gives the member's data to `sink`: see [`Reader::read`].
    ///
    /// # Errors
    /// Damaged data, or what `sink` says.
    pub fn read(
        &self,
        reader: &mut Reader,
        index: usize,
        sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        reader.read(&self.file, self.member(index), self.members[index].data, sink)
    }
}

/// Where the central directory is.
pub struct End {
    /// Number of members.
    pub members: u64,
    /// Its length.
    pub size: u64,
    /// Its first byte.
    pub offset: u64,
}

/// Finds the one end record of an archive of this length.
pub fn find_end(file: &File, length: u64) -> Result<End, Error> {
    let window = length.min((END_LENGTH + 0xffff) as u64);
    let start = length - window;
    let mut bytes = vec![0; window as usize];
    file.read_exact_at(&mut bytes, start).map_err(reading)?;
    let signature = END_SIGNATURE.to_le_bytes();
    let mut exact = Vec::new();
    let mut nearly = None;
    for at in (0..bytes.len().saturating_sub(END_LENGTH - 1)).rev() {
        if bytes[at..at + 4] != signature {
            continue;
        }
        let comment = u16::from_le_bytes([bytes[at + 20], bytes[at + 21]]);
        let end = at + END_LENGTH + usize::from(comment);
        match end.cmp(&bytes.len()) {
            std::cmp::Ordering::Equal => exact.push(at),
            std::cmp::Ordering::Less if nearly.is_none() => nearly = Some(bytes.len() - end),
            _ => {}
        }
    }
    let at = match exact[..] {
        [at] => at,
        [] => {
            let mut head = [0; 4];
            let read = file.read_exact_at(&mut head, 0);
            return Err(match (nearly, read) {
                (Some(behind), _) => Error::TrailingData(behind as u64),
                (None, Ok(())) if head.starts_with(b"PK") => Error::Truncated,
                _ => Error::NotAZip,
            });
        }
        _ => return Err(Error::AmbiguousEnd),
    };
    parse_end(file, &bytes[at..], start + at as u64)
}

fn parse_end(file: &File, record: &[u8], at: u64) -> Result<End, Error> {
    let cut = || Error::BadDirectory("end record cut off");
    let mut take = Take(record.get(4..).unwrap_or_default());
    let (disk, directory_disk) = (take.take16().ok_or_else(cut)?, take.take16().ok_or_else(cut)?);
    let (here, members) = (take.take16().ok_or_else(cut)?, take.take16().ok_or_else(cut)?);
    let (size, offset) = (take.take32().ok_or_else(cut)?, take.take32().ok_or_else(cut)?);
    let mut end = End { members: members.into(), size: size.into(), offset: offset.into() };
    let mut directory_end = at;
    let many = [disk, directory_disk];
    if let Some(wide) = find_end64(file, at)? {
        let agree =
            |small: u64, placeholder: u64, large: u64| small == large || small == placeholder;
        if !agree(end.members, 0xffff, wide.1.members)
            || !agree(end.size, SEE_ZIP64.into(), wide.1.size)
            || !agree(end.offset, SEE_ZIP64.into(), wide.1.offset)
        {
            return Err(Error::BadDirectory("its two end records disagree"));
        }
        (directory_end, end) = wide;
        if many.iter().any(|&disk| disk != 0 && disk != 0xffff) {
            return Err(Error::MultiPart);
        }
    } else if many != [0, 0] || here != members {
        return Err(Error::MultiPart);
    }
    if end.members == 0 {
        return Err(Error::NoMetadata);
    }
    if end.size < end.members.saturating_mul(CENTRAL_LENGTH as u64) {
        return Err(Error::BadDirectory("too short for its number of records"));
    }
    let stop = end.offset.checked_add(end.size).ok_or(Error::BadDirectory("out of the file"))?;
    match stop.cmp(&directory_end) {
        std::cmp::Ordering::Equal => Ok(end),
        std::cmp::Ordering::Less => {
            // Either something was put before the archive, or between its directory and its end.
            let length = directory_end - stop;
            Err(Error::Stray { offset: 0, length })
        }
        std::cmp::Ordering::Greater => Err(Error::Truncated),
    }
}

/// The zip64 end record, if a locator stands before the end: where it begins, and what it says.
fn find_end64(file: &File, end: u64) -> Result<Option<(u64, End)>, Error> {
    let Some(locator_at) = end.checked_sub(LOCATOR_LENGTH as u64) else { return Ok(None) };
    let mut locator = [0; LOCATOR_LENGTH];
    file.read_exact_at(&mut locator, locator_at).map_err(reading)?;
    let bad = || Error::BadDirectory("zip64 end record");
    let mut take = Take(&locator);
    if take.take32() != Some(LOCATOR_SIGNATURE) {
        return Ok(None);
    }
    let disk = take.take32().ok_or_else(bad)?;
    let at = take.take64().ok_or_else(bad)?;
    if disk != 0 || take.take32().ok_or_else(bad)? > 1 {
        return Err(Error::MultiPart);
    }
    let mut record = [0; END64_LENGTH];
    if at.checked_add(END64_LENGTH as u64).is_none_or(|stop| stop > locator_at) {
        return Err(bad());
    }
    file.read_exact_at(&mut record, at).map_err(reading)?;
    let mut take = Take(&record);
    if take.take32() != Some(END64_SIGNATURE) {
        return Err(bad());
    }
    let length = take.take64().ok_or_else(bad)?;
    if at.checked_add(12).and_then(|start| start.checked_add(length)) != Some(locator_at) {
        return Err(bad());
    }
    take.take32();
    let disks = [take.take32(), take.take32()];
    let (here, members) = (take.take64().ok_or_else(bad)?, take.take64().ok_or_else(bad)?);
    if disks != [Some(0), Some(0)] || here != members {
        return Err(Error::MultiPart);
    }
    let size = take.take64().ok_or_else(bad)?;
    let offset = take.take64().ok_or_else(bad)?;
    Ok(Some((at, End { members, size, offset })))
}
