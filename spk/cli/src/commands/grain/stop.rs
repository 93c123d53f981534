//! `spk grain stop`.

use std::time::{Duration, Instant};

use spk_grains::store::Store;
use spk_package::causes::in_one_line;

use crate::error::{CliError, Result};
use crate::ui::Ui;

/// How long an app is given to end: its own grace period, and time to spare.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether the grain is free.
const LOOK: Duration = Duration::from_millis(20);

/// Stop a running grain, as Ctrl-C does where it runs
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let id = store.resolve(&args.id)?;
    let was_running = store.grain_info(&id)?.busy.is_some();
    if was_running {
        let asked = store.control(&id)?.and_then(|mut client| client.stop());
        let since = Instant::now();
        // Free also when it was just ending by itself.
        while store.grain_info(&id)?.busy.is_some() {
            if let Err(error) = &asked {
                return Err(CliError::new(format!(
                    "grain {id} was not stopped: {}",
                    in_one_line(error)
                )));
            }
            if since.elapsed() > PATIENCE {
                let message = format!("grain {id} is still running after {PATIENCE:?}");
                return Err(CliError::new(message).hint("stop the process that runs it"));
            }
            std::thread::sleep(LOOK);
        }
    }
    if args.json {
        ui.line(serde_json::json!({ "grainId": id.as_str(), "stopped": was_running }).to_string())?;
    } else if !was_running {
        ui.note(format!("grain {id} was not running"));
    }
    Ok(())
}
