//! Open files and directories, by the numbers the kernel has for them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use fuser::{Errno, FileHandle};
use spk_package::view::{Node, NodeKind};

/// Everything that is open.
#[derive(Default)]
pub struct Handles {
    open: RwLock<HashMap<u64, Arc<Handle>>>,
    next: AtomicU64,
}

/// One open file or directory.
pub struct Handle {
    pub ino: u64,
    pub what: Opened,
}

/// What is open.
pub enum Opened {
    Bytes(Arc<[u8]>),
    File(Arc<File>),
    Dir { node: Arc<Node>, listing: OnceLock<Vec<(Vec<u8>, NodeKind)>> },
}

impl Handles {
    pub fn add(&self, ino: u64, what: Opened) -> FileHandle {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let handle = Arc::new(Handle { ino, what });
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(number, handle);
        FileHandle(number)
    }

    pub fn get(&self, handle: FileHandle) -> Result<Arc<Handle>, Errno> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    pub fn remove(&self, handle: FileHandle) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }

    /// Whether a node is open.
    pub fn has(&self, ino: u64) -> bool {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.values().any(|handle| handle.ino == ino)
    }
}

/// Reads until `size` bytes or the end.
pub fn read_at(file: &File, offset: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut data = vec![0; size];
    let mut length = 0;
    while length < size {
        match file.read_at(&mut data[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(length);
    Ok(data)
}
