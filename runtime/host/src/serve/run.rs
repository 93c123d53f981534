//! Serves a grain from its start to its end.

use std::cell::OnceCell;
use std::future::Future;
use std::ops::ControlFlow;
use std::rc::Rc;

use super::activity::Activity;
use super::app::GRACE;
use super::containment::Containment;
use super::error::Error;
use super::event::Event;
use super::front::{Front, listen};
use super::grain::Grain;
use super::host_objects::{Objects, Parts};
use super::jobs::run_jobs;
use super::launch::Launch;
use super::log::Log;
use super::notes::Notes;
use super::record_store::RecordStore;
use super::settings::{Options, Settings, SiteMaker};
use super::site::ShellSite;
use super::{control_requests, limits, sandboxed};
use crate::signals::EndSignals;

/// A grain with all that its app may ask for; `port` is the front end's.
pub(crate) fn make_grain(
    settings: &mut Settings,
    launcher: Box<dyn Launch>,
    log: Log,
    notes: Notes,
    port: u16,
) -> Result<Rc<Grain>, Error> {
    let records =
        RecordStore::open(settings.grain.capabilities.take()).map_err(Error::Capabilities)?;
    let activity = Rc::new(Activity::new());
    let objects = Objects::new(Parts {
        notes,
        records,
        activity: activity.clone(),
        grain_id: settings.grain.id.clone(),
        identities: settings.grain.identities.take(),
        port,
        mail: settings.policy.mail.clone(),
        granted: settings.policy.grants.clone(),
    });
    let Settings { visit, policy, session_idle, .. } = settings;
    Ok(Grain::new(visit, policy, *session_idle, launcher, log, objects, activity))
}

/// Serves until `stop` resolves or the app fails to start; then ends the app, orderly first, and
/// returns when none of its processes is left. `stop` resolving to `true` skips the orderly part.
///
/// Must run inside a [`tokio::task::LocalSet`].
///
/// # Errors
///
/// Everything that keeps the app from answering its first request: see [`Error`].
pub async fn run(
    options: Options,
    observer: impl FnMut(Event) + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (settings, launcher) = sandboxed::split(options)?;
    run_with(settings, launcher, observer, stop).await
}

pub(crate) async fn run_with(
    mut settings: Settings,
    launcher: Box<dyn Launch>,
    observer: impl FnMut(Event) + 'static,
    stop: impl Future<Output = ()>,
) -> Result<(), Error> {
    let site: Rc<OnceCell<Rc<dyn ShellSite>>> = Rc::default();
    let notes = Notes::new({
        let (site, mut observer) = (site.clone(), observer);
        move |event: Event| {
            if let Some(site) = site.get() {
                site.event(&event);
            }
            observer(event);
        }
    });
    // The port first: that it is taken must show before an app was started in vain.
    let sockets = listen::listen(settings.visit.port).await?;
    let log = Log::open(&settings.grain.log, settings.policy.host_limits.log_bytes)
        .map_err(|source| Error::Log { path: settings.grain.log.clone(), source })?;
    tokio::task::spawn_local({
        let (rotated, notes, cap) =
            (log.rotated(), notes.clone(), settings.policy.host_limits.log_bytes);
        async move {
            rotated.await;
            notes.say(&limits::log_rotated(cap));
        }
    });
    let grain = make_grain(&mut settings, launcher, log, notes.clone(), sockets.port)?;
    let front = Front::new(
        grain.clone(),
        &settings.grain,
        &settings.visit,
        settings.policy.explain,
        settings.client_limits.clone(),
        sockets.port,
    )?;
    if let Some(SiteMaker(make)) = settings.site.take() {
        let made = make(&front, &grain);
        front.set_site(made.clone());
        let _ = site.set(made);
    }
    if let Some(mut restarts) = settings.restarts.take() {
        let grain = grain.clone();
        tokio::task::spawn_local(async move {
            while let Some(reason) = restarts.recv().await {
                grain.restart(&reason).await;
            }
        });
    }
    let stop_asked = Rc::new(tokio::sync::Notify::new());
    if let Some(control) = settings.grain.control.take() {
        let (front, stop) = (Rc::downgrade(&front), stop_asked.clone());
        tokio::task::spawn_local(control_requests::serve(grain.clone(), front, control, stop));
    }
    let stop = std::pin::pin!(stop);
    let served = async {
        let serving = listen::serve(front.clone(), sockets);
        let ready = async {
            front.wait_until_ready(settings.policy.start_timeout, settings.bridge_port).await?;
            front.other_sessions().into_iter().for_each(|event| notes.event(event));
            front.announce(&settings.visit, &settings.policy.grants).await?;
            tokio::task::spawn_local(run_jobs(grain.clone()));
            notes.event(front.ready());
            grain.stop_when_idle().await
        };
        tokio::select! {
            never = serving => never,
            result = ready => result,
        }
    };
    let result = tokio::select! {
        result = served => result,
        () = stop => Ok(()),
        () = stop_asked.notified() => Ok(()),
    };
    if let Some(site) = site.get() {
        site.clone().close().await;
    }
    front.close().await;
    grain.stop(GRACE).await;
    if settings.policy.explain {
        notes.lost_in_all();
        notes.denied_in_all();
    }
    result
}

/// [`run`] on a runtime of its own, whose local tasks the observer may add to. SIGINT, SIGTERM and
/// SIGHUP stop it orderly, and so do an observer that breaks and `done`, once it resolves; a second signal
/// ends the app at once.
///
/// # Errors
///
/// As [`run`].
pub fn block_on(
    options: Options,
    mut observer: impl FnMut(Event) -> ControlFlow<()> + 'static,
    done: impl Future<Output = ()>,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let _contained = Containment::begin();
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        let mut signals = EndSignals::new().map_err(Error::Runtime)?;
        let stop = Rc::new(tokio::sync::Notify::new());
        let (stop_now, asked) = (stop.clone(), stop.clone());
        let observer = move |event| {
            if observer(event).is_break() {
                asked.notify_one();
            }
        };
        let stop = async move {
            tokio::select! {
                () = stop.notified() => {}
                () = done => {}
            }
        };
        let serving = run(options, observer, stop);
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            result = &mut serving => return result,
            _ = signals.recv() => {}
        }
        stop_now.notify_one();
        tokio::select! {
            result = &mut serving => result,
            // Dropping what runs kills every process of the app.
            _ = signals.recv() => Ok(()),
        }
    });
    drop(local);
    result
}
