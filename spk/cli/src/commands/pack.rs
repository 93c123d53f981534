//! `spk pack`.

mod level;
mod report;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuse_tracer::{looked_at, trace_file};
use serde_json::json;
use spk_package::app_id::AppId;
use spk_package::closure;
use spk_package::file_list;
use spk_package::guard::{Allowed, Review, Withheld};
use spk_package::keyring::Key;
use spk_package::manifest::Manifest;
use spk_package::pack::{self, Options, selected};
use spk_package::pkgdef::Definition;
use spk_package::programs;
use spk_package::replacements::Table;
use spk_package::report::Report;
use spk_package::selection::{self, Expanded, Selection};
use spk_package::view::{BRIDGE, Generated, View};

use crate::allocator;
use crate::bridge;
use crate::definition;
use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::guarding;
use crate::keyring;
use crate::progress::Bar;
use crate::replacing::{self, Sort};
use crate::ui::Ui;

use level::Preset;

/// Make and sign a package
///
/// Packs the files that the package definition names, signs them with the app's key and prints
/// the key's app ID. The same input and key give the same bytes, whenever and wherever it is done.
///
/// Never in a package, whatever the definition says: keyrings, the directory of grains, the package
/// itself, homes, and what spk dev keeps beside the file list. Private keys, passwords, other
/// packages, backups, version control and editors' left-overs are refused, unless they are allowed
/// by name: with --allow, or one by one in the definition's alwaysInclude or source map.
#[derive(clap::Args)]
pub struct Args {
    /// Package definition, as FILE:CONSTANT
    #[arg(short = 'p', long, value_name = "FILE:NAME")]
    pkg_def: Option<String>,
    /// Further directory to search for imported schema files (may be repeated)
    #[arg(short = 'I', long, value_name = "DIR")]
    import_path: Vec<PathBuf>,
    /// Keyring to use instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    #[command(flatten)]
    preset: Preset,
    /// Compress this many blocks at once [default: one for each processor]; each takes up to
    /// 350 MB of memory
    #[arg(short = 'T', long, value_name = "N")]
    threads: Option<usize>,
    /// Keep no compressed blocks for the next time
    #[arg(long)]
    no_cache: bool,
    /// Time, in seconds since 1970, of directories that exist only in the package
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    source_date_epoch: i64,
    /// Also pack what belongs to listed files without being listed, and what spk dev saw looked at:
    /// see spk files closure
    #[arg(long)]
    closure: bool,
    /// Pack this path, or what is below it, although it looks like a secret or a left-over (may be
    /// repeated)
    #[arg(long, value_name = "PATH")]
    allow: Vec<OsString>,
    /// Say what the package consists of
    #[arg(long)]
    report: bool,
    /// Print app ID, package ID, sizes (and the report) as JSON instead of the app ID
    #[arg(long)]
    json: bool,
    /// Replace OUTPUT even if it is no package
    #[arg(long)]
    force: bool,
    /// Only list what would be packed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The package to make; - is stdout, and its app ID is told on stderr
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    allocator::tune();
    let located = definition::locate(args.pkg_def.as_deref(), global)?;
    let imports = [&args.import_path[..], &global.import_path].concat();
    let definition = definition::load(&located, &imports, ui)?;
    let key = key(&definition, args.keyring.as_ref(), global, ui)?;
    let to_stdout = args.output.as_os_str() == "-";
    if !to_stdout && !args.dry_run {
        replacing::allow(&args.output, Sort::Package, args.force)?;
    }
    let list = definition.file_list.as_ref();
    let list = list.map(|name| definition::list_path(&located.file, name, ui));
    let own = guarding::Own {
        keyring: args.keyring.as_ref(),
        list: Some(list.as_deref().unwrap_or(&located.file)),
        output: Some(args.output.as_path()),
    };
    let withheld = guarding::withheld(&own, global);
    let allowed = Allowed::new(args.allow.iter().cloned().map(OsString::into_vec))
        .with_definition(&definition.always_include, &definition.source_map);
    let expanded =
        select(&definition, list.as_deref(), args.closure, withheld.clone(), &allowed, ui)?;
    let mtime = args.source_date_epoch.saturating_mul(1_000_000_000);
    let (mut tree, special) = selected::tree(&expanded.root, mtime, &withheld)?;
    let review = Review::of_tree(&mut tree, &allowed, definition::project(&located.file));
    guarding::tell(&review, &expanded.withheld, ui);
    let absent = programs::missing(&Manifest::from_bytes(&definition.manifest)?, |path| {
        expanded.root.get(path).is_some()
    });
    let mut found: Vec<&[u8]> = review.all().into_keys().collect();
    let absent: Vec<Vec<u8>> = absent.iter().map(programs::Missing::path).collect();
    found.extend(absent.iter().map(Vec::as_slice));
    for path in allowed.unused(&found) {
        ui.warn(format!(
            "--allow {}: there is nothing suspicious of that name",
            String::from_utf8_lossy(path)
        ));
    }
    if let Some(refusal) = guarding::refusal(&review, "the package", "hide it with hidePaths") {
        return Err(refusal);
    }
    for path in special {
        ui.warn(format!("{path}: neither file, directory nor link; packed as an empty file"));
    }
    if args.dry_run {
        return list_only(&expanded, &review, &key, args.json, ui);
    }
    if to_stdout && (args.json || args.report) {
        return Err(CliError::usage("stdout has room for the package and nothing else"));
    }
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(CliError::usage("a package is not for a terminal").hint("a file, or a pipe"));
    }
    // What comes first in a package is made of all that follows.
    let collected = match to_stdout {
        true => Some(tempfile::tempdir().context("cannot make a temporary directory")?),
        false => None,
    };
    let output = match &collected {
        Some(dir) => &dir.path().join("package"),
        None => &args.output,
    };
    let mut options = Options { level: args.preset.level(), ..Options::default() };
    if let Some(threads) = args.threads {
        options.threads = threads;
    }
    options.cache = if args.no_cache { None } else { cache_dir() };
    let mut bar = Bar::new(ui);
    let packed = pack::pack(&tree, &key, output, &options, &mut bar)?;
    drop(bar);
    if to_stdout {
        std::io::copy(&mut File::open(output)?, &mut ui.pipe())?;
        ui.note(packed.key.to_string());
        return Ok(());
    }
    let report = args.report.then(|| Report::of(&tree));
    if args.json {
        let mut value = json!({
            "appId": packed.key.to_string(),
            "packageId": packed.package_id.to_string(),
            "archiveBytes": packed.archive_bytes,
            "packageBytes": packed.package_bytes,
            "findings": guarding::json(&review, &expanded.withheld),
        });
        if let Some(report) = report {
            value["report"] = report::json(&report, &review);
        }
        ui.line(value.to_string())?;
    } else {
        if let Some(report) = report {
            report::print(&report, &packed, ui);
        }
        ui.line(packed.key.to_string())?;
    }
    Ok(())
}

/// What `--dry-run` says.
fn list_only(expanded: &Expanded, review: &Review, key: &Key, json: bool, ui: &Ui) -> Result<()> {
    let mut paths = expanded.root.paths();
    paths.retain(|(path, _)| !review.left_out.iter().any(|finding| finding.path == *path));
    if json {
        let paths: Vec<_> = paths.iter().map(|(path, _)| String::from_utf8_lossy(path)).collect();
        let value = json!({
            "appId": key.app_id().to_string(), "paths": paths, "dryRun": true,
            "findings": guarding::json(review, &expanded.withheld),
        });
        ui.line(value.to_string())?;
    } else {
        paths.iter().try_for_each(|(path, _)| ui.bytes_line(path))?;
    }
    Ok(())
}

/// Where compressed blocks are kept: `$XDG_CACHE_HOME/spk/blocks`, else below `~/.cache`.
fn cache_dir() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(base.join("spk/blocks"))
}

/// The key that signs for the definition's app.
fn key(definition: &Definition, local: Option<&PathBuf>, global: &Global, ui: &Ui) -> Result<Key> {
    let id: AppId = definition
        .id
        .parse::<AppId>()
        .context(format!("{}: the definition's id is no app ID", definition.file.display()))
        .hint("make one, and its key, with: spk keygen")?;
    if definition.id != id.to_string() {
        ui.note(format!("{}: id is {id} when spelled as usual", definition.file.display()));
    }
    let signing = Table::built_in().signing(id);
    let (path, _) = global.keyring_path(local)?;
    let option = local
        .or(global.keyring.as_ref())
        .map_or(String::new(), |path| format!(" -k {}", path.display()));
    if !path.exists() {
        return Err(CliError::new(format!("there is no keyring {}", path.display())).hint(
            format!(
                "make a key with spk keygen{option}, and put its app ID into the \
                           definition; or name the right keyring with -k{}",
                keyring::elsewhere(Some(&signing), &path)
            ),
        ));
    }
    let keyring = keyring::open(&path, ui)?;
    keyring::find(&keyring, &signing)?.ok_or_else(|| {
        CliError::new(format!("no key for {signing} in the keyring {}", path.display())).hint(
            format!(
                "name the keyring that has it with -k, or make a new key with spk keygen{option} \
                 and put its app ID into {}{}",
                definition.file.display(),
                keyring::elsewhere(Some(&signing), &path)
            ),
        )
    })
}

/// What the definition says to pack; with `closure` also what belongs to it.
pub(crate) fn select(
    definition: &Definition,
    list: Option<&Path>,
    closure: bool,
    withheld: Arc<Withheld>,
    allowed: &Allowed,
    ui: &Ui,
) -> Result<Expanded> {
    let all = definition.always_include.iter().any(|path| path == ".");
    let uses_bridge = definition.commands_use_bridge || (all && definition.uses_bridge);
    let mut file_list = match list.map(file_list::read) {
        None => Vec::new(),
        Some(Err(error @ file_list::Error::NotFound(_))) => {
            return Err(CliError::from(error).hint(
                "run the app once with spk dev, which writes the list of the files it uses",
            ));
        }
        Some(read) => read?,
    };
    for warning in definition.source_map.warnings() {
        ui.warn(warning);
    }
    // A launcher script may be what starts the bridge: then the list names it.
    let names_bridge = file_list.iter().any(|path| path == BRIDGE)
        || definition.always_include.iter().any(|path| path.as_bytes() == BRIDGE);
    let bridge = if uses_bridge || names_bridge { Some(bridge::find()) } else { None };
    let (bridge, no_bridge) = match bridge {
        Some(Ok(path)) => (Some(path), None),
        Some(Err(error)) => (None, Some(error)),
        None => (None, None),
    };
    let generated = Generated {
        manifest: definition.manifest.clone(),
        bridge_config: definition.bridge_config_file(),
        bridge,
    };
    let view = View::new(definition.source_map.clone(), generated).withholding(withheld);
    if closure {
        let listed: BTreeSet<Vec<u8>> = file_list.iter().cloned().collect();
        let suggested = closure::suggest(&view, &listed).into_iter();
        let mut more: BTreeSet<Vec<u8>> =
            suggested.flat_map(|suggestion| suggestion.paths).collect();
        if let Some(list) = list {
            let record = trace_file::load(&trace_file::beside(list))?;
            // What looks like a secret would be refused, and nobody named it.
            let found = looked_at::looked_at(&view, &record).into_iter();
            let unlisted = found.filter(|one| one.is_harmless && !listed.contains(&one.path));
            more.extend(unlisted.map(|one| one.path));
        }
        ui.note(format!("{} further paths that belong to listed ones", more.len()));
        file_list.extend(more);
    }
    let always_include =
        definition.always_include.iter().map(|path| path.clone().into_bytes()).collect();
    let uses_bridge = uses_bridge || names_bridge;
    let selection = Selection { file_list, always_include, uses_bridge };
    let expanded = selection::expand(&view, &selection).map_err(|error| {
        let only_bridge =
            error.problems.iter().all(|p| matches!(p.reason, selection::Reason::NoBridge));
        match (no_bridge, only_bridge) {
            (Some(no_bridge), true) => no_bridge,
            _ => CliError::from(error)
                .hint("run spk dev to bring the file list up to date, or edit it"),
        }
    })?;
    let manifest = Manifest::from_bytes(&definition.manifest)?;
    let packed = |path: &[u8]| match selection::follow(&view, path) {
        Ok(way) => way.iter().all(|step| expanded.root.get(step).is_some()),
        Err(_) => false,
    };
    let missing = programs::missing(&manifest, packed);
    if let Some(missing) = missing.iter().find(|missing| !allowed.has(&missing.path())) {
        return Err(CliError::new(missing.to_string()).hint(
            "build it, and see that the definition's source map and its file list or alwaysInclude \
             have it; --allow PATH packs without it all the same",
        ));
    }
    for rewritten in &expanded.rewritten {
        let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let taken: Vec<String> = rewritten.taken.iter().map(|path| text(path)).collect();
        tracing::info!("{} is packed as {}", text(&rewritten.listed), taken.join(", "));
    }
    Ok(expanded)
}
