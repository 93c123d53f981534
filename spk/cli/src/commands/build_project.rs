//! What `spk dev --build` executes: a project's `.sandstorm/build.sh` in a mount namespace of its
//! own, in which the project is at `/opt/app` as in the machine of vagrant-spk (templates §A1).
//!
//! Nothing else is different there: the same user, files, network. It is no sandbox.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::dev::BUILD_SCRIPT;
use crate::error::{CliError, Result, ResultExt};
use crate::machine;

/// The place of all that is put in place.
const OPT: &str = "/opt";

/// The project's name there.
const APP: &str = "app";

/// Runs the build script of the project DIR where the project is /opt/app
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The directory that has .sandstorm
    dir: PathBuf,
}

/// Becomes the script.
///
/// # Errors
/// When the namespace cannot be made or the script cannot be executed.
pub fn run(args: Args) -> Result<()> {
    // Ctrl-C comes to all; whatever else ends spk shall end this, too.
    nix::sys::prctl::set_pdeathsig(Signal::SIGTERM)?;
    let project = args.dir.canonicalize().context(format!("no {}", args.dir.display()))?;
    if !Path::new(OPT).is_dir() {
        return Err(CliError::new(format!("there is no {OPT} on this machine"))
            .hint(format!("sudo mkdir {OPT}")));
    }
    let kept = keep(&project)?;
    namespace()?;
    // Opened before anything is mounted above them, and in the namespace: the kernel takes no
    // mount of another one.
    let app = directory(&project)?;
    let others = others(&kept)?;
    bind(&directory(&kept)?, Path::new(OPT))?;
    bind(&app, &Path::new(OPT).join(APP))?;
    for (name, fd) in &others {
        bind(fd, &Path::new(OPT).join(name))?;
    }

    let here = Path::new(OPT).join(APP);
    std::env::set_current_dir(&here).context(format!("cannot go to {}", here.display()))?;
    let script = here.join(machine::DIRECTORY).join(BUILD_SCRIPT);
    let mode = fs::metadata(&script).context(format!("no {}", script.display()))?.permissions();
    let mut error = None;
    if mode.mode() & 0o111 != 0 {
        let failed = Command::new(&script).exec();
        error = (failed.raw_os_error() != Some(Errno::ENOEXEC as i32)).then_some(failed);
    }
    // Not executable (a checkout can lose that), or without the line that names its interpreter.
    let error = error.unwrap_or_else(|| Command::new("/bin/bash").arg(&script).exec());
    Err(error).context(format!("cannot execute {}", script.display()))
}

/// Makes `.sandstorm/opt`, where what the script leaves in `/opt` is kept. Git need not know.
fn keep(project: &Path) -> Result<PathBuf> {
    let kept = project.join(machine::DIRECTORY).join(machine::OPT);
    let making = || format!("cannot make {}", kept.display());
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o755);
    builder.create(kept.join(APP)).context(making())?;
    match fs::File::create_new(kept.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"*\n").context(making())?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
        Err(error) => return Err(error).context(making()),
    }
    Ok(kept)
}

/// The directories that this machine has in `/opt`, with a place for each. The script's own of the
/// same name stays as the script left it.
fn others(kept: &Path) -> Result<Vec<(PathBuf, OwnedFd)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(OPT).context(format!("cannot read {OPT}"))? {
        let entry = entry?;
        let place = kept.join(entry.file_name());
        if !entry.file_type()?.is_dir() || entry.file_name() == APP {
            continue;
        }
        let taken = fs::read_dir(&place).is_ok_and(|mut inside| inside.next().is_some());
        if taken {
            continue;
        }
        match fs::create_dir(&place) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).context(format!("cannot make {}", place.display()));
            }
            _ => found.push((entry.file_name().into(), directory(&entry.path())?)),
        }
    }
    Ok(found)
}

fn directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty()).context(format!("cannot open {}", path.display()))
}

/// A mount namespace of one's own; for who is not root, in a user namespace in which they are
/// themselves, so that the script can do what they can, and no more.
fn namespace() -> Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let hint = || spk_sandbox::user_namespaces_remedy().unwrap_or_default();
    if uid.is_root() {
        unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace")?;
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
            .context("cannot make a user namespace for the build")
            .hint(hint())?;
        for (file, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{uid} {uid} 1")),
            ("gid_map", format!("{gid} {gid} 1")),
        ] {
            fs::write(format!("/proc/self/{file}"), text)
                .context(format!("cannot write /proc/self/{file} in a new user namespace"))
                .hint(hint())?;
        }
    }
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .context("cannot change mounts in a new namespace")
}

/// Mounts the directory `from` at `to`.
fn bind(from: &OwnedFd, to: &Path) -> Result<()> {
    let from = format!("/proc/self/fd/{}", from.as_raw_fd());
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(from.as_str()), to, None::<&str>, flags, None::<&str>)
        .context(format!("cannot mount at {}", to.display()))
}
