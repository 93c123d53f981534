//! What the processes of a served app hold: memory and descriptors.

use std::fs;

/// A process that is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    /// `spk` or `bridge`.
    pub name: &'static str,
    pid: i32,
}

/// `spk` itself and the bridge below it.
#[track_caller]
pub fn host_and_bridge(spk: i32) -> [Watched; 2] {
    let bridge = descendants(spk)
        .into_iter()
        // The kernel keeps 15 characters of a name.
        .find(|pid| name(*pid) == "sandstorm-http-")
        .unwrap_or_else(|| panic!("no bridge below {spk}"));
    [Watched { name: "spk", pid: spk }, Watched { name: "bridge", pid: bridge }]
}

fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

fn descendants(root: i32) -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // The fields after the name, which may itself hold anything: state, parent.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse::<i32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, above)| *above == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

impl Watched {
    /// Bytes of memory it holds now.
    pub fn resident(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most it has held since its start.
    pub fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Seconds of processor time it has used.
    pub fn processor_time(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        // The 14th and 15th field, in ticks of 10 ms.
        let times = fields.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
    }

    fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What its descriptors are open on, sorted.
    pub fn open(&self) -> Vec<String> {
        let dir = fs::read_dir(format!("/proc/{}/fd", self.pid)).into_iter().flatten();
        let target = |entry: fs::DirEntry| fs::read_link(entry.path()).ok();
        let targets = dir.flatten().filter_map(target);
        let mut open: Vec<String> = targets.map(|path| path.display().to_string()).collect();
        open.sort();
        open
    }

    /// How many descriptors it has open.
    #[track_caller]
    pub fn descriptors(&self) -> usize {
        let dir = fs::read_dir(format!("/proc/{}/fd", self.pid));
        dir.unwrap_or_else(|error| panic!("{} has ended: {error}", self.name)).count()
    }
}
