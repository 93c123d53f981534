//! The host against an app made of futures on the other end of the socket pair, and raw HTTP
//! clients. Names of tests are rows of the http-bridge specification, section 10.

mod app;
mod client;
mod exchange;
mod framing;
mod life;
mod request;
mod response;
mod routing;
mod websocket;

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use app::{Launches, Script};
use client::Client;

use super::{Error, Event, Settings, run_with};

/// What runs, as a test sees it.
struct Host {
    address: String,
    /// Host name and port of the session.
    host: String,
    url: String,
    events: Rc<RefCell<Vec<Event>>>,
    launches: Rc<Launches>,
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

    fn calls(&self) -> Vec<String> {
        self.launches.calls.borrow().clone()
    }

    fn last_call(&self) -> String {
        self.launches.calls.borrow().last().cloned().unwrap_or_default()
    }
}

fn settings(dir: &std::path::Path) -> Settings {
    Settings {
        grain_id: "grain".into(),
        title: "A test".into(),
        log: dir.join("log"),
        port: 0,
        user: "alice".into(),
        permissions: None,
        identities: None,
        control: None,
        start_timeout: Duration::from_secs(20),
        idle_timeout: None,
        explain: true,
        limits: super::HostLimits::default(),
        exchanges: None,
        restarts: None,
        other_users: Vec::new(),
        bridge_port: Some(8000),
        site: None,
    }
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
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path());
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
                if let Event::Ready { url, session_url, address } = &event {
                    let host = session_url["http://".len()..].trim_end_matches('/').to_owned();
                    let _ = ready.take().unwrap().send((url.clone(), host, address.clone()));
                }
                events.borrow_mut().push(event);
            }
        };
        let launches = Launches::new(script);
        let stop = async {
            let Ok((url, host, address)) = is_ready.await else {
                return std::future::pending().await;
            };
            let launches = launches.clone();
            let host = Host { address, host, url, events: events.clone(), launches };
            tokio::time::timeout(Duration::from_secs(60), test(Rc::new(host)))
                .await
                .expect("the test hangs");
        };
        let result = run_with(settings, launches.launcher(), observer, stop).await;
        (result, launches)
    })
}
