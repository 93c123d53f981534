//! Export and restore of grains against `zip -qy`, `unzip` and `bsdtar`, on 2,500 small files and on
//! one file of 1 GiB.
//!
//! `cargo bench -p spk-cli --bench grains [-- small|large]`. Content is this machine's: scripts,
//! headers and documents for the small files, libraries and programs for the large one. All programs
//! take turns, in another order each round; what counts are the ratios of medians. `spk` verifies
//! and syncs what it writes, which the others do not. The table is printed, and written as JSON to
//! `target/bench-grains.json` (or where `SPK_BENCH_JSON` says).
#![allow(clippy::unwrap_used)]

mod content;
mod cost;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use cost::Cost;

/// What is measured, and how often.
const WORKLOADS: [(&str, usize); 2] = [("small", 7), ("large", 3)];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|first| first == cost::MEASURE) {
        return cost::measured(&arguments[1..]);
    }
    if arguments.iter().any(|argument| argument.starts_with("--")) {
        return;
    }
    let dir = tempfile::Builder::new()
        .prefix("bench-grains.")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    let mut report = serde_json::Map::new();
    for (name, rounds) in WORKLOADS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            let bench = Bench::new(&dir.path().join(name), name);
            report.insert(name.into(), bench.run(name, rounds));
        }
    }
    let path = std::env::var_os("SPK_BENCH_JSON").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench-grains.json"),
        PathBuf::from,
    );
    fs::write(path, serde_json::to_string_pretty(&Value::Object(report)).unwrap()).unwrap();
}

/// A grain with content, and where the outputs go.
struct Bench {
    dir: PathBuf,
    grain: String,
}

/// A program's name, and its command line.
type Variant = (&'static str, Vec<String>);

impl Bench {
    fn new(dir: &Path, workload: &str) -> Bench {
        fs::create_dir(dir).unwrap();
        let mut bench = Bench { dir: dir.to_owned(), grain: String::new() };
        bench.pack();
        let made = bench.command(&bench.spk(&["new", "project/app.spk"])).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        bench.grain = String::from_utf8(made.stdout).unwrap().trim_end().to_owned();
        let sandbox = dir.join("state/grains").join(&bench.grain).join("sandbox");
        match workload {
            "small" => content::small(&sandbox),
            _ => content::large(&sandbox.join("large")),
        }
        bench
    }

    /// Makes the package of an app that is never run.
    fn pack(&self) {
        let project = self.dir.join("project");
        fs::create_dir(&project).unwrap();
        fs::write(project.join("app"), "").unwrap();
        for line in ["init -k ring -r -I . -A -- /app", "pack -k ring --fast app.spk"] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_spk"));
            let command = command.arg("--quiet").args(line.split(' ')).current_dir(&project);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{line}: {output:?}");
        }
    }

    fn spk(&self, arguments: &[&str]) -> Vec<String> {
        let state = self.dir.join("state").to_string_lossy().into_owned();
        let fixed = [env!("CARGO_BIN_EXE_spk"), "--quiet", "--state", &state, "grain"];
        fixed.iter().chain(arguments).map(|argument| argument.to_string()).collect()
    }

    fn command(&self, line: &[String]) -> Command {
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).current_dir(&self.dir).env("LC_ALL", "C.UTF-8");
        command
    }

    fn run(&self, workload: &str, rounds: usize) -> Value {
        let grain = format!("state/grains/{}", self.grain);
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let within = |line: &str| {
            words("sh -c").into_iter().chain([format!("cd {grain} && exec {line}")]).collect()
        };
        let top = self.dir.display();
        let exports: [Variant; 3] = [
            ("spk export", self.spk(&["export", &self.grain, "-o", "spk.zip"])),
            ("zip -qy", within(&format!("zip -qyr {top}/zip.zip sandbox log"))),
            (
                "bsdtar -c",
                within(&format!("bsdtar -c --format zip -f {top}/bsdtar.zip sandbox log")),
            ),
        ];
        let restores: [Variant; 3] = [
            ("spk restore", self.spk(&["restore", "spk.zip"])),
            ("unzip", words("unzip -q spk.zip -d out")),
            ("bsdtar -x", words("bsdtar -x -f spk.zip -C out")),
        ];
        let outputs = ["spk.zip", "zip.zip", "bsdtar.zip"];
        let mut result = serde_json::Map::new();
        let mut costs = vec![Vec::new(); exports.len()];
        let mut sizes = [0; 3];
        for round in 0..rounds {
            for turn in 0..exports.len() {
                let which = (round + turn) % exports.len();
                let _ = fs::remove_file(self.dir.join(outputs[which]));
                costs[which].push(self.cost(&exports[which].1));
                sizes[which] = fs::metadata(self.dir.join(outputs[which])).unwrap().len();
            }
        }
        result.insert("export".into(), table(workload, &exports, &costs, Some(sizes)));
        let mut costs = vec![Vec::new(); restores.len()];
        for round in 0..rounds {
            for turn in 0..restores.len() {
                let which = (round + turn) % restores.len();
                fs::create_dir(self.dir.join("out")).unwrap();
                costs[which].push(self.cost(&restores[which].1));
                fs::remove_dir_all(self.dir.join("out")).unwrap();
                self.forget_restored();
            }
        }
        result.insert("restore".into(), table(workload, &restores, &costs, None));
        Value::Object(result)
    }

    /// Measures one run, with nothing of the one before left to be written to the disk.
    fn cost(&self, line: &[String]) -> Cost {
        nix::unistd::sync();
        cost::measure(self.command(line), &self.dir.join("cost"))
    }

    fn forget_restored(&self) {
        for grain in fs::read_dir(self.dir.join("state/grains")).unwrap() {
            let id = grain.unwrap().file_name().into_string().unwrap();
            if id != self.grain {
                let deleted =
                    self.command(&self.spk(&["delete", "--no-backup", "--yes", &id])).status();
                assert!(deleted.unwrap().success());
            }
        }
    }
}

/// Prints the medians, each as a ratio to the second program's (zip's or unzip's).
fn table(
    workload: &str,
    variants: &[Variant],
    costs: &[Vec<Cost>],
    sizes: Option<[u64; 3]>,
) -> Value {
    let medians: Vec<Cost> = costs.iter().map(|costs| Cost::median(costs)).collect();
    let peer = &medians[1];
    println!(
        "{workload:<12} {:>9} {:>7} {:>9} {:>9} {:>13} {:>7}",
        "wall s", "ratio", "CPU s", "RSS MiB", "bytes", "ratio"
    );
    let mut rows = Vec::new();
    for (index, ((name, _), cost)) in variants.iter().zip(&medians).enumerate() {
        let ratio = cost.wall / peer.wall;
        print!(
            "{name:<12} {:>9.3} {ratio:>7.2} {:>9.2} {:>9.1}",
            cost.wall, cost.cpu, cost.rss_mib
        );
        let size = sizes.map(|sizes| (sizes[index], sizes[index] as f64 / sizes[1] as f64));
        match size {
            Some((bytes, ratio)) => println!(" {bytes:>13} {ratio:>7.3}"),
            None => println!(),
        }
        let walls: Vec<f64> = costs[index].iter().map(|cost| cost.wall).collect();
        rows.push(json!({
            "name": name, "wall": cost.wall, "ratio": ratio, "cpu": cost.cpu, "rssMib": cost.rss_mib,
            "bytes": size.map(|size| size.0), "sizeRatio": size.map(|size| size.1), "walls": walls,
        }));
    }
    println!();
    Value::Array(rows)
}
