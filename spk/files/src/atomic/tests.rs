use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Scratch {
    temp: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Scratch {
        Scratch { temp: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn dir(&self) -> Dir {
        Dir::open_trusted(self.temp.path()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let names = self.dir().names().unwrap();
        names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    /// As on a file system that has no unnamed files.
    fn named(&self, options: Options, name: &str) -> AtomicFile {
        let temporary = options.temporary_name(name.as_bytes()).unwrap();
        let file = self.dir().create_file(&temporary, options.mode).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let (dir, name) = (self.dir(), name.as_bytes().to_vec());
        AtomicFile { options, dir, name, file, temporary: Some(temporary) }
    }

    /// Starts the file in either way, one after the other.
    fn both(&self, options: Options, name: &str) -> impl Iterator<Item = AtomicFile> {
        [false, true].into_iter().map(move |named| match named {
            true => self.named(options, name),
            false => options.create(&self.path(name)).unwrap(),
        })
    }
}

#[test]
fn appears_complete_or_not_at_all() {
    let scratch = Scratch::new();
    for (round, mut file) in scratch.both(Options::mode(0o666), "a").enumerate() {
        let old = format!("old {round}");
        fs::write(scratch.path("a"), &old).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(scratch.path("a")).unwrap(), old);
        drop(file);
        assert_eq!(fs::read_to_string(scratch.path("a")).unwrap(), old);
    }
    for mut file in scratch.both(Options::mode(0o666), "a") {
        fs::write(scratch.path("a"), "old").unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(scratch.path("a")).unwrap(), b"new");
    }
    assert_eq!(scratch.names(), ["a"]);
}

#[test]
fn an_exclusive_file_replaces_nothing() {
    let scratch = Scratch::new();
    for file in scratch.both(Options::mode(0o600).exclusive(), "a") {
        // Somebody was faster.
        fs::write(scratch.path("a"), "theirs").unwrap();
        let error = file.commit().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(scratch.path("a")).unwrap(), b"theirs");
        assert_eq!(scratch.names(), ["a"]);
    }
    fs::remove_file(scratch.path("a")).unwrap();
    for mut file in scratch.both(Options::mode(0o600).exclusive(), "a") {
        file.write_all(b"ours").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(scratch.path("a")).unwrap(), b"ours");
        fs::remove_file(scratch.path("a")).unwrap();
    }
    symlink("nowhere", scratch.path("link")).unwrap();
    let error = Options::mode(0o600).exclusive().write(&scratch.path("link"), b"").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn permissions_are_given_or_kept() {
    let scratch = Scratch::new();
    Options::mode(0o600).write(&scratch.path("private"), b"").unwrap();
    assert_eq!(scratch.mode("private"), 0o600);
    for mode in [0o640, 0o755, 0o400] {
        for file in scratch.both(Options::mode(0o666).keep_mode(), "private") {
            fs::set_permissions(scratch.path("private"), PermissionsExt::from_mode(mode)).unwrap();
            file.commit().unwrap();
            assert_eq!(scratch.mode("private"), mode);
        }
    }
    // A new file is like any other, and one that does not keep permissions has its own.
    fs::write(scratch.path("usual"), "").unwrap();
    Options::mode(0o666).keep_mode().write(&scratch.path("new"), b"").unwrap();
    assert_eq!(scratch.mode("new"), scratch.mode("usual"));
    Options::mode(0o600).write(&scratch.path("usual"), b"").unwrap();
    assert_eq!(scratch.mode("usual"), 0o600);
}

#[test]
fn a_link_is_replaced_unless_its_goal_is_asked_for() {
    let scratch = Scratch::new();
    fs::write(scratch.path("real"), "old").unwrap();
    symlink("real", scratch.path("link")).unwrap();
    let goal = behind_links(&scratch.path("link")).unwrap();
    Options::mode(0o666).write(&goal, b"through").unwrap();
    assert_eq!(fs::read(scratch.path("real")).unwrap(), b"through");
    assert!(scratch.path("link").is_symlink());
    Options::mode(0o666).write(&scratch.path("link"), b"instead").unwrap();
    assert!(!scratch.path("link").is_symlink());
    assert_eq!(fs::read(scratch.path("real")).unwrap(), b"through");
    let free = scratch.path("free");
    assert_eq!(behind_links(&free).unwrap(), free);
}

#[test]
fn what_the_killed_left_goes_and_what_is_written_stays() {
    let scratch = Scratch::new();
    let killed = |name: &str| fs::write(scratch.path(name), "half").unwrap();
    killed(".a.spk-partial-killed00");
    killed(".b.spk-partial-killed00");
    let written = scratch.named(Options::mode(0o600), "a");
    assert_eq!(remove_left_overs(&scratch.dir(), Some(b"a")).unwrap().len(), 1);
    assert_eq!(scratch.names().len(), 2, "{:?}", scratch.names());
    assert_eq!(remove_left_overs(&scratch.dir(), None).unwrap().len(), 1);
    written.commit().unwrap();
    assert_eq!(scratch.names(), ["a"]);
    // The only writer's has one name, whichever way it is written.
    for mut file in scratch.both(Options::mode(0o600).only_writer(), "a") {
        file.write_all(b"whole").unwrap();
        if file.temporary.is_none() {
            killed(".a.new");
        }
        file.commit().unwrap();
        assert_eq!(fs::read(scratch.path("a")).unwrap(), b"whole");
    }
    assert_eq!(scratch.names(), ["a"]);
}

#[test]
fn names_of_any_length_and_strange_places() {
    let scratch = Scratch::new();
    let long = "x".repeat(255);
    for file in scratch.both(Options::mode(0o600), &long) {
        file.commit().unwrap();
    }
    assert_eq!(scratch.names(), [long]);
    fs::create_dir(scratch.path("dir")).unwrap();
    for bad in ["", "..", "/", "dir/..", "none/a", "dir"] {
        let path = if bad.is_empty() { PathBuf::new() } else { scratch.path(bad) };
        assert!(Options::mode(0o600).write(&path, b"").is_err(), "{bad}");
    }
    assert_eq!(fs::read_dir(scratch.path("dir")).unwrap().count(), 0);
    assert_eq!(directory_of(Path::new("a")), Path::new("."));
}
