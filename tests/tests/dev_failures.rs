//! What can go wrong while `spk dev` runs: the disk is full when the list is written, a source
//! disappears, the app is killed. The list that was there stays whole, and the message is clear.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use spk_tests::bins::{fails, ok};
use spk_tests::skip::needs_root;
use spk_tests::{Server, Stage, Who, http, procs};

const APP: &str = include_str!("../data/app.py");
const LIST: &str = "sandstorm-files.list";

/// A stage whose app's own files are mapped from `src`, with a list from a first session.
fn stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("src/app.py", APP);
    stage.write("src/static/page.txt", "a page\n");
    stage.write("src/static/more.txt", "more\n");
    let init = ["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"];
    ok(stage.spk().args(init));
    let file = stage.work().join("sandstorm-pkgdef.capnp");
    let text = fs::read_to_string(&file).unwrap();
    let mapped = text.replacen("sourcePath = \".\"", "sourcePath = \"src\"", 1);
    assert_ne!(text, mapped, "{text}");
    fs::write(&file, mapped).unwrap();
    let server = Server::start(stage.spk().arg("dev"));
    assert_eq!(http::get(&server.at("static")).status, 200);
    server.stop();
    stage
}

fn list(stage: &Stage) -> String {
    fs::read_to_string(stage.work().join(LIST)).unwrap()
}

#[test]
fn a_source_that_disappears_takes_nothing_out_of_the_list() {
    for who in Who::all("a_source_that_disappears_takes_nothing_out_of_the_list") {
        let stage = stage(who);
        let before = list(&stage);
        assert!(before.contains("static/page.txt"), "{before}");
        let mut server = Server::start(stage.spk().arg("dev"));
        fs::rename(stage.work().join("src"), stage.work().join("elsewhere")).unwrap();
        // whatever the app says to that, it answers, and so do we
        let end = Instant::now() + Duration::from_secs(30);
        while http::request("GET", &server.at("static"), &[], b"").status == 200 {
            assert!(Instant::now() < end, "the file is still there for the app");
        }
        server.signal(Signal::SIGINT);
        let status = server.wait();
        let said = server.said();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains("src is gone; "), "{said}");
        assert!(said.contains(&format!("{LIST} is left as it was")), "{said}");
        assert_eq!(list(&stage), before);
    }
}

#[test]
fn a_killed_app_starts_again_with_the_next_request() {
    let stage = stage(Who::User);
    let before = list(&stage);
    let server = Server::start(stage.spk().arg("dev"));
    let mark = server.field("grainId");
    let apps = || -> Vec<i32> {
        let all = procs::matching(Path::new("/nowhere"), "/app.py");
        let below = |pid: &i32| is_below(*pid, server.pid());
        all.iter().map(|process| process.pid).filter(below).collect()
    };
    let running = apps();
    assert!(!running.is_empty(), "the app of {mark} is not seen");
    for pid in &running {
        // one may have ended with another
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            http::get(&server.at("static")).text()
        }));
        if answer.is_ok_and(|text| text == "a page\n")
            && apps().iter().all(|pid| !running.contains(pid))
        {
            break;
        }
        assert!(Instant::now() < end, "no answer any more:\n{}", server.said());
    }
    let said = server.stop();
    assert!(said.contains("starting the app again"), "{said}");
    assert_eq!(list(&stage), before);
}

/// Whether `ancestor` is above `pid`.
fn is_below(mut pid: i32, ancestor: i32) -> bool {
    while pid > 1 {
        if pid == ancestor {
            return true;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        pid = parent.and_then(|parent| parent.trim().parse().ok()).unwrap_or(0);
    }
    false
}

#[test]
fn a_full_disk_leaves_the_list_as_it_was() {
    let name = "a_full_disk_leaves_the_list_as_it_was";
    if !geteuid().is_root() {
        return needs_root(name, "only root can mount a small file system");
    }
    for who in Who::all(name) {
        let stage = stage(who);
        let before = list(&stage);
        let disk = SmallDisk::over(&stage.work());
        let mut server = Server::start(&mut disk.inside(stage.spk()));
        // more is used than the list has, and there is no room for it
        disk.fill();
        fs::read(disk.path("src/app.py")).unwrap();
        assert_eq!(http::get(&server.at("cookie")).status, 200);
        ok_status(&http::get(&server.at("read?static/more.txt")));
        server.signal(Signal::SIGINT);
        let status = server.wait();
        let said = server.said();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.contains(LIST) && said.contains("No space left on device"), "{said}");
        assert_eq!(fs::read_to_string(disk.path(LIST)).unwrap(), before);
        let names: Vec<_> = fs::read_dir(disk.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!names.iter().any(|name| name.contains(".tmp")), "{names:?}");
    }
}

fn ok_status(answer: &http::Response) {
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// A small file system over a directory, in a mount namespace that a child keeps.
struct SmallDisk {
    keeper: std::process::Child,
    dir: PathBuf,
}

impl SmallDisk {
    /// Mounts one over `dir`, with a copy of what is there.
    fn over(dir: &Path) -> SmallDisk {
        let script = "set -e; mount -t tmpfs -o size=1m,mode=755 tmpfs /mnt; cp -a \"$1/.\" /mnt/; \
                      chown --reference=\"$1\" /mnt; mount --move /mnt \"$1\"; echo ready; exec cat";
        let mut keeper = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = [0; 6];
        std::io::Read::read_exact(keeper.stdout.as_mut().unwrap(), &mut word).unwrap();
        assert_eq!(&word, b"ready\n");
        SmallDisk { keeper, dir: dir.to_owned() }
    }

    /// A path of it, seen from outside.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.dir.strip_prefix("/").unwrap().join(name);
        Path::new("/proc").join(self.keeper.id().to_string()).join("root").join(inside)
    }

    /// `spk dev`, with the arguments and account of `spk`, in the namespace.
    fn inside(&self, mut spk: Command) -> Command {
        spk.arg("dev");
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.id().to_string(), "-m", "--"]);
        command.args(["sh", "-c", "cd \"$0\"; exec \"$@\""]).arg(&self.dir);
        command.arg(spk.get_program()).args(spk.get_args()).env_clear();
        for (name, value) in spk.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.path("fill")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// Ends with status 3 where the grain has a file `broken`, with 8 when it is asked to make one.
const FRAGILE: &str = "\
import http.server, os, sys
if os.path.exists('/var/broken'):
    print('the <database> is broken', flush=True); sys.exit(3)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'fine')
    def do_POST(self):
        open('/var/broken', 'w').close(); os._exit(8)
    def log_message(self, *a): pass
http.server.HTTPServer(('127.0.0.1', 8000), H).serve_forever()
";

/// What a browser sends that goes to a page.
const PERSON: &[(&str, &str)] = &[
    ("Accept", "text/html,*/*;q=0.8"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "iframe"),
];

fn fragile(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", FRAGILE);
    ok(stage.spk().args(["init", "-q", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    stage
}

#[test]
fn an_app_that_cannot_start_again_says_why() {
    for who in Who::all("an_app_that_cannot_start_again_says_why") {
        let stage = fragile(who);
        let server = Server::start(stage.spk().args(["dev", "--api-token"]));
        assert_eq!(http::get(&server.at("")).text(), "fine");
        // What may have had an effect is not asked again.
        let died = http::request("POST", &server.at(""), PERSON, b"");
        assert_eq!(died.status, 502, "{died:?}");
        let text = died.text();
        assert!(text.contains("exited with status 8") && !text.contains("Try again"), "{text}");
        for _ in 0..3 {
            let page = http::request("GET", &server.at(""), PERSON, b"");
            assert_eq!(page.status, 502, "{page:?}");
            assert_eq!(page.header("content-type").unwrap(), "text/html; charset=UTF-8");
            let policies =
                page.headers.iter().filter(|(name, _)| name == "content-security-policy");
            assert_eq!(policies.count(), 2, "who may frame it, and nothing to load: {page:?}");
            let text = page.text();
            for words in ["exited with status 3", "the &lt;database&gt; is broken", "Try again"] {
                assert!(text.contains(words), "{text}");
            }
            // Programs, a page's own scripts among them, get the reason alone.
            let scripts: &[(&str, &str)] = &[("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")];
            for headers in [&[][..], scripts] {
                let text = http::request("GET", &server.at(""), headers, b"");
                assert_eq!(text.status, 502);
                let right = "the app exited with status 3 before it answered\n";
                assert_eq!(text.text(), right, "{}", server.said());
            }
        }
        let said = server.said();
        let told = "    ** sandstorm-http-bridge: the app exited with status 3";
        assert!(said.contains(told) && said.contains("the <database> is broken"), "{said}");
        assert_eq!(said.matches("before it answered").count(), 2, "8 and 3: {said}");
        assert_eq!(said.matches("starting the app again").count(), 1, "{said}");
        // Mended, it is an app as before, and what happens next is told.
        let grain = stage.state().join("grains").join(server.field("grainId"));
        // In the log, as lines that the app cannot write.
        let log = fs::read_to_string(grain.join("log")).unwrap();
        let own: Vec<&str> = log.lines().filter_map(|line| line.strip_prefix("** spk: ")).collect();
        assert!(own.contains(&"started again"), "{log}");
        for status in [8, 3] {
            let how = format!("the app exited with status {status}");
            assert_eq!(own.iter().filter(|line| **line == how).count(), 1, "{log}");
        }
        fs::remove_file(grain.join("sandbox/broken")).unwrap();
        assert_eq!(http::get(&server.at("")).text(), "fine");
        http::request("POST", &server.at(""), &[], b"");
        http::request("GET", &server.at(""), &[], b"");
        let said = server.stop();
        assert_eq!(said.matches("before it answered").count(), 4, "{said}");
    }
}

#[test]
fn a_mistake_made_while_it_runs_is_told_without_a_request() {
    let stage = fragile(Who::User);
    let server = Server::start(stage.spk().args(["dev", "--watch"]));
    assert_eq!(http::get(&server.at("")).text(), "fine");
    stage.write("app.py", format!("this is no Python\n{FRAGILE}"));
    let end = Instant::now() + Duration::from_secs(30);
    while !server.said().contains("SyntaxError") {
        assert!(Instant::now() < end, "not told: {}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
    let page = http::request("GET", &server.at(""), PERSON, b"").text();
    assert!(page.contains("SyntaxError"), "{page}");
    stage.write("app.py", FRAGILE);
    let end = Instant::now() + Duration::from_secs(30);
    while http::request("GET", &server.at(""), PERSON, b"").status != 200 {
        assert!(Instant::now() < end, "not mended: {}", server.said());
    }
    server.stop();
}

#[test]
fn what_an_app_listens_on_instead_is_told() {
    let app = FRAGILE.replace("8000", "3000");
    for (address, told) in [("127.0.0.1", "127.0.0.1:3000"), ("", "0.0.0.0:3000")] {
        let stage = fragile(Who::User);
        stage.write("app.py", app.replace("127.0.0.1", address));
        let output = fails(stage.spk().args(["dev", "--port", "0", "--start-timeout", "4"]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let words = format!("nobody answers on port 8000; it listens on {told} instead");
        assert!(said.contains(&words), "{said}");
    }
}

/// A script's interpreter, and what a link leads to, of programs that the bridge or the host starts.
#[test]
fn what_a_program_lacks_is_named() {
    let stage = Stage::new(Who::User);
    let script = stage.write("script", "#!/home/me/.pyenv/bin/python3 -s\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(stage.work().join("venv/bin")).unwrap();
    symlink("/home/me/.pyenv/bin/python3", stage.work().join("venv/bin/python")).unwrap();
    Who::User.own(&stage.work());
    for (program, lacks) in [
        ("/script", "its interpreter /home/me/.pyenv/bin/python3"),
        ("/venv/bin/python", "it leads to /home/me/.pyenv/bin/python3"),
    ] {
        for kind in [&["-p", "8000"][..], &["-r"]] {
            ok(stage.spk().args(["init", "-q", "--force"]).args(kind).args(["--", program]));
            let output = fails(stage.spk().args(["dev", "--port", "0"]));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains(lacks), "{kind:?}: {said}");
        }
    }
}
