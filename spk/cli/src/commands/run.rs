//! `spk run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use spk_grains::store::{Grain, GrainId, GrainMeta, NewGrain, Package, Store};
use spk_host::serve::{IDLE_TIMEOUT, Rootfs};
use spk_package::app_id::AppId;

use super::grain;
use crate::developer::Developer;
use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::missing;
use crate::out_of_reach::{self, Teller};
use crate::package_input;
use crate::package_tracer::PackageTracer;
use crate::serving::{self, ServeArgs, Served};
use crate::ui::Ui;

/// Run a package in the sandbox and serve it
///
/// Verifies the package, keeps it in the package store, makes a grain (or opens one again), starts
/// the app in its sandbox and serves it on a loopback port until Ctrl-C.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Open this grain again (its ID, or the unique beginning of one) instead of making a new one
    #[arg(long, value_name = "ID")]
    grain: Option<String>,
    /// Package definition, as FILE:CONSTANT: with --explain, what works in spk dev and is missing in
    /// the package is told
    #[arg(short = 'p', long, value_name = "FILE:NAME", requires = "explain")]
    pkg_def: Option<String>,
    /// Title of a new grain, instead of the app's
    #[arg(long, value_name = "TEXT", conflicts_with = "grain")]
    title: Option<String>,
    /// Open the grain although the package does not say that it can take over data so old
    #[arg(short = 'f', long, requires = "grain")]
    force: bool,
    /// Take no backup of the grain before a newer version of its app gets it
    #[arg(long, requires = "grain")]
    no_backup: bool,
    /// Stop the app after so long without a request, until the next one; 0: never [default: 180]
    #[arg(long, value_name = "SECONDS", value_parser = idle)]
    idle: Option<Idle>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Clone, Copy, Debug)]
struct Idle(Option<Duration>);

fn idle(text: &str) -> Result<Idle, String> {
    if text == "0" { Ok(Idle(None)) } else { serving::seconds(text).map(|time| Idle(Some(time))) }
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let store = Store::open(&global.state_dir()?)?;
    for line in store.recovered() {
        ui.note(line);
    }
    let package = package_input::add(&store, &args.package)?;
    package_input::can_start(&package)?;
    let grain = open_grain(&store, &package, &args, ui)?;
    let program = serving::program(&package.manifest, grain.meta().started)?;
    // What it looks for in vain can be told only where the developer's files are.
    let developer = match args.serve.explain {
        true => Developer::find(&package.app_id, args.pkg_def.as_deref(), global, ui)?,
        false => None,
    };
    // What it reaches for otherwise, wherever it can be seen.
    let tracer = match args.serve.explain && (developer.is_some() || has_fuse()) {
        true => Some(PackageTracer::new(&package.dir)?),
        false => None,
    };
    if args.serve.explain && tracer.is_none() {
        ui.note(
            "/dev/fuse cannot be opened: what the app looks for below /proc and /sys, and wants to \
             write outside of /var, is not told",
        );
    }
    let rootfs = match &tracer {
        Some(tracer) => tracer.rootfs(true),
        None => Rootfs::Package(package.dir.clone()),
    };
    let teller = tracer.as_ref().map(|tracer| {
        let tracers = tracer.tracers();
        Teller::start(move || tracers.out_of_reach(), true, ui)
    });
    let served = Served {
        store,
        app_id: package.app_id.to_string(),
        rootfs,
        program,
        proc: false,
        idle_timeout: args.idle.unwrap_or(Idle(Some(IDLE_TIMEOUT))).0,
        exchanges: None,
        restarts: None,
        package: Some(package),
        developer: None,
        driver: None,
    };
    let result = serving::serve_grain(served, grain, &args.serve, ui);
    drop(teller);
    let Some(tracer) = tracer else { return result };
    let record = tracer.finish();
    out_of_reach::sum_up(&record, true, ui);
    if let Some(developer) = developer {
        let failed = missing::Failed { anything: result.is_err(), ..missing::Failed::default() };
        let found = missing::find(&record, tracer.view(), &developer, &failed);
        if found == missing::Missing::default() {
            ui.note("nothing that the app looked for and that is here was missing in the package");
        }
        missing::warn(&found, ui);
    }
    result
}

/// Whether a file system can be served here that sees what is asked of it.
fn has_fuse() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/fuse").is_ok()
}

fn open_grain(store: &Store, package: &Package, args: &Args, ui: &Ui) -> Result<Grain> {
    let Some(id) = &args.grain else {
        let title = args.title.clone().unwrap_or_default();
        let others = of_app(store, &package.app_id)?;
        let grain = store.create_grain(package, NewGrain { title })?;
        tell_of(&others, &args.package, ui);
        return Ok(grain);
    };
    let mut grain = grain::hold(store, id, "run")?;
    let context = format!("cannot open grain {}", grain.id());
    grain.check_package(package, args.force).context(&context)?;
    // Another build of the same version is no upgrade: developers make them by the minute.
    let upgrade = package.manifest.app_version > grain.meta().app_version;
    if upgrade && !args.no_backup {
        grain::backup_before_upgrade(store, &grain, ui)?;
    }
    grain.set_package(package, args.force).context(context)?;
    Ok(grain)
}

/// The grains of an app, apart from those of `spk dev`, the last used one last.
fn of_app(store: &Store, app_id: &AppId) -> Result<Vec<(GrainId, GrainMeta)>> {
    let grains = store.grains()?.into_iter().filter_map(|info| Some((info.id, info.meta.ok()?)));
    let mut grains: Vec<_> =
        grains.filter(|(_, meta)| meta.app_id == *app_id && meta.package_id.is_some()).collect();
    grains.sort_by_key(|(_, meta)| meta.last_used);
    Ok(grains)
}

/// Who looks for yesterday's notes in a new grain is told where they are.
fn tell_of(others: &[(GrainId, GrainMeta)], package: &Path, ui: &Ui) {
    let Some((id, meta)) = others.last() else { return };
    let count = match others.len() {
        1 => "another grain of this app is".to_owned(),
        count => format!("{count} other grains of this app are"),
    };
    ui.note(format!(
        "this is a new grain; {count} here, last used: {id} ({})\nopen it with: spk run {} --grain {id}",
        meta.title.replace('\n', " "),
        package.display()
    ));
}
