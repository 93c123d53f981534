//! Content for the grains: files of this machine, always in the same order.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

/// Small files: scripts, headers, documents.
const SMALL: [&str; 6] = [
    "/usr/lib/python3.11",
    "/usr/lib/python3",
    "/usr/share/perl",
    "/usr/include",
    "/usr/share/doc",
    "/usr/share",
];

/// How many, of how many bytes each.
const FILES: usize = 2_500;
const SIZES: std::ops::Range<u64> = 100..40_000;

/// Files in one directory.
const TOGETHER: usize = 50;

/// What the large file is made of.
const LARGE: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/bin", "/usr/share", "/usr"];

/// Its size: 1 GiB.
const LENGTH: u64 = 1 << 30;

/// Gives the regular files below `dir` in order until `each` has enough.
fn files(dir: &Path, each: &mut dyn FnMut(&Path, u64) -> bool) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return true };
    let mut entries: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().all(|path| match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => files(path, each),
        Ok(metadata) if metadata.is_file() => each(path, metadata.len()),
        _ => true,
    })
}

/// 2,500 small files in 50 directories.
pub fn small(to: &Path) {
    let mut made = 0;
    for source in SMALL {
        files(Path::new(source), &mut |path, size| {
            if SIZES.contains(&size) && made < FILES {
                let dir = to.join(format!("{:03}", made / TOGETHER));
                fs::create_dir_all(&dir).unwrap();
                fs::copy(path, dir.join(format!("{made}"))).unwrap();
                made += 1;
            }
            made < FILES
        });
    }
    assert_eq!(made, FILES, "this machine has too few small files");
}

/// One file of 1 GiB, of binaries and text; its beginning again when there is not enough.
pub fn large(to: &Path) {
    let mut out = File::create(to).unwrap();
    let mut left = LENGTH;
    while left > 0 {
        let before = left;
        for source in LARGE {
            files(Path::new(source), &mut |path, _| {
                if let Ok(file) = File::open(path) {
                    left -= std::io::copy(&mut file.take(left), &mut out).unwrap();
                }
                left > 0
            });
        }
        assert!(left < before, "this machine has no files");
    }
    out.flush().unwrap();
}
