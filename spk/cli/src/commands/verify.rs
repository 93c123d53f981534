//! `spk verify`.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use spk_package::verify::{self, Options};

use crate::error::{Result, ResultExt};
use crate::global::Global;
use crate::package_input::Input;
use crate::progress::Bar;
use crate::ui::Ui;

/// Check a package and describe it
///
/// Checks all that servers check before they install a package, and all that unpacking it would
/// trip over.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Describe the package in detail (always done)
    #[arg(short = 'd', long)]
    details: bool,
    /// Describe it as JSON (what is printed otherwise is not always JSON)
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    let mut input = Input::open(&args.package)?;
    let size = input.size();
    let mut bar = Bar::new(ui);
    let info = verify::verify(&mut input, size, &Options::default(), &mut bar)
        .context(args.package.display().to_string())?;
    drop(bar);
    if args.json {
        ui.line(info.to_json().to_string())?;
    } else {
        match io::stdout().is_terminal() {
            true => ui.line(String::from_utf8_lossy(&info.to_legacy()).trim_end())?,
            false => ui.data(info.to_legacy())?,
        }
    }
    Ok(())
}
