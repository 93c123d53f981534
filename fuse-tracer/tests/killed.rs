//! A server that is killed while it waits for the kernel, which waits for the server, and with it who
//! reads: nothing is left of them.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use support::{Who, as_everyone, command_as, scratch, staged};

/// How long what has to happen may take: only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A shell in a mount namespace of its own, and what it and its commands print.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Shell {
    fn start(who: Who) -> Shell {
        let mut command = command_as(who, "unshare");
        command.args(if who == Who::User { &["-Urm"][..] } else { &["-m"] });
        let mut child = command
            .args(["--propagation", "private", "sh", "-u"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Shell { child, input, lines, heard: Vec::new() }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits for a line that begins so; what follows there. Others are kept.
    fn hear(&mut self, word: &str) -> String {
        loop {
            let rest = |line: &String| line.strip_prefix(word).map(|rest| rest.trim().to_owned());
            if let Some(index) = self.heard.iter().position(|line| rest(line).is_some()) {
                return rest(&self.heard.remove(index)).unwrap();
            }
            let line = self.lines.recv_timeout(PATIENCE);
            self.heard.push(line.unwrap_or_else(|_| panic!("{word} was not printed")));
        }
    }

    /// Starts a command in the background; its process ID, which `name` stands for later.
    fn start_command(&mut self, name: &str, command: &str) -> u32 {
        self.say(&format!("{command} & {name}=$!; echo process $!"));
        self.hear("process").parse().unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // With all that it started.
        let group = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The text of `file` for each thread of a process whose name begins so.
fn threads(pid: u32, name: &str, file: &str) -> Vec<String> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").starts_with(name) {
            found.push(read(file));
        }
    }
    found
}

/// Whether a thread of this name waits so that no signal ends it.
fn is_stuck(pid: u32, name: &str) -> bool {
    threads(pid, name, "stat")
        .iter()
        .any(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('D')))
}

/// Whether a thread of this name reads a source.
fn is_reading(pid: u32, name: &str) -> bool {
    let pread = format!("{} ", nix::libc::SYS_pread64);
    threads(pid, name, "syscall").iter().any(|call| call.starts_with(&pread))
}

fn killed(who: Who) {
    let (program, _stage) = staged("stall");
    let program = program.display();
    let scratch = scratch();
    let dir = |name: &str| {
        let dir = scratch.path().join(name);
        fs::create_dir(&dir).unwrap();
        // Mounted on by who has no more rights than others.
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        dir.display().to_string()
    };
    let (source, mount) = (dir("source"), dir("mount"));
    let orders = scratch.path().join("orders");
    nix::unistd::mkfifo(&orders, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    fs::set_permissions(&orders, fs::Permissions::from_mode(0o666)).unwrap();

    let mut shell = Shell::start(who);
    shell.start_command("source", &format!("{program} source {source}"));
    shell.hear("mounted");
    let serve = format!("{program} serve {source} {mount} <{}", orders.display());
    let server = shell.start_command("server", &serve);
    let mut orders = fs::File::options().write(true).open(&orders).unwrap();
    shell.hear("mounted");

    // One file is open. Then the source answers no more, and that file is read.
    shell.say(&format!("exec 3<{mount}/second; echo open"));
    shell.hear("open");
    shell.start_command("first", &format!("cat {source}/first >/dev/null 2>&1"));
    shell.hear("stalled");
    shell.start_command("reader", "cat <&3 2>/dev/null");
    until("the server reads the source", || is_reading(server, "fuser-"));
    // The kernel has locked the page for who reads it. It is told now that this file changed.
    writeln!(orders).unwrap();
    until("the kernel waits", || is_stuck(server, "fuse-notify"));

    // As when a sandbox ends: all of it is killed.
    shell.say("kill -KILL $server $reader; wait $server $reader 2>/dev/null; echo gone");
    shell.hear("gone");
    shell.say("kill -KILL $source; wait; exec 3<&-; echo end");
    shell.hear("end");
}

#[test]
fn a_server_that_is_killed_while_the_kernel_waits_for_it_is_gone() {
    as_everyone("a_server_that_is_killed_while_the_kernel_waits_for_it_is_gone", killed);
}
