//! The other ways of `spk dev`: mounted only, with an installed server, and starting again when
//! something changes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use spk_tests::bins::{copy_program, describe, fails, ok};
use spk_tests::skip::skip;
use spk_tests::{Server, Stage, Who, http};

/// Longer than anything here takes, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(60);

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child that is ended with the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }

    /// Waits for its end; whether it was a good one, and what it said on both streams.
    fn end(mut self) -> (bool, String) {
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().success(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_mounted(dir: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.contains(&format!(" {} ", dir.display()))
}

fn list(stage: &Stage) -> String {
    fs::read_to_string(stage.work().join("sandstorm-files.list")).unwrap_or_default()
}

/// A stage with a definition and `app.txt` to serve.
fn plain_stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.txt", "hello");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/x"]));
    stage
}

/// The command with what a set-user-ID program needs left to it, as an ordinary login leaves it.
fn as_from_a_login(command: &Command) -> Command {
    let mut same = Command::new(command.get_program());
    same.args(command.get_args().filter(|argument| *argument != "--bounding-set=-all"));
    same.env_clear().stdin(Stdio::null());
    same.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    same.current_dir(command.get_current_dir().unwrap());
    same
}

#[test]
fn mounted_only() {
    for who in Who::all("mounted_only") {
        if who == Who::User && !Path::new("/usr/bin/fusermount3").exists() {
            skip("mounted_only", "as an ordinary user: fusermount3 is not installed");
            continue;
        }
        let stage = plain_stage(who);
        stage.write("unused.txt", "never");
        let dir = stage.work().join("here");
        fs::create_dir(&dir).unwrap();
        stage.who.own(&dir);
        let mount = |stage: &Stage| as_from_a_login(stage.spk().args(["dev", "-m", "here"]));
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let running = Running::start(&mut mount(&stage));
            until("the mount", || is_mounted(&dir));
            assert_eq!(ok(stage.run("cat").arg(dir.join("app.txt"))), "hello");
            // a walk over everything does not come back to itself
            let names = ok(stage.run("ls").arg(&dir));
            assert!(names.contains("app.txt") && !names.contains("here\n"), "{names}");
            running.signal(signal);
            let (good, said) = running.end();
            assert!(good, "{said}");
            assert!(!is_mounted(&dir));
        }
        let listed = list(&stage);
        assert!(listed.lines().any(|line| line == "app.txt"), "{listed}");
        assert!(!listed.contains("unused"), "{listed}");

        // killed: nothing stays mounted, and the list that was there is whole
        let running = Running::start(&mut mount(&stage));
        until("the mount", || is_mounted(&dir));
        running.signal(Signal::SIGKILL);
        until("the unmounting", || !is_mounted(&dir));
        assert!(list(&stage).contains("app.txt"));

        // unmounted by somebody else
        let running = Running::start(&mut mount(&stage));
        until("the mount", || is_mounted(&dir));
        match who {
            Who::Root => ok(Command::new("umount").arg(&dir)),
            Who::User => ok(&mut as_from_a_login(stage.run("fusermount3").arg("-u").arg(&dir))),
        };
        let (good, said) = running.end();
        assert!(good && said.contains("was unmounted"), "{said}");

        let said = describe(&fails(stage.spk().args(["dev", "-m", "nowhere"])));
        assert!(said.contains("cannot mount at nowhere"), "{said}");
        let said = describe(&fails(stage.spk().args(["dev", "-m", "."])));
        assert!(said.contains(". is one of the sources"), "{said}");
    }
}

#[test]
fn with_an_installed_server() {
    for who in Who::all("with_an_installed_server") {
        let stage = plain_stage(who);
        let server = stage.write("server/sandstorm", include_str!("../data/stand_in_server.py"));
        fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
        copy_program(&stage.spk_path(), &stage.work().join("program"));
        let app_id = ok(stage.spk().arg("listkeys"));
        let app_id = app_id.trim();

        let mut spk = stage.spk();
        spk.args(["dev", "-s", "server", "--proc", "--watch"]);
        let out = stage.work().join("out");
        let file = fs::File::options().create(true).append(true).open(&out).unwrap();
        spk.stdout(file.try_clone().unwrap()).stderr(file);
        let said = || fs::read_to_string(&out).unwrap();
        let mut spk = Running(spk.spawn().unwrap());
        until("the registration", || said().contains("app.txt says hello"));
        until("the program", || said().contains("the program says spk "));
        assert!(said().contains(&format!("stand-in: app {app_id}, proc 1")), "{}", said());

        fs::write(stage.work().join("app.txt"), "again").unwrap();
        until("the restart", || said().contains("app.txt says again"));
        assert!(said().contains("stand-in: got restart"), "{}", said());

        spk.signal(Signal::SIGINT);
        assert!(spk.0.wait().unwrap().success(), "{}", said());
        assert!(said().contains("stand-in: unmounted"), "{}", said());
        let listed = list(&stage);
        for path in ["app.txt", "program", "sandstorm-manifest"] {
            assert!(listed.lines().any(|line| line == path), "{listed}");
        }
    }
}

#[test]
fn a_server_that_refuses_or_is_not_there_is_told() {
    let stage = plain_stage(Who::User);
    let said = describe(&fails(stage.spk().args(["dev", "-s", "nowhere"])));
    assert!(said.contains("cannot start nowhere/sandstorm"), "{said}");
    let server =
        stage.write("server/sandstorm", "#!/bin/sh\necho 'not in the group' >&0\nexit 1\n");
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    let output = fails(stage.spk().args(["dev", "-s", "server"]));
    let said = describe(&output);
    assert!(said.contains("not in the group") && said.contains("without a file system"), "{said}");
    assert_eq!(list(&stage), "", "no list was written");
}

#[test]
fn the_app_starts_again_when_it_changes() {
    let stage = Stage::new(Who::User);
    let app = include_str!("../data/app.py");
    stage.write("app.py", app);
    stage.write("static/page.txt", "a page\n");
    stage.write("unused.txt", "x");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let server = Server::start(stage.spk().args(["dev", "--watch"]));
    let page = || http::get(&server.at("nowhere")).text();
    assert_eq!(page(), "no such page");
    // a file that it did not use is no reason
    fs::write(stage.work().join("unused.txt"), "y").unwrap();
    let edited = stage.work().join("app.py.new");
    fs::write(&edited, app.replace("no such page", "an edited answer")).unwrap();
    fs::rename(&edited, stage.work().join("app.py")).unwrap();
    until("the new answer", || {
        // while it is stopped or starting, the front end may have no answer
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(page))
            .is_ok_and(|page| page == "an edited answer")
    });
    let said = server.stop();
    let reasons = said.lines().filter(|line| line.starts_with("changed: ")).collect::<Vec<_>>();
    assert_eq!(reasons, ["changed: app.py; starting the app again"], "{said}");
}

/// A stage with the test's own app, and a list from a first session that saw one of its pages.
fn traced_stage(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", include_str!("../data/app.py"));
    stage.write("static/page.txt", "a page\n");
    stage.write("static/more.txt", "more\n");
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    let server = Server::start(stage.spk().args(["dev", "-c"]));
    assert_eq!(http::get(&server.at("static")).text(), "a page\n");
    // what an installed app has not, it has not here either
    assert_ne!(http::request("GET", &server.at("read?proc/self/status"), &[], b"").status, 200);
    server.stop();
    let listed = list(&stage);
    assert!(listed.contains("\nstatic/page.txt\n"), "{listed}");
    assert!(!listed.contains("static/more.txt"), "{listed}");
    stage
}

#[test]
fn proc_is_there_when_asked_for() {
    let stage = traced_stage(Who::User);
    let server = Server::start(stage.spk().args(["dev", "--proc"]));
    let status = http::get(&server.at("read?proc/self/status")).text();
    assert!(status.starts_with("Name:\tpython3"), "{status}");
    server.stop();
    let listed = list(&stage);
    assert!(!listed.contains("proc/self"), "{listed}");
}

#[test]
fn as_packed_only_what_is_listed_is_there() {
    for who in Who::all("as_packed_only_what_is_listed_is_there") {
        let stage = traced_stage(who);
        let before = list(&stage);
        let server = Server::start(stage.spk().args(["dev", "--packed"]));
        assert_eq!(http::get(&server.at("static")).text(), "a page\n");
        let missing = http::request("GET", &server.at("read?static/more.txt"), &[], b"");
        assert_ne!(missing.status, 200);
        let said = server.stop();
        assert!(said.contains("works here, missing in the package"), "{said}");
        // it was asked for by a thread of the app, which has a number of its own
        let line = said.lines().find(|line| line.contains("static/more.txt")).unwrap_or(&said);
        assert!(line.contains("python3"), "{said}");
        assert_eq!(list(&stage), before, "the list stays as it is");
    }
}

#[test]
fn the_grains_own_directories_outlive_a_change_of_the_sources() {
    for who in Who::all("the_grains_own_directories_outlive_a_change_of_the_sources") {
        let stage = traced_stage(who);
        let server = Server::start(stage.spk().arg("dev"));
        assert_eq!(http::post_form(&server.at("notes"), "text=before").status, 201);
        // directories that the sandbox mounts over come and go in the project
        for name in ["var", "tmp", "dev"] {
            fs::create_dir(stage.work().join(name)).unwrap();
            fs::rename(stage.work().join(name), stage.work().join("old")).unwrap();
            fs::remove_dir(stage.work().join("old")).unwrap();
        }
        stage.write("static/last.txt", "seen");
        until("the last change", || {
            http::request("GET", &server.at("read?static/last.txt"), &[], b"").status == 200
        });
        assert_eq!(http::post_form(&server.at("notes"), "text=after").status, 201);
        assert_eq!(http::get(&server.at("notes")).text(), "before\nafter\n");
        server.stop();
    }
}

#[test]
fn packed_with_the_closure_what_belongs_to_listed_files_comes_along() {
    let stage = plain_stage(Who::User);
    for file in ["__init__.py", "used.py", "rare.py"] {
        stage.write(&format!("lib/thing/{file}"), "x = 1\n");
    }
    // what the definition starts
    stage.write("x", "#!/bin/sh\n");
    stage.write("sandstorm-files.list", "app.txt\nlib/thing/__init__.py\nlib/thing/used.py\nx\n");
    let packed = |more: &[&str]| {
        ok(stage.spk().args(["pack", "-0", "--no-cache"]).args(more).arg("out.spk"));
        let names = ok(stage.spk().args(["ls", "out.spk"]));
        (names.contains("lib/thing/used.py"), names.contains("lib/thing/rare.py"))
    };
    assert_eq!(packed(&[]), (true, false));
    assert_eq!(packed(&["--closure"]), (true, true));
}
