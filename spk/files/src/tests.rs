//! Directories that somebody else controls.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::Mode;

use crate::Dir;
use crate::is_gone;
use crate::walk::{find_by, open_below};

fn scratch() -> (tempfile::TempDir, Dir) {
    let temp = tempfile::tempdir().unwrap();
    let dir = Dir::open_trusted(temp.path()).unwrap();
    (temp, dir)
}

/// Both ways of opening must answer alike.
fn both(dir: &Dir, path: &[u8]) -> [io::Result<Dir>; 2] {
    [dir.open_dir_by(path, false), dir.open_dir_by(path, true)]
}

#[test]
fn neither_links_nor_dots_lead_out() {
    let (temp, dir) = scratch();
    std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
    symlink("/", temp.path().join("root")).unwrap();
    symlink("a", temp.path().join("l")).unwrap();
    symlink("..", temp.path().join("a/up")).unwrap();
    for good in [&b"a"[..], b"a/b", b""] {
        assert!(both(&dir, good).iter().all(Result::is_ok));
    }
    for bad in
        [&b"root"[..], b"root/etc", b"l", b"l/b", b"a/up", b"..", b"a/../..", b"/etc", b"none"]
    {
        for (way, opened) in both(&dir, bad).into_iter().enumerate() {
            let walked_absolute = way == 1 && bad == b"/etc";
            assert!(opened.is_err() || walked_absolute, "{way} {:?}", String::from_utf8_lossy(bad));
        }
    }
}

#[test]
fn an_absolute_path_is_relative_or_refused_never_the_hosts() {
    let (temp, dir) = scratch();
    std::fs::create_dir(temp.path().join("etc")).unwrap();
    for opened in both(&dir, b"/etc").into_iter().flatten() {
        assert_eq!(opened.names().unwrap(), Vec::<Vec<u8>>::new());
    }
}

#[test]
fn special_files_are_not_opened_and_do_not_block() {
    let (temp, dir) = scratch();
    rustix::fs::mkfifoat(&dir, "fifo", Mode::from_raw_mode(0o600)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("socket")).unwrap();
    symlink("/etc/passwd", temp.path().join("link")).unwrap();
    for name in [&b"fifo"[..], b"socket", b"link", b"..", b".", b"", b"a/b"] {
        assert!(dir.open_file(name).is_err());
    }
}

#[test]
fn deep_and_locked_trees_are_opened_and_removed() {
    let (temp, dir) = scratch();
    let outside = temp.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("kept"), "x").unwrap();
    dir.create_dir(b"tree", 0o700).unwrap();
    let mut at = dir.open_dir(b"tree").unwrap();
    let mut path = b"tree".to_vec();
    // 60 × 201 bytes: three times PATH_MAX.
    for depth in 0..60u8 {
        let name = vec![b'a' + depth % 26; 200];
        at.create_dir(&name, 0o700).unwrap();
        at.create_file(b"f", 0o000).unwrap();
        at.create_link(b"l", outside.as_os_str().as_encoded_bytes()).unwrap();
        path.push(b'/');
        path.extend_from_slice(&name);
        let next = at.open_dir(&name).unwrap();
        at.set_mode_and_time(0o500, None).unwrap();
        at = next;
    }
    for opened in both(&dir, &path) {
        assert_eq!(opened.unwrap().stat_self().unwrap().st_ino, at.stat_self().unwrap().st_ino);
    }
    at.create_dir(b"wide", 0o700).unwrap();
    let wide = at.open_dir(b"wide").unwrap();
    for number in 0..300 {
        wide.create_dir(format!("{number:x}").as_bytes(), 0o700).unwrap();
        wide.open_dir(format!("{number:x}").as_bytes()).unwrap().create_dir(b"x", 0o000).unwrap();
    }
    wide.set_mode_and_time(0o000, None).unwrap();
    dir.remove_tree(b"tree").unwrap();
    dir.remove_tree(b"tree").unwrap();
    assert_eq!(dir.names().unwrap(), vec![b"outside".to_vec()]);
    assert_eq!(std::fs::read(outside.join("kept")).unwrap(), b"x");
}

#[test]
fn set_mode_does_not_reach_through_a_link() {
    let (temp, dir) = scratch();
    std::fs::write(temp.path().join("file"), "").unwrap();
    std::fs::set_permissions(temp.path().join("file"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("file", temp.path().join("link")).unwrap();
    assert!(dir.set_mode(b"link", 0o777).is_err());
    assert_eq!(dir.stat(b"file").unwrap().st_mode & 0o7777, 0o640);
}

#[test]
fn files_are_opened_without_links_on_either_way() {
    let (temp, dir) = scratch();
    std::fs::create_dir_all(temp.path().join("a/b")).unwrap();
    std::fs::write(temp.path().join("a/b/f"), "here").unwrap();
    symlink("a", temp.path().join("l")).unwrap();
    symlink("f", temp.path().join("a/b/l")).unwrap();
    rustix::fs::mkfifoat(&dir, "a/fifo", Mode::from_raw_mode(0o600)).unwrap();
    let open = |path: &str| {
        crate::open_regular(temp.path(), path.as_bytes()).map(|(_, metadata)| metadata.len())
    };
    assert_eq!(open("a/b/f").unwrap(), 4);
    let link = temp.path().join("l");
    assert!(crate::open_regular(&link, b"b/f").is_ok(), "links on the way to the root are its own");
    for bad in ["l/b/f", "a/b/l", "a/../a/b/f", "../x", "a/b", "a/fifo", "/etc/passwd", "none"] {
        assert!(open(bad).is_err(), "{bad}");
        for walk in [false, true] {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW;
            let flags = flags | rustix::fs::OFlags::NONBLOCK;
            let is_file = open_below(dir.as_fd(), bad.as_bytes(), flags, walk)
                .is_ok_and(|fd| std::fs::File::from(fd).metadata().unwrap().is_file());
            assert!(!is_file, "{bad} {walk}");
        }
    }
}

#[test]
fn links_lead_to_where_they_would_in_a_root() {
    let (temp, _) = scratch();
    let root = temp.path().join("root");
    std::fs::create_dir_all(root.join("usr/bin")).unwrap();
    std::fs::write(root.join("usr/bin/sh"), "").unwrap();
    std::fs::write(temp.path().join("outside"), "").unwrap();
    for (goal, name) in [
        ("usr/bin", "bin"),
        ("/usr/bin/sh", "shell"),
        ("../../../outside", "out"),
        ("/bin/../../usr/./bin/sh", "round"),
        ("loop", "loop"),
        ("/proc/self/root", "magic"),
    ] {
        symlink(goal, root.join(name)).unwrap();
    }
    let wanted = std::fs::metadata(root.join("usr/bin/sh")).unwrap();
    for walk in [false, true] {
        for good in ["/bin/sh", "bin/sh", "shell", "round", "../../bin/sh", "/usr//bin/sh"] {
            let found = find_by(&root, good.as_bytes(), walk).unwrap();
            let stat = rustix::fs::fstat(found).unwrap();
            let wanted = std::os::unix::fs::MetadataExt::ino(&wanted);
            assert_eq!(stat.st_ino, wanted, "{good} {walk}");
        }
        for bad in ["out", "loop", "magic/etc", "none", "shell/x", "../outside"] {
            assert!(find_by(&root, bad.as_bytes(), walk).is_err(), "{bad} {walk}");
        }
    }
}

#[test]
fn a_removed_directory_has_no_names() {
    let temp = tempfile::tempdir().unwrap();
    let top = Dir::open_trusted(temp.path()).unwrap();
    top.create_dir(b"d", 0o700).unwrap();
    let dir = top.open_dir(b"d").unwrap();
    dir.create_file(b"f", 0o600).unwrap();
    assert_eq!(dir.names().unwrap(), [b"f"]);
    // Each time from the beginning.
    assert_eq!(dir.names().unwrap(), [b"f"]);
    top.remove_tree(b"d").unwrap();
    assert!(dir.names().is_ok_and(|names| names.is_empty()));
}

#[test]
fn gone_is_what_is_not_there_or_of_another_type() {
    use rustix::io::Errno;
    let temp = tempfile::tempdir().unwrap();
    let top = Dir::open_trusted(temp.path()).unwrap();
    top.create_dir(b"d", 0o700).unwrap();
    top.create_file(b"f", 0o600).unwrap();
    top.create_link(b"l", b"f").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(temp.path().join("s")).unwrap();
    for name in [&b"none"[..], b"d", b"l", b"s"] {
        assert!(is_gone(&top.open_file(name).unwrap_err()), "{}", name.escape_ascii());
    }
    for name in [&b"none"[..], b"d", b"f", b"s"] {
        assert!(is_gone(&top.read_link(name).unwrap_err()), "{}", name.escape_ascii());
    }
    for name in [&b"none"[..], b"f", b"l", b"s", b"f/x", b"l/x"] {
        assert!(is_gone(&top.open_dir(name).unwrap_err()), "{}", name.escape_ascii());
    }
    assert!(is_gone(&top.stat(b"none").unwrap_err()));
    for errno in [Errno::IO, Errno::UCLEAN, Errno::STALE, Errno::MFILE, Errno::ACCESS, Errno::INVAL]
    {
        assert!(!is_gone(&errno.into()), "{errno}");
    }
}
