//! For fuzz targets only (`tests/fuzz`), and no part of the crate's interface: a grain that is served
//! as ever, but whose app is whatever is at the other end of a socket, and whose clients are any
//! streams of bytes.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use spk_grains::store::CapabilityFile;
use spk_sandbox::Exit;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use crate::serve::front::{Front, listen};
use crate::serve::grain::Grain;
use crate::serve::jobs::run_jobs;
use crate::serve::launch::{Launch, Launched, Process};
use crate::serve::log::Log;
use crate::serve::settings::Settings;
use crate::serve::{Error, GrainOptions, Notes, make_grain};

/// The port in all names of the front end's; nobody listens there.
pub const PORT: u16 = 6080;

/// A grain that is served. To be made and used inside a `LocalSet`.
pub struct Host {
    front: Rc<Front>,
    grain: Rc<Grain>,
    notes: Rc<RefCell<usize>>,
}

impl Host {
    /// One whose directory is `dir`, and of whose app's descriptor 3 each start gets an end from
    /// `start`.
    ///
    /// # Errors
    /// When `dir` cannot be used, or the records cannot be read.
    pub fn new(
        dir: &Path,
        capabilities: Option<CapabilityFile>,
        start: impl FnMut() -> io::Result<UnixStream> + 'static,
    ) -> Result<Host, Error> {
        let mut options = GrainOptions::new("grain", dir.to_owned(), dir.join("log"));
        options.capabilities = capabilities;
        let mut settings = Settings::new(options);
        settings.policy.explain = true;
        let path = settings.grain.log.clone();
        let log = Log::open(&path, settings.policy.host_limits.log_bytes)
            .map_err(|source| Error::Log { path, source })?;
        let notes: Rc<RefCell<usize>> = Rc::default();
        let said = notes.clone();
        let noted = Notes::new(move |_| *said.borrow_mut() += 1);
        let grain = make_grain(&mut settings, Box::new(Launcher(start)), log, noted, PORT)?;
        let Settings { grain: about, visit, policy, client_limits, .. } = settings;
        let front = Front::new(grain.clone(), &about, &visit, policy.explain, client_limits, PORT)?;
        Ok(Host { front, grain, notes })
    }

    /// `http://host:port` of the session of the user that it is served for.
    pub fn session(&self) -> String {
        self.front.session_for(&self.grain, self.front.user(), None).base().to_owned()
    }

    /// Answers a client until it ends.
    pub async fn serve<S>(&self, client: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        listen::serve_one(self.front.clone(), client).await;
    }

    /// Answers a question of another process's.
    ///
    /// # Errors
    /// As the question says.
    pub async fn ask(&self, question: Value) -> Result<Value, String> {
        self.front.of(&self.grain).ask_json(question).await
    }

    /// Runs the jobs that are due, for ever.
    pub fn jobs(&self) -> impl Future<Output = ()> + use<> {
        run_jobs(self.grain.clone())
    }

    /// How many notes there were for the developer.
    pub fn notes(&self) -> usize {
        *self.notes.borrow()
    }
}

struct Launcher<F>(F);

impl<F: FnMut() -> io::Result<UnixStream>> Launch for Launcher<F> {
    fn start(&mut self, _: &Log, _: &Notes) -> Result<Launched, Error> {
        let action = "start the app";
        let rpc = (self.0)().map_err(|source| Error::Start { action, source })?;
        Ok(Launched { rpc, process: Box::new(NoProcess(watch::channel(None).0)) })
    }
}

/// Lives until it is killed.
struct NoProcess(watch::Sender<Option<Exit>>);

impl Process for NoProcess {
    fn ended(&mut self) -> Pin<Box<dyn Future<Output = Exit> + '_>> {
        let mut ended = self.0.subscribe();
        Box::pin(async move {
            let ended = ended.wait_for(Option::is_some).await;
            ended.ok().and_then(|ended| *ended).unwrap_or(Exit::Lost)
        })
    }

    fn terminate(&mut self, _: Duration) -> io::Result<()> {
        self.kill()
    }

    fn kill(&mut self) -> io::Result<()> {
        self.0.send_replace(Some(Exit::Killed));
        Ok(())
    }

    fn freeze(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn thaw(&mut self) -> io::Result<()> {
        Ok(())
    }
}
