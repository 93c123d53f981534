//! Programs of the projects that `spk init --template` makes. Every project of a template has the
//! same sources, so they are built once, in a place that all tests share, and stay built.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::bins::{built, copy_program, ok};

/// Where a Rust project has its program.
const PROGRAM: &str = "x86_64-unknown-linux-gnu/release/notes";

/// Builds the Rust project in `project`, made from `template`, and puts the program where `cargo
/// build --release` in there would.
#[track_caller]
pub fn build(template: &str, project: &Path) {
    let shared = Shared::lock(template);
    shared.cargo(project, "build");
    let to = project.join("target").join(PROGRAM);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    copy_program(&shared.place.join("target").join(PROGRAM), &to);
}

/// Runs that project's own tests.
#[track_caller]
pub fn test(template: &str, project: &Path) {
    Shared::lock(template).cargo(project, "test");
}

/// Installs what the Python project in `project` requires in its `site`.
#[track_caller]
pub fn pip(project: &Path) {
    let shared = Shared::lock("pip");
    let (wanted, site) = (shared.place.join("requirements.txt"), shared.place.join("site"));
    let requirements = fs::read(project.join("requirements.txt")).unwrap();
    if fs::read(&wanted).ok().as_ref() != Some(&requirements) {
        let _ = fs::remove_dir_all(&site);
        let mut pip = Command::new("/usr/bin/python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip.args(["--root-user-action=ignore", "--target"]).arg(&site);
        ok(pip.arg("-r").arg(project.join("requirements.txt")));
        fs::write(&wanted, requirements).unwrap();
    }
    ok(Command::new("cp").arg("-a").arg(&site).arg(project));
}

/// A place to build in, and the turn to do so.
struct Shared {
    place: PathBuf,
    _turn: Flock<File>,
}

impl Shared {
    fn lock(name: &str) -> Shared {
        let place = built("spk").with_file_name("templates").join(name);
        fs::create_dir_all(&place).unwrap();
        let lock = File::create(place.join("lock")).unwrap();
        let turn = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error);
        Shared { place, _turn: turn.unwrap() }
    }

    /// Runs cargo on a copy of the project, with this test's own toolchain, as if nothing but the
    /// project's configuration were there.
    #[track_caller]
    fn cargo(&self, project: &Path, what: &str) {
        let copy = self.place.join("project");
        bring_up_to_date(project, &copy);
        let mut cargo = Command::new("cargo");
        cargo.args([what, "--quiet", "--release", "--offline", "--target-dir"]);
        cargo.arg(self.place.join("target"));
        cargo.arg("--manifest-path").arg(copy.join("Cargo.toml"));
        cargo.arg("--config").arg(copy.join(".cargo/config.toml"));
        // How fast the apps are is no question here, but how fast they are built is.
        cargo.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        ok(cargo.current_dir("/"));
    }
}

/// Copies what differs, so that cargo finds the rest unchanged.
fn bring_up_to_date(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != OsStr::new("target") {
                bring_up_to_date(&source, &copy);
            }
        } else {
            let contents = fs::read(&source).unwrap();
            if fs::read(&copy).ok().as_ref() != Some(&contents) {
                fs::write(&copy, contents).unwrap();
            }
        }
    }
}
