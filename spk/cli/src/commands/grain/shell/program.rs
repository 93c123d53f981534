//! Which program a shell session runs, on which root, and in which environment.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use fuse_tracer::{Cache, Callers, Options, Tracer};
use spk_grains::store::Package;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::view::View;

use crate::error::{CliError, Result, ResultExt};

/// Shells looked for in a package, the more comfortable ones first.
const SHELLS: [&str; 8] = [
    "/bin/bash",
    "/usr/bin/bash",
    "/bin/sh",
    "/usr/bin/sh",
    "/bin/busybox",
    "/usr/bin/busybox",
    "/bin/dash",
    "/usr/bin/dash",
];

/// `PATH` when the manifest sets none.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Where programs of this machine are shown inside.
const TOOLS: &str = "/.spk";

/// Name of the shell that is looked for on this machine.
const BUSYBOX: &str = "busybox";

/// Where the program's `/` comes from.
pub enum Root {
    /// The package as it is.
    Package(PathBuf),
    /// The package, and programs of this machine.
    WithTools(Tools),
}

/// What is to be started.
pub struct Session {
    pub root: Root,
    pub argv: Vec<CString>,
    pub environ: Vec<CString>,
    pub proc: bool,
    /// What the user should know before.
    pub notes: Vec<String>,
}

impl Session {
    /// For `command`, or a shell, in a package. `host_shell`: a shell of this machine is wanted,
    /// this one or any.
    pub fn new(
        package: &Package,
        command: &[OsString],
        host_shell: Option<&Option<PathBuf>>,
    ) -> Result<Session> {
        let mut notes = Vec::new();
        let own_shell = SHELLS.iter().find(|shell| executable(&package.dir, shell));
        let wanted = match (host_shell, own_shell) {
            (Some(Some(file)), _) => Some(file.clone()),
            (Some(None), _) => Some(find_busybox()?),
            (None, None) if command.is_empty() => {
                let file = find_busybox().hint(
                    "install busybox-static, name a static shell with --host-shell=FILE, or a \
                     program of the package after --",
                )?;
                notes.push(format!(
                    "the package has no shell: {} of this machine is shown in {TOOLS}",
                    file.display()
                ));
                Some(file)
            }
            (None, _) => None,
        };
        let tools = wanted.map(|file| Tools::new(&package.dir, &file)).transpose()?;
        let mut environ = environment(package);
        let path = environ.path.clone();
        let mut argv: Vec<OsString> = match (command, &tools, own_shell) {
            ([], Some(tools), _) => tools.shell(),
            ([], None, Some(shell)) if shell.ends_with(BUSYBOX) => {
                vec![(*shell).into(), "sh".into()]
            }
            ([], None, Some(shell)) => vec![(*shell).into()],
            // A shell is there, or the search above has failed.
            ([], None, None) => Vec::new(),
            (command, ..) => command.to_vec(),
        };
        if let Some(program) = argv.first_mut() {
            *program = search(program, &path, &package.dir, tools.as_ref());
        }
        if tools.is_some() {
            environ.path = format!("{path}:{TOOLS}");
        }
        Ok(Session {
            argv: argv.into_iter().map(c_string).collect::<Result<_>>()?,
            environ: environ.strings()?,
            // busybox executes itself through /proc/self/exe.
            proc: tools.is_some(),
            root: match tools {
                Some(tools) => Root::WithTools(tools),
                None => Root::Package(package.dir.clone()),
            },
            notes,
        })
    }

    /// What to do when the program does not start.
    pub fn remedy(&self, error: &spk_sandbox::Error) -> Option<String> {
        let spk_sandbox::Error::Exec { .. } = error else { return None };
        Some(match &self.root {
            Root::WithTools(_) => "a program of this machine runs in the sandbox only if it is \
                                   linked statically (busybox-static)"
                .to_owned(),
            Root::Package(_) => "--host-shell brings a shell of this machine along".to_owned(),
        })
    }
}

/// Programs of this machine, in a directory of their own beside the package's files.
pub struct Tools {
    view: Arc<View>,
    shell: Vec<OsString>,
    names: Vec<OsString>,
    _dir: tempfile::TempDir,
}

impl Tools {
    fn new(package: &Path, shell: &Path) -> Result<Tools> {
        let failed = || format!("cannot use {} as a shell", shell.display());
        let dir = tempfile::tempdir().context(failed())?;
        let name = shell.file_name().unwrap_or(OsStr::new("sh")).to_owned();
        fs::copy(shell, dir.path().join(&name)).context(failed())?;
        let mut names = vec![name.clone()];
        let busybox = name.as_bytes().starts_with(BUSYBOX.as_bytes());
        if busybox {
            // Each of its programs under its own name.
            let listed = Command::new(shell).arg("--list").output().context(failed())?;
            for applet in listed.stdout.split(|&byte| byte == b'\n') {
                let applet = OsStr::from_bytes(applet);
                let plain = spk_files::path::is_name(applet.as_bytes());
                if plain && applet != name {
                    std::os::unix::fs::symlink(&name, dir.path().join(applet)).context(failed())?;
                    names.push(applet.to_owned());
                }
            }
        }
        let mapping = |package_path: &str, source_path: &Path| Mapping {
            package_path: package_path.into(),
            source_path: source_path.to_owned(),
            hide_paths: Vec::new(),
        };
        let inside = TOOLS.trim_start_matches('/');
        let map = SourceMap::new(vec![mapping("", package), mapping(inside, dir.path())])?;
        let program = Path::new(TOOLS).join(&name).into_os_string();
        let shell = if busybox { vec![program, "sh".into()] } else { vec![program] };
        Ok(Tools { view: Arc::new(View::plain(map)), shell, names, _dir: dir })
    }

    fn shell(&self) -> Vec<OsString> {
        self.shell.clone()
    }

    /// Serves the root.
    pub fn serve(&self, fuse: OwnedFd) -> Result<Tracer> {
        let options =
            Options { cache: Cache::Frozen, callers: Callers::Sandboxed, ..Options::default() };
        Tracer::serve(fuse, self.view.clone(), options).context("cannot serve the package's files")
    }
}

/// busybox of this machine.
fn find_busybox() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(BUSYBOX))
        .find(|file| file.is_file())
        .ok_or_else(|| CliError::new("there is no shell in the package, and no busybox here"))
}

/// Whether the package has an executable file of this absolute path. Links lead to where they
/// would inside.
fn executable(package: &Path, path: &str) -> bool {
    let found = spk_files::find_in_root(package, path.as_bytes());
    let stat = found.and_then(|file| Ok(rustix::fs::fstat(file)?));
    stat.is_ok_and(|stat| stat.st_mode & 0o170_000 == 0o100_000 && stat.st_mode & 0o111 != 0)
}

/// The path of a program named without a slash; as it is when it is nowhere, for the error to
/// name it.
fn search(name: &OsStr, path: &str, package: &Path, tools: Option<&Tools>) -> OsString {
    let Some(text) = name.to_str().filter(|name| !name.contains('/')) else { return name.into() };
    let found = path
        .split(':')
        .map(|dir| format!("{}/{text}", dir.trim_end_matches('/')))
        .find(|file| executable(package, file));
    match (found, tools) {
        (Some(file), _) => file.into(),
        (None, Some(tools)) if tools.names.iter().any(|tool| tool == name) => {
            Path::new(TOOLS).join(name).into_os_string()
        }
        (None, _) => name.into(),
    }
}

/// The environment of the session.
struct Environment {
    path: String,
    rest: Vec<(OsString, OsString)>,
}

/// What the app itself has, with what a shell needs where that says nothing.
fn environment(package: &Package) -> Environment {
    let mut environ = Environment { path: PATH.to_owned(), rest: Vec::new() };
    for (name, value) in &package.manifest.continue_command.environ {
        match (name.as_slice(), std::str::from_utf8(value)) {
            (b"PATH", Ok(path)) => environ.path = path.to_owned(),
            _ => environ
                .rest
                .push((OsString::from_vec(name.clone()), OsString::from_vec(value.clone()))),
        }
    }
    let term = std::env::var("TERM").ok().filter(|term| {
        term.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
    });
    let defaults = [
        ("HOME", "/var".to_owned()),
        ("PS1", "grain:$PWD$ ".to_owned()),
        ("TERM", term.unwrap_or_else(|| "dumb".to_owned())),
    ];
    for (name, value) in defaults {
        if !environ.rest.iter().any(|(known, _)| known == name) {
            environ.rest.push((name.into(), value.into()));
        }
    }
    environ
}

impl Environment {
    fn strings(self) -> Result<Vec<CString>> {
        let path = (OsString::from("PATH"), OsString::from(self.path));
        std::iter::once(path)
            .chain(self.rest)
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                c_string(name)
            })
            .collect()
    }
}

fn c_string(text: OsString) -> Result<CString> {
    let shown = text.to_string_lossy().into_owned();
    CString::new(text.into_vec())
        .map_err(|_| CliError::usage(format!("a NUL byte in an argument: {shown}")))
}
