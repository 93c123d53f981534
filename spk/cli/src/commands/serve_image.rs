//! `spk serve-image`: the entry point of images made by `spk oci`.

use std::path::PathBuf;

use spk_grains::store::{Grain, NewGrain, Package, Store};
use spk_host::serve::Rootfs;

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::relay;
use crate::serving::{self, ServeArgs, Served};
use crate::ui::Ui;

/// Serve the one grain of a container
///
/// The grain is made at the first start, and found again in the volume at every other.
#[derive(clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// The package
    #[arg(value_name = "FILE")]
    package: PathBuf,
    #[command(flatten)]
    serve: ServeArgs,
}

/// Runs the subcommand.
pub fn run(mut args: Args, global: &Global, ui: &Ui) -> Result<()> {
    // A container is told by its environment.
    if let Ok(user) = std::env::var("SPK_USER") {
        args.serve.user = user;
    }
    if let Ok(names) = std::env::var("SPK_PERMISSIONS") {
        args.serve.permissions = Some(names.split(',').map(str::to_owned).collect());
    }
    let state = global.state_dir()?;
    let store = Store::open(&state)
        .hint("the volume has to belong to the container's user: 1000, or fsGroup in Kubernetes")?;
    for line in store.recovered() {
        ui.note(line);
    }
    let package = store.add_package(&args.package)?;
    let grain = grain(&store, &package)?;
    let served = Served {
        app_id: package.app_id.to_string(),
        rootfs: Rootfs::Package(package.dir.clone()),
        program: serving::program(&package.manifest, grain.meta().started)?,
        proc: false,
        idle_timeout: None,
        exchanges: None,
        restarts: None,
        store,
        package: Some(package),
        developer: None,
        driver: None,
    };
    relay::start(args.serve.port, ui)?;
    serving::serve_grain(served, grain, &args.serve, ui)
}

/// The app's grain in the volume: a new one in an empty volume; an older version's is upgraded.
fn grain(store: &Store, package: &Package) -> Result<Grain> {
    let mut grains = store
        .grains()?
        .into_iter()
        .filter_map(|grain| Some((grain.id, grain.meta.ok()?)))
        .filter(|(_, meta)| meta.app_id == package.app_id);
    match (grains.next(), grains.next()) {
        (None, _) => Ok(store.create_grain(package, NewGrain { title: String::new() })?),
        (Some((id, _)), None) => {
            let mut grain = store.open_grain(&id)?;
            grain.set_package(package, false).context(format!("cannot open grain {id}"))?;
            Ok(grain)
        }
        (Some(_), Some(_)) => Err(CliError::new("there is more than one grain in the volume")
            .hint("a container serves one: spk grain delete removes the others")),
    }
}
