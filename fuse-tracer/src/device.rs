//! The FUSE device.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::ioctl::{Setter, ioctl, opcode};

/// Where the kernel has it.
pub const PATH: &str = "/dev/fuse";

/// Opens it as `spk` needs it.
///
/// # Errors
/// What the kernel says: it is not there, or not for us.
pub fn open() -> io::Result<File> {
    File::options().read(true).write(true).open(PATH)
}

/// Another open device for the connection of `device`: what is read from the one is of no concern
/// to the other (`FUSE_DEV_IOC_CLONE`, since Linux 4.2).
///
/// # Errors
/// As [`open`]; or nothing is mounted with `device`.
pub fn reopen(device: impl AsFd) -> io::Result<File> {
    const CLONE: rustix::ioctl::Opcode = opcode::read::<u32>(229, 0);
    let new = open()?;
    let number = device.as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the request reads one u32 behind its pointer, which `Setter` passes, the number of a
    // descriptor that is borrowed until after the call; it writes nothing, and keeps no reference to
    // our memory (`fuse_dev_ioctl_clone`).
    unsafe { ioctl(&new, Setter::<CLONE, u32>::new(number))? };
    Ok(new)
}
