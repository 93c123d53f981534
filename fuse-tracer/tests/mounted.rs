//! The file system as processes see it through a real mount, as root and as an ordinary user.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use fuse_tracer::{Cache, Options, Use};
use spk_package::selection::{self, Selection};
use spk_package::view::NodeKind;
use support::{Mount, Who, as_everyone, mapping, scratch, tree, view};

/// Prints `path type mode size` of everything, files with their contents.
const WALK: &str = r#"
import stat
def show(path):
    for name in sorted(os.listdir(path or '.')):
        p = (path + '/' if path else '') + name
        s = os.lstat(p)
        kind = {stat.S_IFDIR: 'd', stat.S_IFREG: 'f', stat.S_IFLNK: 'l'}[stat.S_IFMT(s.st_mode)]
        what = os.readlink(p) if kind == 'l' else open(p).read() if kind == 'f' else ''
        print(p, kind, oct(stat.S_IMODE(s.st_mode)), what, int(s.st_mtime), sep='|')
        if kind == 'd': show(p)
show('')
"#;

fn walk_source(dir: &Path) -> Vec<String> {
    tree(
        dir,
        &["one/a", "one/d/x", "one/bin/run", "one/e/", "one/link -> d/x", "two/d/y", "two/a"],
    );
    fs::set_permissions(dir.join("one/bin/run"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(dir.join("one/a"), fs::Permissions::from_mode(0o600)).unwrap();
    Vec::new()
}

#[test]
fn the_mount_shows_the_view() {
    as_everyone("the_mount_shows_the_view", |who| {
        let dir = scratch();
        walk_source(dir.path());
        let view = view(vec![
            mapping("", dir.path().join("one"), &[]),
            mapping("", dir.path().join("two"), &[]),
            mapping("opt/app", dir.path().join("two"), &["a"]),
        ]);
        for cache in [Cache::Watched, Cache::Frozen, Cache::Off] {
            let mut mount = Mount::new(who, view.clone(), Options { cache, ..Options::default() });
            for _ in 0..2 {
                let seen = mount.python(WALK);
                let seen: Vec<&str> = seen.lines().collect();
                let mut expected = Vec::new();
                for path in [
                    "a",
                    "bin",
                    "bin/run",
                    "d",
                    "d/x",
                    "d/y",
                    "dev",
                    "e",
                    "link",
                    "opt",
                    "opt/app",
                    "opt/app/d",
                    "opt/app/d/y",
                    "proc",
                    "proc/cpuinfo",
                    "sandstorm-http-bridge-config",
                    "sandstorm-manifest",
                    "tmp",
                    "var",
                ] {
                    let node = view.lookup(path.as_bytes()).unwrap().unwrap();
                    let (kind, mode) = match node.kind() {
                        NodeKind::Directory => ("d", "0o755"),
                        NodeKind::Symlink => ("l", "0o777"),
                        _ if node.is_executable() => ("f", "0o755"),
                        _ if node.source_file().is_none() => ("f", "0o444"),
                        _ => ("f", "0o644"),
                    };
                    let what = match (path, node.kind()) {
                        ("sandstorm-manifest", _) => "manifest".to_owned(),
                        ("sandstorm-http-bridge-config", _) => "config".to_owned(),
                        ("link", _) => "d/x".to_owned(),
                        (_, NodeKind::File) if node.source_file().is_some() => {
                            fs::read_to_string(node.source_file().unwrap().path()).unwrap()
                        }
                        _ => String::new(),
                    };
                    let mtime = node.mtime_ns().unwrap_or(0) / 1_000_000_000;
                    expected.push(format!("{path}|{kind}|{mode}|{what}|{mtime}"));
                }
                assert_eq!(seen, expected, "{who:?} {cache:?}");
            }
        }
    });
}

#[test]
fn uses_are_recorded_as_specified() {
    as_everyone("uses_are_recorded_as_specified", |who| {
        for cache in [Cache::Watched, Cache::Off] {
            let dir = scratch();
            tree(
                dir.path(),
                &[
                    "read",
                    "stated",
                    "listed/inner",
                    "walked/deep",
                    "link -> read",
                    "unread -> read",
                    "opened/x",
                    "hard",
                ],
            );
            fs::write(dir.path().join("empty"), "").unwrap();
            fs::write(dir.path().join("listed/marker"), "").unwrap();
            fs::hard_link(dir.path().join("hard"), dir.path().join("hard2")).unwrap();
            fs::write(dir.path().join("script"), "#!/bin/sh\nexit 0\n").unwrap();
            fs::set_permissions(dir.path().join("script"), fs::Permissions::from_mode(0o755))
                .unwrap();
            let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
            let mut mount = Mount::new(who, view, Options { cache, ..Options::default() });
            mount.python(
                "
for _ in range(3): open('link').read()
os.stat('stated'); os.access('stated', os.R_OK); os.lstat('unread')
os.stat('empty')
os.listdir('listed')
os.stat('walked/deep')
os.chdir('walked'); os.chdir('..')
open('hard2').read()
try: open('stated', 'w'); sys.exit('wrote')
except OSError as e: assert e.errno == 30, e
for _ in range(3):
    try: os.stat('missing'); sys.exit('found')
    except FileNotFoundError: pass
os.close(os.open('stated', os.O_PATH))
",
            );
            let recorded = |mount: &Mount| -> Vec<String> {
                let used = mount.record().used();
                used.into_iter().map(|path| String::from_utf8(path).unwrap()).collect()
            };
            let expected = ["empty", "hard2", "link", "listed", "read", "sandstorm-manifest"];
            assert_eq!(recorded(&mount), expected, "{who:?} {cache:?}");
            // an empty file that was only listed counts when it is looked at
            mount.python("os.stat('listed/marker')");
            assert!(recorded(&mount).contains(&"listed/marker".to_owned()));
            mount.ok(&["@/script"]);
            mount.ok(&["ls", "@/"]);
            let record = mount.finish();
            let uses = |path: &str| -> BTreeSet<Use> {
                record.paths[path.as_bytes()].keys().copied().collect()
            };
            assert!(uses("script").contains(&Use::Exec), "{:?}", uses("script"));
            assert!(uses("read").contains(&Use::Read));
            assert!(!uses("read").contains(&Use::Exec));
            assert!(uses("link").contains(&Use::Link));
            assert!(uses("empty").contains(&Use::Empty));
            assert_eq!(uses("stated"), [Use::Stat].into());
            assert_eq!(uses("missing"), [Use::Miss].into());
            assert_eq!(record.paths[&b"read"[..]][&Use::Read].count, 3, "every open arrives");
            let by = &record.paths[&b"read"[..]][&Use::Read].by;
            assert!(by.iter().any(|exe| exe.contains("python3")), "{by:?}");
            assert!(!record.used().contains(&b""[..]), "the root is never recorded");
        }
    });
}

/// A step on the source, and a condition, said in Python, that then has to hold in the mount.
type Edit<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>, &'a str);

#[test]
fn edits_show() {
    as_everyone("edits_show", |who| {
        let dir = scratch();
        tree(dir.path(), &["src/f", "src/d/x", "src/d/y", "src/l -> f", "src/e/f/g", "over/z"]);
        let view = view(vec![
            mapping("", dir.path().join("over"), &[]),
            mapping("", dir.path().join("src"), &[]),
            mapping("late", dir.path().join("late"), &[]),
        ]);
        let mut mount = Mount::new(who, view, Options::default());
        let write = |name: &'static str, text: &'static str| {
            Box::new(move |dir: &Path| fs::write(dir.join(name), text).unwrap())
                as Box<dyn Fn(&Path)>
        };
        let rename = |from: &'static str, to: &'static str| {
            Box::new(move |dir: &Path| fs::rename(dir.join(from), dir.join(to)).unwrap())
                as Box<dyn Fn(&Path)>
        };
        let edits: Vec<Edit> = vec![
            ("same length", write("src/f", "SRC/F"), "open('f').read() == 'SRC/F'"),
            (
                "longer",
                write("src/f", "much longer"),
                "open('f').read() == 'much longer' and os.stat('f').st_size == 11",
            ),
            (
                "shorter",
                write("src/f", "s"),
                "open('f').read() == 's' and os.stat('f').st_size == 1",
            ),
            (
                "new file beside",
                write("src/f.new", "by rename"),
                "os.path.exists('f.new') and 'f.new' in os.listdir()",
            ),
            (
                "replaced by rename",
                rename("src/f.new", "src/f"),
                "open('f').read() == 'by rename' and not os.path.exists('f.new') and 'f.new' not in os.listdir()",
            ),
            (
                "deleted",
                Box::new(|dir| fs::remove_file(dir.join("src/f")).unwrap()),
                "not os.path.exists('f') and 'f' not in os.listdir()",
            ),
            (
                "created after a miss",
                write("src/f", "again"),
                "open('f').read() == 'again' and 'f' in os.listdir()",
            ),
            (
                "directory renamed",
                rename("src/d", "src/d2"),
                "not os.path.exists('d/x') and open('d2/x').read() == 'src/d/x'",
            ),
            (
                "and back",
                rename("src/d2", "src/d"),
                "open('d/x').read() == 'src/d/x' and not os.path.exists('d2')",
            ),
            (
                "link changed",
                Box::new(|dir| {
                    fs::remove_file(dir.join("src/l")).unwrap();
                    std::os::unix::fs::symlink("d/y", dir.join("src/l")).unwrap();
                }),
                "os.readlink('l') == 'd/y' and open('l').read() == 'src/d/y'",
            ),
            (
                "a directory in an earlier mapping",
                Box::new(|dir| {
                    tree(dir, &["over/e/f/h", "over/e/f/g"]);
                }),
                "sorted(os.listdir('e/f')) == ['g', 'h'] and open('e/f/g').read() == 'over/e/f/g'",
            ),
            (
                "mode",
                Box::new(|dir| {
                    fs::set_permissions(dir.join("src/f"), fs::Permissions::from_mode(0o755))
                        .unwrap();
                }),
                "os.stat('f').st_mode & 0o777 == 0o755",
            ),
            (
                "a source that was missing",
                Box::new(|dir| tree(dir, &["late/file"])),
                "open('late/file').read() == 'late/file'",
            ),
            (
                "a source that goes",
                Box::new(|dir| fs::remove_dir_all(dir.join("late")).unwrap()),
                "not os.path.exists('late')",
            ),
            (
                "a whole tree replaced",
                Box::new(|dir| {
                    tree(dir, &["src2/f", "src2/d/x", "src2/new"]);
                    fs::rename(dir.join("src"), dir.join("old")).unwrap();
                    fs::rename(dir.join("src2"), dir.join("src")).unwrap();
                }),
                "open('f').read() == 'src2/f' and open('d/x').read() == 'src2/d/x' and os.path.exists('new') and not os.path.exists('d/y')",
            ),
            ("edited after that", write("src/d/x", "edited"), "open('d/x').read() == 'edited'"),
        ];
        // everything is looked at before, so that the kernel keeps it
        let warm = "
for p, d, f in os.walk('.'):
    for n in f:
        try: open(os.path.join(p, n)).read()
        except FileNotFoundError: assert n == 'l'
for n in ['f.new', 'd2', 'new', 'late', 'late/file', 'e/f/h']: os.path.exists(n)
";
        let mut worst = 0;
        for (name, edit, holds) in edits {
            mount.python(warm);
            mount.python("for n in ['f', 'd', 'd/x', 'l', 'e', 'e/f/g']: os.path.lexists(n)");
            edit(dir.path());
            let late = mount.python(&format!(
                "
import time
start = time.monotonic()
while True:
    try:
        if {holds}: break
    except OSError: pass
    if time.monotonic() - start > 5: print('never'); break
    time.sleep(0.002)
else: pass
print(int((time.monotonic() - start) * 1000))
"
            ));
            // Python's own start has passed already; what is left has to be next to nothing
            let late: u64 =
                late.trim().parse().unwrap_or_else(|_| panic!("{who:?} {name}: {late}"));
            worst = worst.max(late);
        }
        eprintln!("{who:?}: edits were seen after {worst} ms at most");
        assert!(mount.record().notes.is_empty(), "{:?}", mount.record().notes);
    });
}

#[test]
fn a_process_that_looks_all_the_time_sees_each_change() {
    as_everyone("a_process_that_looks_all_the_time", |who| {
        let dir = scratch();
        tree(dir.path(), &["f"]);
        let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
        let mut mount = Mount::new(who, view, Options::default());
        // stat alone: nothing but the watcher can tell the kernel
        mount.start_python(
            "
import time
last = None
for _ in range(1000000):
    size = os.stat('f').st_size
    if size != last: print(size, time.time_ns(), flush=True); last = size
    if size == 999: break
    time.sleep(0.001)
",
        );
        while !mount.record().paths.contains_key(&b"f"[..]) {
            std::thread::yield_now();
        }
        let mut written = Vec::new();
        for size in 10..40 {
            std::thread::sleep(std::time::Duration::from_millis(10)); // the pace of the test's writer
            let text = "x".repeat(size);
            if size % 2 == 0 {
                fs::write(dir.path().join("f"), &text).unwrap();
            } else {
                fs::write(dir.path().join("g"), &text).unwrap();
                fs::rename(dir.path().join("g"), dir.path().join("f")).unwrap();
            }
            written.push((size, std::time::SystemTime::now()));
        }
        fs::write(dir.path().join("f"), "x".repeat(999)).unwrap();
        let seen = mount.wait();
        let mut worst = 0;
        for (size, at) in &written {
            let at = at.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
            // seen itself, or something newer in its place
            let line = seen
                .lines()
                .map(|line| line.split_once(' ').unwrap())
                .find(|(seen, _)| seen.parse::<usize>().is_ok_and(|seen| seen >= *size));
            let (_, seen_at) = line.unwrap_or_else(|| panic!("{size} never seen: {seen}"));
            let late = seen_at.parse::<u128>().unwrap().saturating_sub(at) / 1_000_000;
            worst = worst.max(late);
        }
        eprintln!("{who:?}: changes were seen after {worst} ms at most");
        assert!(seen.lines().count() > 5, "changes are seen one by one: {seen}");
    });
}

#[test]
fn it_behaves_as_a_read_only_file_system() {
    as_everyone("it_behaves_as_a_read_only_file_system", |who| {
        let dir = scratch();
        tree(dir.path(), &["f", "d/x", "other"]);
        fs::write(dir.path().join("big"), vec![7; 3_000_000]).unwrap();
        fs::write(dir.path().join("secret"), "s").unwrap();
        nix::unistd::mkfifo(&dir.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
        let mut mount = Mount::new(who, view, Options::default());
        mount.python(
            r#"
import errno, fcntl, mmap, select, shutil, subprocess
def fails(number, what):
    try: what()
    except OSError as e: assert e.errno == number, (e, number)
    else: sys.exit('did not fail: %r' % number)
E = errno
for what in [lambda: open('f', 'w'), lambda: open('new', 'w'), lambda: os.mkdir('new'),
             lambda: os.unlink('f'), lambda: os.chmod('f', 0), lambda: os.utime('f'),
             lambda: os.rename('f', 'g'), lambda: os.symlink('f', 'g'), lambda: os.link('f', 'g'),
             lambda: os.truncate('f', 0), lambda: os.rmdir('d')]:
    fails(E.EROFS, what)
fails(E.ENOTDIR, lambda: os.stat('f/x'))
fails(E.ENOENT, lambda: os.stat('x' * 255))
fails(E.ENAMETOOLONG, lambda: os.stat('x' * 256))
fails(E.EISDIR, lambda: os.read(os.open('d', os.O_RDONLY), 1))
fails(E.ENOTSUP, lambda: os.getxattr('f', 'user.x'))
assert os.access('f', os.R_OK) and not os.access('f', os.W_OK)
s = os.statvfs('.')
assert s.f_namemax == 255 and s.f_bsize == 4096, s
f = open('big', 'rb')
fcntl.flock(f, fcntl.LOCK_EX); fcntl.flock(f, fcntl.LOCK_UN)
fcntl.lockf(open('f'), fcntl.LOCK_SH)
m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
assert m[2_999_999] == 7 and len(m) == 3_000_000
assert mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)[5] == 7
r, w = os.pipe()
assert os.sendfile(w, f.fileno(), 0, 1000) == 1000
with open('/tmp/copy-%d' % os.getpid(), 'wb') as out:
    os.unlink(out.name)
    # as between any two file systems of different kinds; programs then copy by themselves
    fails(E.EXDEV, lambda: os.copy_file_range(f.fileno(), out.fileno(), 5))
    shutil.copyfileobj(f, out); out.flush()
    assert os.fstat(out.fileno()).st_size == 3_000_000
assert os.lseek(f.fileno(), 10, os.SEEK_DATA) == 10
os.fsync(f.fileno())
p = select.epoll(); p.register(f.fileno(), select.EPOLLIN)
assert p.poll(1)[0][1] == select.EPOLLIN
assert os.pread(f.fileno(), 10, 2_999_995) == b'\7' * 5
assert os.path.getsize('fifo') == 0 and open('fifo').read() == ''
assert len({os.stat(n).st_ino for n in ['f', 'big', 'other', 'd', 'd/x', '.']}) == 6
inos = {e.name: e.inode() for e in os.scandir('.')}
assert inos['f'] == os.stat('f').st_ino and inos['d'] == os.stat('d').st_ino
kept = open('f')
"#,
        );
        mount.ok(&["sh", "-c", "df @/ && tar cf - -C @/ . | tar tf - | grep -q ./d/x && cp -a @/d /dev/shm/spk-$$ && rm -r /dev/shm/spk-$$"]);
        let files = mount.ok(&["find", "@/", "-type", "f", "-name", "sandstorm-manifest"]);
        assert_eq!(files.lines().count(), 1);
        // deleted while open: still there for who has it
        mount.start_python(
            "
import time
kept = open('other'); assert kept.read(2) == 'ot'
os.path.exists('ready')
while os.path.exists('other'): time.sleep(0.005)
kept.seek(0); assert kept.read() == 'other', 'kept'
assert os.fstat(kept.fileno()).st_size == 5
",
        );
        while !mount.record().paths.contains_key(&b"ready"[..]) {
            std::thread::yield_now();
        }
        fs::remove_file(dir.path().join("other")).unwrap();
        mount.wait();
    });
}

#[test]
fn names_are_bytes_and_links_and_long_listings_work() {
    as_everyone("names_are_bytes", |who| {
        let dir = scratch();
        for index in 0..3000 {
            fs::write(dir.path().join(format!("file number {index}")), index.to_string()).unwrap();
        }
        tree(dir.path(), &["a#b", "new\nline", "abs -> /etc/hostname", "dangling -> no/where"]);
        use std::os::unix::ffi::OsStrExt;
        let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
        fs::write(dir.path().join(odd), "odd").unwrap();
        let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
        let mut mount = Mount::new(who, view, Options::default());
        mount.python(
            r#"
assert open(b'\xff\xfe').read() == 'odd'
assert open('new\nline').read() == 'new\nline'
names = os.listdir(b'.')
assert len(names) == len(set(names)) == 3000 + 5 + 7 - 1, len(names)
assert b'\xff\xfe' in names
assert all(open('file number %d' % i).read() == str(i) for i in range(3000))
assert os.readlink('abs') == '/etc/hostname' and not os.path.exists('dangling')
import threading
def read():
    for i in range(0, 3000, 7):
        assert open('file number %d' % i).read() == str(i)
threads = [threading.Thread(target=read) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
"#,
        );
        let record = mount.finish();
        assert!(record.used().contains(&b"\xff\xfe"[..]));
        assert!(record.notes.is_empty() && record.unreadable.is_empty(), "{record:?}");
    });
}

#[test]
fn an_unreadable_source_gives_its_own_error_and_is_told_of() {
    as_everyone("an_unreadable_source", |who| {
        let dir = scratch();
        tree(dir.path(), &["ok", "loop -> loop"]);
        // root reads everything: this fails for root too
        let view = view(vec![
            mapping("", dir.path().to_owned(), &[]),
            mapping("bad", dir.path().join("loop/below"), &[]),
        ]);
        let mut mount = Mount::new(who, view, Options::default());
        mount.python(
            "
import errno
try: os.stat('bad'); sys.exit('found')
except OSError as e: assert e.errno == errno.ELOOP, e
assert open('ok').read() == 'ok'
",
        );
        let unreadable = mount.finish().unreadable;
        assert_eq!(unreadable.len(), 1, "{unreadable:?}");
        assert!(unreadable.keys().next().unwrap().ends_with("loop/below"));
    });
}

#[test]
fn another_view_takes_over_while_mounted() {
    let who = if nix::unistd::geteuid().is_root() { Who::Root } else { Who::User };
    let dir = scratch();
    tree(dir.path(), &["one/a", "one/d/x", "two/b", "two/d/y"]);
    let first = view(vec![mapping("", dir.path().join("one"), &[])]);
    let second = view(vec![mapping("", dir.path().join("two"), &[])]);
    let mut mount = Mount::new(who, first, Options::default());
    mount
        .python("assert open('a').read() and not os.path.exists('b') and os.listdir('d') == ['x']");
    mount.tracer().set_view(second);
    mount
        .python("assert open('b').read() and not os.path.exists('a') and os.listdir('d') == ['y']");
}

#[test]
fn a_selection_shows_nothing_else_and_tells_what_was_missed() {
    as_everyone("a_selection_shows_nothing_else", |who| {
        let dir = scratch();
        tree(dir.path(), &["app/main", "app/needed", "app/other", "lib -> app", "unused/x"]);
        let view = view(vec![mapping("", dir.path().to_owned(), &[])]);
        let selection = Selection {
            file_list: [&b"app/main"[..], b"lib"].map(<[u8]>::to_vec).to_vec(),
            ..Selection::default()
        };
        let only = Arc::new(selection::expand(&view, &selection).unwrap().root);
        let mut mount = Mount::selected(who, view, Some(only), Options::default());
        mount.python(
            "
assert sorted(os.listdir('.')) == ['app', 'dev', 'lib', 'proc', 'sandstorm-manifest', 'tmp', 'var']
assert os.listdir('app') == ['main'] and open('lib/main').read() == 'app/main'
for n in ['app/needed', 'app/nowhere', 'unused']:
    try: open(n); sys.exit('found ' + n)
    except FileNotFoundError: pass
",
        );
        let record = mount.finish();
        let withheld: Vec<_> = record.only(Use::Withheld).map(|(path, _)| path).collect();
        assert_eq!(withheld, [&b"app/needed"[..], b"unused"]);
        let missed: Vec<_> = record.only(Use::Miss).map(|(path, _)| path).collect();
        assert_eq!(missed, [b"app/nowhere"]);
        let by = &record.paths[&b"app/needed"[..]][&Use::Withheld].by;
        assert!(by.iter().any(|exe| exe.contains("python3")), "{by:?}");
    });
}

#[test]
fn what_is_mounted_inside_and_working_directories_survive_changes_of_the_sources() {
    as_everyone("what_is_mounted_inside_survives", |who| {
        let dir = scratch();
        tree(dir.path(), &["src/app/main", "src/app/sub/x", "src/proc/x"]);
        let sources = || view(vec![mapping("", dir.path().join("src"), &[])]);
        let mut mount = Mount::new(who, sources(), Options::default());
        // a sandbox's mounts, and a process at work in a directory
        let script = r#"
cd "$1/app/sub"
mount -t tmpfs none "$1/var" && mount -t tmpfs none "$1/tmp" && mount --bind x "$1/proc/cpuinfo" || exit 9
echo kept >"$1/var/mark"; echo kept >"$1/tmp/mark"
test -e "$1/app/none" && exit 8
test -e "$1/ready"
until test -e "$1/go"; do sleep 0.01; done
cat "$1/var/mark" "$1/tmp/mark" "$1/proc/cpuinfo" || exit 7
test "$(/bin/pwd -P)" = "$1/app/sub" || exit 6
cat x || exit 5
until test -e "$1/app/none"; do sleep 0.01; done
"#;
        mount.start_python(&format!(
            "import subprocess
print(subprocess.run(['unshare', '-rm', 'sh', '-c', {script:?}, 'sh', os.getcwd()], check=True, capture_output=True, text=True).stdout)"
        ));
        while !mount.record().paths.contains_key(&b"ready"[..]) {
            std::thread::yield_now();
        }
        let src = dir.path().join("src");
        tree(&src, &["var/", "tmp/", "proc/cpuinfo"]);
        fs::remove_dir(src.join("tmp")).unwrap();
        fs::rename(src.join("var"), src.join("other")).unwrap();
        fs::set_permissions(src.join("app/sub"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(src.join("app/sub"), fs::Permissions::from_mode(0o755)).unwrap();
        // as when events were lost, or the definition changed: all is looked at again
        mount.tracer().set_view(sources());
        tree(&src, &["go", "app/none"]);
        let said = mount.wait();
        assert_eq!(said.trim(), "kept\nkept\nsrc/app/sub/x".to_owned() + "src/app/sub/x");
    });
}
