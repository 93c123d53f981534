//! What running a command takes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};

/// Asks this program to run the rest of the command line and say what it took: a process's peak
/// memory is known only to one that has no other children.
pub const MEASURE: &str = "--measure";

/// Where that is written.
const FILE: &str = "SPK_BENCH_COST";

/// Seconds and MiB.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub wall: f64,
    pub cpu: f64,
    pub rss_mib: f64,
}

impl Cost {
    /// The medians of each; of the memory, the maximum.
    pub fn median(costs: &[Cost]) -> Cost {
        let median = |of: fn(&Cost) -> f64| {
            let mut values: Vec<f64> = costs.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let rss_mib = costs.iter().map(|cost| cost.rss_mib).fold(0.0, f64::max);
        Cost { wall: median(|cost| cost.wall), cpu: median(|cost| cost.cpu), rss_mib }
    }
}

/// Runs a command, which must succeed.
pub fn measure(command: Command, file: &Path) -> Cost {
    let mut measured = Command::new(std::env::current_exe().unwrap());
    measured.arg(MEASURE).arg(command.get_program()).args(command.get_args()).env(FILE, file);
    measured.current_dir(command.get_current_dir().unwrap());
    measured.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    assert!(measured.status().unwrap().success(), "{command:?}");
    let value: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let number = |name: &str| value[name].as_f64().unwrap();
    Cost { wall: number("wall"), cpu: number("cpu"), rss_mib: number("rssKib") / 1024.0 }
}

/// The other side of [`measure`].
pub fn measured(line: &[String]) {
    let started = Instant::now();
    let mut command = Command::new(&line[0]);
    let status = command.args(&line[1..]).stdout(std::process::Stdio::null()).status().unwrap();
    let wall = started.elapsed().as_secs_f64();
    assert!(status.success(), "{line:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let value = json!({ "wall": wall, "cpu": cpu, "rssKib": usage.max_rss() });
    fs::write(std::env::var_os(FILE).unwrap(), value.to_string()).unwrap();
}
