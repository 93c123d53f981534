//! `spk dev -m DIR`: the files mounted where every program of the developer's sees them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use spk_files::path::join;
use spk_host::signals::EndSignals;
use spk_package::pkgdef::Definition;
use spk_package::source_map::SourceMap;
use spk_package::view::View;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;

use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

use super::recording::Recording;

/// How often it is looked whether somebody else unmounted it.
const LOOK: Duration = Duration::from_millis(200);

/// The definition's view without `dir`, in case it is below a source: whoever walks the mount would
/// make us ask ourselves, and wait for ever (dev-mode §13).
pub fn without(dir: &Path, definition: &Definition, view: Arc<View>) -> Result<Arc<View>> {
    let place = place(dir)?;
    let mut mappings = definition.source_map.mappings().to_vec();
    for mapping in &mut mappings {
        let Ok(source) = mapping.source_path.canonicalize() else { continue };
        let Ok(rest) = place.strip_prefix(&source) else { continue };
        if rest.as_os_str().is_empty() {
            return Err(CliError::new(format!("{} is one of the sources", dir.display()))
                .hint("mount at a directory of its own"));
        }
        let hidden = rest.iter().fold(Vec::new(), |path, name| join(&path, name.as_bytes()));
        mapping.hide_paths.push(hidden);
    }
    Ok(Arc::new(view.with_map(SourceMap::new(mappings)?)))
}

/// The mount point; it has to be a directory.
fn place(dir: &Path) -> Result<PathBuf> {
    let place = dir.canonicalize().context(format!("cannot mount at {}", dir.display()))?;
    match place.is_dir() {
        true => Ok(place),
        false => Err(CliError::new(format!("cannot mount at {}: no directory", dir.display()))),
    }
}

/// Mounts, until a signal comes or somebody unmounts it; then writes the list.
pub fn run(dir: &Path, recording: Recording, everything: bool, ui: &Ui) -> Result<()> {
    let place = place(dir)?;
    let guard = Guard::start(&place)?;
    if let Err(error) = recording.mount(&place) {
        guard.dismiss();
        return Err(if nix::unistd::geteuid().is_root() {
            error
        } else {
            error.hint(
                "ordinary users mount where others see it only through fusermount3 (Debian: \
                 apt install fuse3); or: sudo spk dev -m; spk dev without -m needs neither",
            )
        });
    }
    ui.note(format!("mounted at {}; Ctrl-C unmounts it", place.display()));
    let waited = wait(&recording, &place, ui);
    guard.dismiss();
    let written = recording.finish(everything, false, ui);
    waited.and(written)
}

fn wait(recording: &Recording, place: &Path, ui: &Ui) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    runtime.block_on(async {
        let mut signals = EndSignals::new()?;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {
                    if recording.has_ended() {
                        ui.note(format!("{} was unmounted", place.display()));
                        return Ok(());
                    }
                    continue;
                }
                _ = signals.recv() => {}
            }
            match recording.unmount() {
                Ok(()) => return Ok(()),
                Err(error) => ui.warn(format!("cannot unmount {}: {error}", place.display())),
            }
        }
    })
}

/// A process that unmounts when we are gone without having done so: a mount point nobody serves
/// would answer every look with an error.
struct Guard {
    child: Child,
}

impl Guard {
    fn start(place: &Path) -> Result<Guard> {
        let child = Command::new("/proc/self/exe")
            .arg("unmount-orphan")
            .arg(place)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C is not for it.
            .process_group(0)
            .spawn()
            .context("cannot start the process that unmounts if this one is killed")?;
        Ok(Guard { child })
    }

    /// It has nothing to do any more.
    fn dismiss(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
