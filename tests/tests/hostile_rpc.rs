//! An app that attacks its host over descriptor 3: `spk run` ends it, says why, and stays small.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use spk_tests::bins::{copy_program, ok};
use spk_tests::{Stage, Who, procs};

const HOSTILE: &str = env!("CARGO_BIN_EXE_spk-hostile");
/// The most memory of `spk` (resident, at its peak) that an app may cause. The largest message is
/// limited to 64 KiB below; a debug build itself takes some tens of MiB.
const MOST_MIB: u64 = 128;
/// The longest pause of a thread of the host's that wakes every 5 ms, on a machine that is busy with
/// other tests as well.
const RESPONSIVE: Duration = Duration::from_secs(2);

/// The attack as a raw app, packed.
fn packed(who: Who, attack: &str) -> Stage {
    let stage = Stage::new(who);
    stage.write("files/tmp/.keep", "");
    copy_program(HOSTILE.as_ref(), &stage.work().join("files/hostile"));
    who.own(&stage.work());
    let mut init = stage.spk();
    init.args(["init", "--raw", "-A", "-I", "files", "--", "/hostile", "rpc", attack]);
    ok(&mut init);
    ok(stage.spk().args(["pack", "--fast", "out.spk"]));
    stage
}

/// Runs the attack until `spk` ends; its exit status, what it said, and its peak memory in MiB.
fn run(stage: &Stage) -> (std::process::ExitStatus, String, u64) {
    let mut command = stage.spk();
    command.args(["run", "out.spk", "--limit-message", "64K", "--limit-log", "64K"]);
    command.args(["--start-timeout", "2"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut peak, mut files) = (0, 0);
    let mut pause = Duration::ZERO;
    let status = loop {
        let dir = format!("/proc/{}", child.id());
        let text = std::fs::read_to_string(format!("{dir}/status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) >> 10);
        files = files.max(std::fs::read_dir(format!("{dir}/fd")).map_or(0, Iterator::count));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let before = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        pause = pause.max(before.elapsed());
    };
    assert!(pause < RESPONSIVE, "the host stood still for {pause:?}");
    assert!(files < 100, "{files} descriptors of spk are open");
    (status, reader.join().unwrap(), peak)
}

#[test]
fn attacks_below_the_protocol_end_the_app_and_nothing_else() {
    for who in Who::all("attacks_below_the_protocol_end_the_app_and_nothing_else") {
        for (attack, words) in [
            ("garbage", "the app broke its connection to the host: "),
            ("large", "(at most 65536 bytes; --limit-message allows more)"),
            ("segments", "the app broke its connection to the host: "),
            ("pointer", "error: the app "),
            ("descriptors", "the app broke its connection to the host: "),
            ("close", "error: the app "),
            ("log", "only the last 64K and what follows are kept (--limit-log)"),
            ("silent", "the app did not answer within 2 s"),
            ("deaf", "the app did not answer within 2 s"),
        ] {
            let stage = packed(who, attack);
            let (status, said, peak) = run(&stage);
            assert_eq!(status.code(), Some(1), "{attack} as {who:?}:\n{said}");
            assert!(said.contains(words), "{attack} as {who:?}:\n{said}");
            assert!(!said.contains("panicked"), "{attack} as {who:?}:\n{said}");
            assert!(peak < MOST_MIB, "{attack} as {who:?}: {peak} MiB");
            for name in ["log", "log.1"] {
                let grains = std::fs::read_dir(stage.state().join("grains")).unwrap();
                for grain in grains {
                    let log = std::fs::metadata(grain.unwrap().path().join(name));
                    let bytes = log.map_or(0, |log| log.len());
                    assert!(bytes <= 64 << 10, "{attack} as {who:?}: {bytes} in {name}");
                }
            }
            let left = procs::gone(&stage.spk_path(), "", Duration::from_secs(10));
            assert!(left.is_empty(), "{attack} as {who:?}: {left:?}");
        }
    }
}
