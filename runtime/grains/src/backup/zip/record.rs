//! Fixed records of the zip format, as values and as bytes (little-endian throughout).

use spk_files::Time;
use time::{Date, Month, OffsetDateTime};

pub const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
pub const DESCRIPTOR_SIGNATURE: u32 = 0x0807_4b50;
pub const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
pub const END64_SIGNATURE: u32 = 0x0606_4b50;
pub const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
pub const END_SIGNATURE: u32 = 0x0605_4b50;

pub const LOCAL_LENGTH: usize = 30;
pub const CENTRAL_LENGTH: usize = 46;
pub const END64_LENGTH: usize = 56;
pub const LOCATOR_LENGTH: usize = 20;
pub const END_LENGTH: usize = 22;

/// Flag bits (APPNOTE 4.4.4).
pub const FLAG_ENCRYPTED: u16 = 1 << 0;
pub const FLAG_DESCRIPTOR: u16 = 1 << 3;
pub const FLAG_PATCHED: u16 = 1 << 5;
pub const FLAG_STRONG_ENCRYPTION: u16 = 1 << 6;
pub const FLAG_UTF8: u16 = 1 << 11;
pub const FLAG_MASKED: u16 = 1 << 13;

/// Compression methods (APPNOTE 4.4.5).
pub const STORED: u16 = 0;
pub const DEFLATED: u16 = 8;

/// A 32-bit field with this value has its number in the zip64 extra field.
pub const SEE_ZIP64: u32 = u32::MAX;

/// "Made by" hosts whose external attributes hold Unix modes (APPNOTE 4.4.2).
pub const HOST_UNIX: u8 = 3;
pub const HOST_MACOS: u8 = 19;

/// Extra fields (APPNOTE 4.5.2; 0x5455 and 0x000a as Info-ZIP's `extrafld.txt` describes them).
const EXTRA_ZIP64: u16 = 0x0001;
const EXTRA_NTFS: u16 = 0x000a;
const EXTRA_UNIX: u16 = 0x000d;
const EXTRA_TIME: u16 = 0x5455;
const EXTRA_UNICODE_PATH: u16 = 0x7075;

/// Seconds from 1601, where NTFS times begin, to 1970.
const NTFS_EPOCH: i64 = 11_644_473_600;

/// What the central directory says about a member, and the local header mostly repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub compressed: u64,
    pub size: u64,
    /// Host in "made by".
    pub host: u8,
    /// `st_mode` in the upper half, MS-DOS attributes in the lower one.
    pub attributes: u32,
    pub offset: u64,
    pub time: Time,
    /// Whether it says that it is a link to another member, by PKWARE's field for Unix.
    pub linked: bool,
    /// Whether it has another name for those who look at Info-ZIP's field for Unicode paths.
    pub renamed: bool,
}

/// Appends numbers to a buffer.
pub trait Put {
    fn put16(&mut self, value: u16);
    fn put32(&mut self, value: u32);
    fn put64(&mut self, value: u64);
}

impl Put for Vec<u8> {
    fn put16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }
}

/// Takes numbers from the front of a slice; `None` past its end.
#[derive(Clone, Copy)]
pub struct Take<'a>(pub &'a [u8]);

impl<'a> Take<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }
    pub fn take16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }
    pub fn take32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }
    pub fn take64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }
}

/// How a local header speaks of sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalSizes {
    /// In the header; `wide` reserves the zip64 field, to be patched without moving anything.
    Known { wide: bool },
    /// In a descriptor behind the data, 8 bytes each when `wide`.
    Follow { wide: bool },
}

/// The local header of a member.
pub fn local_header(name: &[u8], member: &Member, sizes: LocalSizes) -> Vec<u8> {
    let mut out = Vec::with_capacity(LOCAL_LENGTH + name.len() + 40);
    let (wide, follow) = match sizes {
        LocalSizes::Known { wide } => (wide, false),
        LocalSizes::Follow { wide } => (wide, true),
    };
    let flags = if follow { member.flags | FLAG_DESCRIPTOR } else { member.flags };
    let mut extra = Vec::new();
    if wide {
        extra.put16(EXTRA_ZIP64);
        extra.put16(16);
        extra.put64(if follow { 0 } else { member.size });
        extra.put64(if follow { 0 } else { member.compressed });
    }
    put_time(&mut extra, member.time, false);
    out.put32(LOCAL_SIGNATURE);
    out.put16(if wide { 45 } else { 20 });
    out.put16(flags);
    out.put16(member.method);
    put_dos_time(&mut out, member.time);
    out.put32(if follow { 0 } else { member.crc });
    let narrow = |value: u64| match (wide, follow) {
        (true, _) => SEE_ZIP64,
        (false, true) => 0,
        // Callers ask for `wide` when it does not fit.
        (false, false) => value as u32,
    };
    out.put32(narrow(member.compressed));
    out.put32(narrow(member.size));
    out.put16(name.len() as u16);
    out.put16(extra.len() as u16);
    out.extend_from_slice(name);
    out.extend_from_slice(&extra);
    out
}

/// The descriptor behind the data.
pub fn descriptor(member: &Member, wide: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(24);
    out.put32(DESCRIPTOR_SIGNATURE);
    out.put32(member.crc);
    if wide {
        out.put64(member.compressed);
        out.put64(member.size);
    } else {
        out.put32(member.compressed as u32);
        out.put32(member.size as u32);
    }
    out
}

/// The central directory's record of a member.
pub fn central_header(name: &[u8], member: &Member) -> Vec<u8> {
    let mut out = Vec::with_capacity(CENTRAL_LENGTH + name.len() + 80);
    let mut extra = Vec::new();
    let mut zip64 = Vec::new();
    let mut narrow = |value: u64| match u32::try_from(value) {
        Ok(value) if value != SEE_ZIP64 => value,
        _ => {
            zip64.put64(value);
            SEE_ZIP64
        }
    };
    // The order in the extra field is fixed: size, compressed size, offset.
    let (size, compressed, offset) =
        (narrow(member.size), narrow(member.compressed), narrow(member.offset));
    if !zip64.is_empty() {
        extra.put16(EXTRA_ZIP64);
        extra.put16(zip64.len() as u16);
        extra.extend_from_slice(&zip64);
    }
    let wide = !zip64.is_empty();
    put_time(&mut extra, member.time, true);
    out.put32(CENTRAL_SIGNATURE);
    out.put16(u16::from(member.host) << 8 | 30);
    out.put16(if wide { 45 } else { 20 });
    out.put16(member.flags);
    out.put16(member.method);
    put_dos_time(&mut out, member.time);
    out.put32(member.crc);
    out.put32(compressed);
    out.put32(size);
    out.put16(name.len() as u16);
    out.put16(extra.len() as u16);
    out.put16(0);
    out.put16(0);
    out.put16(0);
    out.put32(member.attributes);
    out.put32(offset);
    out.extend_from_slice(name);
    out.extend_from_slice(&extra);
    out
}

/// The end of the archive.
pub fn end(count: u64, size: u64, offset: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let fits = count < 0xffff && size < u64::from(SEE_ZIP64) && offset < u64::from(SEE_ZIP64);
    if !fits {
        out.put32(END64_SIGNATURE);
        out.put64(END64_LENGTH as u64 - 12);
        out.put16(u16::from(HOST_UNIX) << 8 | 45);
        out.put16(45);
        out.put32(0);
        out.put32(0);
        out.put64(count);
        out.put64(count);
        out.put64(size);
        out.put64(offset);
        out.put32(LOCATOR_SIGNATURE);
        out.put32(0);
        out.put64(offset + size);
        out.put32(1);
    }
    out.put32(END_SIGNATURE);
    out.put16(0);
    out.put16(0);
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.put16(count);
    out.put16(count);
    out.put32(u32::try_from(size).unwrap_or(SEE_ZIP64));
    out.put32(u32::try_from(offset).unwrap_or(SEE_ZIP64));
    out.put16(0);
    out
}

/// The modification time, as `UT` (whole seconds, 32 bits: see [`unix_time`]) where it fits, and in
/// the central directory also as NTFS time (100 ns) where seconds are not enough.
fn put_time(extra: &mut Vec<u8>, time: Time, central: bool) {
    if (i64::from(i32::MIN)..=i64::from(u32::MAX)).contains(&time.seconds) {
        extra.put16(EXTRA_TIME);
        extra.put16(5);
        extra.push(1);
        extra.put32(time.seconds as u32);
        if time.nanoseconds == 0 {
            return;
        }
    }
    let ticks = time
        .seconds
        .checked_add(NTFS_EPOCH)
        .and_then(|seconds| seconds.checked_mul(10_000_000))
        .and_then(|ticks| u64::try_from(ticks).ok());
    if let (true, Some(ticks)) = (central, ticks) {
        let ticks = ticks + u64::from(time.nanoseconds / 100);
        extra.put16(EXTRA_NTFS);
        extra.put16(32);
        extra.put32(0);
        extra.put16(1);
        extra.put16(24);
        for _ in 0..3 {
            extra.put64(ticks);
        }
    }
}

/// MS-DOS time and date, in UTC: archives then do not depend on who made them where.
fn put_dos_time(out: &mut Vec<u8>, time: Time) {
    // First and last second that can be told, and so what stands for all before and after.
    const FIRST: i64 = 315_532_800; // 1980-01-01
    const LAST: i64 = 4_354_819_198; // 2107-12-31 23:59:58
    // The calendar knows all of these seconds.
    let time = OffsetDateTime::from_unix_timestamp(time.seconds.clamp(FIRST, LAST))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (hour, minute, second) = time.to_hms();
    out.put16(u16::from(hour) << 11 | u16::from(minute) << 5 | u16::from(second / 2));
    let year = (time.year() - 1980).clamp(0, 127) as u16;
    out.put16(year << 9 | u16::from(u8::from(time.month())) << 5 | u16::from(time.day()));
}

/// 1970-01-01 as a Julian day.
const EPOCH: i32 = OffsetDateTime::UNIX_EPOCH.date().to_julian_day();

fn dos_time(time: u16, date: u16) -> Time {
    let year = i32::from(date >> 9) + 1980;
    let month = Month::December.nth_next((date >> 5 & 15).clamp(1, 12) as u8);
    // A day that the month does not have is one of the next month's.
    let first = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN);
    let days = i64::from(first.to_julian_day() - EPOCH) + i64::from(date & 31).max(1) - 1;
    let seconds =
        i64::from(time >> 11) * 3600 + i64::from(time >> 5 & 63) * 60 + i64::from(time & 31) * 2;
    Time { seconds: days * 86_400 + seconds, nanoseconds: 0 }
}

/// What is understood of a member's extra fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extra<'a> {
    /// The zip64 field.
    pub zip64: Option<&'a [u8]>,
    /// The `UT` time.
    pub unix: Option<u32>,
    /// The NTFS time.
    pub precise: Option<Time>,
    /// Whether another member is named as what this one is a link to.
    pub linked: bool,
    /// Whether there is another name, for readers that prefer it.
    pub renamed: bool,
}

impl Extra<'_> {
    /// The best time there is, where the header says `dos`.
    pub fn time(&self, dos: Time) -> Time {
        let unix = self.unix.map(|seconds| unix_time(seconds, dos));
        self.precise.or(unix).unwrap_or(dos)
    }
}

/// Time of `UT`, whose 32 bits have a sign for times before 1970 and none from 2038 on, as Info-ZIP
/// writes them: the header's other time, which knows 1980 to 2107, tells which it is.
fn unix_time(seconds: u32, dos: Time) -> Time {
    /// 2038-01-18, before the sign is reached in any time zone: MS-DOS times are local ones.
    const LATE: i64 = 2_147_385_600;
    let seconds = match dos.seconds >= LATE {
        true => i64::from(seconds),
        false => i64::from(seconds as i32),
    };
    Time { seconds, nanoseconds: 0 }
}

/// Reads the extra fields of a member of this name; `None` when a field is longer than what is left.
pub fn extra<'a>(mut bytes: &'a [u8], name: &[u8]) -> Option<Extra<'a>> {
    let mut found = Extra::default();
    // Fewer than 4 bytes at the end are padding that alignment tools leave.
    while bytes.len() >= 4 {
        let mut take = Take(bytes);
        let (id, length) = (take.take16()?, take.take16()?);
        let field = take.bytes(usize::from(length))?;
        bytes = take.0;
        match id {
            EXTRA_ZIP64 if found.zip64.is_none() => found.zip64 = Some(field),
            EXTRA_TIME if field.first().is_some_and(|flags| flags & 1 != 0) => {
                found.unix = Take(&field[1..]).take32().or(found.unix);
            }
            // A version, a checksum of the name that it belongs to, and the name (APPNOTE 4.6.9).
            // Readers that check it and those that do not shall see the same, so it is not looked at.
            EXTRA_UNICODE_PATH => found.renamed |= field.get(5..) != Some(name),
            // Two times, two ids; then, only for links, the name linked to (APPNOTE 4.5.7).
            EXTRA_UNIX => found.linked |= field.len() > 12,
            EXTRA_NTFS => found.precise = ntfs_time(field).or(found.precise),
            _ => {}
        }
    }
    Some(found)
}

/// The wide values of a header that has no room for them, in the order of its fields.
pub struct Wide<'a>(Option<Take<'a>>);

impl<'a> Wide<'a> {
    /// Those of a header with these extra fields.
    pub fn of(extra: &Extra<'a>) -> Wide<'a> {
        Wide(extra.zip64.map(Take))
    }

    /// The value of a field in which `value` stands; `None` when the extra field is cut off.
    pub fn take(&mut self, value: u32) -> Option<u64> {
        match &mut self.0 {
            Some(wide) if value == SEE_ZIP64 => wide.take64(),
            _ => Some(u64::from(value)),
        }
    }

    /// The number of a disk that does not fit; `None` when the extra field is cut off.
    pub fn disk(&mut self, number: u32) -> Option<u32> {
        self.0.as_mut().map_or(Some(number), Take::take32)
    }
}

fn ntfs_time(field: &[u8]) -> Option<Time> {
    let mut take = Take(field);
    take.take32()?;
    let (tag, length) = (take.take16()?, take.take16()?);
    let ticks = (tag == 1 && length >= 8).then(|| take.take64()).flatten()?;
    Some(Time {
        seconds: (ticks / 10_000_000) as i64 - NTFS_EPOCH,
        nanoseconds: (ticks % 10_000_000) as u32 * 100,
    })
}

/// A record of the central directory: the member, its name, and how long the record is.
pub struct Central<'a> {
    pub member: Member,
    pub name: &'a [u8],
    pub disk: u16,
}

/// Takes one central record; `None` when it is malformed or cut off.
pub fn take_central<'a>(take: &mut Take<'a>) -> Option<Central<'a>> {
    if take.take32()? != CENTRAL_SIGNATURE {
        return None;
    }
    let made_by = take.take16()?;
    take.take16()?;
    let (flags, method) = (take.take16()?, take.take16()?);
    let (time, date) = (take.take16()?, take.take16()?);
    let crc = take.take32()?;
    let (compressed, size) = (take.take32()?, take.take32()?);
    let (name, extra_length) = (take.take16()?, take.take16()?);
    let comment = take.take16()?;
    let mut disk = u32::from(take.take16()?);
    take.take16()?;
    let attributes = take.take32()?;
    let offset = take.take32()?;
    let name = take.bytes(usize::from(name))?;
    let extra = extra(take.bytes(usize::from(extra_length))?, name)?;
    take.bytes(usize::from(comment))?;
    let mut wide = Wide::of(&extra);
    let size = wide.take(size)?;
    let compressed = wide.take(compressed)?;
    let offset = wide.take(offset)?;
    if disk == 0xffff {
        disk = wide.disk(disk)?;
    }
    let member = Member {
        flags,
        method,
        crc,
        compressed,
        size,
        host: (made_by >> 8) as u8,
        attributes,
        offset,
        time: extra.time(dos_time(time, date)),
        linked: extra.linked,
        renamed: extra.renamed,
    };
    Some(Central { member, name, disk: disk.min(0xffff) as u16 })
}

/// A local header without its name and extra fields.
pub struct Local {
    pub flags: u16,
    pub method: u16,
    pub crc: u32,
    pub compressed: u32,
    pub size: u32,
    pub name_length: u16,
    pub extra_length: u16,
}

/// Takes the fixed part of a local header.
pub fn take_local(bytes: &[u8]) -> Option<Local> {
    let mut take = Take(bytes);
    if take.take32()? != LOCAL_SIGNATURE {
        return None;
    }
    take.take16()?;
    let (flags, method) = (take.take16()?, take.take16()?);
    take.take32()?;
    Some(Local {
        flags,
        method,
        crc: take.take32()?,
        compressed: take.take32()?,
        size: take.take32()?,
        name_length: take.take16()?,
        extra_length: take.take16()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(time: Time) -> Member {
        Member {
            flags: 0,
            method: DEFLATED,
            crc: 7,
            compressed: 5 << 32,
            size: 6 << 32,
            host: HOST_UNIX,
            attributes: 0o100644 << 16,
            offset: 7 << 32,
            time,
            linked: false,
            renamed: false,
        }
    }

    proptest::proptest! {
        #[test]
        fn central_records_survive(seconds in -11_644_473_600i64..200_000_000_000, ticks in 0u32..10_000_000) {
            let member = member(Time { seconds, nanoseconds: ticks * 100 });
            let bytes = central_header(b"data/\xff", &member);
            let read = take_central(&mut Take(&bytes)).unwrap();
            proptest::prop_assert_eq!(read.member, member);
            proptest::prop_assert_eq!(read.name, b"data/\xff");
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            take_central(&mut Take(&bytes));
            take_local(&bytes);
            extra(&bytes, b"data/x");
        }

        #[test]
        fn dos_times_survive(seconds in 315_532_800i64..4_354_819_198) {
            let mut out = Vec::new();
            put_dos_time(&mut out, Time { seconds, nanoseconds: 0 });
            let mut take = Take(&out);
            let time = dos_time(take.take16().unwrap(), take.take16().unwrap());
            proptest::prop_assert_eq!(time.seconds, seconds & !1);
        }
    }
}
