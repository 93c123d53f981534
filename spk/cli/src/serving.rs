//! What `spk run` and `spk dev` share: where the app is served, to whom, and how that is said.

use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use spk_grains::store::{Grain, Package, Store};
use spk_host::serve::{
    self, AppOptions, Event, ExchangeHook, GrainOptions, Loss, Options, Policy, Program, Rootfs,
    Visit,
};
use spk_host::shell::{self, developer::Developer};
use spk_package::manifest::Manifest;
use spk_sandbox::Denied;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::driving::{Announced, Driver};
use crate::error::{CliError, Kind, Result, ResultExt};
use crate::limits::LimitArgs;
use crate::stdout::{self, Reserved};
use crate::ui::Ui;

/// Options of the front end and of the session that is announced.
#[derive(clap::Args, Clone, Debug)]
pub struct ServeArgs {
    /// Port on 127.0.0.1 and ::1; 0: any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Who opens the app: alice, bob, carol, dave, eve, anonymous, or any other name
    #[arg(long, value_name = "NAME", default_value = "alice")]
    pub user: String,
    /// The user's permissions by name, separated by commas; all, if not given
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub permissions: Option<Vec<String>>,
    /// The user's role by title or number; permissions come in addition to it
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Make an API token for this user, so that programs can use the app: with all the user's
    /// permissions, or with those named, separated by commas
    #[arg(long, value_name = "NAMES", num_args = 0..=1, require_equals = true, default_missing_value = "*")]
    pub api_token: Option<String>,
    /// Keep the mail that the app sends in this directory, one file for each message; without it
    /// sending mail fails
    #[arg(long, value_name = "DIR", env = "SPK_MAIL", hide_env_values = true)]
    pub mail: Option<PathBuf>,
    /// Let the app have one of the host's objects for tests: http-api, mail
    #[arg(long, value_name = "NAME", value_parser = grant)]
    pub grant: Vec<String>,
    /// How long to wait until the app answers its first request
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub start_timeout: Duration,
    /// Tell on stdout, in one line of JSON, when the app answers and where
    #[arg(long)]
    pub json: bool,
    /// Name what the app does not get: headers that are dropped on their way to it, system calls
    /// that its sandbox denies, files below /proc and /sys, and places outside of /var to write to;
    /// and what of its answers no client gets: statuses, headers, cookies, locks; summed up at the
    /// end
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub limits: LimitArgs,
}

impl ServeArgs {
    /// To whom the grain is served, and where.
    fn visit(&self) -> Visit {
        // `--permissions ""` and `--api-token=` mean none at all.
        let named = |name: &&str| !name.is_empty();
        let owned = |names: &str| names.split(',').filter(named).map(str::to_owned).collect();
        Visit {
            port: self.port,
            user: self.user.clone(),
            permissions: self
                .permissions
                .as_ref()
                .map(|names| names.iter().filter(|name| !name.is_empty()).cloned().collect()),
            role: self.role.clone(),
            api_token: self.api_token.as_deref().map(|names| match names {
                "*" => None,
                names => Some(owned(names)),
            }),
            ..Visit::default()
        }
    }
}

/// A positive number of seconds, fractions allowed.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("must be more than 0 and not absurdly large".to_owned()),
    }
}

/// The name of one of the host's objects for tests.
fn grant(text: &str) -> Result<String, String> {
    let known = serve::GRANTS.map(|(name, _)| name);
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(format!("there is none; there are: {}", known.join(", ")))
}

/// What is served of a grain: see [`serve_grain`].
pub struct Served {
    /// App ID, as text.
    pub app_id: String,
    /// Where the app's root comes from.
    pub rootfs: Rootfs,
    /// What is executed: see [`program`].
    pub program: Program,
    /// Whether the app sees `/proc`.
    pub proc: bool,
    /// When the app is stopped for want of requests.
    pub idle_timeout: Option<Duration>,
    /// Who is told of each request and its answer.
    pub exchanges: Option<ExchangeHook>,
    /// Reasons to start the app again.
    pub restarts: Option<UnboundedReceiver<String>>,
    /// Where packages and grains are, for the page in the browser.
    pub store: Store,
    /// The package that the grain runs with, kept for as long as it does.
    pub package: Option<Package>,
    /// What the page shows of a development session.
    pub developer: Option<Arc<dyn Developer>>,
    /// What uses the app in a person's place, and ends it.
    pub driver: Option<Driver>,
}

/// Serves a grain, which stays locked meanwhile, as [`serve()`] does.
pub fn serve_grain(served: Served, mut grain: Grain, args: &ServeArgs, ui: &Ui) -> Result<()> {
    grain.touch()?;
    let app = AppOptions { proc: served.proc, ..AppOptions::new(served.rootfs, served.program) };
    let mut options = Options::new(app, GrainOptions::of(&grain));
    options.restarts = served.restarts;
    options.policy = Policy {
        limits: args.limits.sandbox(),
        host_limits: args.limits.host(),
        start_timeout: args.start_timeout,
        idle_timeout: served.idle_timeout,
        // The page shows it, whether or not it is asked for here.
        explain: args.explain || served.developer.is_some(),
        mail: args.mail.clone(),
        grants: args.grant.clone(),
    };
    options.visit = args.visit();
    options.visit.exchanges = served.exchanges;
    if let Some(driver) = &served.driver {
        options.visit.every_role = driver.every_role;
        // It cannot come back to ask for one.
        options.visit.api_token.get_or_insert(None);
    }
    if let Some(dir) = &args.mail {
        std::fs::create_dir_all(dir).context(format!("cannot make {}", dir.display()))?;
    }
    let shell = shell::Options {
        store: Arc::new(served.store),
        grain,
        package: served.package,
        developer: served.developer,
    };
    shell::attach(&mut options, shell)?;
    serve(options, served.app_id, served.driver, args, ui)
}

/// What the manifest wants executed: the action for a grain's first start, the other command ever
/// after (package-format §7.2: `actions`, `continueCommand`).
pub fn program(manifest: &Manifest, started: bool) -> Result<Program> {
    let field = if started { "continueCommand" } else { "actions" };
    match shell::program(manifest, started, None) {
        Some(program) => Ok(program),
        None => {
            Err(CliError::new(format!("the app's manifest names no program: manifest.{field}"))
                .hint("it needs a command with an argv, such as argv = [\"/opt/app/start\"]"))
        }
    }
}

/// Serves until SIGINT, SIGTERM or SIGHUP (a second one ends the app at once), until the app fails,
/// until what is to be told on stdout cannot be written, or until the driver is done.
fn serve(
    options: Options,
    app: String,
    mut driver: Option<Driver>,
    args: &ServeArgs,
    ui: &Ui,
) -> Result<()> {
    let mut announcer = Announcer {
        grain: options.grain.id.clone(),
        app,
        json: args.json,
        explain: args.explain,
        driven: driver.is_some(),
        stdout: Reserved::take().context("cannot set stdout aside")?,
        ui: ui.clone(),
    };
    let unwritten: Rc<Cell<Option<io::Error>>> = Rc::default();
    let noted = unwritten.clone();
    let driven = Rc::new(Notify::new());
    let done = driven.clone();
    let mut announced = Announced::default();
    let mut tell = move |event: Event| {
        let ready = announced.take(&event);
        announcer.tell(event)?;
        if let Some(ready) = ready
            && let Some(driver) = driver.take()
        {
            let driving = (driver.drive)(ready, announcer.stdout.handed_on()?);
            let done = done.clone();
            tokio::task::spawn_local(async move {
                driving.await;
                done.notify_one();
            });
        }
        Ok(())
    };
    let observer = move |event| match tell(event) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            noted.set(Some(error));
            ControlFlow::Break(())
        }
    };
    let served = serve::block_on(options, observer, driven.notified()).map_err(failure);
    match unwritten.take() {
        Some(error) => Err(stdout::failure(error)),
        None => served,
    }
}

/// Tells what happens while a grain is served: addresses on stdout, the rest on stderr.
struct Announcer {
    grain: String,
    app: String,
    json: bool,
    explain: bool,
    /// Nobody is to open anything.
    driven: bool,
    stdout: Reserved,
    ui: Ui,
}

impl Announcer {
    fn tell(&mut self, event: Event) -> io::Result<()> {
        let ui = &self.ui;
        match event {
            Event::Ready { url, session_url, address, api, grants } if self.json => {
                let mut ready = serde_json::json!({
                    "event": "ready", "grainId": self.grain, "appId": self.app, "url": url,
                    "sessionUrl": session_url, "address": address,
                });
                if let Some(api) = api {
                    ready["api"] = serde_json::json!({
                        "id": api.id, "token": api.token, "url": api.url, "webkey": api.webkey(),
                    });
                }
                if !grants.is_empty() {
                    ready["grants"] = grants
                        .into_iter()
                        .map(|(name, token)| (name, token.into()))
                        .collect::<serde_json::Map<_, _>>()
                        .into();
                }
                self.stdout.line(&ready.to_string())?;
            }
            Event::Ready { url, session_url, api, grants, .. } => {
                ui.note(format!("grain {} runs; Ctrl-C stops it", self.grain));
                ui.note(format!("the app alone, for HTTP clients: {session_url}"));
                if let Some(api) = api {
                    ui.note(format!("the app's API, for programs: {}", api.webkey()));
                }
                for (name, token) in grants {
                    ui.note(format!("granted: {name}; the app claims it with {token}"));
                }
                if self.driven {
                    ui.note(format!("in a browser: {url}"));
                    return Ok(());
                }
                ui.note("open this in a browser:");
                self.stdout.line(&url)?;
            }
            Event::Note(text) => ui.note(text),
            Event::Lost(_) | Event::LostInAll(_) | Event::Denied(_) | Event::DeniedInAll(_)
                if !self.explain => {}
            Event::Lost(loss) => ui.note(loss.to_string()),
            Event::LostInAll(losses) if self.json => self.stdout.line(&lost_json(&losses))?,
            Event::LostInAll(losses) => lost_in_all(&losses, ui),
            Event::Denied(call) => ui.note(call.to_string()),
            Event::DeniedInAll(calls) if self.json => self.stdout.line(&denied_json(&calls))?,
            Event::DeniedInAll(calls) => denied_in_all(&calls, ui),
            _ => {}
        }
        Ok(())
    }
}

/// What did not get through between clients and the app, one line for each.
fn lost_in_all(losses: &[(Loss, u64)], ui: &Ui) {
    if losses.is_empty() {
        return;
    }
    ui.note("lost between clients and the app in all:");
    for (loss, count) in losses {
        ui.note(format!("  {count} × {loss}"));
    }
}

fn lost_json(losses: &[(Loss, u64)]) -> String {
    let losses: Vec<_> = losses
        .iter()
        .map(|(loss, count)| {
            let mut said = serde_json::json!({
                "what": loss.kind(), "text": loss.to_string(), "count": count,
            });
            match loss {
                Loss::RequestHeader(name)
                | Loss::ResponseHeader(name)
                | Loss::Cookie { name, .. } => said["name"] = name.as_str().into(),
                Loss::Status { said: status, sent } => {
                    said["status"] = (*status).into();
                    said["sent"] = (*sent).into();
                }
                _ => {}
            }
            said
        })
        .collect();
    serde_json::json!({ "event": "lost", "losses": losses }).to_string()
}

/// What the sandbox denied, one line for each kind of call and program.
fn denied_in_all(calls: &[Denied], ui: &Ui) {
    if calls.is_empty() {
        return ui.note("no system call was denied");
    }
    ui.note("denied system calls in all:");
    for call in calls {
        ui.note(format!("  {}", counted(call)));
    }
}

/// A denied call with how often it was and what is known of it.
pub fn counted(call: &Denied) -> String {
    let remarks = call.remarks();
    let remarks =
        if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join("; ")) };
    format!("{} × {call}{remarks}", call.count)
}

fn denied_json(calls: &[Denied]) -> String {
    let calls: Vec<_> = calls
        .iter()
        .map(|denied| {
            serde_json::json!({
                "call": denied.call, "detail": denied.detail, "answer": denied.answer,
                "program": denied.program, "count": denied.count, "remark": denied.remark(),
                "refusedBySandstorm": denied.is_refused_by_sandstorm(),
            })
        })
        .collect();
    serde_json::json!({ "event": "denied", "calls": calls }).to_string()
}

/// An error of the host, with its remedy.
pub fn failure(error: serve::Error) -> CliError {
    let remedy = error.remedy();
    let error = CliError::from(error);
    match (remedy, error.kind()) {
        (Some(remedy), Kind::Machine) => {
            error.hint(format!("{remedy}; spk doctor looks at all of this machine"))
        }
        (Some(remedy), _) => error.hint(remedy),
        (None, Kind::Machine) => error.hint("spk doctor looks at all of this machine"),
        (None, _) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("60"), Ok(Duration::from_secs(60)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "x", "", "inf", "NaN", "1e300"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
