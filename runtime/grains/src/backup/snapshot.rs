//! A copy of a running grain's data, taken while its processes stand still: the app stops for as
//! long as copying takes (nothing, where the file system clones), not for as long as compressing.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use rustix::fs::{FileType, Mode};

use super::error::{Error, shown};
use super::export::{Skipped, not_given_back};
use crate::store::SANDBOX;
use spk_files::holes::{next_data, next_hole};
use spk_files::lend::{self, Lender};
use spk_files::path::join;
use spk_files::{Dir, Time};

/// Bytes copied between two looks at the clock.
const PIECE: usize = 1 << 20;

/// Copies `sandbox` of one grain directory into another directory, until `deadline`.
///
/// Everything is opened by name in open directories and never followed, as in the export: if the
/// freeze did not hold, the app may be renaming. Nothing that is there is left out.
pub(crate) fn copy(from: &Dir, to: &Dir, deadline: Instant) -> Result<Vec<Skipped>, Error> {
    let failed = |path: &[u8]| {
        let path = if path.is_empty() { SANDBOX.to_owned() } else { shown(path) };
        move |source: io::Error| Error::Io { action: "copy", path: path.into(), source }
    };
    let source = from.open_dir(SANDBOX.as_bytes()).map_err(failed(b""))?;
    to.create_dir(SANDBOX.as_bytes(), 0o700).map_err(failed(b""))?;
    let target = to.open_dir(SANDBOX.as_bytes()).map_err(failed(b""))?;
    let mut skipped = Vec::new();
    let mut finished: Vec<(Vec<u8>, u32, Time)> = Vec::new();
    let mut lender = Lender::new(&source);
    let mut pending = vec![Vec::new()];
    let result = (|| -> Result<bool, Error> {
        while let Some(path) = pending.pop() {
            let (dir, stat) = lender.open_dir(&path).map_err(failed(&path))?;
            finished.push((path.clone(), stat.st_mode & 0o7777, Time::of(&stat)));
            let copy = target.open_dir(&path).map_err(failed(&path))?;
            for name in dir.names().map_err(failed(&path))? {
                let full = join(&path, &name);
                let stat = dir.stat(&name).map_err(failed(&full))?;
                let skip = |reason: &str| Skipped { path: full.clone(), reason: reason.into() };
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => {
                        copy.create_dir(&name, 0o700).map_err(failed(&full))?;
                        pending.push(full);
                    }
                    FileType::Symlink => {
                        let target = dir.read_link(&name).map_err(failed(&full))?;
                        copy.create_link(&name, &target).map_err(failed(&full))?;
                        copy.set_time(&name, Time::of(&stat)).map_err(failed(&full))?;
                    }
                    FileType::RegularFile => {
                        let (file, stat) =
                            lend::open_file(&dir, &name, &stat).map_err(failed(&full))?;
                        let new = copy.create_file(&name, 0o600).map_err(failed(&full))?;
                        if !copy_file(&file, &new, deadline).map_err(failed(&full))? {
                            return Ok(false);
                        }
                        rustix::fs::futimens(new.as_fd(), &Time::of(&stat).stamps())
                            .and_then(|()| {
                                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                                rustix::fs::fchmod(&new, mode)
                            })
                            .map_err(|error| failed(&full)(error.into()))?;
                    }
                    FileType::Socket => skipped.push(skip("socket")),
                    FileType::Fifo => skipped.push(skip("pipe")),
                    _ => skipped.push(skip("device")),
                }
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
        }
        Ok(true)
    })();
    let given_back = lender.give_back();
    if !result? {
        return Err(Error::TooSlow);
    }
    if let Some((path, error)) = given_back.into_iter().next() {
        return Err(not_given_back(&path, error));
    }
    // A directory closes only after those in it, which were finished later.
    for (path, mode, time) in finished.iter().rev() {
        let dir = target.open_dir(path).map_err(failed(path))?;
        dir.set_mode_and_time(*mode, Some(*time)).map_err(failed(path))?;
    }
    Ok(skipped)
}

/// Copies a file: by a clone, else piece by piece without its holes. False: the time is up.
fn copy_file(from: &File, to: &File, deadline: Instant) -> io::Result<bool> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(true);
    }
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut buffer = Vec::new();
    let mut at = 0;
    while at < size {
        at = next_data(from, at, size);
        let end = next_hole(from, at, size);
        while at < end {
            buffer.resize((end - at).min(PIECE as u64) as usize, 0);
            match from.read_at(&mut buffer, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    to.write_all_at(&buffer[..count], at)?;
                    at += count as u64;
                }
            }
            if Instant::now() > deadline {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
