//! The host against an app made of futures on the other end of the socket pair, and raw HTTP
//! clients. Names of tests are rows of http-bridge §10.

mod api_host;
mod app;
mod client_limits;
mod exchange;
mod framing;
mod hostile;
mod life;
mod mapping;
mod objects;
mod powerbox;
mod promises;
mod random_rpc;
mod raw;
mod request;
mod response;
mod routing;
mod websocket;

use std::cell::RefCell;
use std::future::Future;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use app::Launches;
use spk_files::Dir;
use spk_grains::store::control::{Client as Client_, Listener};
use spk_web_session_conformance::client::Client;
use spk_web_session_conformance::session::Script;

use super::launch::Launch;
use super::options::GrainOptions;
use super::run::run_with;
use super::settings::Settings;
use super::{Error, Event};

/// What runs, as a test sees it.
struct Host {
    address: String,
    /// Host name and port of the session.
    host: String,
    url: String,
    events: Rc<RefCell<Vec<Event>>>,
    launches: Rc<Launches>,
    /// Where the control socket is.
    dir: PathBuf,
}

impl Host {
    async fn connect(&self) -> Client {
        Client::connect(&self.address, &self.host).await
    }

    fn notes(&self) -> Vec<String> {
        let note = |event: &Event| match event {
            Event::Note(text) => Some(text.clone()),
            _ => None,
        };
        self.events.borrow().iter().filter_map(note).collect()
    }

    /// Asks as the command line does.
    async fn ask(&self, question: serde_json::Value) -> Result<serde_json::Value, String> {
        let dir = self.dir.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let dir = Dir::open_trusted(&dir).map_err(|error| error.to_string())?;
            let mut client = Client_::connect(&dir).map_err(|error| error.to_string())?;
            client.put(question).map_err(|error| error.to_string())
        });
        asked.await.unwrap()
    }

    /// Waits until a note contains `text`.
    async fn noted(&self, text: &str) -> String {
        for _ in 0..2000 {
            if let Some(note) = self.notes().into_iter().find(|note| note.contains(text)) {
                return note;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no note says {text:?}: {:?}", self.notes());
    }

    /// A client of another of the front end's names.
    async fn at(&self, host: &str) -> Client {
        Client::connect(&self.address, host).await
    }

    fn calls(&self) -> Vec<String> {
        self.launches.seen.calls.borrow().clone()
    }

    fn last_call(&self) -> String {
        self.launches.seen.calls.borrow().last().cloned().unwrap_or_default()
    }
}

fn settings(dir: &std::path::Path) -> Settings {
    let mut grain = GrainOptions::new("grain", dir.to_owned(), dir.join("log"));
    grain.title = "A test".into();
    let mut settings = Settings::new(grain);
    settings.policy.start_timeout = Duration::from_secs(20);
    settings.policy.explain = true;
    settings.bridge_port = Some(8000);
    settings
}

/// Runs `test` against a host with this app; panics if the host does not end well.
fn with_host<F: Future<Output = ()>>(script: Script, test: impl FnOnce(Rc<Host>) -> F) {
    with_settings(script, |_| {}, test);
}

fn with_settings<F: Future<Output = ()>>(
    script: Script,
    change: impl FnOnce(&mut Settings),
    test: impl FnOnce(Rc<Host>) -> F,
) {
    let (result, _) = run_host(script, change, test);
    result.unwrap();
}

fn run_host<F: Future<Output = ()>>(
    script: Script,
    change: impl FnOnce(&mut Settings),
    test: impl FnOnce(Rc<Host>) -> F,
) -> (Result<(), Error>, Rc<Launches>) {
    let launches = Launches::new(script);
    let launcher = launches.launcher();
    (run_launcher(launches.clone(), launcher, change, test), launches)
}

/// The same with an app of any kind; `launches` is what the test sees of it.
fn run_launcher<F: Future<Output = ()>>(
    launches: Rc<Launches>,
    launcher: Box<dyn Launch>,
    change: impl FnOnce(&mut Settings),
    test: impl FnOnce(Rc<Host>) -> F,
) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
    settings.grain.control =
        Some(Listener::bind_in(&Dir::open_trusted(dir.path()).unwrap(), dir.path()).unwrap());
    change(&mut settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let events = Rc::new(RefCell::new(Vec::new()));
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let mut ready = Some(ready);
        let observer = {
            let events = events.clone();
            move |event: Event| {
                if let Event::Ready { url, session_url, address, .. } = &event {
                    let host = session_url["http://".len()..].trim_end_matches('/').to_owned();
                    let _ = ready.take().unwrap().send((url.clone(), host, address.clone()));
                }
                events.borrow_mut().push(event);
            }
        };
        let stop = async {
            let Ok((url, host, address)) = is_ready.await else {
                return std::future::pending().await;
            };
            let (launches, dir) = (launches.clone(), dir.path().to_owned());
            let host = Host { address, host, url, events: events.clone(), launches, dir };
            tokio::time::timeout(Duration::from_secs(60), test(Rc::new(host)))
                .await
                .expect("the test hangs");
        };
        run_with(settings, launcher, observer, stop).await
    })
}
