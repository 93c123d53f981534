//! Where a file has no data.

use std::fs::File;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

/// Where data begins at or after `position` in a file of `size` bytes; `position` itself when the
/// file system does not say, `size` when there is none.
pub fn next_data(file: &File, position: u64, size: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(data) => data.clamp(position, size),
        // No data, or no disk for a moment: what is taken for a hole is never read.
        Err(Errno::NXIO)
            if rustix::fs::seek(file, SeekFrom::Data(position)) == Err(Errno::NXIO) =>
        {
            size
        }
        Err(_) => position,
    }
}

/// Where data that begins at `position` ends at the latest; `size` when the file system does not say.
pub fn next_hole(file: &File, position: u64, size: u64) -> u64 {
    match rustix::fs::seek(file, SeekFrom::Hole(position)) {
        Ok(hole) if hole > position => hole.min(size),
        _ => size,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn holes_lie_between_data() {
        let file = tempfile::tempfile().unwrap();
        const SIZE: u64 = 16 << 20;
        file.set_len(SIZE).unwrap();
        assert_eq!(next_data(&file, 0, SIZE), SIZE);
        file.write_all_at(b"data", 8 << 20).unwrap();
        // A file system without holes says that all is data.
        let data = next_data(&file, 0, SIZE);
        assert!(data <= 8 << 20);
        let hole = next_hole(&file, data, SIZE);
        assert!(hole > 8 << 20 && hole <= SIZE);
        assert!([hole, SIZE].contains(&next_data(&file, hole, SIZE)) || hole == SIZE);
    }
}
