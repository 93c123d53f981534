//! Limits and denied calls as the developer meets them: set by flags of `spk run`, met by an app
//! that takes all it gets, and told on stderr with the flag to change.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spk_tests::bins::{fails, ok};
use spk_tests::{Server, Stage, Who, http};

/// The greedy app and its definition.
fn developed(who: Who) -> Stage {
    let stage = Stage::new(who);
    stage.write("app.py", include_str!("../data/greedy.py"));
    ok(stage.spk().args(["init", "-p", "8000", "--", "/usr/bin/python3", "-B", "/app.py"]));
    stage
}

/// The greedy app's package, the same for all tests, as `out.spk`.
fn packed(who: Who) -> Stage {
    static PACKAGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let stage = developed(Who::User);
        let server = Server::start(stage.spk().arg("dev"));
        // What the packed app will use must have been used.
        for path in ["limits", "denied", "fill?/tmp", "processes", "release"] {
            ask(&server, path);
        }
        server.stop();
        ok(stage.spk().args(["pack", "--fast", "out.spk"]));
        std::fs::read(stage.work().join("out.spk")).unwrap()
    });
    let stage = Stage::new(who);
    stage.write("out.spk", &*PACKAGE);
    stage
}

fn ask(server: &Server, path: &str) -> Value {
    let answer = http::get(&server.at(path));
    assert_eq!(answer.status, 200, "{path}: {}", server.said());
    serde_json::from_str(&answer.text()).unwrap()
}

/// What a process has beyond its memory limit in bytes, since the bridge that started it had threads.
const ROOM: u64 = 64 << 20;

/// A process's memory limit, unless that of a cgroup takes its place.
fn data_limit(seen: &Value) -> Option<u64> {
    seen["DATA"][0].as_u64()
}

/// Waits until `spk` has said this.
#[track_caller]
fn hears(server: &Server, words: &str) {
    /// Only what a broken program takes.
    const LONGEST: Duration = Duration::from_secs(30);
    let end = Instant::now() + LONGEST;
    while !server.said().contains(words) {
        assert!(Instant::now() < end, "not said: {words}\n{}", server.said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_limit_has_a_default_a_flag_and_a_message() {
    for who in Who::all("every_limit_has_a_default_a_flag_and_a_message") {
        let stage = packed(who);
        let (mib, gib) = (1u64 << 20, 1u64 << 30);
        let server = Server::start(stage.spk().args(["run", "out.spk"]));
        let seen = ask(&server, "limits");
        assert_eq!(seen["NOFILE"], json!([1024, 4096]));
        assert_eq!(seen["FSIZE"], json!([16 * gib, 16 * gib]));
        assert_eq!(seen["NPROC"], json!([512, 512]));
        assert_eq!(seen["/tmp"], json!([16 * mib, 4096]));
        assert_eq!(seen["/dev/shm"], json!([16 * mib, 4096]));
        if let Some(data) = data_limit(&seen) {
            assert!((2 * gib..2 * gib + ROOM).contains(&data), "{data}");
        }
        server.stop();

        let mut run = stage.spk();
        run.args(["run", "out.spk", "--limit-processes", "40", "--limit-open-files", "200"]);
        run.args(["--limit-memory", "256M", "--limit-file", "4M", "--limit-tmp", "1M"]);
        run.args(["--limit-shm", "2M", "--limit-inodes", "64", "--limit-log", "4K"]);
        let server = Server::start(&mut run);
        let seen = ask(&server, "limits");
        assert_eq!(seen["NOFILE"], json!([200, 200]));
        assert_eq!(seen["FSIZE"], json!([4 * mib, 4 * mib]));
        assert_eq!(seen["/tmp"], json!([mib, 64]));
        assert_eq!(seen["/dev/shm"], json!([2 * mib, 64]));

        assert_eq!(ask(&server, "file"), "File too large");
        let processes = ask(&server, "processes");
        assert_eq!(processes[1], "Resource temporarily unavailable");
        assert!((10..40).contains(&processes[0].as_u64().unwrap()), "{processes}");
        hears(&server, "it gets no more processes (40; --limit-processes allows more)");
        ask(&server, "release");
        assert!(server.said().matches("no more processes").count() == 1, "{}", server.said());

        assert_eq!(ask(&server, "fill?/tmp")[1], "No space left on device");
        hears(&server, "/tmp is full (1M; --limit-tmp allows more)");
        assert_eq!(ask(&server, "fill?/dev/shm")[1], "No space left on device");
        hears(&server, "/dev/shm is full (2M; --limit-shm allows more)");
        assert_eq!(ask(&server, "files")[1], "No space left on device");
        hears(&server, "/tmp holds no more files (64; --limit-inodes allows more)");

        ask(&server, "log");
        hears(&server, "only the last 4K and what follows are kept (--limit-log)");
        let grain = stage.state().join("grains").join(server.field("grainId"));
        for name in ["log", "log.1"] {
            // Absent for a moment while it is rotated.
            let length = loop {
                if let Ok(found) = std::fs::metadata(grain.join(name)) {
                    break found.len();
                }
                std::thread::yield_now();
            };
            assert!(length <= 4096, "{name}: {length}");
        }
        if let Some(data) = data_limit(&seen) {
            assert!((256 * mib..256 * mib + ROOM).contains(&data), "{data}");
            let got = ask(&server, "memory").as_u64().unwrap();
            assert!((100..256 + ROOM / mib).contains(&got), "{got} MiB");
            hears(&server, "it gets no more memory (256M; --limit-memory allows more)");
        }
        server.stop();
    }
}

/// As many threads as there may be, with the usual stacks of 8 MiB: these take no room from the memory
/// limit, which holds for all else as it is.
#[test]
fn threads_start_up_to_their_number() {
    for who in Who::all("threads_start_up_to_their_number") {
        for more in [&[][..], &["--limit-memory", "256M"], &["--limit-memory", "256M", "--explain"]]
        {
            let stage = packed(who);
            let mut run = stage.spk();
            run.args(["run", "out.spk"]).args(more);
            let server = Server::start(&mut run);
            assert_eq!(ask(&server, "threads"), json!([480, ""]), "{}", server.said());
            server.stop();
        }
        // No threads, no room for their stacks.
        let stage = packed(who);
        let mut run = stage.spk();
        let server = Server::start(run.args(["run", "out.spk", "--limit-memory", "256M"]));
        if data_limit(&ask(&server, "limits")).is_some() {
            let most = 256 + (ROOM >> 20);
            let mapped = ask(&server, "stacks").as_u64().unwrap();
            assert!((100..most).contains(&mapped), "{mapped} MiB");
            let got = ask(&server, "memory").as_u64().unwrap();
            assert!((100..most).contains(&got), "{got} MiB");
        }
        server.stop();
    }
}

#[test]
fn open_files_that_run_out_are_told() {
    let usual =
        "no more open files (1024, or 4096 once it raises its own limit; --limit-open-files";
    for (flags, most, words) in [
        (&[][..], 1024, usual),
        (
            &["--limit-open-files", "200"],
            200,
            "no more open files (200; --limit-open-files allows more)",
        ),
    ] {
        let stage = packed(Who::User);
        let server = Server::start(stage.spk().args(["run", "out.spk"]).args(flags));
        let got = ask(&server, "descriptors");
        // Not those that it needs itself, nor that of this connection.
        assert!((most - 20..most).contains(&got[0].as_u64().unwrap()), "{got}");
        assert_eq!(got[1], "Too many open files");
        hears(&server, words);
        ask(&server, "release");
        assert_eq!(server.said().matches("no more open files").count(), 1, "{}", server.said());
        server.stop();
    }
}

/// Nothing is started with a limit that makes no sense.
#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let stage = Stage::new(Who::User);
    for (flag, bad, words) in [
        ("--limit-memory", "2 GB", "not a whole number"),
        ("--limit-tmp", "0", "must be at least 4096"),
        ("--limit-processes", "1", "must be at least 3"),
        ("--limit-file", "99999999T", "too large"),
    ] {
        let output = fails(stage.spk().args(["run", "out.spk", flag, bad]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(flag) && said.contains(words), "{said}");
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn denied_calls_are_named_with_their_program_and_summed_up() {
    for who in Who::all("denied_calls_are_named_with_their_program_and_summed_up") {
        let developed = developed(who);
        let packed = packed(who);
        for (stage, command) in [(packed, &["run", "out.spk"] as &[&str]), (developed, &["dev"])] {
            let mut server = Server::start(stage.spk().args(command).arg("--explain"));
            for _ in 0..10 {
                assert_eq!(ask(&server, "denied"), json!([1]));
            }
            // Both while it runs, once each.
            hears(&server, "system call unshare denied with EPERM, called by /usr/bin/unshare");
            let python = "system call unshare denied with EPERM, called by /usr/bin/python3";
            hears(&server, python);
            assert_eq!(server.said().matches(python).count(), 1, "{}", server.said());
            server.signal(nix::sys::signal::Signal::SIGINT);
            assert!(server.wait().success(), "{}", server.said());
            let last = server.lines().pop().expect("a line after the ready line");
            let last: Value = serde_json::from_str(&last).unwrap();
            assert_eq!(last["event"], "denied");
            let calls = last["calls"].as_array().unwrap();
            let count = |program: &str| {
                let of = |call: &&Value| {
                    call["call"] == "unshare"
                        && call["program"].as_str().unwrap().starts_with(program)
                };
                let found: Vec<_> = calls.iter().filter(of).collect();
                assert_eq!(found.len(), 1, "{program} in {calls:?}");
                assert_eq!(found[0]["answer"], "EPERM");
                found[0]["count"].as_u64().unwrap()
            };
            assert_eq!(count("/usr/bin/python3"), 30);
            assert_eq!(count("/usr/bin/unshare"), 10);
        }
    }
}

/// The same for people: at the end one line for each kind, and nothing without the option.
#[test]
fn denied_calls_are_summed_up_in_words() {
    let stage = packed(Who::User);
    let server = Server::start_plain(stage.spk().args(["run", "out.spk", "--explain"]));
    ask(&server, "denied");
    let said = server.stop();
    assert!(said.contains("denied system calls in all:\n"), "{said}");
    assert!(said.contains("  3 × system call unshare denied with EPERM, called by /usr"), "{said}");
    let server = Server::start_plain(stage.spk().args(["run", "out.spk"]));
    ask(&server, "denied");
    let said = server.stop();
    assert!(!said.contains("denied"), "{said}");
}

/// An app that takes all processors, and wants to be more urgent than others: it is not, and the host
/// goes on and can stop it.
#[test]
fn a_busy_app_leaves_the_host_responsive() {
    /// The longest that the host itself takes for an answer, on a machine that is busy with other tests
    /// as well.
    const RESPONSIVE: Duration = Duration::from_secs(2);
    const REFUSED: [&str; 3] =
        ["Permission denied", "Operation not permitted", "Operation not permitted"];
    for who in Who::all("a_busy_app_leaves_the_host_responsive") {
        let stage = packed(who);
        let server = Server::start(stage.spk().args(["run", "out.spk"]));
        for errors in ask(&server, "spin").as_array().unwrap() {
            assert_eq!(*errors, json!(REFUSED));
        }
        let (_, port, _) = http::split(&server.session_url());
        let head = format!(
            "GET / HTTP/1.1\r\nHost: selftest-x.spk.localhost:{port}\r\nConnection: close\r\n\r\n"
        );
        let end = Instant::now() + Duration::from_secs(3);
        let mut longest = Duration::ZERO;
        while Instant::now() < end {
            let before = Instant::now();
            let answer = http::exchange(port, head.as_bytes());
            longest = longest.max(before.elapsed());
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        }
        assert!(longest < RESPONSIVE, "the host took {longest:?}");
        // The busy processes are the app's own children; its server still gets its turn.
        ask(&server, "limits");
        server.stop();
    }
}
