//! Progress of long work: on a terminal and nowhere else.
//!
//! Bars appear only when work takes a while, so the other end of a pipe is slow here.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::stat::Mode;
use spk_tests::bins::ok;
use spk_tests::{Stage, Who, skip};

/// What goes through the pipe at once, and how long the other end rests then: 8 MiB take seconds.
const PIECE: usize = 64 << 10;
const REST: Duration = Duration::from_millis(10);

/// `spk` on a terminal of its own, and what it has shown there.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: std::thread::JoinHandle<()>,
}

impl Terminal {
    fn start(stage: &Stage, line: &str) -> Terminal {
        let line = format!("{} {line}", stage.spk_path().display());
        let mut command = stage.run("script");
        command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdout, shown) = (child.stdout.take().unwrap(), Arc::new(Mutex::default()));
        let collected: Arc<Mutex<String>> = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut piece) {
                collected.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
            }
        });
        Terminal { child, shown, reader }
    }

    fn shows(&self, text: &str) -> bool {
        self.shown.lock().unwrap().contains(text)
    }

    fn end(mut self) -> String {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let shown = self.shown.lock().unwrap().clone();
        assert!(status.success(), "{shown}");
        shown
    }
}

/// A grain with so much data that compresses to nothing less, its backup, and a named pipe.
fn house() -> (Stage, String, PathBuf) {
    let stage = Stage::new(Who::User);
    stage.write("app", "");
    ok(stage.spk().args(["init", "-q", "-r", "-I", ".", "-A", "--", "/app"]));
    ok(stage.spk().args(["pack", "-q", "--fast", "app.spk"]));
    let grain = ok(stage.spk().args(["grain", "new", "app.spk"])).trim().to_owned();
    let mut noise = vec![0; 8 << 20];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    let data = stage.state().join("grains").join(&grain).join("sandbox/noise");
    std::fs::write(&data, noise).unwrap();
    stage.who.own(&data);
    ok(stage.spk().args(["grain", "export", &grain, "-o", "backup.zip"]));
    let pipe = stage.work().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    stage.who.own(&pipe);
    (stage, grain, pipe)
}

/// Takes what is exported slowly, until the bar is there.
fn export(stage: &Stage, pipe: &Path, line: &str) -> String {
    let terminal = Terminal::start(stage, line);
    let mut from = File::open(pipe).unwrap();
    let mut piece = vec![0; PIECE];
    while from.read(&mut piece).unwrap() > 0 {
        if !terminal.shows("exporting") {
            std::thread::sleep(REST);
        }
    }
    terminal.end()
}

/// Gives what is restored slowly, until the bar is there.
fn restore(stage: &Stage, pipe: &Path, line: &str) -> String {
    let backup = std::fs::read(stage.work().join("backup.zip")).unwrap();
    let terminal = Terminal::start(stage, line);
    let mut to = File::options().write(true).open(pipe).unwrap();
    for piece in backup.chunks(PIECE) {
        to.write_all(piece).unwrap();
        if !terminal.shows("receiving") {
            std::thread::sleep(REST);
        }
    }
    drop(to);
    terminal.end()
}

#[test]
fn export_and_restore_show_how_far_they_are() {
    let test = "export_and_restore_show_how_far_they_are";
    if !Path::new("/usr/bin/script").exists() {
        return skip::skip(test, "no script(1)");
    }
    let (stage, grain, pipe) = house();
    let shown = export(&stage, &pipe, &format!("grain export {grain} --store -o pipe"));
    // How much of how much, how fast, and how long it will take.
    assert!(
        shown.contains("exporting") && shown.contains("/8.0") && shown.contains("/s"),
        "{shown}"
    );
    let shown = restore(&stage, &pipe, "grain restore pipe");
    assert!(shown.contains("receiving") && shown.contains("/s"), "{shown}");

    for quiet in ["-q", "--json"] {
        let shown = export(&stage, &pipe, &format!("grain export {quiet} {grain} --store -o pipe"));
        assert!(!shown.contains("exporting") && !shown.contains('\x1b'), "{quiet}: {shown}");
        let shown = restore(&stage, &pipe, &format!("grain restore {quiet} pipe"));
        assert!(!shown.contains("receiving") && !shown.contains('\x1b'), "{quiet}: {shown}");
    }
    // Not a terminal, but a file.
    let shown = export(&stage, &pipe, &format!("grain export {grain} --store -o pipe 2>said"));
    assert!(!shown.contains("exporting"), "{shown}");
    let said = std::fs::read_to_string(stage.work().join("said")).unwrap();
    assert_eq!(said, "", "{said}");
}
