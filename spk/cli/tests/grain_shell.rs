//! `spk grain shell`: in the grain's sandbox, with a terminal and without.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PACKAGE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../package/tests/data/packages/edge-nodeep.spk");

const BUSYBOX: &str = "/bin/busybox";

struct State {
    temp: tempfile::TempDir,
    id: String,
}

impl State {
    fn new() -> State {
        let temp = tempfile::tempdir().unwrap();
        let mut state = State { temp, id: String::new() };
        let output = state.spk(&["grain", "new", PACKAGE]).output().unwrap();
        state.id = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
        state
    }

    fn spk(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spk"));
        command.arg("--state").arg(self.temp.path().join("state")).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    fn shell(&self, arguments: &[&str]) -> Output {
        self.spk(&[&["grain", "shell", self.id.as_str()], arguments].concat()).output().unwrap()
    }

    fn var(&self) -> PathBuf {
        self.temp.path().join("state/grains").join(&self.id).join("sandbox")
    }

    /// Puts a shell into the unpacked package, as if it had one.
    fn give_shell(&self) {
        let packages = std::fs::read_dir(self.temp.path().join("state/packages")).unwrap();
        let root = packages.map(|entry| entry.unwrap().path()).next().unwrap().join("root");
        std::fs::create_dir(root.join("bin")).unwrap();
        std::fs::copy(BUSYBOX, root.join("bin/sh")).unwrap();
    }
}

/// Whether a shell of this machine can be used at all.
fn busybox(test: &str) -> bool {
    let there = Path::new(BUSYBOX).exists();
    if !there {
        spk_skip::skip(test, "busybox-static is not installed");
    }
    there
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bytes_go_through_and_the_status_comes_back() {
    if !busybox("bytes_go_through_and_the_status_comes_back") {
        return;
    }
    let state = State::new();
    let id = state.id.as_str();
    let script = "cat > /var/copy; ls / | tr '\\n' ' '; echo complaint >&2; exit 3";
    let mut child = state
        .spk(&["grain", "shell", id, "--host-shell", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes: Vec<u8> = (0..300_000u32).map(|number| ((number * 7) >> 3) as u8).collect();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout),
        "app dev empty exec hardlink-to-app links mtime proc sandstorm-manifest sizes sort tmp unicode var "
    );
    assert_eq!(text(&output.stderr), "complaint\n");
    // It is the grain's data, and the grain's only writer.
    assert_eq!(std::fs::read(state.var().join("copy")).unwrap(), bytes);
    let mut holding = state
        .spk(&["grain", "shell", id, "--host-shell", "--", "sh", "-c", "echo in; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = std::io::BufReader::new(holding.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    let busy = state.spk(&["grain", "delete", id]).output().unwrap();
    assert_eq!(busy.status.code(), Some(1));
    assert!(text(&busy.stderr).contains("(shell)"), "{}", text(&busy.stderr));
    drop(holding.stdin.take());
    assert!(holding.wait().unwrap().success());
}

#[test]
fn the_sandbox_is_the_apps() {
    if !busybox("the_sandbox_is_the_apps") {
        return;
    }
    let state = State::new();
    state.give_shell();
    let script = "exec 2>&1; echo x > /x; ls /etc /home /sys /proc/1 | head -1; \
                  cat < /dev/tty; mknod /var/n c 1 3; echo $HOME $PATH; ps; ping -c1 127.0.0.1";
    let output = state.shell(&["--json", "--", "sh", "-c", script]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let said = value["stdout"].as_str().unwrap();
    for expected in [
        "can't create /x: Read-only file system",
        "can't open /dev/tty: no such file",
        "mknod: /var/n: Operation not permitted",
        "/var /",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert!(!said.contains("cgroup"), "{said}");
    assert_eq!(value["grainId"], state.id.as_str());
    assert_eq!(value["truncated"], false);
    // Dies of a signal.
    let output = state.shell(&["--json", "--", "/bin/sh", "-c", "kill -9 $$"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["signal"], 9);
    assert_eq!(output.status.code(), Some(137));
    // What is not there is said, with what can be done.
    let output = state.shell(&["--", "zsh"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot execute zsh"), "{}", text(&output.stderr));
}

#[test]
fn a_package_without_a_shell_says_what_helps() {
    let state = State::new();
    let mut command = state.spk(&["grain", "shell", state.id.as_str()]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("no shell in the package"), "{said}");
    assert!(said.contains("--host-shell"), "{said}");
    // A program that needs libraries which the package does not have.
    let shell = state.temp.path().join("dash");
    std::fs::copy("/bin/sh", &shell).unwrap();
    std::fs::set_permissions(&shell, PermissionsExt::from_mode(0o755)).unwrap();
    let output = state.shell(&[&format!("--host-shell={}", shell.display())]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("linked statically"), "{said}");
}

/// Types, as a person would, at a terminal of 33 lines by 77 columns; prints what is shown.
const TYPE: &str = r#"
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    os.execv(sys.argv[1], sys.argv[1:])
shown = b""
def until(mark):
    global shown
    while mark not in shown:
        shown += os.read(terminal, 4096)
    before, _, shown = shown.partition(mark)
    sys.stdout.write(before.decode(errors="replace")); sys.stdout.flush()
before = termios.tcgetattr(terminal)
until(b"$ ")
os.write(terminal, b"stty size; echo fir''st\n"); until(b"first")
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 88, 0, 0))
# The size comes with the signal: asked until it is there.
os.write(terminal, b"until stty size | grep 88; do :; done; echo seco''nd\n"); until(b"second")
# Ctrl-C is for the program in there, not for spk.
# It says a line again, after the terminal has: before, the key would be the shell's.
os.write(terminal, b"sh -c \"echo sta''rted; exec cat\"\n"); until(b"started")
os.write(terminal, b"again\n"); until(b"again"); until(b"again")
# What is typed before the next prompt may still be read by the program that is about to end.
os.write(terminal, b"\x03"); until(b"$ ")
os.write(terminal, b"echo st''ill; exit 5\n"); until(b"still")
try:
    while os.read(terminal, 4096): pass
except OSError:
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
"#;

#[test]
fn a_person_types() {
    if !busybox("a_person_types") {
        return;
    }
    let state = State::new();
    let output = Command::new("timeout")
        .args(["60", "python3", "-c", TYPE, env!("CARGO_BIN_EXE_spk"), "--state"])
        .arg(state.temp.path().join("state"))
        .args(["grain", "shell", &state.id])
        .output()
        .unwrap();
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}{}", text(&output.stderr));
    assert!(shown.contains("33 77"), "{shown}");
    assert!(shown.contains("44 88"), "{shown}");
    assert!(shown.contains("the package has no shell"), "{shown}");
}
