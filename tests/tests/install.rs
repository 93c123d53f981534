//! What is built for other machines, installed on one that has nothing else.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use spk_tests::bins::{built, copy_program, fails, ok};
use spk_tests::{Server, Stage, Who, http, skip};

fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// `dist/build.sh` with the binaries of this test run.
fn dist(out: &Path) -> Vec<PathBuf> {
    let bins = built("spk").parent().unwrap().to_owned();
    // Only the symbols are missing that a release has not either.
    let stripped = tempfile::tempdir().unwrap();
    for name in ["spk", "sandstorm-http-bridge"] {
        let copy = stripped.path().join(name);
        copy_program(&bins.join(name), &copy);
        ok(Command::new("strip").arg(&copy));
    }
    let said =
        ok(Command::new(house().join("dist/build.sh")).arg("--bins").arg(stripped.path()).arg(out));
    said.lines().map(PathBuf::from).collect()
}

/// Extracts a tarball and runs the sample app with what is in it: the bridge is found beside it.
fn tarball(tar: &Path) {
    let stage = Stage::new(Who::User);
    ok(Command::new("tar").arg("-C").arg(stage.work()).arg("-xzf").arg(tar));
    let unpacked = fs::read_dir(stage.work()).unwrap().next().unwrap().unwrap().path();
    assert!(!unpacked.join("bin/sandstorm-http-bridge").exists(), "nobody calls it");
    stage.who.own(&stage.work());
    let spk = unpacked.join("bin/spk");
    let project = stage.write("project/.keep", "").parent().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let mut command = stage.run(spk.to_str().unwrap());
        command.args(arguments).current_dir(&project);
        command
    };
    let found = ok(&mut run(&["doctor"]));
    assert!(found.contains("lib/spk/sandstorm-http-bridge"), "{found}");
    ok(&mut run(&["init", "-q", "--template", "python"]));
    let server = Server::start(&mut run(&["dev"]));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
    ok(&mut run(&["pack", "--fast", "-q", "app.spk"]));
    let server = Server::start(&mut run(&["run", "app.spk"]));
    assert_eq!(http::get(&server.at("")).status, 200);
    server.stop();
}

/// What the archive's own checks (lintian) would refuse first.
fn control(deb: &Path) {
    let field = |name: &str| ok(Command::new("dpkg-deb").arg("-f").arg(deb).arg(name));
    let maintainer = field("Maintainer");
    let (name, address) = maintainer.trim().split_once(" <").expect("a name and an address");
    assert!(!name.is_empty() && address.ends_with('>'), "{maintainer}");
    assert_eq!(address.matches('@').count(), 1, "{maintainer}");
    for name in ["Package", "Version", "Architecture", "Section", "Priority", "Installed-Size"] {
        assert!(!field(name).trim().is_empty(), "no {name}");
    }
    let description = field("Description");
    let (synopsis, text) = description.split_once('\n').expect("a synopsis and a text");
    assert!(synopsis.len() < 80 && !synopsis.ends_with('.'), "{synopsis}");
    assert!(text.lines().all(|line| line.starts_with(' ') && line.len() <= 80), "{text}");
    for line in ok(Command::new("dpkg-deb").arg("-c").arg(deb)).lines() {
        let (mode, rest) = line.split_once(' ').unwrap();
        assert!(rest.trim_start().starts_with("root/root"), "{line}");
        let program = line.ends_with("/spk") && mode.starts_with('-') && line.contains("/bin/");
        let executable = program || line.ends_with("/sandstorm-http-bridge");
        match &mode[..1] {
            "d" => assert_eq!(mode, "drwxr-xr-x", "{line}"),
            _ if executable => assert_eq!(mode, "-rwxr-xr-x", "{line}"),
            _ => assert_eq!(mode, "-rw-r--r--", "{line}"),
        }
    }
    // The scripts are shell, and the sums are those of the files.
    let unpacked = tempfile::tempdir().unwrap();
    ok(Command::new("dpkg-deb").arg("-R").arg(deb).arg(unpacked.path()));
    for script in ["postinst", "prerm"] {
        ok(Command::new("sh").arg("-n").arg(unpacked.path().join("DEBIAN").join(script)));
    }
    let sums = ["--quiet", "--strict", "-c", "DEBIAN/md5sums"];
    ok(Command::new("md5sum").args(sums).current_dir(&unpacked));
    let changelog = unpacked.path().join("usr/share/doc/spk/changelog.gz");
    let changelog = ok(Command::new("zcat").arg(changelog));
    assert!(changelog.starts_with(&format!("spk ({})", field("Version").trim())), "{changelog}");
}

/// What Debian's own checker says: nothing, of the copyright file and of all else.
fn lintian(test: &str, deb: &Path) {
    if !Path::new("/usr/bin/lintian").exists() {
        return skip::skip(test, "the .deb by Debian's checker: lintian is not installed");
    }
    let mut lintian = Command::new("/usr/bin/lintian");
    let said = ok(lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(deb));
    // Static-pie is told in two ways by versions of it; an override that is not needed is no fault.
    let faults: Vec<_> = said.lines().filter(|line| !line.starts_with("I: ")).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// AppArmor itself reads the profile.
#[test]
fn the_apparmor_profile_is_one() {
    let test = "the_apparmor_profile_is_one";
    if !Path::new("/etc/apparmor.d/abi/4.0").exists() {
        return skip::skip(test, "no AppArmor that knows user namespaces (4.0) is installed");
    }
    let parse = |profile: &Path| {
        let mut parser = Command::new("/usr/sbin/apparmor_parser");
        parser.args(["--skip-kernel-load", "--skip-cache", "--names"]).arg(profile);
        parser
    };
    assert_eq!(ok(&mut parse(&house().join("dist/apparmor"))).trim(), "spk");
    let broken = tempfile::NamedTempFile::new().unwrap();
    let text = fs::read_to_string(house().join("dist/apparmor")).unwrap();
    fs::write(broken.path(), text.replace("userns,", "bogus rule,")).unwrap();
    fails(&mut parse(broken.path()));
}

#[test]
fn tarball_and_deb_on_a_clean_machine() {
    let test = "tarball_and_deb_on_a_clean_machine";
    let out = tempfile::tempdir().unwrap();
    let made = dist(out.path());
    tarball(&made[0]);

    // The same input gives the same bytes.
    let again = tempfile::tempdir().unwrap();
    for (one, other) in made.iter().zip(dist(again.path())) {
        assert!(fs::read(one).unwrap() == fs::read(&other).unwrap(), "{} differs", other.display());
    }

    let Some(deb) = made.get(1) else {
        return skip::skip(test, "no dpkg-deb, so no .deb");
    };
    control(deb);
    lintian(test, deb);
    let files = ok(Command::new("dpkg-deb").arg("-c").arg(deb));
    for wanted in [
        "./usr/bin/spk",
        "./usr/lib/spk/sandstorm-http-bridge",
        "./usr/share/man/man1/spk-grain-export.1.gz",
        "./usr/share/bash-completion/completions/spk",
        "./usr/share/zsh/vendor-completions/_spk",
        "./usr/share/fish/vendor_completions.d/spk.fish",
        "./usr/share/spk/apparmor",
        "./usr/share/doc/spk/changelog.gz",
        "./usr/share/doc/spk/copyright",
        "./usr/share/doc/spk/third-party.txt",
        "./usr/share/doc/spk/docs/architecture.md",
    ] {
        assert!(files.lines().any(|line| line.ends_with(wanted)), "no {wanted} in:\n{files}");
    }

    if !geteuid().is_root() {
        return skip::needs_root(test, "the .deb in a clean root: only root makes one");
    }
    if !Path::new("/usr/sbin/debootstrap").exists() {
        return skip::skip(test, "the .deb in a clean root: debootstrap is not installed");
    }
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clean-root");
    let clean_root = house().join("tests/clean_root.sh");
    let output = Command::new(&clean_root)
        .arg("make")
        .arg(&root)
        .arg("--include=python3,curl")
        .output()
        .unwrap();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return skip::skip(test, &format!("the .deb in a clean root: debootstrap failed: {said}"));
    }
    fs::copy(deb, root.join("root/spk.deb")).unwrap();
    fs::copy(house().join("tests/newcomer.sh"), root.join("usr/local/bin/newcomer")).unwrap();
    let inside = |user: &str, command: &[&str]| {
        let mut run = Command::new(&clean_root);
        run.arg("run").arg(&root).arg(user).args(command);
        ok(&mut run)
    };
    inside("root", &["dpkg", "-i", "spk.deb"]);
    inside("root", &["useradd", "--create-home", "newcomer"]);
    let said = inside("newcomer", &["newcomer"]);
    assert!(said.ends_with("all ten tasks done\n"), "{said}");
    inside("root", &["dpkg", "--purge", "spk"]);
    assert!(!root.join("usr/bin/spk").exists());
    fs::remove_dir_all(&root).unwrap();
}
