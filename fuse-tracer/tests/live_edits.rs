//! Live edits under load: a writer changes files by each of the patterns editors and tools use,
//! while readers look all the time. No reader may see a torn file, or an older one after a newer
//! one, and each edit is seen in the end. How late it is seen at most is printed: 200 ms is the aim,
//! which a busy machine may miss.
//!
//! `LIVE_EDITS_SECONDS` (default 6) is how long it lasts, at 33 edits a second: 30 makes it a
//! thousand.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fuse_tracer::Options;
use support::{Mount, as_everyone, mapping, scratch, tree, view};

const FILES: usize = 24;
const PATTERNS: usize = 6;
/// What a file holds: a number, a time, and padding whose length depends on the number, so that
/// a piece of one version in another is noticed.
fn version(number: usize) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let line = format!("{number} {now} ");
    line + &char::from(b'a' + (number % 26) as u8).to_string().repeat(100 + number * 37 % 9000)
        + "\n"
}

fn edit(dir: &Path, number: usize) {
    let file = dir.join(format!("f{}", number % FILES));
    let temporary = dir.join(format!(".f{}.tmp{number}", number % FILES));
    // a file keeps one pattern: in-place writes tear for any reader, so readers of those are told
    match number % FILES % PATTERNS {
        // vim, sed -i, most editors: write beside, rename over
        0 | 1 => {
            fs::write(&temporary, version(number)).unwrap();
            fs::rename(&temporary, &file).unwrap();
        }
        // git checkout: delete, create anew; absent in between
        2 => {
            fs::remove_file(&file).unwrap();
            fs::write(&temporary, version(number)).unwrap();
            fs::hard_link(&temporary, &file).unwrap();
            fs::remove_file(&temporary).unwrap();
        }
        // emacs: move the old one aside, write, move into place
        3 => {
            let backup = dir.join(format!("f{}~", number % FILES));
            fs::write(&temporary, version(number)).unwrap();
            fs::rename(&file, &backup).unwrap();
            fs::rename(&temporary, &file).unwrap();
        }
        // cat > file, nano: in place
        4 => {
            let mut open = fs::File::create(&file).unwrap();
            open.write_all(version(number).as_bytes()).unwrap();
        }
        // a deployment: a link is switched to a new directory
        _ => {
            let name = format!("release{number}");
            fs::create_dir(dir.join(&name)).unwrap();
            fs::write(dir.join(&name).join("content"), version(number)).unwrap();
            std::os::unix::fs::symlink(format!("{name}/content"), &temporary).unwrap();
            fs::rename(&temporary, &file).unwrap();
        }
    }
}

/// Reads every file in turn until `stop` is there. A content is torn if it is not one version's.
/// A file may be missing while its pattern has it missing; one written in place may be incomplete
/// on any file system until its writer has run on, so it is read again until it is whole: only what
/// stays so is torn.
const READER: &str = r#"
import time
seen = [-1] * FILES; reads = 0; torn = []; stale = []
def look(i):
    given_up = time.monotonic() + 20
    while time.monotonic() < given_up:
        try: text = open('f%d' % i).read()
        except FileNotFoundError:
            assert i % 6 in (2, 3), i
            time.sleep(0.002)
            continue
        head = text.split(' ', 2)
        if len(head) == 3 and text.endswith('\n'):
            n = int(head[0])
            if head[2] == chr(97 + n % 26) * (100 + n * 37 % 9000) + '\n': return n
        if i % 6 != 4: torn.append((i, text[:40], len(text))); return None
        time.sleep(0.001)
    torn.append((i, 'never there or whole'))
now = lambda: time.clock_gettime(time.CLOCK_REALTIME)
due = None
while True:
    if due is None and os.path.exists('stop'):
        last = [int(n) for n in open('stop').read().split()]
        due = time.monotonic() + 10
    if due and (time.monotonic() > due or all(s >= l for s, l in zip(seen, last))): break
    for i in range(FILES):
        n = look(i)
        if n is not None:
            reads += 1
            if n < seen[i]: torn.append((i, 'back in time', n, seen[i]))
            if n != seen[i]: seen[i] = n; print('saw', i, n, time.time_ns())
    os.listdir('.')
print('reads', reads)
for t in torn: print('torn', *t)
"#;

#[test]
fn readers_never_see_torn_or_stale_files() {
    let seconds = std::env::var("LIVE_EDITS_SECONDS").map_or(6, |text| text.parse().unwrap());
    as_everyone("readers_never_see_torn_or_stale_files", |who| {
        let dir = scratch();
        let sources = dir.path().join("src");
        tree(dir.path(), &["src/"]);
        for number in 0..FILES {
            fs::write(sources.join(format!("f{number}")), version(number)).unwrap();
        }
        let view = view(vec![mapping("", sources.clone(), &[])]);
        let mut mount = Mount::new(who, view, Options::default());
        let reader = READER.replace("FILES", &FILES.to_string());
        mount.start_python(&reader);
        while !mount.record().paths.contains_key(&b"stop"[..]) {
            std::thread::yield_now();
        }
        let start = Instant::now();
        let mut written = Vec::new();
        for number in FILES.. {
            let due = start + Duration::from_millis(30) * (number - FILES) as u32;
            if due > start + Duration::from_secs(seconds) {
                break;
            }
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            edit(&sources, number);
            written.push((number, SystemTime::now()));
        }
        // What each file holds in the end: the reader goes on until it has seen that.
        let mut last: Vec<usize> = (0..FILES).collect();
        written.iter().for_each(|(number, _)| last[number % FILES] = *number);
        let last: Vec<String> = last.iter().map(usize::to_string).collect();
        fs::write(dir.path().join("stop"), last.join(" ")).unwrap();
        fs::rename(dir.path().join("stop"), sources.join("stop")).unwrap();
        let said = mount.wait();
        let torn: Vec<&str> = said.lines().filter(|line| line.starts_with("torn")).collect();
        assert!(torn.is_empty(), "{who:?}: {torn:#?}");
        let seen: Vec<(usize, usize, u128)> = said
            .lines()
            .filter_map(|line| line.strip_prefix("saw "))
            .map(|line| {
                let mut fields = line.split(' ').map(|field| field.parse::<u128>().unwrap());
                let mut next = || fields.next().unwrap();
                (next() as usize, next() as usize, next())
            })
            .collect();
        let mut worst = 0;
        for (number, at) in &written {
            let at = at.duration_since(UNIX_EPOCH).unwrap().as_nanos();
            let by = seen
                .iter()
                .filter(|(file, seen, _)| *file == number % FILES && seen >= number)
                .map(|(_, _, at)| *at)
                .min();
            let by = by.unwrap_or_else(|| panic!("{who:?}: edit {number} was never seen"));
            worst = worst.max(by.saturating_sub(at) / 1_000_000);
        }
        let reads: u64 =
            said.lines().find_map(|line| line.strip_prefix("reads ")).unwrap().parse().unwrap();
        eprintln!("{who:?}: {} edits, {reads} reads, seen after {worst} ms at most", written.len());
        assert!(reads > 1000, "{who:?}: {reads} reads are no load");
    });
}
