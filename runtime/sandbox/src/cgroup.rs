//! A cgroup of the grain's own (cgroups(7), version 2), where this process may make one.
//!
//! Freezing and killing need no controller. Limits on memory and processes of the whole grain need
//! two, which a cgroup hands on to its children only while it has no process of its own ("no
//! internal processes"): if all that are in it are the launcher and its helper, they move into a
//! leaf beside the grain's.

use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;

use crate::spec::Limits;

/// The grain's groups are called so, with the helper's process id.
const PREFIX: &str = "spk-grain-";
/// The leaf that the launcher moves into.
const LEAF: &str = "spk-host";
/// The controllers that limit a grain.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
/// How long freezing may take: a process in the midst of a disk operation ends that first.
const FREEZE_LIMIT: Duration = Duration::from_secs(5);
/// How long the kernel may take to see that a group is empty whose processes were all reaped.
const EMPTY_LIMIT: Duration = Duration::from_secs(1);

/// One grain's cgroup. Dropping it removes it, which takes that all its processes are gone.
#[derive(Debug)]
pub(crate) struct Group {
    dir: PathBuf,
    memory: bool,
    processes: bool,
    /// Why not both of them.
    lacking: Option<String>,
}

/// What a grain gets of cgroups on this machine: for `spk doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// A cgroup of its own.
    Own {
        /// Where.
        dir: PathBuf,
        /// Whether memory of the whole grain is limited.
        memory: bool,
        /// Whether its processes are limited by the cgroup.
        processes: bool,
        /// Why one of the two is not.
        lacking: Option<String>,
    },
    /// None, and why.
    None(String),
}

impl Cgroup {
    /// Tries it for real.
    pub fn try_one() -> Cgroup {
        match Group::make(&Limits::default(), &[std::process::id()]) {
            Ok(group) => Cgroup::Own {
                dir: group.dir.parent().unwrap_or(&group.dir).to_owned(),
                memory: group.memory,
                processes: group.processes,
                lacking: group.lacking.clone(),
            },
            Err(reason) => Cgroup::None(reason),
        }
    }
}

impl Group {
    /// Makes one below this process's own, with as many of `limits` as can be had. `ours` are the
    /// processes that may be moved for that. The error says why there can be none.
    pub fn make(limits: &Limits, ours: &[u32]) -> Result<Group, String> {
        let base = base()?;
        let shown = base.display().to_string();
        remove_stale(&base);
        let dir = base.join(format!("{PREFIX}{}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(_) => return Err(format!("{shown} is not delegated to this user")),
        }
        let mut group = Group { dir, memory: false, processes: false, lacking: None };
        // Fails if somebody may make directories there but not move processes.
        if nix::unistd::access(&base.join("cgroup.procs"), nix::unistd::AccessFlags::W_OK).is_err()
        {
            return Err(format!("{shown}/cgroup.procs is not delegated to this user"));
        }
        group.lacking = enable(&base, ours).err();
        let set = |file: &str, value: String| fs::write(group.dir.join(file), value).is_ok();
        let memory = set("memory.max", limits.memory_bytes.to_string());
        let processes = set("pids.max", limits.processes.to_string());
        if memory {
            // Swap would only delay the end; and half a grain is worth nothing. Kernels without
            // swap or before 4.19 lack these files.
            let _no_swap = set("memory.swap.max", "0".to_owned());
            let _whole = set("memory.oom.group", "1".to_owned());
        }
        group.memory = memory;
        group.processes = processes;
        Ok(group)
    }

    /// Whether it limits the memory of the grain.
    pub fn limits_memory(&self) -> bool {
        self.memory
    }

    /// Its directory, for a process to be born into it.
    pub fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        nix::fcntl::open(&self.dir, flags, Mode::empty())
    }

    /// Puts a process into it, with all it will start.
    pub fn join(&self, pid: i32) -> Result<(), Errno> {
        write(&self.dir.join("cgroup.procs"), &pid.to_string())
    }

    /// Stops every process in it, and waits until that is so.
    pub fn freeze(&self) -> Result<(), Errno> {
        write(&self.dir.join("cgroup.freeze"), "1")?;
        match self.wait_for("frozen 1", FREEZE_LIMIT) {
            Ok(()) => Ok(()),
            Err(errno) => {
                let _undone = self.thaw();
                Err(errno)
            }
        }
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), Errno> {
        write(&self.dir.join("cgroup.freeze"), "0")
    }

    /// SIGKILL to every process in it, new ones included (Linux 5.14).
    pub fn kill(&self) {
        // Older kernels lack the file; the end of PID 1 is the end of all there, too.
        let _absent = fs::write(self.dir.join("cgroup.kill"), "1");
    }

    /// Whether the kernel killed it for want of memory.
    pub fn ran_out_of_memory(&self) -> bool {
        self.count("memory.events", "oom_kill").is_some_and(|count| count > 0)
    }

    /// Whether a new process was refused for their number.
    pub fn refused_processes(&self) -> bool {
        self.count("pids.events", "max").is_some_and(|count| count > 0)
    }

    fn count(&self, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
    }

    /// Waits until `cgroup.events` has this line.
    fn wait_for(&self, line: &str, limit: Duration) -> Result<(), Errno> {
        let deadline = Instant::now() + limit;
        let mut file = fs::File::open(self.dir.join("cgroup.events")).map_err(errno)?;
        loop {
            let mut text = String::new();
            file.rewind().and_then(|()| file.read_to_string(&mut text)).map_err(errno)?;
            if text.lines().any(|found| found == line) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::ETIMEDOUT);
            }
            // The kernel wakes us when the file changes.
            let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(file.as_fd(), PollFlags::POLLPRI)], timeout) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _not_empty = self.wait_for("populated 0", EMPTY_LIMIT);
        // What stays is removed by the next start: see `remove_stale`.
        let _stays = fs::remove_dir(&self.dir);
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

fn write(path: &Path, text: &str) -> Result<(), Errno> {
    fs::write(path, text).map_err(errno)
}

/// The directory of this process's own cgroup, or of the one above if it is our leaf.
fn base() -> Result<PathBuf, String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let dir = own_dir(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))?;
    if dir.file_name().is_some_and(|name| name == LEAF) {
        return Ok(dir.parent().map(Path::to_owned).unwrap_or(dir));
    }
    Ok(dir)
}

/// Where the file system shows the cgroup that `/proc/self/cgroup` names (proc(5), cgroups(7)).
fn own_dir(cgroup: &str, mountinfo: &str) -> Result<PathBuf, String> {
    let own = cgroup
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .ok_or("the kernel has no cgroups of version 2")?;
    for line in mountinfo.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        if !file_system.starts_with("cgroup2 ") {
            continue;
        }
        let mut fields = mount.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { continue };
        let root = root.trim_end_matches('/');
        if let Some(rest) = own.strip_prefix(root)
            && (rest.is_empty() || rest.starts_with('/'))
            && !rest.split('/').any(|part| part == "..")
        {
            let point = PathBuf::from(unescape(point));
            let rest = rest.trim_matches('/');
            return Ok(if rest.is_empty() { point } else { point.join(rest) });
        }
    }
    Err("cgroups of version 2 are not mounted".to_owned())
}

/// mountinfo writes blanks, tabs, line breaks and backslashes as `\` and three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => out.push_str(part),
        }
    }
    out
}

/// Groups of helpers that were killed.
fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // One with processes in it cannot be removed.
            let _busy = fs::remove_dir(entry.path());
        }
    }
}

/// Has `base` hand on the controllers; the error says what is in the way.
fn enable(base: &Path, ours: &[u32]) -> Result<(), String> {
    let words = |file: &str| -> Vec<String> {
        let text = fs::read_to_string(base.join(file)).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let (available, enabled) = (words("cgroup.controllers"), words("cgroup.subtree_control"));
    let has = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
    let missing: Vec<&str> =
        CONTROLLERS.into_iter().filter(|name| !has(&available, name)).collect();
    let wanted: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|name| has(&available, name) && !has(&enabled, name))
        .collect();
    let shown = base.display();
    if !wanted.is_empty() {
        let order = wanted.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
        let control = base.join("cgroup.subtree_control");
        let done = match write(&control, &order) {
            Err(Errno::EBUSY) => make_room(base, ours).and_then(|()| {
                write(&control, &order).map_err(|errno| format!("{shown}: {}", errno.desc()))
            }),
            Err(errno) => Err(format!("{shown} hands on no controllers: {}", errno.desc())),
            Ok(()) => Ok(()),
        };
        done?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("{shown} has no {} controller", missing.join(" and no ")))
}

/// Moves `ours` out of `base`, if nobody else is in it.
fn make_room(base: &Path, ours: &[u32]) -> Result<(), String> {
    let shown = base.display();
    let inside = fs::read_to_string(base.join("cgroup.procs"))
        .map_err(|error| format!("{shown}/cgroup.procs: {error}"))?;
    let inside: Vec<u32> = inside.lines().filter_map(|line| line.parse().ok()).collect();
    if inside.iter().any(|pid| !ours.contains(pid)) {
        return Err(format!("other programs share {shown}"));
    }
    let leaf = base.join(LEAF);
    let failed = |error: io::Error| format!("{}: {error}", leaf.display());
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    for pid in inside {
        fs::write(leaf.join("cgroup.procs"), pid.to_string()).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_is_found_below_its_mount() {
        let unified = "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let hybrid = "30 22 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      39 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n";
        let bound = "40 22 0:26 /a/b /mnt/my\\040groups rw - cgroup2 cgroup2 rw\n";
        for (cgroup, mountinfo, expected) in [
            ("0::/\n", unified, "/sys/fs/cgroup/"),
            ("0::/user.slice/x.scope\n", unified, "/sys/fs/cgroup/user.slice/x.scope"),
            ("8:pids:/\n0::/a\n", hybrid, "/sys/fs/cgroup/unified/a"),
            ("0::/a/b/c\n", bound, "/mnt/my groups/c"),
        ] {
            assert_eq!(own_dir(cgroup, mountinfo), Ok(PathBuf::from(expected)));
        }
        for (cgroup, mountinfo) in [
            ("8:pids:/\n", unified),
            ("0::/\n", ""),
            ("0::/a/bc\n", bound),
            ("0::/../other\n", unified),
        ] {
            assert!(own_dir(cgroup, mountinfo).is_err(), "{cgroup} {mountinfo}");
        }
    }
}
