//! The end of a check by a signal: whatever it was at, nothing of it stays behind.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};
use std::{fs, io, process, thread};

use spk_grains::store::Store;
use spk_host::signals::EndSignals;
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::error::{CliError, Result, ResultExt};

/// How long the directory is tried to be removed while something may still write into it.
const LIMIT: Duration = Duration::from_secs(5);

/// How often.
const PAUSE: Duration = Duration::from_millis(5);

/// Watches for signals for as long as the process lives.
#[derive(Clone)]
pub struct Ending(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Default)]
struct State {
    /// What is to be removed, once there is something.
    dir: Option<PathBuf>,
    /// Whether an app runs, which is stopped in good order.
    serving: bool,
    /// The first signal that came.
    signal: Option<i32>,
}

impl Ending {
    /// From now on a signal ends the process with the status 128 + its number.
    pub fn watch() -> Result<Ending> {
        let (state, asked) = (Mutex::default(), Notify::new());
        let ending = Ending(Arc::new(Shared { state, asked }));
        let watching = ending.clone();
        let (ready, is_ready) = mpsc::channel();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || watching.run(&ready))
            .context("cannot start the thread that waits for signals")?;
        match is_ready.recv() {
            Ok(result) => result.context("cannot wait for signals")?,
            Err(_) => return Err(CliError::new("cannot wait for signals")),
        }
        Ok(ending)
    }

    fn run(&self, ready: &mpsc::Sender<io::Result<()>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let watched: io::Result<Infallible> = runtime.and_then(|runtime| {
            runtime.block_on(async {
                let mut signals = EndSignals::any()?;
                // Whoever waits for it has not gone.
                let _ = ready.send(Ok(()));
                self.begin(signals.recv().await);
                let again = signals.recv().await;
                let dir = self.locked().dir.clone();
                end(dir.as_deref(), again)
            })
        });
        let Err(error) = watched;
        let _ = ready.send(Err(error));
    }

    /// The first signal: stops the app that runs, or ends at once.
    fn begin(&self, signal: i32) {
        let mut state = self.locked();
        state.signal = Some(signal);
        if !state.serving {
            // The lock stays taken: whoever would go on waits for the end.
            end(state.dir.as_deref(), signal);
        }
        self.0.asked.notify_one();
    }

    /// A directory for the check with a store in it, which a signal removes from its first moment on.
    /// What is made in there later is made below handles of the store's, and so not once more in the
    /// place of a directory that was removed.
    pub fn store(&self) -> Result<(TempDir, Store)> {
        let mut state = self.locked();
        let dir = tempfile::Builder::new().prefix("spk-check.").tempdir();
        let dir = dir
            .context("cannot make a directory for the check")
            .hint("TMPDIR names another place")?;
        state.dir = Some(dir.path().to_owned());
        let store = Store::open(dir.path())?;
        Ok((dir, store))
    }

    /// Until this is dropped an app runs, and whoever runs it stops it when [`Ending::asked`] ends.
    pub fn serving(&self) -> Serving<'_> {
        self.locked().serving = true;
        Serving(self)
    }

    /// Ends when a signal has come.
    pub async fn asked(&self) {
        self.0.asked.notified().await;
    }

    /// Ends the process if a signal has come; by now everything is cleaned up.
    pub fn finish(&self) {
        if let Some(signal) = self.locked().signal {
            process::exit(128 + signal);
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // Values that do not depend on each other.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the process after a signal, without the check's directory.
fn end(dir: Option<&Path>, signal: i32) -> ! {
    let until = Instant::now() + LIMIT;
    while let Some(Err(error)) = dir.map(fs::remove_dir_all) {
        if error.kind() == io::ErrorKind::NotFound || Instant::now() > until {
            break;
        }
        thread::sleep(PAUSE);
    }
    process::exit(128 + signal)
}

/// See [`Ending::serving`].
pub struct Serving<'a>(&'a Ending);

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        self.0.locked().serving = false;
    }
}
