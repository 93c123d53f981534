//! `spk grain`: one file per subcommand of its own.

mod delete;
mod export;
mod gc;
mod list;
mod log;
mod new;
mod open;
mod rename;
mod restore;
mod share;
mod shell;
mod show;
mod size;
mod stop;
mod token;
mod upgrade;

use std::path::Path;

use clap::Subcommand;
use spk_grains::backup::{Skipped, automatic};
use spk_grains::store::{Error, Grain, GrainId, Package, Store};
use spk_package::app_id::AppId;
use tempfile::TempDir;

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::package_input;
use crate::progress::Bar;
use crate::ui::Ui;

/// Work with grains: the instances of apps and their data
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do with grains.
#[derive(Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    New(new::Args),
    Open(open::Args),
    Stop(stop::Args),
    Rename(rename::Args),
    Upgrade(upgrade::Args),
    Export(export::Args),
    Restore(restore::Args),
    Delete(delete::Args),
    Log(log::Args),
    Shell(shell::Args),
    Size(size::Args),
    Gc(gc::Args),
    Token(token::Args),
    Share(share::Args),
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let store = Store::open(&global.state_dir()?)?;
    for line in store.recovered() {
        ui.note(line);
    }
    match args.command {
        Command::List(args) => list::run(args, &store, ui),
        Command::Show(args) => show::run(args, &store, ui),
        Command::New(args) => new::run(args, &store, ui),
        Command::Open(args) => open::run(args, store, ui),
        Command::Stop(args) => stop::run(args, &store, ui),
        Command::Rename(args) => rename::run(args, &store, ui),
        Command::Upgrade(args) => upgrade::run(args, &store, ui),
        Command::Export(args) => export::run(args, &store, ui),
        Command::Restore(args) => restore::run(args, &store, ui),
        Command::Delete(args) => delete::run(args, &store, ui),
        Command::Log(args) => log::run(args, &store, ui),
        Command::Shell(args) => shell::run(args, &store, ui),
        Command::Size(args) => size::run(args, &store, ui),
        Command::Gc(args) => gc::run(args, &store, ui),
        Command::Token(args) => token::run(args, &store, ui),
        Command::Share(args) => share::run(args, &store, ui),
    }
}

/// The grain of that ID, or of the only one beginning so, locked for `what`.
pub(super) fn hold(store: &Store, id: &str, what: &str) -> Result<Grain> {
    let id = store.resolve(id)?;
    store.open_grain_for(&id, what).map_err(|error| match &error {
        Error::Busy { holder: Some(holder), .. } if holder.runs() => {
            CliError::from(error).hint(format!("`spk grain stop {id}` stops it"))
        }
        _ if error.is_damaged_grain() => CliError::from(error).hint(format!(
            "its data is whole: `spk grain export {id}` saves it, `spk grain delete {id}` deletes it"
        )),
        _ => error.into(),
    })
}

/// The grain `id`, whose metadata cannot be read, with what is left of them; `app` is the app it
/// belongs to, where somebody says so.
fn open_damaged(
    store: &Store,
    id: &GrainId,
    what: &str,
    app: Option<AppId>,
    ui: &Ui,
) -> Result<Grain> {
    let grain = store.open_damaged(id, what, app).map_err(|error| {
        let data = store.path().join("grains").join(id.as_str()).join("sandbox");
        let hint = format!(
            "its data is in {}; name its app: `spk grain export {id} --app APPID` saves it",
            data.display()
        );
        CliError::from(error).hint(hint)
    })?;
    ui.warn(format!("the metadata of grain {id} is damaged: its users and shares are lost"));
    Ok(grain)
}

/// Takes the backup that an upgrade needs, and says where it is.
pub(super) fn backup_before_upgrade(store: &Store, grain: &Grain, ui: &Ui) -> Result<()> {
    let (backup, exported) = automatic::before(store, grain, "upgrade", &mut Bar::new(ui))
        .context("no backup could be taken, so nothing was done")
        .hint("--no-backup upgrades without one")?;
    warn_of(ui, &exported.contents.skipped);
    ui.note(format!("backup before the upgrade: {}", backup.path.display()));
    Ok(())
}

/// A package for what is only tried, in a store that goes with it.
fn on_trial(spk: &Path) -> Result<(TempDir, Package)> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    let package = package_input::add(&Store::open(dir.path())?, spk)?;
    Ok((dir, package))
}

/// One line for each thing that is not as it was.
fn warn_of(ui: &Ui, items: &[Skipped]) {
    for Skipped { path, reason } in items {
        ui.warn(format!("{}: {reason}", path.escape_ascii()));
    }
}

/// The same for `--json`: a path that is no UTF-8 is escaped.
fn skipped_json(items: &[Skipped]) -> serde_json::Value {
    let one = |Skipped { path, reason }: &Skipped| {
        let path = match std::str::from_utf8(path) {
            Ok(path) => path.to_owned(),
            Err(_) => path.escape_ascii().to_string(),
        };
        serde_json::json!({ "path": path, "reason": reason })
    };
    items.iter().map(one).collect()
}
