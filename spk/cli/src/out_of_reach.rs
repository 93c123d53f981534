//! What an app reaches for that no grain has: files of the kernel's below `/proc` and `/sys`, and
//! places outside of `/var` to write to. A Sandstorm server has neither (grain-runtime §A.6), so that
//! it is no matter of this tool; what usually helps is in the table here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use fuse_tracer::{Record, Use, is_kernels};
use spk_files::path::{components, is_prefix, name};
use spk_files::printable;

use crate::ui::Ui;

/// How often it is told what is new.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many are told while they happen unless all are asked for.
const TOLD: usize = 10;

/// Something that an app reached for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Package path; numbers of processes and the like as `N`.
    pub path: Vec<u8>,
    /// Whether it was to be written; else it was looked for, and would be the kernel's.
    pub is_write: bool,
    /// Executables that did; may be empty.
    pub by: BTreeSet<String>,
}

/// What usually helps.
#[derive(Clone, Copy, Debug)]
struct Cure {
    /// In which programs: what their names begin with, all if empty.
    programs: &'static [&'static str],
    /// Beginnings of paths, or names that stand anywhere in one (`**/name`); all if empty.
    paths: &'static [&'static str],
    /// In words that a packager can look for.
    words: &'static str,
    /// Whether the program goes on without as if nothing had happened.
    is_harmless: bool,
}

const fn needed(
    programs: &'static [&'static str],
    paths: &'static [&'static str],
    words: &'static str,
) -> Cure {
    Cure { programs, paths, words, is_harmless: false }
}

const fn harmless(
    programs: &'static [&'static str],
    paths: &'static [&'static str],
    words: &'static str,
) -> Cure {
    Cure { programs, paths, words, is_harmless: true }
}

const BUN: &[&str] = &["bun"];
const JAVA: &[&str] = &["java", "jspawnhelper"];
const DOTNET: &[&str] = &["dotnet"];
const OFFICE: &[&str] = &["soffice", "oosplash"];
const PHP: &[&str] = &["php"];
const SELF_EXE: &[&str] = &["proc/self/exe", "proc/N/exe"];

/// What helps where something is looked for, the first that fits.
const LOOKED_FOR: &[Cure] = &[
    needed(
        BUN,
        &["proc/self"],
        "Bun ends there, and so do its single-file programs: run the source with node, or bundle it with \
        bun build --target=node, with Node's APIs (node:http) in place of Bun's own (Bun.serve)",
    ),
    needed(
        JAVA,
        SELF_EXE,
        "libjli looks for the JDK there: start java by its full path, with \
        JAVA_HOME, and LD_LIBRARY_PATH with the JDK's lib and lib/server",
    ),
    harmless(
        JAVA,
        &["sys/fs/cgroup", "proc/self/cgroup", "proc/self/mountinfo", "proc/cgroups"],
        "Java looks for limits of a container: -XX:-UseContainerSupport asks for none, -Xmx says \
        how much memory it may take",
    ),
    needed(
        DOTNET,
        SELF_EXE,
        ".NET looks for its runtime there: set DOTNET_ROOT, and start \
        dotnet APP.dll instead of the single-file or apphost program",
    ),
    harmless(
        DOTNET,
        &["proc", "sys"],
        ".NET looks for limits and for who debugs it: \
        DOTNET_EnableDiagnostics=0, and DOTNET_GCHeapHardLimit says how much memory it may take",
    ),
    needed(
        OFFICE,
        &["proc"],
        "LibreOffice goes on if it is started as soffice.bin by its full \
        path, with -env:UserInstallation=file:///var/libreoffice",
    ),
    needed(
        &[],
        SELF_EXE,
        "a program finds its own place there: start it by its full path; many \
        have a variable or an option for it (PYTHONHOME, JAVA_HOME, DOTNET_ROOT, --prefix)",
    ),
    harmless(
        &[],
        &["proc/self/maps", "proc/self/task", "proc/thread-self"],
        "where its memory and \
        threads are: most programs go on without; a garbage collector that does not wants the \
        stack's size as an option",
    ),
    harmless(
        &[],
        &["proc/self/fd", "proc/N/fd", "dev/fd"],
        "its open descriptors: most programs \
        go on with their limit; shells' <(…) does not work, use a pipe or a file in /tmp",
    ),
    harmless(
        &[],
        &[
            "proc/self/mountinfo",
            "proc/self/mounts",
            "proc/mounts",
            "proc/self/cgroup",
            "proc/cgroups",
            "proc/N/cgroup",
            "proc/filesystems",
            "sys/fs/cgroup",
        ],
        "looks whether it is in a container, and for limits: goes on without",
    ),
    harmless(
        &[],
        &[
            "proc/meminfo",
            "proc/sys/vm",
            "sys/kernel/mm",
            "proc/self/oom_score_adj",
            "proc/self/statm",
            "proc/self/smaps",
        ],
        "the machine's memory: goes on with a default; where \
        it does not, say how much it may take by option",
    ),
    harmless(
        &[],
        &["sys/devices/system", "proc/stat", "proc/self/status"],
        "counts processors: \
        goes on with those it may use; --workers and the like say another number",
    ),
    harmless(
        &[],
        &["proc/sys", "proc/version", "proc/uptime", "proc/loadavg", "sys/kernel"],
        "settings and figures of the kernel: goes on with a default",
    ),
    needed(
        &[],
        &["proc/net", "sys/class/net", "proc/self/net"],
        "network interfaces: a grain has \
        loopback alone; name 127.0.0.1 instead of looking for an address",
    ),
    needed(
        &["ps", "pgrep", "pkill", "pidof", "top", "killall"],
        &[],
        "lists processes: start and \
        stop them by a file with their number (pid file), or wait for them in the script",
    ),
    harmless(
        &[],
        &["proc/self", "proc/thread-self"],
        "looks at itself: most programs go on without",
    ),
    needed(
        &[],
        &["proc/N", "proc"],
        "looks at other processes: a pid file, or waiting for them, \
        does without",
    ),
    harmless(&[], &["sys"], "devices and settings of the machine: none are in a grain"),
];

/// What helps where something is to be written, the first that fits.
const WRITTEN: &[Cure] = &[
    harmless(
        &[],
        &["**/__pycache__"],
        "Python keeps byte code beside the source: -B or PYTHONDONTWRITEBYTECODE=1 asks for none",
    ),
    needed(
        OFFICE,
        &[],
        "LibreOffice keeps its profile at home: HOME=/var, or \
        -env:UserInstallation=file:///var/libreoffice",
    ),
    needed(
        PHP,
        &[],
        "PHP: session.save_path, upload_tmp_dir and the app's own folders (Roundcube: \
        temp_dir and log_dir; DokuWiki: savedir; WordPress: WP_CONTENT_DIR) in /var",
    ),
    needed(
        &["nginx"],
        &[],
        "nginx: pid, error_log and the …_temp_path settings in /var or /tmp, and \
        -e stderr for what it says before it has read them",
    ),
    needed(
        &["mysqld", "mariadbd", "postgres", "redis", "dovecot"],
        &[],
        "name data directory, \
        socket and pid file in /var or /tmp, by option or in its configuration",
    ),
    needed(
        &["node", "npm", "yarn", "pnpm", "bun"],
        &[],
        "node tools keep caches at home and beside \
        the source: HOME=/var, npm_config_cache=/var/npm; build before packing, not at the start",
    ),
    needed(
        JAVA,
        &[],
        "Java: -Duser.home=/var and -Djava.io.tmpdir=/tmp, and the app's own work \
        folders in /var",
    ),
    needed(
        &[],
        &["home", "root", "**/.cache", "**/.config", "**/.local", "**/.npm"],
        "it writes at home: HOME=/var, or XDG_CACHE_HOME, \
        XDG_CONFIG_HOME and XDG_DATA_HOME below /var",
    ),
    needed(
        &[],
        &["run", "var/run"],
        "a socket or pid file: name a place in /var or /tmp by option, or spk init --var DIR",
    ),
    needed(
        &[],
        &["etc"],
        "configuration that is made at the start: keep it in /var, and make its directory a link there \
        (spk init --var DIR)",
    ),
];

/// As the app's root shows it.
const BRIDGE: &str = "/sandstorm-http-bridge";

/// Where nothing else is known.
const ANYWHERE: &str =
    "name a place in /var by option, or make the directory a link there: spk init --var DIR";

impl Reach {
    /// All of a record.
    pub fn all(record: &Record) -> Vec<Reach> {
        let mut found: BTreeMap<(bool, Vec<u8>), BTreeSet<String>> = BTreeMap::new();
        for (path, uses) in &record.paths {
            // The bridge is ours, and knows how to do without.
            let ours = |by: &BTreeSet<String>| !by.is_empty() && by.iter().all(|by| by == BRIDGE);
            let apps = |by: &BTreeSet<String>| {
                by.iter().filter(|by| *by != BRIDGE).cloned().collect::<Vec<_>>()
            };
            if let Some(usage) = uses.get(&Use::Write) {
                found.entry((true, path.clone())).or_default().extend(apps(&usage.by));
            }
            // Who lists processes lists a directory that is there.
            let listed = uses.get(&Use::List).filter(|_| path == b"proc");
            if let Some(usage) = uses.get(&Use::Miss).or(listed)
                && is_kernels(path)
                && !ours(&usage.by)
            {
                found.entry((false, without_numbers(path))).or_default().extend(apps(&usage.by));
            }
        }
        // Where only the beginning of a path could be found out, and once the whole.
        let below = |path: &[u8]| [path, b"/"].concat();
        let is_known = |write: bool, path: &[u8]| {
            let from = (write, below(path));
            let next = found.range(from.clone()..).next();
            next.is_some_and(|((_, next), _)| next.starts_with(&from.1))
        };
        let beginnings: Vec<(bool, Vec<u8>)> = found
            .keys()
            .filter(|(is_write, path)| !is_write && is_known(false, path))
            .cloned()
            .collect();
        beginnings.iter().for_each(|beginning| {
            found.remove(beginning);
        });
        found.into_iter().map(|((is_write, path), by)| Reach { path, is_write, by }).collect()
    }

    fn cure(&self) -> (&'static str, bool) {
        let table = if self.is_write { WRITTEN } else { LOOKED_FOR };
        let fits = |cure: &&Cure| {
            let program = |by: &String| {
                let file = name(by.as_bytes());
                // `php-fpm8.2` is PHP, `psql` is no `ps`.
                cure.programs.iter().any(|program| {
                    let rest = file.strip_prefix(program.as_bytes());
                    rest.is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphabetic))
                })
            };
            let path = |path: &&str| match path.strip_prefix("**/") {
                Some(name) => components(&self.path).any(|part| part == name.as_bytes()),
                None => is_prefix(path.as_bytes(), &self.path),
            };
            (cure.programs.is_empty() || self.by.iter().any(program))
                && (cure.paths.is_empty() || cure.paths.iter().any(path))
        };
        table.iter().find(fits).map_or((ANYWHERE, false), |cure| (cure.words, cure.is_harmless))
    }

    /// What usually helps.
    pub fn words(&self) -> &'static str {
        self.cure().0
    }

    /// Whether it most likely makes no difference.
    pub fn is_harmless(&self) -> bool {
        self.cure().1
    }

    /// The path, who it was, and what helps.
    pub fn text(&self) -> String {
        let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
        let by = if by.is_empty() { String::new() } else { format!(" (by {})", by.join(", ")) };
        format!("{}{by}: {}", self.shown(), self.words())
    }

    /// The path as programs name it where it is the kernel's, and as the file list does elsewhere.
    fn shown(&self) -> String {
        let path = printable::line(&self.path);
        if self.is_write { path } else { format!("/{path}") }
    }

    /// The same while it happens.
    fn news(&self) -> String {
        match self.is_write {
            true => format!("refused to write, as on a Sandstorm server: {}", self.text()),
            false => format!("not there, as on a Sandstorm server: {}", self.text()),
        }
    }
}

/// The path with `N` for each number that is one of many.
fn without_numbers(path: &[u8]) -> Vec<u8> {
    let shown = |part: &[u8]| -> Vec<u8> {
        let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
        let kinds: [&[u8]; 3] = [b"", b"cpu", b"node"];
        let of = |kind: &&&[u8]| part.strip_prefix(**kind).is_some_and(is_number);
        match kinds.iter().find(of) {
            Some(kind) => [*kind, b"N"].concat(),
            None => part.to_vec(),
        }
    };
    components(path).map(shown).collect::<Vec<_>>().join(&b'/')
}

/// Tells what is new while the app runs, until it is dropped.
pub struct Teller {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Teller {
    /// `look` gives all so far. Unless `all`, only some are told, and none that are harmless.
    pub fn start(look: impl Fn() -> Vec<Reach> + Send + 'static, all: bool, ui: &Ui) -> Teller {
        let (stop, stopped) = mpsc::channel();
        let ui = ui.clone();
        let thread = std::thread::Builder::new().name("out-of-reach".into()).spawn(move || {
            let mut told = BTreeSet::new();
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                for reach in look() {
                    if !all && (reach.is_harmless() || told.len() >= TOLD) {
                        continue;
                    }
                    let Reach { path, is_write, .. } = &reach;
                    if told.insert((path.clone(), *is_write)) {
                        ui.note(reach.news());
                    }
                }
            }
        });
        // Without it all is told at the end.
        Teller { stop: Some(stop), thread: thread.ok() }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Tells at the end: everything, or how much there was.
pub fn sum_up(record: &Record, everything: bool, ui: &Ui) {
    let (writes, reads): (Vec<Reach>, Vec<Reach>) =
        Reach::all(record).into_iter().partition(|reach| reach.is_write);
    let only = "only /var and /tmp can be written";
    let paths = |count: usize| if count == 1 { "path" } else { "paths" };
    match (writes.len(), everything) {
        (0, _) => {}
        (count, false) => ui.note(format!(
            "the app wanted to write to {count} {} elsewhere, and {only}: --explain names them",
            paths(count)
        )),
        (count, true) => {
            ui.warn(format!(
                "could not be written ({count}), since {only}, as on a Sandstorm server:"
            ));
            writes.iter().for_each(|write| ui.warn(format!("  {}", write.text())));
        }
    }
    let none = "no grain has more of /proc and /sys than /proc/cpuinfo";
    match (reads.len(), everything) {
        (0, _) => {}
        (count, false) => {
            if reads.iter().any(|read| !read.is_harmless()) {
                ui.note(format!(
                    "the app looked for {count} {} below /proc and /sys, and {none}: --explain \
                     names them",
                    paths(count)
                ));
            }
        }
        (count, true) => {
            ui.note(format!("was not there ({count}), since {none}, as on a Sandstorm server:"));
            reads.iter().for_each(|read| ui.note(format!("  {}", read.text())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fuse_tracer::Usage;

    fn reach(path: &str, is_write: bool, by: &str) -> Reach {
        let by = [by.to_owned()].into_iter().filter(|by| !by.is_empty()).collect();
        Reach { path: path.as_bytes().to_vec(), is_write, by }
    }

    #[test]
    fn the_cure_is_that_of_program_and_path() {
        for (path, is_write, by, words, is_harmless) in [
            ("proc/self/exe", false, "/usr/bin/bun", "bun build", false),
            ("proc/self/exe", false, "/usr/lib/jvm/x/bin/java", "JAVA_HOME", false),
            ("proc/self/exe", false, "/usr/bin/dotnet", "DOTNET_ROOT", false),
            ("proc/self/exe", false, "/app", "full path", false),
            ("proc/self/maps", false, "/usr/bin/ruby3.1", "stack", true),
            ("sys/fs/cgroup/memory.max", false, "/x/bin/java", "UseContainerSupport", true),
            ("sys/fs/cgroup/memory.max", false, "/x", "container", true),
            ("sys/devices/system/cpu/online", false, "", "processors", true),
            ("proc", false, "/usr/bin/ps", "pid file", false),
            ("proc/N/stat", false, "/usr/bin/psql", "other processes", false),
            ("home/user/.cache/x", true, "/usr/bin/x", "HOME=/var", false),
            ("opt/app/temp/x", true, "/usr/sbin/php-fpm8.2", "Roundcube", false),
            ("root/.config/libreoffice", true, "/x/soffice.bin", "UserInstallation", false),
            ("opt/app/__pycache__/x", true, "/usr/bin/python3.11", "-B", true),
            ("opt/app/made", true, "/usr/bin/python3.11", ANYWHERE, false),
            ("srv/.config/x", true, "/x", "XDG_CONFIG_HOME", false),
            ("opt/app/x", true, "/x", ANYWHERE, false),
        ] {
            let reach = reach(path, is_write, by);
            assert!(reach.words().contains(words), "{reach:?}: {}", reach.words());
            assert_eq!(reach.is_harmless(), is_harmless, "{reach:?}");
        }
    }

    #[test]
    fn numbers_of_many_are_one() {
        for (path, shown) in [
            ("proc/123/stat", "proc/N/stat"),
            ("proc/self/task/12/comm", "proc/self/task/N/comm"),
            ("sys/devices/system/cpu/cpu11/topology", "sys/devices/system/cpu/cpuN/topology"),
            ("proc/sys/net/ipv4", "proc/sys/net/ipv4"),
            ("proc/meminfo", "proc/meminfo"),
            ("proc", "proc"),
        ] {
            assert_eq!(without_numbers(path.as_bytes()), shown.as_bytes());
        }
    }

    #[test]
    fn only_the_apps_own_is_told_and_the_whole_path_once() {
        let mut record = Record::default();
        for (path, kind, by) in [
            ("proc/self/exe", Use::Miss, BRIDGE),
            ("proc/self/maps", Use::Miss, BRIDGE),
            ("proc/self/maps", Use::Miss, "/usr/bin/x"),
            ("proc/self", Use::Miss, "/usr/bin/x"),
            ("proc/17/stat", Use::Miss, "/usr/bin/x"),
            ("proc/18/stat", Use::Miss, "/usr/bin/y"),
            ("sys", Use::Miss, "/usr/bin/x"),
            ("usr/lib/x", Use::Miss, "/usr/bin/x"),
            ("proc", Use::List, "/usr/bin/ps"),
            ("opt", Use::List, "/usr/bin/ps"),
            ("opt/x", Use::Write, "/usr/bin/x"),
        ] {
            let usage = Usage { first: 1, count: 1, by: BTreeSet::new() };
            let uses = record.paths.entry(path.as_bytes().to_vec()).or_default();
            uses.entry(kind).or_insert(usage).by.insert(by.to_owned());
        }
        let all: Vec<String> = Reach::all(&record).iter().map(Reach::text).collect();
        let all: Vec<&str> = all.iter().map(|text| text.split(':').next().unwrap()).collect();
        assert_eq!(
            all,
            [
                "/proc/N/stat (by /usr/bin/x, /usr/bin/y)",
                "/proc/self/maps (by /usr/bin/x)",
                "/sys (by /usr/bin/x)",
                "opt/x (by /usr/bin/x)",
            ]
        );
    }

    #[test]
    fn a_path_is_shown_printable() {
        let text = reach("proc/\u{1b}[31m", false, "").text();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
