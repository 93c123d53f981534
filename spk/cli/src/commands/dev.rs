//! `spk dev`.

mod build;
mod drive;
mod exec;
mod mounted;
mod panel;
mod recording;
mod server;
mod watching;

use std::path::PathBuf;
use std::sync::Arc;

use fuse_tracer::Cache;
use spk_grains::store::{Grain, GrainId, GrainMeta, Store};
use spk_host::serve::Rootfs;
use spk_package::app_id::AppId;
use spk_package::coverage::Coverage;
use spk_package::file_list;
use spk_package::guard::Allowed;
use spk_package::guard::Withheld;
use spk_package::manifest::Manifest;
use spk_package::pkgdef::Definition;
use spk_package::view::{Generated, View};

use crate::commands::pack;
use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::guarding;
use crate::out_of_reach::Teller;
use crate::serving::{self, ServeArgs, Served};
use crate::ui::Ui;
use crate::{bridge, coverage, definition, names, requests};

use drive::Drive;
use recording::{Recording, Saved};

pub use build::SCRIPT as BUILD_SCRIPT;

/// Run the app live on a file system that records which files it uses
///
/// Serves the files that the definition's source map shows, without copying them: an edit is seen
/// by the running app. Open the URL, use everything the app can do, then press Ctrl-C: what was
/// used is merged into the file list, from which spk pack makes the package.
///
/// The app runs in the same sandbox as with spk run, in a grain that the project keeps from one
/// session to the next.
#[derive(clap::Args)]
pub struct Args {
    /// Further directory to search for imported schema files (may be repeated)
    #[arg(short = 'I', long, value_name = "DIR")]
    import_path: Vec<PathBuf>,
    /// Package definition, as FILE:CONSTANT
    #[arg(short = 'p', long, value_name = "FILE:NAME")]
    pkg_def: Option<String>,
    /// Accepted for scripts written for the original; no key is needed
    #[arg(short = 'k', long, value_name = "FILE", hide = true)]
    keyring: Option<PathBuf>,
    /// Let the kernel cache everything: edits may not be seen until spk dev is started again
    #[arg(short = 'c', long)]
    cache: bool,
    /// Start the app again when a file that it used changes
    #[arg(long, conflicts_with_all = ["cache", "mount"])]
    watch: bool,
    /// Only mount the files at DIR, for other programs to use them; run no app
    #[arg(short = 'm', long, value_name = "DIR", conflicts_with_all = ["server", "proc", "grain", "new", "packed", "record"])]
    mount: Option<PathBuf>,
    /// Let the Sandstorm server installed in DIR run the app, instead of running it here
    #[arg(short = 's', long, value_name = "DIR", conflicts_with_all = ["grain", "new", "packed", "record"])]
    server: Option<PathBuf>,
    /// Show the app a /proc, which no installed app has
    #[arg(long)]
    proc: bool,
    /// Run in this grain (its ID, or the unique beginning of one)
    #[arg(long, value_name = "ID", conflicts_with = "new")]
    grain: Option<String>,
    /// Make a new grain, instead of going on in the one of the last session; spk grain gc --dev
    /// deletes the others
    #[arg(long)]
    new: bool,
    /// Run .sandstorm/build.sh first, with the project at /opt/app, as vagrant-spk does; what it
    /// makes elsewhere in /opt is kept in .sandstorm/opt
    #[arg(long)]
    build: bool,
    /// Show the app nothing but what spk pack would pack now, and tell in the end what it looked
    /// for beyond that; the file list stays as it is
    #[arg(long)]
    packed: bool,
    /// Record the requests and the heads of their answers, beside the file list, for spk check to
    /// ask them again; in a new grain, since a new grain is what spk check begins with. It takes the
    /// place of the one of an earlier recording, unless that was gone on with
    #[arg(long, conflicts_with = "grain")]
    record: bool,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    drive: drive::DriveArgs,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let located = definition::locate(args.pkg_def.as_deref(), global)?;
    if args.build {
        build::run(&located.file, ui)?;
    }
    let imports = [global.import_path.as_slice(), &args.import_path].concat();
    let definition = definition::load(&located, &imports, ui)?;
    let manifest = Manifest::from_bytes(&definition.manifest)?;
    let app_id: AppId = definition.id.parse().context(format!(
        "the id in {} is not an app ID: {:?}",
        located.file.display(),
        definition.id
    ))?;
    let all = definition.always_include.iter().any(|path| path == ".");
    let cache = if args.cache { Cache::Frozen } else { Cache::Watched };
    let list =
        definition.file_list.as_deref().map(|name| definition::list_path(&located.file, name, ui));
    let own = guarding::Own {
        keyring: args.keyring.as_ref(),
        list: Some(list.as_deref().unwrap_or(&located.file)),
        output: None,
    };
    let withheld = guarding::withheld(&own, global);
    let view = Arc::new(view(&definition, withheld.clone(), ui)?);
    guarding::tell_hidden(&view, ui);
    // Known at the end at the latest, but then a session is lost.
    if let Some(list) = &list
        && let Ok(text) = std::fs::read(list)
        && !file_list::is_list(&text, &view)
    {
        return Err(CliError::from(file_list::Error::Foreign(list.clone()))
            .hint("name another fileList in the definition, or remove what is there"));
    }

    if let Some(dir) = &args.mount {
        let view = mounted::without(dir, &definition, view)?;
        let recording = Recording::new(view, cache, list, None, None, None)?;
        return mounted::run(dir, recording, all, ui);
    }
    if let Some(dir) = &args.server {
        let watch = if args.watch { Some(watching::debounced()?) } else { None };
        let (changes, restarts) = watch.unzip();
        let recording = Recording::new(view, cache, list, None, changes, None)?;
        let registered = server::Registration { dir, app_id: &app_id, proc: args.proc };
        return server::run(registered, recording, restarts, all, ui);
    }

    let store = Store::open(&global.state_dir()?)?;
    for line in store.recovered() {
        ui.note(line);
    }
    let project = std::path::absolute(&located.file)?.to_string_lossy().into_owned();
    let grain = open_grain(&store, &app_id, &manifest, &project, &args)?;
    let drive = Drive::new(args.drive);
    let only = match args.packed {
        true => {
            let allowed = Allowed::default();
            let list = list.as_deref();
            Some(Arc::new(pack::select(&definition, list, false, withheld, &allowed, ui)?.root))
        }
        false => None,
    };
    let requests = match args.record {
        true => Some(requests::Recording::beside(list.as_deref().unwrap_or(&located.file))?),
        false => None,
    };
    let (changes, restarts) = match args.watch {
        true => watching::debounced().map(|(changes, restarts)| (Some(changes), Some(restarts)))?,
        false => (None, None),
    };
    let (changed, changes) = panel::changes(changes)?;
    let saved = requests.clone().map(|requests| {
        // It is tried again at the end, where an error can be told.
        let save: Saved = Box::new(move || drop(requests.save_new()));
        save
    });
    let written_to = list.clone().filter(|_| only.is_none() && drive.is_some());
    let recording = Recording::new(view.clone(), cache, list, only, Some(changes), saved)?;
    let panel = panel::Panel::new(recording.looked_at(), changed, args.watch);
    let served = Served {
        driver: drive.as_ref().map(|drive| drive.driver(&args.serve.user, ui)),
        store,
        package: None,
        developer: Some(Arc::new(panel)),
        app_id: app_id.to_string(),
        rootfs: Rootfs::Fuse { hook: recording.hook(), writes_reach_server: true },
        program: serving::program(&manifest, grain.meta().started)?,
        proc: args.proc,
        idle_timeout: None,
        exchanges: requests.as_ref().map(requests::Recording::hook),
        restarts,
    };
    let looked_at = recording.looked_at();
    let teller = Teller::start(move || looked_at.out_of_reach(), args.serve.explain, ui);
    let served = serving::serve_grain(served, grain, &args.serve, ui);
    drop(teller);
    guarding::tell_met(&view, ui);
    names::tell_missing(&view, &recording.looked_at().record(), ui);
    // Whatever became of the app: what it used is not lost.
    let written = recording.finish(all, args.serve.explain, ui);
    if let Some(list) = written_to.filter(|_| written.is_ok()) {
        let listed = file_list::read(&list)?.into_iter().collect();
        coverage::tell(&Coverage::of(&view, &listed), ui);
    }
    let recorded = match requests {
        Some(requests) => requests.save().map(|count| {
            ui.note(format!("{}: {count} requests were recorded", requests.path().display()));
        }),
        None => Ok(()),
    };
    let done = drive.map_or(Ok(()), |drive| drive.outcome(ui));
    served.and(written).and(recorded).and(done)
}

/// The definition's files as the app will see them.
fn view(definition: &Definition, withheld: Arc<Withheld>, ui: &Ui) -> Result<View> {
    for warning in definition.source_map.warnings() {
        ui.warn(warning);
    }
    let bridge = match bridge::find() {
        Ok(path) => Some(path),
        Err(error) if definition.commands_use_bridge || definition.uses_bridge => {
            return Err(error);
        }
        Err(_) => None,
    };
    let generated = Generated {
        manifest: definition.manifest.clone(),
        bridge_config: definition.bridge_config_file(),
        bridge,
    };
    Ok(View::new(definition.source_map.clone(), generated).withholding(withheld))
}

/// The grain to run in: the one that was named, a new one, or the project's own.
fn open_grain(
    store: &Store,
    app_id: &AppId,
    manifest: &Manifest,
    project: &str,
    args: &Args,
) -> Result<Grain> {
    if let Some(text) = &args.grain {
        let grain = store.open_grain(&store.resolve(text)?)?;
        if grain.meta().app_id != *app_id {
            return Err(CliError::new(format!(
                "grain {} belongs to another app: {}",
                grain.id(),
                grain.meta().app_id
            )));
        }
        return Ok(grain);
    }
    let mut grains = developed(store, app_id, project)?;
    if !args.new
        && !args.record
        && let Some((id, meta)) = grains.pop()
    {
        let mut grain = store.open_grain(&id).hint("spk dev --new makes another grain")?;
        // From now on it is the project's own, whatever it was made for.
        if meta.for_one_session || meta.project.is_none() {
            grain.set_project(project, false)?;
        }
        return Ok(grain);
    }
    let title = format!("{} (development)", manifest.app_title);
    let mut grain = store.create_dev_grain(app_id, manifest.app_version, &title)?;
    grain.set_project(project, args.record)?;
    if args.record {
        // What earlier recordings began with is of no use any more.
        for (id, _) in grains.into_iter().filter(|(_, meta)| meta.for_one_session) {
            // Another session may be in it.
            if let Ok(old) = store.open_grain_for(&id, "delete") {
                store.delete(old)?;
                tracing::info!("removed grain {id} of an earlier recording");
            }
        }
    }
    Ok(grain)
}

/// The grains in which a project is developed, the last used one last. Those of versions of this
/// tool that did not note the project are any project's of the app.
fn developed(store: &Store, app_id: &AppId, project: &str) -> Result<Vec<(GrainId, GrainMeta)>> {
    let grains = store.grains()?.into_iter().filter_map(|info| Some((info.id, info.meta.ok()?)));
    let mut grains: Vec<_> = grains
        .filter(|(_, meta)| meta.app_id == *app_id && meta.package_id.is_none())
        .filter(|(_, meta)| meta.project.as_deref().is_none_or(|known| known == project))
        .collect();
    grains.sort_by_key(|(_, meta)| (meta.project.is_some(), meta.last_used));
    Ok(grains)
}
