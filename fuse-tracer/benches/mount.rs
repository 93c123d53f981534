//! How fast the tracing mount is, next to the bare directory, other FUSE file systems and a
//! ptrace tracer: `cargo bench -p fuse-tracer --bench mount -- [ROUNDS]`, as root, with
//! bindfs, fuse-overlayfs, strace, nodejs and python3 installed. Needs 200 MB in /tmp.
//!
//! Every workload runs with its root in the tree (programs, loader and libraries come from it too),
//! all variants by turns, so that a busy machine is equally busy for all. Printed are ratios of minima and of
//! medians. Then how many requests each workload made, of a mount nobody has used yet and of one that
//! knows it.
//!
//! `BENCH_ONLY=native,mount` leaves out other variants, `BENCH_WORK=node,find` other workloads.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use fuse_tracer::{Cache, Options, Request};
use support::{Mount, Who, mapping, scratch, view};

const MODULES: usize = 300;
const FILES: usize = 2000;

const VARIANTS: [&str; 8] = [
    "native",
    "mount, cold",
    "mount",
    "mount (root)",
    "mount -c",
    "bindfs",
    "fuse-overlayfs",
    "strace",
];

/// Name and command, to be run in the tree.
const WORKLOADS: [(&str, &[&str]); 6] = [
    (
        "python3 import",
        &[
            "/usr/bin/python3",
            "-B",
            "-c",
            "import email.mime.text, http.server, json, ssl, asyncio, sqlite3",
        ],
    ),
    ("node require", &["/usr/bin/node", "-e", "require('/app')"]),
    ("find + stat", &["/usr/bin/find", "/", "-printf", "%s %m %t\\n"]),
    ("tar to a pipe", &["/bin/sh", "-c", "/bin/tar cf - -C / usr app data | /usr/bin/wc -c"]),
    ("read 2,000 files", &["/bin/sh", "-c", "/bin/cat /data/*/* | /usr/bin/wc -c"]),
    ("10 × exec", &["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/true; done"]),
];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let rounds: usize = arguments.next().map_or(7, |text| text.parse().unwrap());
    let dir = scratch();
    let tree = dir.path().join("tree");
    build(&tree);
    let mut peers = Peers { mounts: Vec::new() };
    let bindfs = peers.mount(dir.path(), "bindfs", &|at| {
        vec!["bindfs".into(), "-r".into(), tree.display().to_string(), at.display().to_string()]
    });
    let overlay = peers.mount(dir.path(), "fuse-overlayfs", &|at| {
        let lower = format!("lowerdir={}", tree.display());
        vec!["fuse-overlayfs".into(), "-o".into(), lower, at.display().to_string()]
    });
    let view = || view(vec![mapping("", tree.clone(), &[])]);
    let options = |cache| Options { cache, ..Options::default() };
    let mut warm = Mount::new(Who::User, view(), options(Cache::Watched));
    let mut root = Mount::new(Who::Root, view(), options(Cache::Watched));
    let mut frozen = Mount::new(Who::User, view(), options(Cache::Frozen));

    let mut times: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    let chosen = |variable: &str, name: &str| {
        std::env::var(variable)
            .map_or(true, |list| list.split(',').any(|part| name.starts_with(part)))
    };
    let variants: Vec<&str> = VARIANTS
        .into_iter()
        .filter(|name| *name == "native" || chosen("BENCH_ONLY", name))
        .collect();
    let workloads: Vec<(usize, &[&str])> = WORKLOADS
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| chosen("BENCH_WORK", name))
        .map(|(index, (_, command))| (index, *command))
        .collect();
    for round in 0..=rounds {
        for (index, command) in &workloads {
            let (index, command) = (*index, *command);
            let strace =
                ["strace", "--seccomp-bpf", "-f", "-qq", "-e", "trace=file", "-o", "/dev/null"];
            for turn in 0..variants.len() {
                // in another order each round: whoever follows a heavy one is at a disadvantage
                let turn = if round % 2 == 0 { turn } else { variants.len() - 1 - turn };
                let variant = variants[(turn + round / 2) % variants.len()];
                let us = match variant {
                    "native" => chroot(&[], &tree, command),
                    "mount" => inside(&mut warm, command),
                    "mount (root)" => inside(&mut root, command),
                    "mount -c" => inside(&mut frozen, command),
                    "bindfs" => chroot(&[], &bindfs, command),
                    "fuse-overlayfs" => chroot(&[], &overlay, command),
                    "strace" => chroot(&strace, &tree, command),
                    _ => {
                        inside(&mut Mount::new(Who::User, view(), options(Cache::Watched)), command)
                    }
                };
                // the first round warms all caches
                if round > 0 {
                    times.entry((index, variant)).or_default().push(us);
                }
            }
        }
    }
    println!("| | native | {} |", variants[1..].join(" | "));
    println!("|---|---{}|", "|---".repeat(variants.len() - 1));
    for (index, _) in &workloads {
        let (least, middle) = summary(&times[&(*index, "native")]);
        let ratios: Vec<String> = variants[1..]
            .iter()
            .map(|variant| summary(&times[&(*index, *variant)]))
            .map(|(min, median)| format!("{:.2} / {:.2}", min / least, median / middle))
            .collect();
        println!(
            "| {} | {:.0} / {:.0} ms | {} |",
            WORKLOADS[*index].0,
            least / 1e3,
            middle / 1e3,
            ratios.join(" | ")
        );
    }
    println!();
    count_requests(&workloads, || Mount::new(Who::User, view(), options(Cache::Watched)));
}

/// Prints how many requests of each kind the first and the third run of each workload make.
fn count_requests(workloads: &[(usize, &[&str])], fresh: impl Fn() -> Mount) {
    println!(
        "| requests, cold / warm | {} |",
        Request::ALL.map(|kind| format!("{kind:?}")).join(" | ")
    );
    println!("|---{}|", "|---".repeat(Request::ALL.len()));
    for (index, command) in workloads {
        let mut mount = fresh();
        let mut run = || {
            let before = Request::ALL.map(|kind| mount.tracer().requests(kind));
            inside(&mut mount, command);
            let after = Request::ALL.map(|kind| mount.tracer().requests(kind));
            std::array::from_fn::<u64, { Request::ALL.len() }, _>(|kind| after[kind] - before[kind])
        };
        let cold = run();
        run();
        let warm = run();
        let cells: Vec<String> =
            cold.iter().zip(warm).map(|(cold, warm)| format!("{cold} / {warm}")).collect();
        println!("| {} | {} |", WORKLOADS[*index].0, cells.join(" | "));
    }
}

/// Minimum and median.
fn summary(times: &[f64]) -> (f64, f64) {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2])
}

fn inside(mount: &mut Mount, command: &[&str]) -> f64 {
    let root = mount.path("");
    let mut argv = vec!["/usr/bin/unshare", "-r", "-R", &root];
    argv.extend_from_slice(command);
    let output = mount.run(&argv);
    assert_eq!(output.status, 0, "{command:?}: {}", output.stderr);
    output.us as f64
}

fn chroot(before: &[&str], tree: &Path, command: &[&str]) -> f64 {
    let mut argv = before.to_vec();
    let tree = tree.display().to_string();
    argv.extend(["/usr/bin/unshare", "-r", "-R", &tree]);
    argv.extend_from_slice(command);
    let start = Instant::now();
    let output = Command::new(argv[0]).args(&argv[1..]).stdin(Stdio::null()).output().unwrap();
    let us = start.elapsed().as_micros() as f64;
    assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    us
}

/// Mounts of other programs, unmounted at the end.
struct Peers {
    mounts: Vec<PathBuf>,
}

impl Peers {
    fn mount(&mut self, dir: &Path, name: &str, command: &dyn Fn(&Path) -> Vec<String>) -> PathBuf {
        let at = dir.join(name);
        std::fs::create_dir(&at).unwrap();
        let argv = command(&at);
        let status = Command::new(&argv[0]).args(&argv[1..]).status().unwrap();
        assert!(status.success(), "{argv:?}");
        self.mounts.push(at.clone());
        at
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for at in &self.mounts {
            let _ = Command::new("umount").arg(at).status();
        }
    }
}

/// A small root with Python, Node and tools, a node application and a directory of files.
fn build(tree: &Path) {
    for dir in ["bin", "lib64", "usr/bin", "usr/lib", "app", "data", "dev", "tmp"] {
        std::fs::create_dir_all(tree.join(dir)).unwrap();
    }
    let script = r#"
set -e
T=$1
put() { mkdir -p "$T$(dirname "$2")"; cp -L "$1" "$T$2"; }
py=$(readlink -f /usr/bin/python3)
put "$py" /usr/bin/python3
put "$(readlink -f /usr/bin/node)" /usr/bin/node
for p in find wc; do put /usr/bin/$p /usr/bin/$p; done
for p in sh cat tar true; do put /bin/$p /bin/$p; done
lib=$(ls -d /usr/lib/python3.1* | head -1)
cp -a "$lib" "$T/usr/lib/"
find "$T/usr/lib" -name __pycache__ -prune -o -name '*.py' -print | xargs -n 200 true
for f in "$py" "$(readlink -f /usr/bin/node)" /usr/bin/find /bin/sh /bin/cat /bin/tar /bin/true "$lib"/lib-dynload/*.so; do
  ldd "$f" 2>/dev/null | grep -o '/[^ ]*' | while read l; do test -e "$T$l" || put "$l" "$l"; done
done
"#;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(tree).status().unwrap();
    assert!(status.success());
    let mut index = String::new();
    for module in 0..MODULES {
        let dir = tree.join(format!("app/node_modules/m{module}/lib"));
        std::fs::create_dir_all(&dir).unwrap();
        let package = format!("{{\"name\":\"m{module}\",\"main\":\"./lib/index\"}}");
        std::fs::write(dir.with_file_name("package.json"), package).unwrap();
        std::fs::write(dir.join("index.js"), "module.exports = require('./other');").unwrap();
        std::fs::write(dir.join("other.js"), "exports.x = 1;\n".repeat(50)).unwrap();
        index += &format!("require('m{module}');\n");
    }
    std::fs::write(tree.join("app/index.js"), index).unwrap();
    for file in 0..FILES {
        let dir = tree.join(format!("data/{}", file % 40));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{file}")), vec![b'x'; 500 + file * 7 % 20_000]).unwrap();
    }
}
