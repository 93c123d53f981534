//! The whole path that somebody looks for of whom only a part is known: the kernel asks name by name,
//! and stops at the first that is not there. Whoever asks waits in a system call meanwhile, and the
//! path is among its arguments (`syscall` and `mem` in proc(5)).

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use spk_files::path::{components, is_name, is_prefix};

/// The longest path that the kernel takes.
const PATH_MAX: usize = 4096;

/// Looking at the process waits for its memory, and a thread of it that has that may wait for us.
const PATIENCE: Duration = Duration::from_secs(1);

/// The path that the process (or thread) with this directory in `/proc` asks for, if `known` is the
/// beginning of it. Best effort.
pub(crate) fn whole(process: Arc<File>, known: &[u8]) -> Option<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .name("asked-path".into())
        .spawn(move || {
            let _ = sender.send(argument(&process));
        })
        .ok()?;
    let path = receiver.recv_timeout(PATIENCE).ok()??;
    let names: Vec<&[u8]> =
        components(path.strip_prefix(b"/")?).filter(|name| !matches!(*name, b"" | b".")).collect();
    let path = names.join(&b'/');
    (names.into_iter().all(is_name) && is_prefix(known, &path)).then_some(path)
}

/// The path among the arguments of the call that it waits in.
fn argument(process: &File) -> Option<Vec<u8>> {
    let open = |name: &str| {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        openat(process.as_fd(), name, flags, Mode::empty()).ok().map(File::from)
    };
    let mut call = String::new();
    open("syscall")?.take(1024).read_to_string(&mut call).ok()?;
    let mut words = call.split_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let at = words.nth(place(number)?)?;
    let at = u64::from_str_radix(at.strip_prefix("0x")?, 16).ok()?;
    let memory = open("mem")?;
    let mut path = Vec::new();
    // Page by page: what follows the path may not be there.
    while path.len() < PATH_MAX {
        let from = at.checked_add(path.len() as u64)?;
        let room = 4096 - (from % 4096) as usize;
        let mut piece = vec![0; room.min(PATH_MAX - path.len())];
        let count = memory.read_at(&mut piece, from).ok()?;
        if let Some(end) = piece[..count].iter().position(|byte| *byte == 0) {
            path.extend_from_slice(&piece[..end]);
            return Some(path);
        }
        if count == 0 {
            return None;
        }
        path.extend_from_slice(&piece[..count]);
    }
    None
}

/// Which argument of a system call is a path that is looked up.
fn place(number: i64) -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    let first = [
        nix::libc::SYS_open,
        nix::libc::SYS_stat,
        nix::libc::SYS_lstat,
        nix::libc::SYS_access,
        nix::libc::SYS_readlink,
        nix::libc::SYS_creat,
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let first: [i64; 0] = [];
    let of_all = [nix::libc::SYS_execve, nix::libc::SYS_chdir, nix::libc::SYS_statfs];
    let second = [
        nix::libc::SYS_openat,
        nix::libc::SYS_openat2,
        nix::libc::SYS_newfstatat,
        nix::libc::SYS_statx,
        nix::libc::SYS_faccessat,
        nix::libc::SYS_faccessat2,
        nix::libc::SYS_readlinkat,
        nix::libc::SYS_execveat,
    ];
    if first.contains(&number) || of_all.contains(&number) {
        return Some(0);
    }
    second.contains(&number).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_in_no_call_with_a_path_asks_for_none() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = File::open(format!("/proc/{}", child.id())).unwrap();
        assert_eq!(whole(Arc::new(process), b"proc"), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
