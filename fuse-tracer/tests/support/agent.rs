//! For tests and benchmarks: mounts FUSE in a mount namespace of its own, hands the descriptor to
//! whoever serves it, and runs commands there.
//!
//! `agent DIR` with a Unix stream socket as standard input. As root the mount is made in a private
//! mount namespace; otherwise, or with `AGENT_USERNS=1`, in a new user namespace where we are 1000.
//! First a byte comes with the FUSE descriptor; then each line `["program", "argument", …]` is
//! answered by a line `{"status": 0, "us": 1234, "stdout": "…", "stderr": "…"}`.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args_os().nth(1).ok_or("usage: agent DIR")?;
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let own_users = !uid.is_root() || std::env::var_os("AGENT_USERNS").is_some();
    let ids = if own_users {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("1000 {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("1000 {gid} 1"))?;
        1000
    } else {
        unshare(CloneFlags::CLONE_NEWNS)?;
        0
    };
    let nothing = None::<&Path>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)?;
    // in the new user namespace: the kernel insists
    let fuse = File::options().read(true).write(true).open("/dev/fuse")?;
    let options =
        format!("fd={},rootmode=40000,user_id={ids},group_id={ids},allow_other", fuse.as_raw_fd());
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("spk-test"), dir.as_os_str(), Some("fuse.spk"), flags, Some(options.as_str()))?;
    let fds = [fuse.as_raw_fd()];
    let message = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(b"f")], &message, MsgFlags::empty(), None)?;
    drop(fuse);

    let mut replies = socket.try_clone()?;
    for line in BufReader::new(socket).lines() {
        let argv: Vec<String> = serde_json::from_str(&line?)?;
        let (program, arguments) = argv.split_first().ok_or("no program")?;
        let start = Instant::now();
        let output =
            Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output();
        let us = start.elapsed().as_micros() as u64;
        let reply = match output {
            Ok(output) => serde_json::json!({
                "us": us,
                "status": output.status.code().unwrap_or(-1),
                "stdout": String::from_utf8_lossy(&output.stdout),
                "stderr": String::from_utf8_lossy(&output.stderr),
            }),
            Err(error) => {
                serde_json::json!({"us": us, "status": 127, "stdout": "", "stderr": error.to_string()})
            }
        };
        writeln!(replies, "{reply}")?;
    }
    Ok(())
}
