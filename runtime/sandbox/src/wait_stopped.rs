//! Whether stopped processes stand still yet: SIGSTOP is sent in no time, but a thread in the middle
//! of a system call finishes that first.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;

/// How often it is looked.
const EVERY: Duration = Duration::from_millis(1);

/// Waits until every thread of every descendant of `init` is stopped.
///
/// # Errors
/// ETIMEDOUT: one is not after `limit`; it sits in the disk's queue, or waits for a child that
/// was stopped before it executed its program.
pub(crate) fn wait_until_stopped(init: i32, limit: Duration) -> Result<(), Errno> {
    let end = Instant::now() + limit;
    loop {
        // A process made meanwhile by one that was not stopped yet has that one's signal pending,
        // so it is not running, or its parent is still seen running.
        if descendants(init).into_iter().all(is_stopped) {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Errno::ETIMEDOUT);
        }
        std::thread::sleep(EVERY);
    }
}

fn descendants(init: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if let Some((_, parent)) = state(&format!("/proc/{pid}/stat")) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut pending = vec![init];
    while let Some(pid) = pending.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend_from_slice(&below);
        pending.extend(below);
    }
    found
}

fn is_stopped(pid: i32) -> bool {
    // A process that has ended meanwhile is as still as can be.
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| {
        let stat = thread.path().join("stat");
        // Stopped, stopped by a tracer, zombie, dead.
        state(&stat.to_string_lossy())
            .is_none_or(|(state, _)| matches!(state, 'T' | 't' | 'Z' | 'X'))
    })
}

/// State and parent in a `stat` file (proc(5)); the name before them may hold anything.
fn state(path: &str) -> Option<(char, i32)> {
    let text = String::from_utf8_lossy(&fs::read(path).ok()?).into_owned();
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
