//! What is the packager's and stays the packager's, for the commands that show or pack files: what
//! is withheld from their views, and how findings are told.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Seek;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use fuse_tracer::trace_file;
use serde_json::{Value, json};
use spk_package::contents::Opened;
use spk_package::guard::review::Finding;
use spk_package::guard::{Allowed, Review, What, Withheld};
use spk_package::selection;
use spk_package::verify::Options;
use spk_package::view::View;

use crate::error::{CliError, Result, ResultExt};
use crate::global::{self, Global};
use crate::progress::Bar;
use crate::requests;
use crate::stdout;
use crate::ui::Ui;

/// Paths of one kind that are named in a message.
const NAMED: usize = 10;

/// What a command has besides, which is to be in no package.
#[derive(Default)]
pub struct Own<'a> {
    /// Its own `-k`.
    pub keyring: Option<&'a PathBuf>,
    /// The file list, or the definition where there is none: trace and requests are beside it.
    pub list: Option<&'a Path>,
    /// What it writes; `-` is stdout.
    pub output: Option<&'a Path>,
}

/// What no view of this machine shows: the keyring in use, the state directory, what the tool
/// keeps beside the list, homes and the machine's secrets.
pub fn withheld(own: &Own<'_>, global: &Global) -> Arc<Withheld> {
    let mut withheld = Withheld::default();
    // Where one of these is not known, for want of a home, it is in no view either.
    if let Ok((keyring, _)) = global.keyring_path(own.keyring) {
        withheld.add(&keyring, What::Keyring);
    }
    if let Ok((keyring, _)) = global.keyring_path(None) {
        withheld.add(&keyring, What::Keyring);
    }
    if let Ok(state) = global.state_dir() {
        withheld.add(&state, What::State);
    }
    if let Some(list) = own.list {
        withheld.add(&trace_file::beside(list), What::Trace);
        withheld.add(&requests::beside(list), What::Requests);
    }
    match own.output {
        // A redirection into the project is an output like any other.
        Some(output) if output.as_os_str() == "-" => {
            if let Some((metadata, path)) = stdout::file() {
                withheld.add_open(&metadata, What::Output);
                withheld.add(&path, What::Output);
            }
        }
        Some(output) => withheld.add(output, What::Output),
        None => {}
    }
    // Who became root by sudo, and whose the directory here is.
    let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let here = Path::new(".").metadata().ok().map(|metadata| metadata.uid());
    let users: Vec<u32> = sudo.into_iter().chain(here).collect();
    withheld.add_private(global::home().ok().as_deref(), &users, &look_up);
    Arc::new(withheld)
}

/// What the machine's user database, which need not be a file, has about users. A program of its own
/// asks: what the C library loads for that does not go into a static one.
fn look_up(users: &[u32]) -> String {
    let mut getent = Command::new("getent");
    getent.arg("passwd").args(users.iter().map(u32::to_string));
    getent.stdin(Stdio::null()).stderr(Stdio::null());
    match getent.output() {
        Ok(output) => String::from_utf8_lossy(&output.stdout).into_owned(),
        Err(error) => {
            tracing::info!(%error, "getent, which knows users that are not in /etc/passwd");
            String::new()
        }
    }
}

/// Says what the app does not see although the map shows it.
pub fn tell_hidden(view: &View, ui: &Ui) {
    let mut hidden = view.withheld().shown_by(view.source_map());
    // Whoever maps `/` has these on every machine; they are named where the app looks for one.
    hidden.retain(|path, what| {
        let usual = matches!(what, What::Secret | What::Home);
        if usual {
            tracing::info!(path = %path.display(), "not shown to the app: {}", what.text());
        }
        !usual
    });
    tell_places("not shown to the app", &hidden, ui);
}

/// Says what the app looked for and was not shown.
pub fn tell_met(view: &View, ui: &Ui) {
    tell_places("looked for, but not shown to the app", &view.withheld().met(), ui);
}

fn tell_places(how: &str, places: &BTreeMap<PathBuf, What>, ui: &Ui) {
    if places.is_empty() {
        return;
    }
    let named = |(path, what): (&PathBuf, &What)| format!("{} ({})", path.display(), what.text());
    let mut shown: Vec<String> = places.iter().take(NAMED).map(named).collect();
    if places.len() > NAMED {
        shown.push(format!("and {} more", places.len() - NAMED));
    }
    ui.note(format!("{how}: {}", shown.join(", ")));
}

/// Says in one message what is left out, and what is packed although it looks as if it should not
/// be.
pub fn tell(review: &Review, withheld: &[selection::Withheld], ui: &Ui) {
    let mut groups = Groups::default();
    for one in withheld {
        let path = String::from_utf8_lossy(&one.path).into_owned();
        match one.what {
            // as at every pack in the project
            What::Output => tracing::info!(path, "left out: {}", one.what.text()),
            what => groups.add(format!("left out: {}", what.text()), path),
        }
    }
    for finding in &review.left_out {
        groups.add(format!("left out: {}", finding.kind.what()), shown(finding));
    }
    for finding in &review.told {
        let allowed = if finding.allowed { "allowed: " } else { "" };
        groups.add(format!("{allowed}{}", finding.kind.what()), shown(finding));
    }
    if !groups.0.is_empty() {
        let lines = groups.lines().join("\n");
        ui.warn(format!("some of what the definition names is not for everybody:\n{lines}"));
    }
}

/// The refusal to go on, with all that is refused, if anything is. `whose`: where it is; `remedy`:
/// what to do about it besides `--allow`.
pub fn refusal(review: &Review, whose: &str, remedy: &str) -> Option<CliError> {
    if review.refused.is_empty() {
        return None;
    }
    let lines = refused_lines(review).join("\n");
    let message = format!("not for everybody who gets {whose}:\n{lines}");
    Some(CliError::new(message).hint(format!("{remedy}; --allow PATH takes PATH all the same")))
}

/// Looks into a package that was made, and refuses it if it has in it what no package should have,
/// unless that is allowed.
pub fn made(package: &mut File, name: &Path, allow: &[OsString], ui: &Ui) -> Result<Review> {
    package.rewind()?;
    let size = package.metadata()?.len();
    let opened = Opened::open(package, Some(size), &Options::default(), &mut Bar::new(ui))
        .context(name.display().to_string())?;
    let allowed = Allowed::new(allow.iter().cloned().map(OsString::into_vec));
    let review = Review::of_package(&opened, &allowed).context(name.display().to_string())?;
    package.rewind()?;
    tell(&review, &[], ui);
    match refusal(&review, &name.display().to_string(), "pack it again without") {
        Some(refusal) => Err(refusal),
        None => Ok(review),
    }
}

/// What is refused, grouped.
pub fn refused_lines(review: &Review) -> Vec<String> {
    let mut groups = Groups::default();
    for finding in &review.refused {
        groups.add(finding.kind.what().to_owned(), shown(finding));
    }
    groups.lines()
}

/// Everything that was found and left out, for programs.
pub fn json(review: &Review, withheld: &[selection::Withheld]) -> Value {
    let mut all: Vec<Value> = withheld
        .iter()
        .map(|one| {
            json!({
                "path": String::from_utf8_lossy(&one.path), "kind": one.what.name(),
                "message": one.what.text(), "outcome": "left-out",
            })
        })
        .collect();
    let outcomes =
        [("left-out", &review.left_out), ("refused", &review.refused), ("packed", &review.told)];
    for (outcome, findings) in outcomes {
        all.extend(findings.iter().map(|finding| {
            json!({
                "path": shown(finding), "kind": finding.kind.name(),
                "message": finding.kind.what(),
                "outcome": if finding.allowed && outcome == "packed" { "allowed" } else { outcome },
            })
        }));
    }
    Value::Array(all)
}

fn shown(finding: &Finding) -> String {
    String::from_utf8_lossy(&finding.path).into_owned()
}

/// Paths by what they are, in the order in which the first of each came.
#[derive(Default)]
struct Groups(Vec<(String, Vec<String>)>);

impl Groups {
    fn add(&mut self, what: String, path: String) {
        match self.0.iter_mut().find(|(known, _)| *known == what) {
            Some((_, paths)) => paths.push(path),
            None => self.0.push((what, vec![path])),
        }
    }

    fn lines(&self) -> Vec<String> {
        let group = |(what, paths): &(String, Vec<String>)| {
            let named = paths.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = match paths.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("  {what}: {named}{more}")
        };
        self.0.iter().map(group).collect()
    }
}
