//! `spk grain open`.

use spk_grains::store::Store;
use spk_host::serve::{IDLE_TIMEOUT, Rootfs};

use crate::error::{CliError, Result};
use crate::serving::{self, ServeArgs, Served};
use crate::ui::Ui;

/// Start a grain with the package it has, and serve it
///
/// As `spk run FILE --grain ID`, without the package file.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    serve: ServeArgs,
}

/// Runs the subcommand.
pub fn run(args: Args, store: Store, ui: &Ui) -> Result<()> {
    let grain = super::hold(&store, &args.id, "run")?;
    let Some(package) = grain.meta().package_id else {
        return Err(CliError::new(format!("grain {} was made by spk dev", grain.id()))
            .hint("`spk run FILE --grain ID` gives it a package"));
    };
    let package = store.package(&package)?;
    let served = Served {
        app_id: package.app_id.to_string(),
        rootfs: Rootfs::Package(package.dir.clone()),
        program: serving::program(&package.manifest, grain.meta().started)?,
        proc: false,
        idle_timeout: Some(IDLE_TIMEOUT),
        exchanges: None,
        restarts: None,
        store,
        package: Some(package),
        developer: None,
        driver: None,
    };
    serving::serve_grain(served, grain, &args.serve, ui)
}
