//! `spk grain token`.

use serde_json::{Value, json};
use spk_grains::store::Store;
use spk_host::serve::question::{Question, WantedToken};

use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// Make an API token of a running grain, so that programs can use the app
///
/// Prints URL and token as a webkey, `URL#TOKEN`. A program sends its requests to the URL with
/// `Authorization: Bearer TOKEN`, or with the token as password. The token stays valid until it
/// ends or is revoked, also when the grain is started again (on another port, perhaps: --port).
#[derive(clap::Args)]
pub struct Args {
    /// The grain: its ID, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// Who acts: alice, bob, carol, dave, eve, or any other name; a visitor, if not given
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Role of the token, by title or number; all permissions, if neither is given
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Permissions of the token by name, separated by commas; in addition to those of --role
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    permissions: Option<Vec<String>>,
    /// What the token is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// After so many seconds the token is worth nothing
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,
    /// List the tokens instead
    #[arg(long, conflicts_with_all = ["user", "role", "permissions", "label", "expires"])]
    list: bool,
    /// Revoke the token of this number instead
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["list", "user", "role", "permissions"])]
    revoke: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, store: &Store, ui: &Ui) -> Result<()> {
    if args.list {
        let tokens = ask(store, &args.id, &Question::Tokens)?;
        return list(&tokens, args.json, ui);
    }
    if let Some(number) = &args.revoke {
        ask(store, &args.id, &Question::Revoke { id: number.clone() })?;
        if args.json {
            ui.line(json!({ "revoked": number }).to_string())?;
        }
        return Ok(());
    }
    let wanted = WantedToken {
        label: args.label,
        user: args.user,
        role: args.role,
        permissions: args.permissions.map(named),
        expires: args.expires,
        ..WantedToken::default()
    };
    let made = ask(store, &args.id, &Question::Token(wanted))?;
    if args.json {
        ui.line(made.to_string())?;
    } else {
        ui.line(text(&made["webkey"]))?;
        ui.note(format!("spk grain token {} --revoke {} revokes it", args.id, text(&made["id"])));
    }
    Ok(())
}

/// The names of a list on the command line: `--permissions ""` means none at all.
pub(super) fn named(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| !name.is_empty()).collect()
}

/// Asks the process that runs the grain.
pub(super) fn ask(store: &Store, id: &str, question: &Question) -> Result<Value> {
    let id = store.resolve(id)?;
    if store.grain_info(&id)?.busy.is_none() {
        return Err(CliError::new(format!("grain {id} is not running"))
            .hint(format!("`spk grain open {id}` starts it")));
    }
    let question = serde_json::to_value(question).context("cannot write the question")?;
    Ok(store.control(&id)?.and_then(|mut client| client.put(question))?)
}

/// A text, or what stands in its place.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn list(tokens: &Value, as_json: bool, ui: &Ui) -> Result<()> {
    if as_json {
        ui.line(tokens.to_string())?;
        return Ok(());
    }
    for token in tokens.as_array().into_iter().flatten() {
        let state = if token["revoked"] == true { "revoked" } else { "valid" };
        let (id, url, label) = (text(&token["id"]), text(&token["url"]), text(&token["label"]));
        ui.line(format!("{id}\t{state}\t{}\t{url}\t{label}", text(&token["user"])))?;
    }
    Ok(())
}
