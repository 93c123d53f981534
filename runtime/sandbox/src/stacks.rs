//! Room for the stacks of threads beside the memory limit, where that is `RLIMIT_DATA`.
//!
//! The C library maps 8 MiB for each thread, of which most touch some KiB. The kernel counts all of it as
//! the process's data: 512 threads alone would be twice the limit. It cannot leave out stacks, but it
//! can be told of them: they are mapped with `MAP_STACK`, for which the app's filter asks a listener, and
//! the limit grows by them before the call goes on. What else the app maps meets the limit as it is.
//!
//! An app that claims stacks it has no threads for, or raises its own limit, gets as much as it could
//! have had for threads, and no more.

use std::fs;

use crate::spec::Limits;
use crate::sys;

/// What the C library takes for a thread: the usual `RLIMIT_STACK`.
const STACK: u64 = 8 << 20;

/// Room for the stacks of as many threads as there may be.
pub(crate) fn all(limits: &Limits) -> u64 {
    limits.processes.saturating_mul(STACK)
}

/// Raises the limit of the process that `thread` belongs to, which is about to map `length` bytes for one
/// more thread, unless it set itself a limit. `waits` tells whether it still is.
pub(crate) fn make_room(thread: u32, length: u64, limits: &Limits, waits: impl Fn() -> bool) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{thread}/{file}"));
    let (Ok(status), Ok(now)) = (read("status"), read("limits")) else { return };
    let Some((soft, hard)) = data_limit(&now) else { return };
    // The first thread's stack is no data.
    let others = field(&status, "Threads:").saturating_sub(1);
    let stacks = others.saturating_mul(length.max(STACK)).saturating_add(length);
    let wanted = limits.memory_bytes.saturating_add(stacks).min(hard);
    if soft < limits.memory_bytes || wanted <= soft || !waits() {
        return;
    }
    // A process that is gone needs none.
    let _gone = sys::limit_data(thread, wanted, hard);
}

/// The limit on a process's data, soft and hard, in what `/proc/PID/limits` says.
pub(crate) fn data_limit(limits: &str) -> Option<(u64, u64)> {
    limit(limits, "Max data size")
}

/// The limit on a process's open files.
pub(crate) fn open_files_limit(limits: &str) -> Option<(u64, u64)> {
    limit(limits, "Max open files")
}

fn limit(limits: &str, name: &str) -> Option<(u64, u64)> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let number = |word: &str| if word == "unlimited" { Some(u64::MAX) } else { word.parse().ok() };
    let mut words = line.split_whitespace();
    Some((number(words.next()?)?, number(words.next()?)?))
}

/// A number in `/proc/PID/status`, 0 if it is not there.
pub(crate) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max data size             2147483648           unlimited            bytes     \n\
                    Max stack size            8388608              unlimited            bytes     \n\
                    Max open files            300                  300                  files     \n";
        assert_eq!(data_limit(text), Some((2 << 30, u64::MAX)));
        assert_eq!(open_files_limit(text), Some((300, 300)));
        assert_eq!(data_limit("Max data size\n"), None);
        assert_eq!(field("Name:\tx\nThreads:\t12\nVmData:\t  700 kB\n", "VmData:"), 700);
        assert_eq!(field("Name:\tx\n", "Threads:"), 0);
    }
}
