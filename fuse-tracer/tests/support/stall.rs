//! For the test of what is left when a server is killed, in a mount namespace of the test's.
//!
//! `stall source DIR` mounts a file system with two files, `first` and `second`, and prints `mounted`.
//! Whoever reads one of them waits: it prints `stalled` then, and answers nothing any more.
//!
//! `stall serve SOURCE DIR` serves SOURCE at DIR by a [`Tracer`], prints `mounted`, and for each line
//! of standard input looks at all of it anew, as if everything had changed.
#![forbid(unsafe_code)]

use std::error::Error;
use std::ffi::OsStr;
use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fuse_tracer::{Options, Tracer};
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEntry, ReplyOpen, Request,
};
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::View;

/// So long that no content is given to the kernel with the first open.
const SIZE: u64 = 4 << 20;
const NAMES: [&str; 2] = ["first", "second"];
const FOREVER: Duration = Duration::from_secs(3600);

struct Stalling;

fn attributes(ino: u64) -> FileAttr {
    let kind = if ino == 1 { FileType::Directory } else { FileType::RegularFile };
    FileAttr {
        ino: INodeNo(ino),
        size: SIZE,
        blocks: SIZE / 512,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

impl Filesystem for Stalling {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match NAMES.iter().position(|known| name == *known) {
            Some(index) => {
                reply.entry(&FOREVER, &attributes(index as u64 + 2), Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &attributes(ino.0));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        // Whoever closes it does not have to wait for us.
        reply.opened(FileHandle(0), FopenFlags::FOPEN_NOFLUSH);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        _unanswered: ReplyData,
    ) {
        println!("stalled");
        // The one thread: nothing that is asked from now on even arrives.
        loop {
            std::thread::park();
        }
    }
}

fn source(dir: &Path) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("spk-test".into())];
    let session = fuser::Session::new(Stalling, dir, &config)?;
    println!("mounted");
    Ok(session.run()?)
}

fn serve(source: &Path, dir: &Path) -> Result<(), Box<dyn Error>> {
    let view = || {
        let mapping = Mapping {
            package_path: Vec::new(),
            source_path: source.to_owned(),
            hide_paths: Vec::new(),
        };
        SourceMap::new(vec![mapping]).map(|map| Arc::new(View::plain(map)))
    };
    let tracer = Tracer::mount(dir, view()?, Options::default())?;
    println!("mounted");
    for line in std::io::stdin().lock().lines() {
        line?;
        tracer.set_view(view()?);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["source", dir] => source(Path::new(dir)),
        ["serve", of, dir] => serve(Path::new(of), Path::new(dir)),
        _ => Err("usage: stall source DIR | stall serve SOURCE DIR".into()),
    }
}
