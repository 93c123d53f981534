//! What the kernel is told without having asked.
//!
//! Some of it has to wait: to drop a page, until whoever reads it has it; to drop a name, until
//! whoever looks something up beside it has the answer. Both wait for answers of ours, and so that
//! no signal ends it. If the process is killed just then, the threads that would have answered are
//! gone, and the one that waits would keep every descriptor of the process open, the device's among
//! them: the kernel would not see that nobody serves any more, and the two would wait for each other
//! beyond SIGKILL.
//!
//! So whatever may wait is told by one thread that has a table of descriptors of its own, with
//! nothing in it but a copy of the device from which no request is read. When the process is killed,
//! all the others are closed: the kernel ends the requests that were handed out there, the thread
//! goes on and dies, too, and with the last copy of the device goes the connection.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use fuser::INodeNo;
use nix::sched::{CloneFlags, unshare};

use crate::device;

/// `FUSE_NOTIFY_INVAL_INODE` and `FUSE_NOTIFY_INVAL_ENTRY` of linux/fuse.h.
const INVAL_INODE: i32 = 2;
const INVAL_ENTRY: i32 = 3;

/// Tells the kernel. What it does not know (any more) is no error anywhere here: there is nothing to
/// drop then.
pub struct Notifier {
    at_once: fuser::Notifier,
    waiting: Sender<(Vec<u8>, SyncSender<()>)>,
}

impl Notifier {
    /// For the session on `device` that `at_once` tells of.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(device: impl AsFd, at_once: fuser::Notifier) -> io::Result<Notifier> {
        let copy = device.as_fd().try_clone_to_owned()?;
        let number = copy.as_raw_fd();
        let (waiting, told) = mpsc::channel();
        let (ready, is_ready) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("fuse-notify".into()).spawn(move || {
            let own = Own::of(copy);
            let _ = ready.send(own.is_alone);
            own.tell(&told);
        })?;
        if is_ready.recv().is_ok_and(|alone| alone) {
            // The thread has it in its own table; it is of no more use in ours.
            let _ = nix::unistd::close(number);
        }
        Ok(Notifier { at_once, waiting })
    }

    /// The attributes of a file changed. Never waits.
    pub fn drop_attributes(&self, ino: u64) {
        let _ = self.at_once.inval_inode(INodeNo(ino), -1, 0);
    }

    /// Gives the kernel the whole content of a file; whether it took it. Never waits if nobody can
    /// have the file open.
    pub fn store(&self, ino: u64, content: &[u8]) -> bool {
        self.at_once.store(INodeNo(ino), 0, content).is_ok()
    }

    /// The content of a file changed that nobody can have open. Never waits.
    pub fn drop_unread(&self, ino: u64) {
        let _ = self.at_once.inval_inode(INodeNo(ino), 0, 0);
    }

    /// Attributes and content of a file changed, or what is in a directory. Waits for requests to be
    /// answered.
    pub fn drop_inode(&self, ino: u64) {
        // offset and length 0: all of it
        self.wait(message(INVAL_INODE, &[&ino.to_ne_bytes(), &[0; 16]]));
    }

    /// A name in a directory stands for something else now. Waits for requests to be answered.
    pub fn drop_name(&self, parent: u64, name: &[u8]) {
        let Ok(length) = u32::try_from(name.len()) else { return };
        let flags = 0_u32;
        self.wait(message(
            INVAL_ENTRY,
            &[&parent.to_ne_bytes(), &length.to_ne_bytes(), &flags.to_ne_bytes(), name, b"\0"],
        ));
    }

    fn wait(&self, message: Vec<u8>) {
        let (done, is_done) = mpsc::sync_channel(0);
        if self.waiting.send((message, done)).is_ok() {
            // an error: the thread is gone, as the mount is
            let _ = is_done.recv();
        }
    }
}

/// A message that answers no request: `struct fuse_out_header`, and what belongs to `code`.
fn message(code: i32, parts: &[&[u8]]) -> Vec<u8> {
    const HEADER: usize = 16;
    let length = HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(code.to_ne_bytes());
    message.extend(0_u64.to_ne_bytes());
    message.extend(parts.iter().copied().flatten());
    message
}

/// The thread's own.
struct Own {
    device: File,
    is_alone: bool,
}

impl Own {
    /// Parts with the process's descriptors, but for the device.
    fn of(copy: OwnedFd) -> Own {
        // Refused by a filter around us: then the thread is as all the others.
        if unshare(CloneFlags::CLONE_FILES).is_err() {
            return Own { device: copy.into(), is_alone: false };
        }
        // Where it cannot be opened again (fusermount3 may open what its caller may not), requests
        // are read from the same one.
        let device = match device::reopen(&copy) {
            Ok(device) => {
                drop(copy);
                device
            }
            Err(_) => File::from(copy),
        };
        close_all_but(device.as_raw_fd());
        Own { device, is_alone: true }
    }

    fn tell(mut self, told: &Receiver<(Vec<u8>, SyncSender<()>)>) {
        while let Ok((message, done)) = told.recv() {
            // not known to the kernel: nothing to drop
            let _ = self.device.write(&message);
            let _ = done.send(());
        }
    }
}

/// Closes the other descriptors of this thread's table.
fn close_all_but(kept: RawFd) {
    let Ok(entries) = std::fs::read_dir("/proc/thread-self/fd") else { return };
    let number = |name: &OsStr| std::str::from_utf8(name.as_bytes()).ok()?.parse::<RawFd>().ok();
    let open: Vec<RawFd> =
        entries.flatten().filter_map(|entry| number(&entry.file_name())).collect();
    for other in open {
        if other != kept {
            // what was read from is closed already
            let _ = nix::unistd::close(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_the_kernel_has_them() {
        let name = message(INVAL_ENTRY, &[&7_u64.to_ne_bytes(), b"rest"]);
        assert_eq!(name.len(), 28);
        assert_eq!(name[..4], 28_u32.to_ne_bytes());
        assert_eq!(name[4..8], 3_i32.to_ne_bytes());
        assert_eq!(name[8..16], [0; 8]);
        assert_eq!(name[24..], *b"rest");
    }
}
