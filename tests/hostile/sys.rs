//! Raw system calls: an attacker does not go through a library.

use nix::errno::Errno;

/// Makes call number `nr`; the result, or the error's name.
pub fn raw(nr: i64, args: [u64; 6]) -> Result<i64, Errno> {
    // SAFETY: none that could be promised: being handed nonsense is the purpose. It only ever runs
    // in a child of its own, and pointers passed are either valid or not mapped at all.
    let value = unsafe { libc::syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]) };
    if value == -1 { Err(Errno::last()) } else { Ok(value) }
}

/// The outcome in words.
pub fn words<T>(result: Result<T, Errno>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(errno) => format!("{errno:?}"),
    }
}

/// Runs `attempt` in a child of its own, which has two seconds; what it said, or how it died.
pub fn apart(attempt: impl FnOnce() -> String) -> String {
    use std::io::{Read as _, Write as _};
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: this process has one thread, so the child is a whole copy.
    match unsafe { nix::unistd::fork() } {
        Err(errno) => format!("fork: {errno:?}"),
        Ok(nix::unistd::ForkResult::Child) => {
            drop(reader);
            nix::unistd::alarm::set(2);
            let said = attempt();
            let _closed = writer.write_all(said.as_bytes());
            // SAFETY: ends the process without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        Ok(nix::unistd::ForkResult::Parent { child }) => {
            drop(writer);
            let mut said = String::new();
            reader.read_to_string(&mut said).unwrap();
            match nix::sys::wait::waitpid(child, None).unwrap() {
                nix::sys::wait::WaitStatus::Signaled(_, signal, _) => signal.as_str().to_owned(),
                _ if said.is_empty() => "exited".to_owned(),
                _ => said,
            }
        }
    }
}
