//! Attacks on the host over descriptor 3, below the protocol: an app need not speak Cap'n Proto.

use std::io::{IoSlice, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

pub fn main(which: &str) -> ! {
    // SAFETY: the sandbox has put the connection there, and nothing else in this program uses it.
    let mut host = unsafe { UnixStream::from_raw_fd(3) };
    match which {
        // No message at all.
        "garbage" => flood(&mut host, &[0xa5; 4096]),
        // The header of a message of one segment of a GiB, and as much of it as is taken.
        "large" => {
            let _refused = host.write_all(&[0, 0, 0, 0, 0, 0, 0, 8]);
            flood(&mut host, &[0; 1 << 16])
        }
        // A message of as many segments as the header can say.
        "segments" => {
            let _refused = host.write_all(&[0xfe, 0xff, 0xff, 0xff]);
            flood(&mut host, &[0xff; 1 << 16])
        }
        // A pointer far outside of a well-formed message.
        "pointer" => {
            let message = [0, 0, 0, 0, 1, 0, 0, 0, 0xfc, 0xff, 0xff, 0x7f, 0xff, 0, 0xff, 0];
            flood(&mut host, &message)
        }
        // Descriptors that nobody asked for, along with the bytes of a null message.
        "descriptors" => descriptors(&host),
        // A GiB to the log, as fast as anyone takes it, and no word to the host.
        "log" => {
            let block = vec![b'x'; 1 << 20];
            for _ in 0..1 << 10 {
                let _taken = std::io::stdout().write_all(&block);
            }
        }
        // Says good-bye and stays.
        "close" => drop(host),
        // Never says anything, and reads nothing.
        "silent" => std::mem::forget(host),
        // Reads all calls and answers none.
        "deaf" => while let Ok(1..) = host.read(&mut [0; 4096]) {},
        other => panic!("no attack {other}"),
    }
    loop {
        nix::unistd::pause();
    }
}

/// Writes until nobody takes it any more, and at most half a GiB.
fn flood(host: &mut UnixStream, block: &[u8]) {
    for _ in 0..(512 << 20) / block.len() {
        if host.write_all(block).is_err() {
            break;
        }
    }
}

fn descriptors(host: &UnixStream) {
    let (reader, _writer) = nix::unistd::pipe().unwrap();
    let many = [reader.as_raw_fd(); 100];
    // An empty segment: "unimplemented" at most.
    let message = [0u8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for _ in 0..200 {
        let rights = [ControlMessage::ScmRights(&many)];
        let parts = [IoSlice::new(&message)];
        if sendmsg::<()>(host.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None).is_err() {
            break;
        }
    }
}
