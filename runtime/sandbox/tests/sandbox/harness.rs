//! Runs the tests, as both kinds of user.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::propagation;

/// The ordinary user of the tests.
pub const USER: &str = "spk-test";

/// Who launches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Who {
    Root,
    User,
}

pub type Test = (&'static str, fn(Who));

pub fn main(tests: &[Test]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = tests.iter().filter(|(name, _)| {
        filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str()))
    });
    if args.iter().any(|arg| arg == "--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let whos: &[Who] = if nix::unistd::geteuid().is_root() {
        if user_ids().is_none() {
            skip("all as an ordinary user", "there is no user spk-test, and it cannot be made");
            &[Who::Root]
        } else {
            &[Who::Root, Who::User]
        }
    } else {
        needs_root("all tests", "the part as root");
        &[Who::User]
    };
    let mut failed = 0;
    for (name, test) in chosen {
        for who in whos {
            print!("test {name} as {who:?} ... ");
            let _flushed = std::io::stdout().flush();
            match std::panic::catch_unwind(|| test(*who)) {
                Ok(()) => println!("ok"),
                Err(_) => {
                    println!("FAILED");
                    failed += 1;
                }
            }
        }
    }
    println!("\ntest result: {failed} failed");
    let elsewhere = propagation::again(&args);
    std::process::exit(i32::from(failed > 0 || !elsewhere));
}

/// Says loudly that something cannot be tested here.
pub fn skip(name: &str, reason: &str) {
    spk_skip::skip(&format!("sandbox {name}"), reason);
}

/// The same for what only root can do.
pub fn needs_root(name: &str, reason: &str) {
    spk_skip::needs_root(&format!("sandbox {name}"), reason);
}

/// The ordinary user's ids: ours, or those of the test user, who is made if missing.
pub fn user_ids() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return Some((nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()));
    }
    // Not getpwnam: it loads libraries, which a static program cannot.
    let find = || {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let line = users.lines().find(|line| line.starts_with(&format!("{USER}:")))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??))
    };
    find().or_else(|| {
        Command::new("useradd").args(["-m", USER]).status().ok()?;
        find()
    })
}

/// Whether launchers are to find a kernel without the mount calls on descriptors.
static CLASSIC: AtomicBool = AtomicBool::new(false);

/// Runs `test` with launchers to whom the kernel looks older than Linux 5.2.
pub fn with_classic_mounts(test: impl FnOnce() + std::panic::UnwindSafe) {
    CLASSIC.store(true, Ordering::Relaxed);
    let outcome = std::panic::catch_unwind(test);
    CLASSIC.store(false, Ordering::Relaxed);
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// A directory with a package, a storage directory, and a copy of this binary that anyone may run.
pub struct Stage {
    dir: tempfile::TempDir,
    who: Who,
}

/// Copies a program with `cp`: a descriptor that this process had open for writing could be
/// inherited by what another thread forks just then, and executing the copy would fail with ETXTBSY.
fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

impl Stage {
    pub fn new(who: Who) -> Stage {
        let dir = tempfile::Builder::new().prefix("spk-sandbox-").tempdir_in("/tmp").unwrap();
        let stage = Stage { dir, who };
        for name in ["package", "package/dev", "package/tmp", "package/var", "package/proc", "var"]
        {
            std::fs::create_dir(stage.path(name)).unwrap();
        }
        std::fs::write(stage.path("package/proc/cpuinfo"), "").unwrap();
        std::fs::write(stage.path("package/data"), "of the package").unwrap();
        let this = std::env::current_exe().unwrap();
        copy_program(&this, &stage.path("package/app"));
        copy_program(&this, &stage.path("launcher"));
        stage.give();
        stage
    }

    /// Gives everything to the user who launches.
    pub fn give(&self) {
        std::fs::set_permissions(self.dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let root = nix::unistd::geteuid().is_root();
        if let (Who::User, true, Some((uid, gid))) = (self.who, root, user_ids()) {
            let done = Command::new("chown")
                .args(["-hR", &format!("{uid}:{gid}")])
                .arg(self.dir.path())
                .status()
                .unwrap();
            assert!(done.success());
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A launcher as the right user, which will do as `order` says.
    pub fn launcher(&self, order: &Value) -> Command {
        self.launcher_at(&self.path("launcher"), order)
    }

    pub fn launcher_at(&self, program: &Path, order: &Value) -> Command {
        let mut order = order.clone();
        for (key, path) in [("package", "package"), ("var", "var")] {
            if order.get(key).is_none() {
                order[key] = self.path(path).to_str().unwrap().into();
            }
        }
        if CLASSIC.load(Ordering::Relaxed) {
            order["classic"] = true.into();
        }
        let mut command = self.as_user(program);
        command.args(["launch", &order.to_string()]).stdin(Stdio::null());
        command
    }

    /// A command as the user who launches.
    pub fn as_user(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        if let (Who::User, true, Some((uid, gid))) =
            (self.who, nix::unistd::geteuid().is_root(), user_ids())
        {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// Runs a launcher to its end; its lines of JSON.
    pub fn run(&self, order: &Value) -> Vec<Value> {
        let output = self.launcher(order).stderr(Stdio::inherit()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect()
    }

    /// Runs the app as `what`; what it printed, which is one line of JSON.
    pub fn ask(&self, what: &str) -> Value {
        self.ask_with(&serde_json::json!({ "argv": ["/app", what] }))
    }

    pub fn ask_with(&self, order: &Value) -> Value {
        let lines = self.run(order);
        let said = find(&lines, "output");
        serde_json::from_str(said.as_str().unwrap())
            .unwrap_or_else(|_| panic!("the app said: {lines:?}"))
    }
}

/// The value under `key` in the first line that has it.
pub fn find(lines: &[Value], key: &str) -> Value {
    lines
        .iter()
        .find_map(|line| line.get(key).cloned())
        .unwrap_or_else(|| panic!("no {key} in {lines:?}"))
}
