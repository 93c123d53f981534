//! Source files kept open between the app's opens of them: one `lstat` then answers the next open,
//! instead of the six system calls that opening and checking a source takes.
//!
//! By inode number, which stands for one file as long as it lives ([`nodes`](crate::nodes)): a file
//! that takes another's place has another number. A file that changed since is opened anew: on
//! overlayfs a descriptor for reading does not follow the file into the upper layer. The least
//! recently opened ones are closed first.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::lock::lock;
use crate::nodes::Stamp;

/// Files kept open at most. An app opens some hundreds when it starts; whoever walks a whole tree,
/// and then again, should not find each just closed. An open file takes about 1 KB of the kernel.
const MAX: u64 = 16_384;
/// Files that this process wants to be allowed to have open: those kept, and all that the apps have
/// open, which may have the usual 1,024 each.
const WANTED: u64 = 65_536;

/// See the module's description.
pub struct OpenFiles {
    state: Mutex<State>,
    max: usize,
}

#[derive(Default)]
struct State {
    files: HashMap<u64, Kept>,
    now: u64,
}

struct Kept {
    file: Arc<File>,
    stamp: Stamp,
    /// When it was last opened.
    used: u64,
}

impl Default for OpenFiles {
    /// Keeps at most half of the files that this process may have open, which are made more if
    /// its hard limit allows: what the app has open is open here too.
    fn default() -> OpenFiles {
        let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, hard)| {
            let raised = hard.min(WANTED).max(soft);
            match setrlimit(Resource::RLIMIT_NOFILE, raised, hard) {
                Ok(()) => raised,
                Err(_) => soft,
            }
        });
        let max = usize::try_from((allowed / 2).min(MAX)).unwrap_or(0);
        OpenFiles { state: Mutex::default(), max }
    }
}

impl OpenFiles {
    /// The file of this inode number, if it is open and has not changed.
    pub fn get(&self, ino: u64, stamp: &Stamp) -> Option<Arc<File>> {
        let mut state = lock(&self.state);
        state.now += 1;
        let now = state.now;
        let kept = state.files.get_mut(&ino).filter(|kept| kept.stamp == *stamp)?;
        kept.used = now;
        Some(kept.file.clone())
    }

    /// Keeps a file that was just opened.
    pub fn keep(&self, ino: u64, file: &Arc<File>, stamp: &Stamp) {
        let mut state = lock(&self.state);
        if self.max == 0 {
            return;
        }
        if state.files.len() >= self.max {
            // a quarter at a time, so that it need not be sorted for each
            let mut moments: Vec<u64> = state.files.values().map(|kept| kept.used).collect();
            let (_, oldest, _) = moments.select_nth_unstable(self.max / 4);
            let oldest = *oldest;
            state.files.retain(|_, kept| kept.used > oldest);
        }
        state.now += 1;
        let kept = Kept { file: file.clone(), stamp: stamp.clone(), used: state.now };
        state.files.insert(ino, kept);
    }

    /// Closes it, as far as nobody else has it open.
    pub fn close(&self, ino: u64) {
        let closed = lock(&self.state).files.remove(&ino);
        drop(closed); // without the lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_opened_are_closed_first() {
        let files = OpenFiles { state: Mutex::default(), max: 8 };
        let file = Arc::new(File::open("/dev/null").unwrap());
        let stamp = Stamp::of([&file.metadata().unwrap()]);
        for ino in 0..8 {
            files.keep(ino, &file, &stamp);
        }
        assert!(files.get(0, &stamp).is_some());
        files.keep(8, &file, &stamp);
        let open: Vec<u64> = (0..9).filter(|ino| files.get(*ino, &stamp).is_some()).collect();
        assert_eq!(open, [0, 4, 5, 6, 7, 8]);
        files.close(8);
        assert!(files.get(8, &stamp).is_none());
        assert!(files.get(0, &Stamp(Vec::new())).is_none(), "it changed");
        assert_eq!(Arc::strong_count(&file), 6);
    }

    #[test]
    fn nothing_is_kept_where_few_files_may_be_open() {
        let files = OpenFiles { state: Mutex::default(), max: 0 };
        files.keep(1, &Arc::new(File::open("/dev/null").unwrap()), &Stamp(Vec::new()));
        assert!(files.get(1, &Stamp(Vec::new())).is_none());
    }
}
