use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

/// A package's `opt/spk` and a grain's `/var`.
struct Rig {
    temp: tempfile::TempDir,
}

impl Rig {
    fn new(launch: &str) -> Rig {
        let rig = Rig { temp: tempfile::tempdir().unwrap() };
        fs::create_dir_all(rig.path("spk/var")).unwrap();
        fs::create_dir(rig.path("var")).unwrap();
        fs::write(rig.path("spk/launch.json"), launch).unwrap();
        rig
    }

    fn path(&self, path: &str) -> PathBuf {
        self.temp.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn prepare(&self) -> Result<Option<PathBuf>, String> {
        prepare(&self.path("spk/launch.json"), &self.path("var"))
            .map_err(|error| error.to_string().replace(self.temp.path().to_str().unwrap(), ""))
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| error.kind().to_string())
    }

    fn names(&self, path: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path(path))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn without_a_file_nothing_is_done() {
    let temp = tempfile::tempdir().unwrap();
    assert_eq!(prepare(&temp.path().join("spk/launch.json"), temp.path()).unwrap(), None);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn volumes_are_filled_once() {
    let rig = Rig::new(r#"{"volumes": ["app/data", "empty/in/it", "file"]}"#);
    rig.put("spk/var/app/data/sub/x", "first");
    rig.put("spk/var/app/other", "not a volume");
    rig.put("spk/var/file", "text");
    fs::set_permissions(rig.path("spk/var/app/data/sub/x"), PermissionsExt::from_mode(0o4555))
        .unwrap();
    symlink("../away", rig.path("spk/var/app/data/link")).unwrap();
    rig.prepare().unwrap();
    assert_eq!(rig.text("var/app/data/sub/x"), "first");
    assert_eq!(fs::metadata(rig.path("var/app/data/sub/x")).unwrap().mode() & 0o7777, 0o755);
    assert_eq!(fs::read_link(rig.path("var/app/data/link")).unwrap(), Path::new("../away"));
    let times = ["spk/var/app/data/sub", "var/app/data/sub"]
        .map(|path| fs::metadata(rig.path(path)).unwrap().mtime_nsec());
    assert_eq!(times[0], times[1]);
    assert!(rig.names("var/empty/in/it").is_empty());
    assert_eq!((rig.text("var/file"), rig.names("var/app")), ("text".into(), vec!["data".into()]));
    // What the app makes of it stays, and what it removes does not come back.
    fs::write(rig.path("var/app/data/sub/x"), "mine").unwrap();
    fs::remove_file(rig.path("var/app/data/link")).unwrap();
    fs::remove_file(rig.path("var/file")).unwrap();
    fs::create_dir(rig.path("var/file")).unwrap();
    rig.prepare().unwrap();
    assert_eq!(rig.text("var/app/data/sub/x"), "mine");
    assert_eq!(rig.names("var/app/data"), ["sub"]);
    assert!(rig.names("var/file").is_empty());
    assert_eq!(rig.names("var"), ["app", "empty", "file"]);
}

#[test]
fn fresh_directories_are_made_anew() {
    let rig = Rig::new(r#"{"fresh": ["run", "cache/x"]}"#);
    rig.put("spk/var/cache/x/seed", "1");
    for _ in 0..2 {
        rig.put("var/run/app.pid", "7");
        rig.put("var/cache/x/more", "2");
        rig.put("var/cache/y", "stays");
        rig.prepare().unwrap();
        assert!(rig.names("var/run").is_empty());
        assert_eq!(
            (rig.names("var/cache/x"), rig.text("var/cache/y")),
            (vec!["seed".into()], "stays".into())
        );
    }
    // A link in its place is removed, not what it leads to.
    fs::remove_dir(rig.path("var/run")).unwrap();
    symlink("cache", rig.path("var/run")).unwrap();
    rig.prepare().unwrap();
    assert!(rig.names("var/run").is_empty());
    assert_eq!(rig.text("var/cache/y"), "stays");
}

#[test]
fn a_start_that_was_killed_is_made_good() {
    let rig = Rig::new(r#"{"volumes": ["a/b", "c"], "fresh": ["f"]}"#);
    rig.put("spk/var/a/b/x", "whole");
    rig.put("spk/var/c", "whole");
    for (path, text) in [
        ("var/a/.spk-filling-b/x", "ha"),
        ("var/a/.spk-filling-b/y", "older"),
        ("var/.spk-filling-c", "ha"),
        ("var/.spk-filling-f/x", "ha"),
    ] {
        rig.put(path, text);
    }
    rig.prepare().unwrap();
    assert_eq!(
        (rig.names("var"), rig.names("var/a")),
        (vec!["a".into(), "c".into(), "f".into()], vec!["b".into()])
    );
    assert_eq!((rig.text("var/a/b/x"), rig.text("var/c")), ("whole".into(), "whole".into()));
    assert_eq!(rig.names("var/a/b"), ["x"]);
}

#[test]
fn links_of_the_apps_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let rig = Rig::new(r#"{"volumes": ["a/b"], "fresh": ["a/f"]}"#);
    rig.put("spk/var/a/b/x", "1");
    symlink(outside.path(), rig.path("var/a")).unwrap();
    let error = rig.prepare().unwrap_err();
    assert!(error.starts_with("preparing '/var/a/f' failed: "), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_file(rig.path("var/a")).unwrap();
    fs::write(rig.path("var/a"), "").unwrap();
    rig.prepare().unwrap_err();
    // A link at the volume's own place is something that is there.
    fs::remove_file(rig.path("var/a")).unwrap();
    fs::create_dir(rig.path("var/a")).unwrap();
    symlink(outside.path(), rig.path("var/a/b")).unwrap();
    rig.prepare().unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // Where it would be filled.
    fs::remove_file(rig.path("var/a/b")).unwrap();
    symlink(outside.path(), rig.path("var/a/.spk-filling-b")).unwrap();
    rig.prepare().unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(rig.text("var/a/b/x"), "1");
}

#[test]
fn the_directory_may_be_in_a_volume() {
    let rig = Rig::new("");
    let inside = rig.path("var/app");
    let launch = format!(r#"{{"directory": {inside:?}, "volumes": ["app"]}}"#);
    fs::write(rig.path("spk/launch.json"), launch).unwrap();
    assert_eq!(rig.prepare().unwrap(), Some(inside.clone()));
    fs::remove_dir(&inside).unwrap();
    fs::write(&inside, "").unwrap();
    let error = rig.prepare().unwrap_err();
    assert!(error.starts_with("the app's directory '/var/app' cannot be used: "), "{error}");
}

#[test]
fn files_that_make_no_sense_are_refused_before_anything_is_made() {
    for (launch, why) in [
        ("", "makes no sense"),
        (r#"{"volumes": [""]}"#, "'' is no path below /var"),
        (r#"{"volumes": ["x", "/x"]}"#, "'/x' is no path below /var"),
        (r#"{"volumes": ["a/../b"]}"#, "no path"),
        (r#"{"volumes": ["a/"]}"#, "no path"),
        (r#"{"fresh": ["."]}"#, "no path"),
        (r#"{"fresh": [".sandstorm-http-bridge"]}"#, "no path"),
        (r#"{"directory": "app"}"#, "no absolute path"),
        (r#"{"volume": ["x"]}"#, "unknown field `volume`"),
    ] {
        let rig = Rig::new(launch);
        let error = rig.prepare().unwrap_err();
        assert!(
            error.starts_with("'/spk/launch.json' makes no sense: ") && error.contains(why),
            "{error}"
        );
        assert!(rig.names("var").is_empty());
    }
    let rig = Rig::new(&" ".repeat(2 << 20));
    assert!(rig.prepare().unwrap_err().contains("larger than 1 MiB"));
}

#[test]
fn a_write_that_fails_is_an_error() {
    if rustix::process::geteuid().is_root() {
        // Root writes everywhere: the files of the next user.
        let rig = Rig::new(r#"{"volumes": ["a"]}"#);
        fs::remove_dir(rig.path("var")).unwrap();
        assert!(rig.prepare().unwrap_err().starts_with("reading '/var' failed: "));
        return;
    }
    let rig = Rig::new(r#"{"volumes": ["a"]}"#);
    fs::set_permissions(rig.path("var"), PermissionsExt::from_mode(0o555)).unwrap();
    assert!(rig.prepare().unwrap_err().starts_with("preparing '/var/a' failed: "));
}
