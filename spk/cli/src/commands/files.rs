//! `spk files`: what is in the file list, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use fuse_tracer::{Record, Usage, Use, looked_at, trace_file};
use serde_json::json;
use spk_package::closure::{self, Reason};
use spk_package::coverage::{Coverage, Untouched};
use spk_package::file_list::{self, Dropped};
use spk_package::pkgdef::Definition;
use spk_package::selection::{self, Selection};
use spk_package::view::{Generated, View};

use crate::bridge;
use crate::coverage;
use crate::definition;
use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::guarding;
use crate::ui::Ui;

/// Explain and tidy the file list that `spk dev` writes
#[derive(clap::Args)]
pub struct Args {
    /// Package definition, as FILE:CONSTANT
    #[arg(short = 'p', long, value_name = "FILE:NAME", global = true)]
    pkg_def: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say where a file of the package comes from, and what used it
    Why {
        /// Path in the package, without a leading slash
        path: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what the list has but no recorded session used (-), and the other way round (+)
    Diff {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Drop what no recorded session used
    Prune {
        /// Only show what would be dropped
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Print JSON: what is, or would be, dropped
        #[arg(long)]
        json: bool,
    },
    /// Suggest what belongs to used files and was not used itself: libraries that a program
    /// names, the rest of a Python, Node or PHP package, of a gem or of a PHP app, what was only
    /// looked at
    Closure {
        /// Add all of it to the list
        #[arg(long)]
        take: bool,
        /// Print JSON: an array of suggestions
        #[arg(long)]
        json: bool,
    },
    /// Say how much of the app was used so far, and where the files are that never were: the app's own,
    /// and those of packages of which it used some
    Coverage {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// The list of a definition with what belongs to it.
struct Files {
    definition: Definition,
    list: PathBuf,
    view: View,
    record: Record,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    let files = Files::open(args.pkg_def.as_deref(), global, ui)?;
    match args.command {
        Command::Why { path, json } => files.why(path.trim_start_matches('/').as_bytes(), json, ui),
        Command::Diff { json } => files.diff(json, ui),
        Command::Prune { dry_run, json } => files.prune(dry_run, json, ui),
        Command::Closure { take, json } => files.closure(take, json, ui),
        Command::Coverage { json } => files.coverage(json, ui),
    }
}

impl Files {
    fn open(local: Option<&str>, global: &Global, ui: &Ui) -> Result<Files> {
        let located = definition::locate(local, global)?;
        let definition = definition::load(&located, &global.import_path, ui)?;
        let Some(name) = &definition.file_list else {
            return Err(CliError::new(format!("{} has no fileList", located.file.display()))
                .hint("what it packs is in its alwaysInclude alone"));
        };
        let list = definition::list_path(&located.file, name, ui);
        let record = trace_file::load(&trace_file::beside(&list))?;
        let generated = Generated {
            manifest: definition.manifest.clone(),
            bridge_config: definition.bridge_config.clone().unwrap_or_default(),
            bridge: bridge::find().ok(),
        };
        let own = guarding::Own { list: Some(&list), ..guarding::Own::default() };
        let view = View::new(definition.source_map.clone(), generated)
            .withholding(guarding::withheld(&own, global));
        Ok(Files { definition, list, view, record })
    }

    fn listed(&self) -> Result<BTreeSet<Vec<u8>>> {
        Ok(file_list::read(&self.list)
            .hint("run the app once with spk dev, which writes the list of the files it uses")?
            .into_iter()
            .collect())
    }

    /// What was used, when there is a trace that knows.
    fn used(&self) -> Result<BTreeSet<Vec<u8>>> {
        if self.record.paths.is_empty() {
            return Err(CliError::new(format!(
                "no session is recorded in {}",
                trace_file::beside(&self.list).display()
            ))
            .hint("run the app with spk dev, and use all of it"));
        }
        Ok(looked_at::for_list(&self.view, &self.record))
    }

    fn why(&self, path: &[u8], json: bool, ui: &Ui) -> Result<()> {
        let name = text(path);
        if json {
            return self.why_json(path, ui);
        }
        let taken = match selection::resolve(&self.view, path) {
            Ok(taken) => taken,
            Err(reason) => {
                let problem = selection::Problem { path: path.to_vec(), reason };
                if !self.record.paths.contains_key(path) {
                    return Err(CliError::new(problem.to_string()));
                }
                ui.line(problem.to_string())?;
                return self.show_uses(path, ui);
            }
        };
        if taken.len() > 1 {
            let links: Vec<String> = taken.iter().map(|path| text(path)).collect();
            ui.line(format!("{name} passes through a link: {}", links.join(" → ")))?;
        }
        for path in &taken {
            self.explain(path, ui)?;
        }
        Ok(())
    }

    /// The same for scripts: one object for each path that a path with links in it stands for.
    fn why_json(&self, path: &[u8], ui: &Ui) -> Result<()> {
        let taken = selection::resolve(&self.view, path).unwrap_or_else(|_| vec![path.to_vec()]);
        let mut all = Vec::new();
        for path in &taken {
            let found = self.view.lookup(path)?.is_some();
            let (listed, included) = if found { self.packed(path)? } else { (false, false) };
            let uses = self.record.paths.get(path).into_iter().flatten();
            let uses: Vec<_> = uses
                .map(|(kind, usage)| {
                    json!({
                        "use": words(*kind), "count": usage.count, "by": usage.by,
                        "first": first(usage),
                    })
                })
                .collect();
            all.push(json!({
                "path": text(path),
                "sources": if found { self.sources(path)? } else { Vec::new() },
                "listed": listed, "alwaysIncluded": included, "uses": uses,
            }));
        }
        ui.line(serde_json::to_string(&all)?)?;
        Ok(())
    }

    /// Where it comes from on this machine; nowhere, if `spk` makes it.
    fn sources(&self, path: &[u8]) -> Result<Vec<String>> {
        let name = text(path);
        let node = self.view.lookup(path)?.ok_or_else(|| CliError::new(format!("{name}: gone")))?;
        Ok(match node.source_file() {
            Some(source) => vec![source.path().display().to_string()],
            None => {
                let dirs = self.view.source_dirs(&node);
                dirs.iter().map(|dir| dir.display().to_string()).collect()
            }
        })
    }

    fn explain(&self, path: &[u8], ui: &Ui) -> Result<()> {
        let name = text(path);
        let sources = self.sources(path)?;
        let source = if sources.is_empty() { "made by spk".to_owned() } else { sources.join(", ") };
        ui.line(format!("{name}: {source}"))?;
        let (listed, included) = self.packed(path)?;
        ui.line(match (listed, included) {
            (true, true) => "  packed: in the list, and always included",
            (true, false) => "  packed: in the list",
            (false, true) => "  packed: always included",
            (false, false) => "  not packed",
        })?;
        self.show_uses(path, ui)
    }

    /// Whether it is in the list, and whether it is packed anyway.
    fn packed(&self, path: &[u8]) -> Result<(bool, bool)> {
        let listed = match file_list::read(&self.list) {
            Ok(listed) => listed.iter().any(|entry| entry == path),
            Err(file_list::Error::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
        let selection = Selection {
            always_include: self
                .definition
                .always_include
                .iter()
                .cloned()
                .map(String::into_bytes)
                .collect(),
            uses_bridge: self.definition.uses_bridge,
            ..Selection::default()
        };
        let included = selection::expand(&self.view, &selection)
            .is_ok_and(|expanded| expanded.root.get(path).is_some());
        Ok((listed, included))
    }

    fn show_uses(&self, path: &[u8], ui: &Ui) -> Result<()> {
        match self.record.paths.get(path) {
            None => ui.line("  no recorded session used it")?,
            Some(uses) => {
                for (kind, usage) in uses {
                    ui.line(format!("  {}", describe(*kind, usage)))?;
                }
            }
        }
        Ok(())
    }

    fn diff(&self, json: bool, ui: &Ui) -> Result<()> {
        let (listed, used) = (self.listed()?, self.used()?);
        let used: BTreeSet<_> =
            used.into_iter().filter(|path| file_list::is_listable(path)).collect();
        if json {
            let of = |paths: &mut dyn Iterator<Item = &Vec<u8>>| -> Vec<String> {
                paths.map(|path| text(path)).collect()
            };
            let unused = of(&mut listed.difference(&used));
            let unlisted = of(&mut used.difference(&listed));
            ui.line(json!({ "unused": unused, "unlisted": unlisted }).to_string())?;
            return Ok(());
        }
        for path in listed.symmetric_difference(&used) {
            let sign = if listed.contains(path) { '-' } else { '+' };
            ui.line(format!("{sign} {}", text(path)))?;
        }
        Ok(())
    }

    fn prune(&self, dry_run: bool, json: bool, ui: &Ui) -> Result<()> {
        let (listed, used) = (self.listed()?, self.used()?);
        // only what is there already: to add is `spk dev`'s business
        let kept = used.intersection(&listed).cloned().collect();
        let update = match dry_run {
            true => file_list::preview(&self.list, &kept, &self.view, true)?,
            false => file_list::update(&self.list, &kept, &self.view, true)?,
        };
        if json {
            let dropped: Vec<String> = update.dropped.iter().map(|(path, _)| text(path)).collect();
            ui.line(json!({ "dropped": dropped }).to_string())?;
            return Ok(());
        }
        for (path, why) in &update.dropped {
            match why {
                Dropped::Unused => ui.line(format!("- {}", text(path)))?,
                Dropped::Unusable(_) => ui.line(format!("- {} (not found)", text(path)))?,
            }
        }
        if !dry_run {
            let count = update.dropped.len();
            ui.note(format!("{count} entries dropped from {}", self.list.display()));
        }
        Ok(())
    }
}

impl Files {
    fn coverage(&self, json: bool, ui: &Ui) -> Result<()> {
        let coverage = Coverage::of(&self.view, &self.listed()?);
        if json {
            let dirs: Vec<_> = coverage.untouched.iter().map(untouched_json).collect();
            let (touched, files) = (coverage.touched, coverage.files());
            let all = json!({ "touched": touched, "files": files, "untouched": dirs });
            ui.line(all.to_string())?;
            return Ok(());
        }
        for dir in &coverage.untouched {
            ui.line(coverage::line(dir))?;
        }
        ui.note(coverage::sum(&coverage));
        Ok(())
    }

    fn closure(&self, take: bool, json: bool, ui: &Ui) -> Result<()> {
        let listed = self.listed()?;
        let mut all = BTreeSet::new();
        let mut for_scripts = Vec::new();
        for suggestion in closure::suggest(&self.view, &listed) {
            let what = match &suggestion.reason {
                Reason::NeededBy(path) => format!("libraries of {}", text(path)),
                Reason::Executes(path) => format!("what executes {}", text(path)),
                Reason::Named(path) => format!("libraries named in {}", text(path)),
                Reason::PythonPackage(dir) => {
                    format!("the rest of the Python package {}", text(dir))
                }
                Reason::NodePackage(dir) => format!("the rest of the Node package {}", text(dir)),
                Reason::PhpPackage(dir) => format!("the rest of the PHP package {}", text(dir)),
                Reason::PhpApp(dir) => format!("the rest of the PHP app {}", text(dir)),
                Reason::Gem(dir) => format!("the rest of the gem {}", text(dir)),
            };
            self.suggest(&what, &suggestion.paths, suggestion.bytes, json, &mut for_scripts, ui)?;
            all.extend(suggestion.paths);
        }
        for (by, (paths, bytes)) in self.looked_at(&listed) {
            let what = format!("only looked at by {by}");
            self.suggest(&what, &paths, bytes, json, &mut for_scripts, ui)?;
            all.extend(paths);
        }
        if json {
            ui.line(serde_json::to_string(&for_scripts)?)?;
        }
        for dangling in looked_at::dangling(&self.view, &self.record) {
            ui.warn(dangling.text());
        }
        if all.is_empty() {
            ui.note("nothing seems to be missing");
        } else if take {
            let update = file_list::update(&self.list, &all, &self.view, false)?;
            ui.note(format!("{} entries added to {}", update.added.len(), self.list.display()));
        } else {
            ui.note("take all of it into the list with: spk files closure --take");
        }
        Ok(())
    }

    /// What was only looked at and is not listed, with its size, by the programs that did it.
    fn looked_at(&self, listed: &BTreeSet<Vec<u8>>) -> BTreeMap<String, (Vec<Vec<u8>>, u64)> {
        let mut found: BTreeMap<String, (Vec<Vec<u8>>, u64)> = BTreeMap::new();
        let unlisted = looked_at::looked_at(&self.view, &self.record).into_iter();
        // What looks like a secret is packed only where it is named.
        for one in unlisted.filter(|one| one.is_harmless && !listed.contains(&one.path)) {
            let by: Vec<&str> = one.by.iter().map(String::as_str).collect();
            let by = if by.is_empty() { "the app".to_owned() } else { by.join(", ") };
            let (paths, bytes) = found.entry(by).or_default();
            paths.push(one.path);
            *bytes += one.bytes;
        }
        found
    }

    /// Tells one suggestion, or keeps it for scripts.
    fn suggest(
        &self,
        what: &str,
        paths: &[Vec<u8>],
        bytes: u64,
        json: bool,
        for_scripts: &mut Vec<serde_json::Value>,
        ui: &Ui,
    ) -> Result<()> {
        if json {
            let paths: Vec<String> = paths.iter().map(|path| text(path)).collect();
            for_scripts.push(json!({ "what": what, "bytes": bytes, "paths": paths }));
            return Ok(());
        }
        ui.line(format!("{what}: {} files, {} KB", paths.len(), bytes.div_ceil(1000)))?;
        for path in paths.iter().take(SHOWN) {
            ui.line(format!("  {}", text(path)))?;
        }
        if paths.len() > SHOWN {
            ui.line(format!("  … and {} more", paths.len() - SHOWN))?;
        }
        Ok(())
    }
}

/// Paths shown of one suggestion.
const SHOWN: usize = 10;

/// One use in words.
fn describe(kind: Use, usage: &Usage) -> String {
    let what = words(kind);
    let by: Vec<&str> = usage.by.iter().map(String::as_str).collect();
    let by = if by.is_empty() { String::new() } else { format!(" by {}", by.join(", ")) };
    let first = match first(usage) {
        Some(first) => format!(", first on {first}"),
        None => String::new(),
    };
    // the kernel answers later looks itself, so these numbers would mislead
    match kind {
        Use::Exec | Use::Read | Use::List => format!("{what} {}{by}{first}", times(usage.count)),
        _ => format!("{what}{by}{first}"),
    }
}

/// When it was first used. A trace is a file, in which anything may stand; the format has years of
/// four digits.
fn first(usage: &Usage) -> Option<String> {
    let first = UNIX_EPOCH.checked_add(Duration::from_millis(usage.first))?;
    (usage.first < YEAR_10000).then(|| httpdate::fmt_http_date(first))
}

fn words(kind: Use) -> &'static str {
    match kind {
        Use::Exec => "executed",
        Use::Read => "read",
        Use::List => "listed",
        Use::Link => "link followed",
        Use::Empty => "empty file looked at",
        Use::Stat => "looked at only",
        Use::Miss => "looked for and not found",
        Use::Write => "to be written, and refused",
        Use::Withheld => "looked for, and missing in the package",
    }
}

/// Milliseconds from 1970 to the year 10000.
const YEAR_10000: u64 = 253_402_300_800_000;

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("{count} times"),
    }
}

fn text(path: &[u8]) -> String {
    spk_files::printable::line(path)
}

fn untouched_json(dir: &Untouched) -> serde_json::Value {
    let Untouched { path, whole, files, bytes } = dir;
    json!({ "path": text(path), "whole": whole, "files": files, "bytes": bytes })
}
