//! Packing, packing again, verifying and unpacking a real tree, against `xz` on the same bytes.
//!
//! `cargo bench -p spk-cli --bench packages -- [DIR…]` packs copies of the given directories, or of
//! those of this machine's Python, Node and libraries. All steps are run once, one after another, in
//! one run; what counts are the ratios. The table is printed, and written as JSON to
//! `target/bench-packages.json` (or where `SPK_BENCH_JSON` says).
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde_json::{Value, json};
use spk_package::archive::layout::Layout;
use spk_package::archive::tree::{Contents, Entries, Kind, Node, Tree};

/// What is packed when nothing is named: directories whole, or the shared libraries directly in them.
const DEFAULT: [(&str, bool); 4] = [
    ("/usr/lib/python3", true),
    ("/usr/lib/python3.11", true),
    ("/usr/lib/node_modules", true),
    ("/usr/lib/x86_64-linux-gnu", false),
];

/// Larger files are left out of the libraries: two versions of one compiler would be half of all.
const LARGEST_LIBRARY: u64 = 2 << 20;

/// Set to also try the fastest preset, and one processor.
const MORE: &str = "SPK_BENCH_MORE";

/// Asks this program to run the rest of the command line and say what it took.
const MEASURE: &str = "--measure";

struct Cost {
    name: &'static str,
    wall: f64,
    cpu: f64,
    rss_mib: f64,
    bytes: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if arguments.first().is_some_and(|first| first == MEASURE) {
        measured(&arguments[1..]);
    } else if !arguments.iter().any(|argument| argument.starts_with("--")) {
        compare(&arguments);
    }
}

/// Runs a command and prints wall, CPU and peak memory on stderr, as JSON.
fn measured(command: &[String]) {
    let started = Instant::now();
    let status = Command::new(&command[0]).args(&command[1..]).status().unwrap();
    let wall = started.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
    let value = json!({ "wall": wall, "cpu": cpu, "rss_kib": usage.max_rss() });
    fs::write(std::env::var_os("SPK_BENCH_COST").unwrap(), value.to_string()).unwrap();
}

struct Bench {
    dir: PathBuf,
    costs: Vec<Cost>,
}

impl Bench {
    fn run(&mut self, name: &'static str, command: &[&str], result: &str) {
        eprintln!("{name}: {}", command.join(" "));
        let cost_file = self.dir.join("cost");
        let status = Command::new(std::env::current_exe().unwrap())
            .arg(MEASURE)
            .args(command)
            .current_dir(&self.dir)
            .env("HOME", &self.dir)
            .env("XDG_CACHE_HOME", self.dir.join("cache"))
            .env("SPK_BENCH_COST", &cost_file)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{name}");
        let cost: Value = serde_json::from_slice(&fs::read(cost_file).unwrap()).unwrap();
        self.costs.push(Cost {
            name,
            wall: cost["wall"].as_f64().unwrap(),
            cpu: cost["cpu"].as_f64().unwrap(),
            rss_mib: cost["rss_kib"].as_f64().unwrap() / 1024.0,
            bytes: fs::metadata(self.dir.join(result)).map_or(0, |metadata| metadata.len()),
        });
    }

    fn cost(&self, name: &str) -> &Cost {
        self.costs.iter().find(|cost| cost.name == name).unwrap()
    }
}

fn compare(directories: &[String]) {
    let base = std::env::var_os("SPK_BENCH_DIR").map_or(std::env::temp_dir(), PathBuf::from);
    let dir = tempfile::Builder::new().prefix("spk-bench-").tempdir_in(base).unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    if directories.is_empty() {
        for (directory, deep) in DEFAULT.iter().filter(|(path, _)| Path::new(path).exists()) {
            copy(Path::new(directory), &root.join(&directory[1..]), *deep);
        }
    } else {
        for directory in directories {
            let path = Path::new(directory);
            copy(path, &root.join(path.strip_prefix("/").unwrap_or(path)), true);
        }
    }
    let spk = env!("CARGO_BIN_EXE_spk");
    let key = Command::new(spk)
        .args(["keygen", "-q"])
        .env("HOME", dir.path())
        .current_dir(dir.path())
        .output()
        .unwrap();
    fs::write(
        dir.path().join("sandstorm-pkgdef.capnp"),
        format!(
            r#"@0x994204a9202bc200;
using Spk = import "/sandstorm/package.capnp";
const pkgdef :Spk.PackageDefinition = (id = "{}",
  manifest = (appTitle = (defaultText = "T"), appMarketingVersion = (defaultText = "1")),
  sourceMap = (searchPath = [(sourcePath = "root")]), alwaysInclude = ["."]);
"#,
            String::from_utf8(key.stdout).unwrap().trim()
        ),
    )
    .unwrap();
    let (bytes, files) = write_name_ordered(&root, &dir.path().join("archive"));

    let mut bench = Bench { dir: dir.path().to_owned(), costs: Vec::new() };
    let shell = |command: &'static str| ["sh", "-c", command];
    bench.run("xz -6 -T0", &shell("xz -6 -T0 -c archive > archive.xz"), "archive.xz");
    bench.run("pack, cold", &[spk, "pack", "out.spk"], "out.spk");
    edit_one_file(&root, &[".py", ".js"]);
    bench.run("pack, one edit", &[spk, "pack", "out.spk"], "out.spk");
    edit_one_file(&root, &[".so"]);
    bench.run("pack, one library", &[spk, "pack", "out.spk"], "out.spk");
    bench.run("pack, no change", &[spk, "pack", "out.spk"], "out.spk");
    bench.run("xz -dc | sha512sum", &shell("xz -dc archive.xz | sha512sum"), "archive");
    bench.run("verify", &[spk, "verify", "out.spk"], "out.spk");
    bench.run("unpack", &[spk, "unpack", "out.spk", "out"], "out.spk");
    if std::env::var_os(MORE).is_some() {
        bench.run("pack --fast", &[spk, "pack", "--fast", "--no-cache", "fast.spk"], "fast.spk");
        bench.run("pack -T1", &[spk, "pack", "-T1", "--no-cache", "small.spk"], "small.spk");
    }
    report(&bench, bytes, files);
}

fn report(bench: &Bench, bytes: u64, files: u64) {
    let processors = std::thread::available_parallelism().unwrap();
    println!("{files} files, archive of {bytes} bytes, {processors} processors");
    println!("{:<20} {:>8} {:>8} {:>8} {:>12}", "step", "wall s", "CPU s", "RSS MiB", "bytes");
    for cost in &bench.costs {
        println!(
            "{:<20} {:>8.2} {:>8.2} {:>8.0} {:>12}",
            cost.name, cost.wall, cost.cpu, cost.rss_mib, cost.bytes
        );
    }
    let (xz, cold) = (bench.cost("xz -6 -T0"), bench.cost("pack, cold"));
    let (edited, library) = (bench.cost("pack, one edit"), bench.cost("pack, one library"));
    let (verify, unxz) = (bench.cost("verify"), bench.cost("xz -dc | sha512sum"));
    let ratios = [
        ("size / xz -6", cold.bytes as f64 / xz.bytes as f64, 0.94),
        ("cold wall / xz -6 -T0", cold.wall / xz.wall, 1.1),
        ("cold CPU / xz -6 -T0", cold.cpu / xz.cpu, 1.1),
        ("one edit wall / xz -6 -T0", edited.wall / xz.wall, 0.15),
        ("one edit CPU / xz -6 -T0", edited.cpu / xz.cpu, 0.15),
        ("one library wall / xz -6 -T0", library.wall / xz.wall, 0.15),
        ("verify wall / xz -dc | sha512sum", verify.wall / unxz.wall, 0.65),
        ("cold RSS / 700 MB", cold.rss_mib * 1.048_576 / 700.0, 1.0),
    ];
    println!("{:<34} {:>8} {:>8}", "ratio", "reached", "goal");
    for (name, reached, goal) in ratios {
        println!("{name:<34} {reached:>8.3} {goal:>8.2}");
    }
    let steps: Vec<Value> = bench
        .costs
        .iter()
        .map(|cost| {
            json!({
                "step": cost.name, "wallSeconds": cost.wall, "cpuSeconds": cost.cpu,
                "peakRssMib": cost.rss_mib, "bytes": cost.bytes,
            })
        })
        .collect();
    let ratios: Vec<Value> = ratios
        .iter()
        .map(|(name, reached, goal)| json!({ "ratio": name, "reached": reached, "goal": goal }))
        .collect();
    let value = json!({
        "files": files, "archiveBytes": bytes, "processors": processors.get(),
        "steps": steps, "ratios": ratios,
    });
    let path = std::env::var_os("SPK_BENCH_JSON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-packages.json"),
        PathBuf::from,
    );
    fs::write(path, format!("{value:#}\n")).unwrap();
}

/// Appends a line to the file in the middle of those whose names end so.
fn edit_one_file(root: &Path, endings: &[&str]) {
    let mut found = Vec::new();
    collect(root, &mut found);
    found.sort();
    let fits = |path: &&PathBuf| {
        endings.iter().any(|ending| path.as_os_str().as_bytes().ends_with(ending.as_bytes()))
    };
    let fitting: Vec<&PathBuf> = found.iter().filter(fits).collect();
    let path = fitting.get(fitting.len() / 2).copied().unwrap_or(&found[found.len() / 2]);
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(b"\n# one more line\n").unwrap();
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = path.symlink_metadata().unwrap().file_type();
        if kind.is_dir() {
            collect(&path, files);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path, deep: bool) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), target).unwrap();
        } else if metadata.is_dir() {
            if deep {
                copy(&path, &target, true);
            }
        } else if metadata.is_file()
            && (deep || is_library(&path) && metadata.len() <= LARGEST_LIBRARY)
        {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// Whether a file is named as shared libraries are. Static ones are in no package.
fn is_library(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}

/// Writes the tree's archive with contents in the order of names, as the original has them.
fn write_name_ordered(root: &Path, path: &Path) -> (u64, u64) {
    let tree = Tree { root: entries(root), implied_mtime: 0 };
    let layout = Layout::new(&tree, |_| {}).unwrap();
    let mut out = std::io::BufWriter::new(File::create(path).unwrap());
    out.write_all(&layout.tables).unwrap();
    for file in &layout.files {
        let Contents::Path(source) = file.source else { continue };
        let mut contents = Vec::new();
        File::open(source).unwrap().read_to_end(&mut contents).unwrap();
        contents.resize(file.padded() as usize, 0);
        out.write_all(&contents).unwrap();
    }
    out.flush().unwrap();
    (layout.total, layout.files.len() as u64)
}

fn entries(dir: &Path) -> Entries {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path();
            let metadata = path.symlink_metadata().unwrap();
            let mtime = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
            let kind = if metadata.is_symlink() {
                Kind::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec())
            } else if metadata.is_dir() {
                Kind::Directory(entries(&path))
            } else {
                let executable = metadata.mode() & 0o100 != 0;
                Kind::File { executable, size: metadata.len(), source: Contents::Path(path) }
            };
            (entry.file_name().as_bytes().to_vec(), Node { mtime, kind })
        })
        .collect()
}
