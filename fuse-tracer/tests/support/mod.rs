//! A mount with a tracer behind it and a process in front of it.

#![allow(dead_code, clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fuse_tracer::{Options, Record, Tracer};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use spk_package::selection::Tree;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::{Generated, View};
use tempfile::TempDir;

/// An ordinary user's ID that nobody else has.
const USER: u32 = 12345;

/// Who mounts and looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Root, in a private mount namespace.
    Root,
    /// An ordinary user, in a user namespace.
    User,
}

/// Runs a test as everyone that can be had here; says loudly who cannot.
pub fn as_everyone(name: &str, test: impl Fn(Who)) {
    let root = nix::unistd::geteuid().is_root();
    if root {
        test(Who::Root);
    } else {
        spk_skip::needs_root(name, "the part as root");
    }
    let fuse = fs::metadata("/dev/fuse").map(|fuse| fuse.permissions().mode() & 0o6);
    match fuse {
        Ok(0o6) => test(Who::User),
        Ok(_) => spk_skip::skip(name, "as an ordinary user: /dev/fuse is not open to all"),
        Err(error) => spk_skip::skip(name, &format!("as an ordinary user: /dev/fuse: {error}")),
    }
}

/// A directory for sources that the other user can reach.
pub fn scratch() -> TempDir {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Makes a tree from lines: `path` a file holding its path, `path/` a directory, `path -> text`.
pub fn tree(root: &Path, entries: &[&str]) {
    for entry in entries {
        if let Some((link, text)) = entry.split_once(" -> ") {
            let link = root.join(link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(text, link).unwrap();
        } else if entry.ends_with('/') {
            fs::create_dir_all(root.join(entry)).unwrap();
        } else {
            let file = root.join(entry);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, entry).unwrap();
        }
    }
}

pub fn mapping(package_path: &str, source_path: PathBuf, hides: &[&str]) -> Mapping {
    Mapping {
        package_path: package_path.into(),
        source_path,
        hide_paths: hides.iter().map(|hide| hide.as_bytes().to_vec()).collect(),
    }
}

pub fn view(mappings: Vec<Mapping>) -> Arc<View> {
    let generated = Generated {
        manifest: b"manifest".to_vec(),
        bridge_config: b"config".to_vec(),
        bridge: None,
    };
    Arc::new(View::new(SourceMap::new(mappings).unwrap(), generated))
}

/// Copies a program with `cp`: a descriptor that this process had open for writing could be
/// inherited by what another thread forks just then, and executing the copy would fail with ETXTBSY.
fn copy_program(from: &Path, to: &Path) {
    assert!(Command::new("cp").args([from, to]).status().unwrap().success());
}

/// One of the programs beside this file, where every account can execute it, wherever the checkout
/// is; until the directory is dropped.
pub fn staged(name: &str) -> (PathBuf, TempDir) {
    // Tests and benchmarks are built to `deps`.
    let built = std::env::current_exe().unwrap();
    let built = built.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(built.exists(), "cargo builds examples with the tests: {}", built.display());
    let stage = scratch();
    let program = stage.path().join(name);
    copy_program(&built, &program);
    (program, stage)
}

/// A command that `who` will run.
pub fn command_as(who: Who, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if who == Who::User && nix::unistd::geteuid().is_root() {
        command.uid(USER).gid(USER);
    }
    command
}

/// See the module's description. Dropped: unmounted, and everything gone.
pub struct Mount {
    tracer: Option<Tracer>,
    agent: Child,
    _stage: TempDir,
    socket: BufReader<UnixStream>,
    dir: TempDir,
}

/// What a command left.
#[derive(Debug)]
pub struct Output {
    pub status: i64,
    /// From its start to its end, in microseconds.
    pub us: u64,
    pub stdout: String,
    pub stderr: String,
}

impl Mount {
    pub fn new(who: Who, view: Arc<View>, options: Options) -> Mount {
        Mount::selected(who, view, None, options)
    }

    pub fn selected(who: Who, view: Arc<View>, only: Option<Arc<Tree>>, options: Options) -> Mount {
        let dir = scratch();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (program, stage) = staged("agent");
        let mut command = command_as(who, &program);
        command.arg(dir.path()).stdin(Stdio::from(OwnedFd::from(theirs)));
        let agent = command.spawn().unwrap();
        let fuse = receive(&ours);
        let tracer = match only {
            Some(only) => Tracer::serve_selected(fuse, view, only, options),
            None => Tracer::serve(fuse, view, options),
        };
        let tracer = tracer.unwrap();
        Mount { tracer: Some(tracer), agent, socket: BufReader::new(ours), dir, _stage: stage }
    }

    pub fn path(&self, path: &str) -> String {
        self.dir.path().join(path).to_str().unwrap().to_owned()
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn tracer(&self) -> &Tracer {
        self.tracer.as_ref().unwrap()
    }

    /// Runs a command where the mount is; `@/` in an argument is the mount.
    pub fn run(&mut self, argv: &[&str]) -> Output {
        let at = format!("{}/", self.dir.path().display());
        let argv: Vec<String> = argv.iter().map(|argument| argument.replace("@/", &at)).collect();
        let line = serde_json::to_string(&argv).unwrap();
        writeln!(self.socket.get_mut(), "{line}").unwrap();
        let mut reply = String::new();
        self.socket.read_line(&mut reply).unwrap();
        let reply: serde_json::Value = serde_json::from_str(&reply).expect(&reply);
        let text = |key: &str| reply[key].as_str().unwrap().to_owned();
        Output {
            status: reply["status"].as_i64().unwrap(),
            us: reply["us"].as_u64().unwrap(),
            stdout: text("stdout"),
            stderr: text("stderr"),
        }
    }

    /// Runs a command that has to succeed, and gives what it printed.
    pub fn ok(&mut self, argv: &[&str]) -> String {
        let output = self.run(argv);
        assert_eq!(output.status, 0, "{argv:?}: {}", output.stderr);
        output.stdout
    }

    /// Runs a Python program that has to succeed, with the mount as current directory.
    pub fn python(&mut self, program: &str) -> String {
        self.ok(&["python3", "-c", &format!("import os,sys\nos.chdir('@/')\n{program}")])
    }

    /// Sends a program off without waiting; [`Mount::wait`] gets what it printed.
    pub fn start_python(&mut self, program: &str) {
        let at = self.dir.path().display();
        let program = format!("import os,sys\nos.chdir('{at}')\n{program}");
        let line = serde_json::to_string(&["python3", "-c", &program]).unwrap();
        writeln!(self.socket.get_mut(), "{line}").unwrap();
    }

    pub fn wait(&mut self) -> String {
        let mut reply = String::new();
        self.socket.read_line(&mut reply).unwrap();
        let reply: serde_json::Value = serde_json::from_str(&reply).expect(&reply);
        assert_eq!(reply["status"], 0, "{reply}");
        reply["stdout"].as_str().unwrap().to_owned()
    }

    pub fn record(&self) -> Record {
        self.tracer().record()
    }

    /// Unmounts and gives the record.
    pub fn finish(mut self) -> Record {
        self.end();
        self.tracer.take().unwrap().finish()
    }

    fn end(&mut self) {
        // the agent ends at the end of its input; with it its namespace and the mount
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
        let _ = self.agent.wait();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.end();
    }
}

fn receive(socket: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let got = recvmsg(socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    assert_eq!(got.bytes, 1, "the agent could not mount: see its message above");
    let message = control.drain().next().expect("a descriptor");
    match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next().expect("a descriptor"),
        _ => panic!("something else than a descriptor"),
    }
}
