//! Messages between the three processes, over sequenced-packet sockets.
//!
//! launcher ⇄ helper ⇄ init. Each packet is one JSON message, with at most [`MAX_FDS`] descriptors.
//! The app never holds an end of any of these sockets once its program runs.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, setsockopt, socketpair, sockopt,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{ExecProblem, Failure};
use crate::exit::Exit;
use crate::explain::Denied;
use crate::spec::Limits;
use crate::usage::Met;

/// Room for a failure on the longest path (4 KiB) with every byte of it escaped in JSON. Small, since
/// each message needs a buffer of this size; the long things go through a file.
const MAX_PACKET: usize = 32 << 10;
/// The most any message carries: spec, rpc, output, input, errors.
const MAX_FDS: usize = 5;

/// [`crate::Spec`] without its descriptors, as it lies in the file that goes to the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SpecData {
    /// `None`: FUSE.
    pub root: Option<Vec<u8>>,
    pub var: Vec<u8>,
    pub argv: Vec<std::ffi::CString>,
    pub environ: Vec<std::ffi::CString>,
    pub proc: bool,
    pub explain: bool,
    /// With FUSE: attempts to write reach the server.
    pub writes_reach_server: bool,
    pub console: ConsoleKind,
    pub limits: Limits,
}

/// [`crate::Console`] without its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsoleKind {
    Nobody,
    Pipes,
    Terminal,
}

/// Launcher to helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Make the namespaces. Descriptors: the spec's file, rpc, output; with pipes, input and errors.
    Prepare,
    /// Build the root and execute the app.
    Start,
    /// SIGTERM now, SIGKILL after so many milliseconds.
    Terminate { grace: u64 },
    /// SIGKILL now.
    Kill,
    /// Stop every process.
    Freeze,
    /// Continue every process.
    Thaw,
}

/// Helper to launcher.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Namespaces stand. Descriptor: the FUSE device's, if asked for.
    Prepared,
    /// The app's program runs.
    Started { pid: i32, walls: Vec<String> },
    /// A step failed; everything is gone.
    Failed(Failure),
    /// The program could not be executed; everything is gone.
    ExecFailed(ExecProblem),
    /// Freeze or thaw done, or the error number.
    Frozen(i32),
    /// Denied calls not reported before.
    Denied(Vec<Denied>),
    /// Limits met, each once.
    Met(Vec<Met>),
    /// All processes are gone.
    Ended(Exit),
}

/// Helper to init.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum InitOrder {
    /// Maps are written: go on. Descriptors: the root's and var's mounts, if made outside.
    Mapped {
        /// Whether a cgroup limits memory.
        cgroup: bool,
    },
    /// Build the root and execute.
    Start,
    /// Send this signal to the app.
    Signal(i32),
    /// Send this signal to every process but init.
    SignalAll(i32),
}

/// Init, or the app's process before its program runs, to helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum InitReport {
    /// As [`Report::Prepared`].
    Prepared,
    /// The sender is the app's process; the kernel adds its number.
    App,
    /// The root stands. Descriptors: those of `/tmp` and `/dev/shm` which are there.
    Entered { tmp: bool, shm: bool },
    /// A second wall that this machine does not have, in words.
    Missing(String),
    /// The descriptor is the filter's listener.
    Listener,
    /// As [`Report::Started`].
    Started { walls: Vec<String> },
    /// As [`Report::Failed`].
    Failed(Failure),
    /// As [`Report::ExecFailed`].
    ExecFailed(ExecProblem),
    /// Answer to [`InitOrder::SignalAll`].
    SignalledAll(i32),
    /// The app's `wait` status; init exits now.
    Status(i32),
}

/// A received packet.
pub(crate) struct Packet<T> {
    pub message: T,
    pub fds: Vec<OwnedFd>,
    /// The sender as our PID namespace numbers it, if the socket was made to say.
    pub sender: Option<i32>,
}

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl AsFd for Channel {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Channel {
    pub fn pair() -> Result<(Channel, Channel), Errno> {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        Ok((Channel(a), Channel(b)))
    }

    /// `None` unless it is a sequenced-packet socket.
    pub fn from_fd(fd: OwnedFd) -> Option<Channel> {
        let kind = nix::sys::socket::getsockopt(&fd, sockopt::SockType).ok()?;
        (kind == SockType::SeqPacket).then_some(Channel(fd))
    }

    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Makes the kernel say who sent each packet.
    pub fn name_senders(&self) -> Result<(), Errno> {
        setsockopt(&self.0, sockopt::PassCred, &true)
    }

    pub fn send<T: Serialize>(&self, message: &T, fds: &[RawFd]) -> Result<(), Errno> {
        let bytes = serde_json::to_vec(message).map_err(|_| Errno::EINVAL)?;
        if bytes.len() > MAX_PACKET || fds.len() > MAX_FDS {
            return Err(Errno::EMSGSIZE);
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let control: &[ControlMessage<'_>] = if fds.is_empty() { &[] } else { &rights };
        loop {
            // Never SIGPIPE: a gone peer is an error like any other.
            let flags = MsgFlags::MSG_NOSIGNAL;
            match sendmsg::<()>(self.0.as_raw_fd(), &[IoSlice::new(&bytes)], control, flags, None) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    /// The next packet; `None` when the other end is closed.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<Packet<T>>, Errno> {
        self.receive_with(MsgFlags::empty())
    }

    /// As [`Channel::receive`], but EAGAIN instead of waiting.
    pub fn try_receive<T: DeserializeOwned>(&self) -> Result<Option<Packet<T>>, Errno> {
        self.receive_with(MsgFlags::MSG_DONTWAIT)
    }

    fn receive_with<T: DeserializeOwned>(
        &self,
        flags: MsgFlags,
    ) -> Result<Option<Packet<T>>, Errno> {
        let mut bytes = vec![0; MAX_PACKET];
        let mut control = nix::cmsg_space!([RawFd; MAX_FDS], nix::sys::socket::UnixCredentials);
        let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
        let (length, fds, sender) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            match recvmsg::<()>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Err(Errno::EINTR) => {}
                // A peer that closed with our packets unread.
                Err(Errno::ECONNRESET) => return Ok(None),
                Err(errno) => return Err(errno),
                Ok(received) => {
                    let mut fds = Vec::new();
                    let mut sender = None;
                    for part in received.cmsgs()? {
                        match part {
                            ControlMessageOwned::ScmRights(raw) => fds.extend(raw),
                            ControlMessageOwned::ScmCredentials(who) => sender = Some(who.pid()),
                            _ => {}
                        }
                    }
                    break (received.bytes, fds, sender);
                }
            }
        };
        // SAFETY: the kernel has just put these descriptors into our table for us alone.
        let fds = fds.into_iter().map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }).collect();
        if length == 0 {
            return Ok(None);
        }
        let message = serde_json::from_slice(&bytes[..length]).map_err(|_| Errno::EBADMSG)?;
        Ok(Some(Packet { message, fds, sender }))
    }
}
