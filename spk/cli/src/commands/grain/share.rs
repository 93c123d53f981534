//! `spk grain share`.

use serde_json::json;
use spk_grains::store::Store;
use spk_host::serve::question::Question;

use super::token::{ask, named, text};
use crate::error::Result;
use crate::ui::Ui;

/// Say what a user may do in a running grain
///
/// As sharing works on a server: what a user has is what any chain of shares from the owner lets
/// through. A user with whom nobody has shared has those of the app's default role, or all if the
/// app has none. Open sessions are opened anew with the next request.
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// With whom: alice, bob, carol, dave, eve, or any other name
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    to: Option<String>,
    /// Who shares; the owner, if not given
    #[arg(long, value_name = "NAME", requires = "to")]
    from: Option<String>,
    /// Role by title or number; `none` for the app's default role, `all` for all permissions
    #[arg(long, value_name = "ROLE", requires = "to")]
    role: Option<String>,
    /// Permissions by name, separated by commas; in addition to those of --role
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "to")]
    permissions: Option<Vec<String>>,
    /// Take back everything that was shared with the user
    #[arg(long, requires = "to", conflicts_with_all = ["role", "permissions", "from"])]
    remove: bool,
    /// List the shares instead
    #[arg(long, conflicts_with = "to")]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    let Some(to) = args.to else {
        let shares = ask(store, &args.id, &Question::Shares)?;
        if args.json {
            ui.line(shares.to_string())?;
            return Ok(());
        }
        for share in shares.as_array().into_iter().flatten() {
            ui.line(format!(
                "{}\t{}\t{}",
                text(&share["from"]),
                text(&share["to"]),
                share["role"]
            ))?;
        }
        return Ok(());
    };
    let question = match args.remove {
        true => Question::Unshare { to: to.clone() },
        false => Question::Share {
            from: args.from,
            to: to.clone(),
            role: args.role,
            permissions: args.permissions.map(named),
        },
    };
    ask(store, &args.id, &question)?;
    if args.json {
        ui.line(json!({ "to": to, "removed": args.remove }).to_string())?;
    }
    Ok(())
}
