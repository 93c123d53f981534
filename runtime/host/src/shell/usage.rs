//! What a running grain uses: from `/proc`, for all processes of its PID namespace.

use std::collections::HashMap;
use std::fs;

use serde_json::{Value, json};

/// Processes looked at; a grain's own limit is far below.
const MOST: usize = 10_000;

/// Memory and processor time of the processes of an app; `pid` is its first, whose parent is the
/// init of the sandbox (proc(5), `/proc/pid/stat` and `/proc/pid/statm`).
pub(super) fn of(pid: i32) -> Option<Value> {
    let parents = parents();
    let init = *parents.get(&pid)?;
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in &parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut queue = children.get(&init).cloned().unwrap_or_default();
    let (mut processes, mut resident, mut ticks) = (0u64, 0u64, 0u64);
    while let Some(pid) = queue.pop() {
        if processes as usize >= MOST {
            break;
        }
        queue.extend(children.get(&pid).into_iter().flatten());
        processes += 1;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
        resident += statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0u64);
        let (user, system) = (stat(pid, 11), stat(pid, 12));
        ticks += user.unwrap_or(0) + system.unwrap_or(0);
    }
    let page = rustix::param::page_size() as u64;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Some(json!({
        "processes": processes,
        "memory": resident * page,
        "cpuMs": ticks * 1000 / per_second,
    }))
}

fn parents() -> HashMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return HashMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: i32| Some((pid, i32::try_from(stat(pid, 1)?).ok()?))).collect()
}

/// A number after the command's name, counted from 0 at the state.
fn stat(pid: i32, index: usize) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, also parentheses.
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(index)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_counts() {
        let usage = of(std::process::id() as i32).unwrap();
        assert!(usage["processes"].as_u64().unwrap() >= 1, "{usage}");
        assert!(usage["memory"].as_u64().unwrap() > 10_000, "{usage}");
    }
}
