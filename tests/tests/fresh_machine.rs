//! The scripts of a checkout, on machines that are not ready, and for commits that are not.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use spk_tests::bins::{describe, ok};
use spk_tests::{Stage, Who};

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What `Cargo.toml` asks for, the one place of that number.
fn rust_version() -> String {
    let manifest = fs::read_to_string(house().join("Cargo.toml")).unwrap();
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    line.unwrap().trim_end_matches('"').to_owned()
}

#[test]
fn pages_name_the_rust_that_is_needed() {
    let wanted = format!("Rust {} or later", rust_version());
    for page in ["README.md", "docs/install.md"] {
        let text = fs::read_to_string(house().join(page)).unwrap();
        assert!(text.contains(&wanted), "{page} does not say {wanted:?}");
    }
}

/// Writes a program.
fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory of programs for a `PATH`: what every script needs, and nothing else.
fn bin(stage: &Stage, names: &[&str]) -> PathBuf {
    let bin = stage.work().join("path");
    fs::create_dir(&bin).unwrap();
    for name in names {
        let found = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(name));
        symlink(found.into_iter().find(|path| path.exists()).unwrap(), bin.join(name)).unwrap();
    }
    bin
}

const TOOLS: &[&str] = &[
    "awk", "bash", "cat", "cut", "dirname", "env", "grep", "head", "id", "mktemp", "rm", "sed",
    "sort", "tail", "true",
];

/// `tests/setup.sh` with the compiler that says `version`; it leaves a file if it calls sudo.
fn set_up(version: Option<&str>) -> (Stage, Output) {
    let stage = Stage::new(Who::User);
    let bin = bin(&stage, TOOLS);
    if let Some(version) = version {
        program(&bin.join("cargo"), "#!/bin/sh\nexit 0\n");
        program(&bin.join("rustc"), &format!("#!/bin/sh\necho 'rustc {version} (of a test)'\n"));
    }
    let called = stage.work().join("called");
    let touch = format!("#!/bin/sh\n: >{}\nexit 1\n", called.display());
    for name in ["sudo", "apt-get", "dpkg-query"] {
        program(&bin.join(name), &touch);
    }
    let tests = stage.work().join("tests");
    fs::create_dir(&tests).unwrap();
    for script in ["setup.sh", "rust.sh"] {
        fs::copy(house().join("tests").join(script), tests.join(script)).unwrap();
    }
    fs::copy(house().join("Cargo.toml"), stage.work().join("Cargo.toml")).unwrap();
    stage.who.own(&stage.work());
    let mut command = stage.run("/bin/bash");
    let output = command.arg(tests.join("setup.sh")).env("PATH", &bin).output().unwrap();
    (stage, output)
}

#[test]
fn an_old_rust_is_told_before_sudo_is_asked_for() {
    let needed = rust_version();
    for (version, found) in
        [(Some("1.63.0"), "here is 1.63.0"), (Some("1.9.0"), "1.9.0"), (None, "there is no Rust")]
    {
        let (stage, output) = set_up(version);
        let said = describe(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(found) && said.contains(&needed), "{said}");
        assert!(said.contains("rustup.rs"), "{said}");
        assert!(!stage.work().join("called").exists(), "{said}");
    }
    // The one that is asked for, and newer ones, go on to what the distribution has.
    for version in [format!("{needed}.0"), "1.100.0-nightly".to_owned(), "2.0.0".to_owned()] {
        let (stage, output) = set_up(Some(&version));
        assert!(stage.work().join("called").exists(), "{version}: {}", describe(&output));
    }
}

/// The log of skipped tests of an ordinary user's run, before and after `tests/as_root.sh`.
fn as_root(sudo: Option<&str>) -> (String, String) {
    let stage = Stage::new(Who::User);
    let bin = bin(&stage, TOOLS);
    if let Some(sudo) = sudo {
        program(&bin.join("sudo"), sudo);
    }
    let ran = stage.work().join("ran");
    let suite = stage.work().join("suite-1");
    program(&suite, &format!("#!/bin/bash\necho \"$PWD $*\" >>{}\n", ran.display()));
    let log = stage.work().join("log");
    let (suite, dir) = (suite.display(), stage.home());
    let dir = dir.display();
    fs::write(
        &log,
        format!(
            "{suite}\t{dir}\ta::one\troot\tone: the part as root\n\
             {suite}\t{dir}\ttwo\troot\ttwo: the part as root\n\
             {suite}\t{dir}\tthree\t-\tthree: no capnp\n"
        ),
    )
    .unwrap();
    let script = stage.work().join("as_root.sh");
    fs::copy(house().join("tests/as_root.sh"), &script).unwrap();
    stage.who.own(&stage.work());
    ok(stage.run("/bin/bash").arg(&script).arg(&log).env("PATH", &bin));
    (fs::read_to_string(&log).unwrap(), fs::read_to_string(&ran).unwrap_or_default())
}

#[test]
fn what_only_root_can_do_runs_with_sudo_or_says_why_not() {
    let (log, ran) = as_root(Some("#!/bin/bash\n[ \"$1\" != -n ] || shift\nexec \"$@\"\n"));
    assert!(ran.trim_end().ends_with("home --exact a::one two"), "{ran}");
    assert_eq!(ran.lines().count(), 1, "{ran}");
    assert!(log.ends_with("three: no capnp\n") && !log.contains("as root"), "{log}");

    for (sudo, why) in [
        (None, "there is no sudo"),
        (Some("#!/bin/bash\nexit 1\n"), "sudo asks for a password, and nobody is there"),
    ] {
        let (log, ran) = as_root(sudo);
        assert_eq!(ran, "");
        assert_eq!(log.lines().count(), 3, "{log}");
        assert!(log.contains(&format!("one: the part as root (not as root: {why})\n")), "{log}");
    }
}

/// A repository in which CONTRIBUTING.md came second.
fn repository(stage: &Stage) -> impl Fn(&[&str]) {
    let tests = stage.work().join("tests");
    fs::create_dir(&tests).unwrap();
    fs::copy(house().join("tests/commits.sh"), tests.join("commits.sh")).unwrap();
    let work = stage.work();
    let git = move |arguments: &[&str]| {
        let named = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        ok(Command::new("git").args(named).args(arguments).current_dir(&work));
    };
    git(&["init", "-q", "-b", "main"]);
    git(&[
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "No area in the old days, and a subject that goes on for longer than the rule wants",
    ]);
    fs::write(stage.work().join("CONTRIBUTING.md"), "").unwrap();
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "docs: say how to contribute"]);
    git
}

#[test]
fn subjects_of_commits_are_checked() {
    let check = |dir: &Path| {
        let output = Command::new(dir.join("tests/commits.sh")).output().unwrap();
        (output.status.success(), describe(&output))
    };
    let stage = Stage::new(Who::Root);
    let git = repository(&stage);
    let (good, said) = check(&stage.work());
    assert!(good, "{said}");
    git(&["commit", "-q", "--allow-empty", "-m", "bridge, host: join all If-Match lines"]);
    assert!(check(&stage.work()).0);

    // On a branch: what main does not have.
    git(&["checkout", "-q", "-b", "topic"]);
    let long = format!("docs: {}", "x".repeat(67));
    for (subject, why) in [
        ("Say nothing of an area", "no area"),
        (long.as_str(), "73 characters"),
        ("docs:x", "no area"),
    ] {
        git(&["commit", "-q", "--allow-empty", "-m", subject]);
        let (good, said) = check(&stage.work());
        assert!(!good && said.contains(why) && said.contains(subject), "{said}");
        git(&["reset", "-q", "--hard", "HEAD~1"]);
    }
    git(&["commit", "-q", "--allow-empty", "-m", &long[..72]]);
    assert!(check(&stage.work()).0);
    git(&["checkout", "-q", "main"]);
    git(&["commit", "-q", "--allow-empty", "-m", "docs: go on"]);
    git(&["merge", "-q", "--no-ff", "-m", "Merge topic", "topic"]);
    let (good, said) = check(&stage.work());
    assert!(!good && said.contains("a rebase is wanted"), "{said}");

    // A shallow clone and a tarball have nothing to check.
    let url = format!("file://{}", stage.work().display());
    let shallow = stage.home().join("shallow");
    ok(Command::new("git").args(["clone", "-q", "--depth", "1", &url]).arg(&shallow));
    let (good, said) = check(&shallow);
    assert!(good && said.contains("nothing was checked"), "{said}");
    fs::remove_dir_all(shallow.join(".git")).unwrap();
    let (good, said) = check(&shallow);
    assert!(good && said.contains("nothing was checked"), "{said}");
}
