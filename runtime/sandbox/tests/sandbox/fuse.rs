//! A FUSE root, served by a tiny file system in the launcher: a pass-through of the package.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request,
};
use serde_json::{Value, json};

use crate::harness::{Stage, Who, find};

struct Mirror(Mutex<BTreeMap<u64, PathBuf>>);

const TTL: Duration = Duration::from_secs(60);

fn attr(ino: u64, path: &PathBuf) -> Option<FileAttr> {
    let meta = fs::symlink_metadata(path).ok()?;
    let kind = if meta.is_dir() { FileType::Directory } else { FileType::RegularFile };
    Some(FileAttr {
        ino: INodeNo(ino),
        size: meta.len(),
        blocks: meta.blocks(),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: (meta.mode() & 0o7777) as u16,
        nlink: 1,
        uid: meta.uid(),
        gid: meta.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

impl Mirror {
    fn path(&self, ino: INodeNo) -> Option<PathBuf> {
        self.0.lock().unwrap().get(&ino.0).cloned()
    }
}

impl Filesystem for Mirror {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.path(parent).and_then(|dir| {
            let path = dir.join(name);
            let ino = fs::symlink_metadata(&path).ok()?.ino();
            let attr = attr(ino, &path)?;
            self.0.lock().unwrap().insert(ino, path);
            Some(attr)
        });
        match found {
            Some(attr) => reply.entry(&TTL, &attr, Generation(0)),
            None => reply.error(fuser::Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.path(ino).and_then(|path| attr(ino.0, &path)) {
            Some(attr) => reply.attr(&TTL, &attr),
            None => reply.error(fuser::Errno::ENOENT),
        }
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut data = vec![0; size as usize];
        let read = self
            .path(ino)
            .and_then(|path| fs::File::open(path).ok()?.read_at(&mut data, offset).ok());
        match read {
            Some(length) => reply.data(&data[..length]),
            None => reply.error(fuser::Errno::EIO),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(path) = self.path(ino) else { return reply.error(fuser::Errno::ENOENT) };
        for (index, entry) in fs::read_dir(path).unwrap().enumerate().skip(offset as usize) {
            let entry = entry.unwrap();
            let kind = if entry.file_type().unwrap().is_dir() {
                FileType::Directory
            } else {
                FileType::RegularFile
            };
            let ino = INodeNo(entry.metadata().unwrap().ino());
            if reply.add(ino, index as u64 + 1, kind, entry.file_name()) {
                break;
            }
        }
        reply.ok();
    }
}

/// The launcher's part: serves the package directory on `device`, or lets go of it at once.
pub fn serve(device: OwnedFd, order: &Value) {
    if order.get("no_server").is_some() {
        return;
    }
    let root = PathBuf::from(order["package"].as_str().unwrap());
    let mirror = Mirror(Mutex::new(BTreeMap::from([(1, root)])));
    let session =
        fuser::Session::from_fd(mirror, device, fuser::SessionACL::All, fuser::Config::default())
            .unwrap();
    std::mem::forget(session.spawn().unwrap());
}

pub fn root_is_served(who: Who) {
    let stage = Stage::new(who);
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let seen = stage.ask_with(&json!({ "argv": ["/app", "files"], "fuse": true }));
    assert_eq!(seen["data"], "of the package");
    assert_eq!(seen["tops"], json!(["app", "data", "dev", "proc", "tmp", "var"]));
    let write = seen["writes"].as_array().unwrap().iter().find(|w| w[0] == "/data").unwrap();
    assert!(write[1] == "EROFS" || write[1] == "EACCES", "{write}");
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

/// Nobody serves: an error, no hang.
pub fn server_dies(who: Who) {
    let stage = Stage::new(who);
    let lines = stage.run(&json!({ "argv": ["/app", "files"], "fuse": true, "no_server": true }));
    let error = find(&lines, "error");
    assert!(error.as_str().unwrap().contains("(ENOTCONN)"), "{error}");
}

/// The error names the device and the remedy.
pub fn device_refused(who: Who) {
    let stage = Stage::new(who);
    let inner = stage.launcher(&json!({ "argv": ["/app", "files"], "fuse": true }));
    // A mount namespace whose /dev/fuse is something else.
    let script = "mount --bind /dev/null /dev/fuse && exec \"$@\"";
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("\"error\""), "{text} {}", String::from_utf8_lossy(&output.stderr));
}
