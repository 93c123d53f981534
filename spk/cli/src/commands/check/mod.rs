//! `spk check`.

mod backup;
mod body;
mod ending;
mod ignore;
mod names;
mod replay;
mod report;
mod session;
mod tokens;

use std::path::PathBuf;
use std::time::Duration;

use spk_grains::store::{Grain, NewGrain, Package, Store};
use spk_host::serve::{AppOptions, GrainOptions, Options, Rootfs};
use spk_package::guard::{Allowed, Review};

use tempfile::TempDir;

use crate::developer::Developer;
use crate::driving::Ready;
use crate::error::{CliError, Kind, Result, ResultExt};
use crate::global::Global;
use crate::missing::{self, Failed};
use crate::package_input;
use crate::package_tracer::PackageTracer;
use crate::requests::{self, Request};
use crate::serving;
use crate::stdout::Reserved;
use crate::ui::Ui;

use ending::Ending;
use ignore::Ignore;
use replay::{Plan, Replay, first_page};
use report::{Difference, Grade, Report};

/// Try a package out, and say what is wrong with it
///
/// Runs the package in the sandbox, in a grain of its own that is thrown away. Asks the app what
/// spk dev --record recorded and compares the answers, saves the grain and restores it, and reports
/// what the app looked for and did not find although the definition here has it, what it tried to
/// write outside of /var, what it looked for below /proc and /sys, the system calls it was denied, and
/// keys, passwords, backups and left-overs in the package.
///
/// Cookies, tokens and names that the app gives out are those of the new grain. Content counts as far
/// as it is the same each time. What need not be minded is named by patterns in LIST.ignore, beside
/// the file list LIST: request GET /clock*, body /feed, path usr/share/games/*, write opt/app/cache/*.
///
/// The grade is good, fair (it works, but something may be missing or was refused) or poor. Exit
/// status 0 for good and fair, 1 for poor, and 3 if this machine lacks what running it needs.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Package definition, as FILE:CONSTANT, that says what works in spk dev
    #[arg(short = 'p', long, value_name = "FILE:NAME")]
    pkg_def: Option<String>,
    /// Recorded requests, instead of those beside the definition's file list
    #[arg(long, value_name = "FILE", env = "SPK_REQUESTS", hide_env_values = true)]
    requests: Option<PathBuf>,
    /// Who asks for the first page: alice, bob, carol, dave, eve, anonymous, or any other name
    #[arg(long, value_name = "NAME", default_value = "alice")]
    user: String,
    /// How long to wait until the app answers its first request
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = serving::seconds)]
    start_timeout: Duration,
    /// Exit with status 1 unless the grade is good
    #[arg(long)]
    strict: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let ending = Ending::watch()?;
    let (state, store) = ending.store()?;
    let checked = check(args, state, store, &ending, global, ui);
    ending.finish();
    checked
}

fn check(
    args: Args,
    state: TempDir,
    store: Store,
    ending: &Ending,
    global: &Global,
    ui: &Ui,
) -> Result<()> {
    let package = package_input::add(&store, &args.package)?;
    let developer = Developer::find(&package.app_id, args.pkg_def.as_deref(), global, ui)?;
    let plan = plan(&args, developer.as_ref())?;

    let mut report = Report::new(&args.package, &package.app_id.to_string());
    report.requests.recorded = plan.requests.len();
    if developer.is_none() {
        report.notes.push(
            "no definition of this app here: what is missing in the package cannot be told".into(),
        );
    } else if plan.requests.is_empty() {
        report.notes.push(
            "no requests are recorded (spk dev --record): only the first page was asked for".into(),
        );
    }
    report.review = Review::of_unpacked(&package.dir, &Allowed::default())
        .context("cannot look at what was unpacked")?;
    let check = Check { args: &args, store: &store, package: &package, ending };
    check.start_and_ask(plan, developer.as_ref(), &mut report)?;
    drop(package);
    drop(store);
    state.close().context("cannot remove the grain of the check")?;

    report.print(args.json, ui)?;
    match report.grade() {
        Grade::Poor => Err(CliError::new(report.verdict())),
        Grade::Fair if args.strict => Err(CliError::new(report.verdict())),
        _ => Ok(()),
    }
}

/// The requests to ask again, none if nothing is recorded, and what need not be minded.
fn plan(args: &Args, developer: Option<&Developer>) -> Result<Plan> {
    let path = match (&args.requests, developer) {
        (Some(path), _) => path.clone(),
        (None, Some(developer)) if developer.requests.exists() => developer.requests.clone(),
        _ => return Ok(Plan::default()),
    };
    let mut plan = Plan { requests: requests::load(&path)?, ..Plan::default() };
    if let Some(developer) = developer {
        plan.ignore = Ignore::load(&ignore::beside(&developer.beside))?;
        let recorded = std::fs::metadata(&path)?.modified()?;
        plan.outdated = developer.changed_since(recorded).map(|changed| {
            format!("{} was changed after the recording: spk dev --record", changed.display())
        });
    }
    Ok(plan)
}

/// What was asked.
enum Asked {
    Recorded(Replay),
    FirstPage(std::result::Result<(), Difference>),
}

struct Check<'a> {
    args: &'a Args,
    store: &'a Store,
    package: &'a Package,
    ending: &'a Ending,
}

impl Check<'_> {
    /// The new grain's life: first start, all requests, end; then the backup of it.
    fn start_and_ask(
        &self,
        plan: Plan,
        developer: Option<&Developer>,
        report: &mut Report,
    ) -> Result<()> {
        let tracer = PackageTracer::new(&self.package.dir)?;
        let (grain, mut ended) = self.asked(tracer.rootfs(true), plan.clone())?;
        let ignore = plan.ignore.clone();
        let mut replay = ended.driven.take();
        let record = tracer.finish();
        report.add_notes(&ended.notes);
        report.denied = ended.denied;
        let started = match ended.result {
            Ok(()) => true,
            // Nothing is known of the package then.
            Err(error) if error.kind() == Kind::Machine => return Err(error),
            Err(error) => {
                report.start = Some(error.lines());
                false
            }
        };
        let mut failed =
            Failed { anything: !started, words: Some(body::words), ..Failed::default() };
        match &mut replay {
            Some(Asked::Recorded(replay)) => {
                if started && replay.needs_second() {
                    let rootfs = Rootfs::Package(self.package.dir.clone());
                    let (grain, mut again) = self.asked(rootfs, plan)?;
                    drop(grain);
                    if let Some(Asked::Recorded(again)) = again.driven.take() {
                        replay.compare_with(&again);
                    }
                }
                failed.gone = replay.gone();
            }
            Some(Asked::FirstPage(_)) => {}
            // It did not start.
            None => replay = Some(Asked::Recorded(Replay::new(plan))),
        }
        match replay {
            Some(Asked::Recorded(replay)) => replay.into_report(&mut report.requests),
            Some(Asked::FirstPage(Ok(()))) => report.requests.same += 1,
            Some(Asked::FirstPage(Err(different))) => report.requests.different.push(different),
            None => {}
        }
        failed.anything |= !report.requests.different.is_empty();
        if let Some(developer) = developer {
            report.missing = missing::find(&record, tracer.view(), developer, &failed);
        }
        report.add_out_of_reach(&record);
        report.ignore(&ignore);
        if started {
            backup::round_trip(self, grain, report)?;
        }
        Ok(())
    }

    /// A new grain that was asked all there is to ask.
    fn asked(&self, rootfs: Rootfs, plan: Plan) -> Result<(Grain, session::Served<Asked>)> {
        let mut grain = self.store.create_grain(self.package, NewGrain::default())?;
        let program = serving::program(&self.package.manifest, false)?;
        grain.touch()?;
        let app = AppOptions::new(rootfs, program);
        let mut options = Options::new(app, GrainOptions::of(&grain));
        options.policy.start_timeout = self.args.start_timeout;
        options.policy.explain = true;
        let visit = &mut options.visit;
        visit.user.clone_from(&self.args.user);
        let visitors = plan.requests.iter().map(Request::visitor);
        visit.other_users.extend(visitors);
        visit.other_users.sort();
        visit.other_users.dedup();
        if let Some(program) = plan.requests.iter().find(|request| request.program) {
            visit.user.clone_from(&program.user);
            visit.api_token = Some(None);
        }
        let served = self.served(options, async move |ready| {
            if plan.requests.is_empty() {
                return Asked::FirstPage(first_page(&ready).await);
            }
            let mut replay = Replay::new(plan);
            replay.ask_all(&ready).await;
            Asked::Recorded(replay)
        })?;
        Ok((grain, served))
    }

    /// Serves until `drive` is done.
    fn served<T, F>(&self, options: Options, drive: F) -> Result<session::Served<T>>
    where
        T: 'static,
        F: AsyncFnOnce(Ready) -> T + 'static,
    {
        let _stdout = Reserved::take().context("cannot set stdout aside")?;
        session::serve(options, self.ending, drive)
    }
}
