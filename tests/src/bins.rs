//! The binaries under test, put where every account can execute them, and a place to work in.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::who::Who;

/// A fresh directory with `bin/spk`, `bin/sandstorm-http-bridge`, a `home` and a `work`
/// directory owned by the account that the test runs as. Removed at the end.
///
/// The copy of the binary is also how a test recognises its own processes: nothing else runs
/// from that path.
pub struct Stage {
    dir: tempfile::TempDir,
    /// The account commands run as.
    pub who: Who,
}

/// Copies a program with `cp`: a descriptor that this process had open for writing could be
/// inherited by what another thread forks just then, and executing the copy would fail with ETXTBSY.
pub fn copy_program(from: &Path, to: &Path) {
    let output = Command::new("cp").args([from, to]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Stage {
    /// Makes one for `who`.
    pub fn new(who: Who) -> Stage {
        let dir = tempfile::Builder::new().prefix("spk-test.").tempdir_in("/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["spk", "sandstorm-http-bridge"] {
            let built = built(name);
            copy_program(&built, &bin.join(name));
        }
        for name in ["home", "work"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            who.own(&dir.path().join(name));
        }
        Stage { dir, who }
    }

    /// The staged `spk`.
    pub fn spk_path(&self) -> PathBuf {
        self.dir.path().join("bin/spk")
    }

    /// The account's home directory.
    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// Asks a running grain as a shell does, through its control socket.
    #[track_caller]
    pub fn ask(&self, grain: &str, question: &Value) -> Value {
        let socket = self.state().join("grains").join(grain).join("control");
        let mut stream = UnixStream::connect(socket).unwrap();
        writeln!(stream, "{}", json!({ "op": "ask", "question": question })).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["ok"], true, "{question}: {answer}");
        answer["answer"].clone()
    }

    /// A directory to work in, owned by the account.
    pub fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Where `spk` keeps packages and grains in this stage.
    pub fn state(&self) -> PathBuf {
        self.home().join(".local/share/spk")
    }

    /// `spk`, ready for arguments, in the work directory.
    pub fn spk(&self) -> Command {
        self.spk_in(&self.work())
    }

    /// `spk`, ready for arguments, in `dir`.
    pub fn spk_in(&self, dir: &Path) -> Command {
        let mut command = self.who.command(self.spk_path(), &self.home());
        command.current_dir(dir);
        command
    }

    /// [`Stage::spk`] as from a terminal: SIGHUP ends it, also where the tests themselves run under
    /// `nohup`, whose children ignore it.
    pub fn spk_at_terminal(&self) -> Command {
        let mut command = self.run("/usr/bin/env");
        command.arg("--default-signal=HUP").arg(self.spk_path());
        command
    }

    /// Any other program, as the same account, in the work directory.
    pub fn run(&self, program: &str) -> Command {
        let mut command = self.who.command(program, &self.home());
        command.current_dir(self.work());
        command
    }

    /// Writes a file below the work directory and gives it to the account.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let file = self.work().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        self.who.own(&self.work());
        file
    }
}

/// Runs it and gives stdout; on failure the test fails with everything that was said.
#[track_caller]
pub fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} failed:\n{}", describe(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs it, expects it to fail, and gives its output.
#[track_caller]
pub fn fails(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded:\n{}", describe(&output));
    output
}

/// Exit status, stdout and stderr as text.
pub fn describe(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A binary of this workspace, built by the same cargo run (`cargo build --workspace --bins`).
pub fn built(name: &str) -> PathBuf {
    let mut dir = std::env::current_exe().unwrap();
    dir.pop(); // the test's own name
    if dir.ends_with("deps") || dir.ends_with("examples") {
        dir.pop();
    }
    let path = dir.join(name);
    assert!(path.exists(), "{} is missing: cargo build --workspace --bins", path.display());
    path
}
