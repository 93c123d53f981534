//! `spk grain new`.

use std::path::PathBuf;

use spk_grains::store::{NewGrain, Store};

use crate::error::Result;
use crate::package_input;
use crate::ui::Ui;

/// Make a grain without starting it
///
/// Prints its ID. `spk run FILE --grain ID` starts it.
#[derive(clap::Args)]
pub struct Args {
    /// The package it runs; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Its title, instead of the app's
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    title: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let package = package_input::add(store, &args.package)?;
    package_input::can_start(&package)?;
    let grain = store.create_grain(&package, NewGrain { title: args.title })?;
    let id = grain.id().clone();
    drop(grain);
    match args.json {
        true => ui.line(super::list::json(&store.grain_info(&id)?).to_string())?,
        false => ui.line(id.as_str())?,
    }
    Ok(())
}
