//! `spk init`.

mod found;
mod image;
mod interpreter;
mod launch;
mod plan;
mod volumes;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use spk_files::random;
use spk_package::keyring::Key;
use spk_package::suggest::closest;

use crate::definition;
use crate::error::{CliError, Result};
use crate::global::Global;
use crate::replacing::{self, Sort};
use crate::templates;
use crate::ui::Ui;

use plan::{Plan, exists};

/// Default name of a package definition.
const DEFINITION: &str = "sandstorm-pkgdef.capnp";

/// What version control leaves alone.
const IGNORED: &str = ".gitignore";

/// Below this, ports cannot be bound in the sandbox.
const LOWEST_PORT: u16 = 1024;

/// Start a package in this directory
///
/// Writes sandstorm-pkgdef.capnp, for a command that you give or, with --template, together with
/// a small app to start from, and makes an app key in your keyring. With neither, in the directory
/// of a Python, Node, Ruby, PHP, Rust or Go app or of a static site, it proposes command and port, and
/// puts what it writes into .sandstorm/; a port or a command alone takes the place of its own. With
/// --image it makes a project of a container image.
#[derive(clap::Args)]
pub struct Args {
    /// The app is an HTTP server on this port; its command is wrapped with the HTTP bridge
    #[arg(short = 'p', long, value_name = "PORT", conflicts_with = "raw",
          value_parser = clap::value_parser!(u16).range(i64::from(LOWEST_PORT)..))]
    port: Option<u16>,
    /// The app speaks Cap'n Proto itself
    #[arg(short = 'r', long)]
    raw: bool,
    /// Directory with files of the app (may be repeated; earlier ones win)
    #[arg(short = 'I', long = "source-path", value_name = "DIR")]
    source_path: Vec<OsString>,
    /// Pack everything in the source paths, instead of what `spk dev` sees used
    #[arg(short = 'A', long, requires = "source_path")]
    include_all: bool,
    /// Use this app ID instead of making a key
    #[arg(short = 'i', long, value_name = "ID")]
    app_id: Option<String>,
    /// Write the definition there; - for stdout
    #[arg(short = 'o', long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Keyring for the new key instead of ~/.sandstorm-keyring
    #[arg(short = 'k', long, value_name = "FILE")]
    keyring: Option<PathBuf>,
    /// Start with a small app that works: python, node, php, static, rust, raw or raw-python
    #[arg(short = 't', long, value_name = "NAME",
          conflicts_with_all = ["port", "raw", "source_path", "include_all", "output", "command"])]
    template: Option<String>,
    /// Title of an app made from a template, or found
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// A directory of the app's that it writes to: becomes a link into /var, which a new grain fills with
    /// what the package has there. Alone, for the project that is here already (may be repeated)
    #[arg(long, value_name = "PATH", conflicts_with_all = ["template", "raw", "output"])]
    var: Vec<String>,
    /// Only say what would be written
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Write what is proposed for an app that was found, without asking
    #[arg(short = 'y', long)]
    yes: bool,
    /// Overwrite files
    #[arg(long)]
    force: bool,
    /// The app's command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    image: image::ImageArgs,
}

impl Args {
    /// Whether not all was said about the app, so that it has to be looked for. (The original wants
    /// both, and asks nothing.)
    fn finds(&self) -> bool {
        (self.command.is_empty() || self.port.is_none())
            && !self.raw
            && self.source_path.is_empty()
            && self.output.is_none()
    }
}

/// Runs the subcommand.
pub fn run(args: Args, global: &Global, ui: &Ui) -> Result<()> {
    if let Some(file) = &args.image.image {
        return image::run(file, &args, global, ui);
    }
    let is_alone = args.command.is_empty() && args.port.is_none() && args.source_path.is_empty();
    if !args.var.is_empty() && is_alone && definition::locate(None, global).is_ok() {
        return volumes::add(&args.var, global, ui);
    }
    match &args.template {
        Some(name) => from_template(name, &args, global, ui),
        None if args.finds() => found::run(&args, global, ui),
        None => from_command(&args, global, ui),
    }?;
    match args.var.as_slice() {
        [] => Ok(()),
        paths => volumes::add(paths, global, ui),
    }
}

fn from_command(args: &Args, global: &Global, ui: &Ui) -> Result<()> {
    if args.command.is_empty() {
        return Err(CliError::usage("no command given")
            .hint("spk init -p PORT -- COMMAND, or spk init --template python"));
    }
    if args.port.is_none() && !args.raw {
        return Err(CliError::usage("either --port or --raw is needed").hint(
            "-p PORT for an app that is an HTTP server, -r for one that speaks Cap'n Proto",
        ));
    }
    if args.title.is_some() {
        return Err(CliError::usage("--title is for an app made from a template, or found")
            .hint("the definition has it: appTitle"));
    }
    let output = args.output.clone().unwrap_or_else(|| DEFINITION.into());
    if args.output.as_ref().is_some_and(|output| output.as_os_str() != "-") {
        replacing::allow(&output, Sort::Definition, args.force)?;
    }
    if args.output.is_none() && !args.force && output.symlink_metadata().is_ok() {
        return Err(exists(&output));
    }
    let beside = beside(&output);
    let mut plan = Plan::new(args.force || args.output.is_some());
    for (path, contents) in templates::ROOTFS {
        if let Some(dir) = &beside {
            plan.add_if_absent(dir.join(path), contents);
        }
    }
    if args.dry_run {
        ui.line(format!("would write: {}", output.display()))?;
        return plan.show(ui);
    }
    let mut argv: Vec<String> = Vec::new();
    if let Some(port) = args.port {
        argv.extend(["/sandstorm-http-bridge".into(), port.to_string(), "--".into()]);
    }
    argv.extend(args.command.iter().map(|argument| templates::escape(argument.as_bytes())));
    let argv: Vec<String> = argv.iter().map(|argument| format!("\"{argument}\"")).collect();

    let app = AppKey::new(args)?;
    let text = templates::fill(
        templates::GENERIC,
        &[
            ("fileId", &file_id()?),
            ("appId", &app.id),
            ("searchPath", &search_path(&args.source_path, beside.is_some())),
            ("fileSelection", &file_selection(args.include_all, beside.is_some())),
            ("argv", &argv.join(", ")),
        ],
    );
    if output.as_os_str() == "-" {
        ui.data(&text)?;
        app.keep(args, global, ui)?;
        return ui.line("wrote: -");
    }
    plan.add(output.clone(), text.into_bytes())?;
    if args.output.is_none() {
        plan.add_ignored(IGNORED, templates::GITIGNORE, ui)?;
    }
    let staged = plan.stage(&[])?;
    app.keep(args, global, ui)?;
    staged.finish(ui)?;
    if beside.is_some() {
        interpreter::tell_of_links(&output, None, global, ui);
    }
    Ok(())
}

fn from_template(name: &str, args: &Args, global: &Global, ui: &Ui) -> Result<()> {
    let template = templates::find(name).ok_or_else(|| no_template(name))?;
    // Nothing is written before it is sure that nothing will be overwritten.
    let mut plan = Plan::new(args.force);
    for (path, contents) in template.files() {
        match *path {
            IGNORED => plan.add_ignored(path, contents, ui)?,
            path => plan.add(path, contents.to_vec())?,
        }
    }
    if args.dry_run {
        return plan.show(ui);
    }
    let app = AppKey::new(args)?;
    let title = args.title.as_deref().unwrap_or("Notes");
    let staged = plan.stage(&definition_values(&app.id, title)?)?;
    app.keep(args, global, ui)?;
    staged.finish(ui)?;
    if let Some(runtime) = template.runtime
        && !Path::new(runtime).exists()
    {
        ui.warn(format!("the app runs on {runtime}, which is not installed on this machine"));
    }
    ui.note(format!("next: {}", template.next));
    Ok(())
}

fn no_template(name: &str) -> CliError {
    let known: Vec<String> = templates::ALL
        .iter()
        .map(|template| format!("{} ({})", template.name, template.what))
        .collect();
    let error = CliError::usage(format!("there is no template {name}"));
    match closest(name, templates::ALL.iter().map(|template| template.name)) {
        Some(meant) => error.hint(format!("did you mean {meant}?")),
        None => error.hint(format!("there are: {}", known.join(", "))),
    }
}

/// Values for the blanks of a definition.
fn definition_values(app_id: &str, title: &str) -> Result<[(&'static str, String); 4]> {
    Ok([
        ("fileId", file_id()?),
        ("appId", app_id.to_owned()),
        ("title", templates::escape(title.as_bytes())),
        ("spkName", "app.spk".to_owned()),
    ])
}

/// The ID given with `-i`, or a new key and its ID.
struct AppKey {
    id: String,
    key: Option<Key>,
}

impl AppKey {
    fn new(args: &Args) -> Result<AppKey> {
        let Some(id) = &args.app_id else {
            let key = Key::generate()?;
            return Ok(AppKey { id: key.app_id().to_string(), key: Some(key) });
        };
        // As the original, which lets people fill in an ID whose key is elsewhere.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(CliError::usage(format!("{id:?} is not an app ID"))
                .hint("an app ID has 52 letters and digits"));
        }
        Ok(AppKey { id: id.clone(), key: None })
    }

    /// Adds a new key to the keyring, once it is sure that the definition which names it can be
    /// written.
    fn keep(&self, args: &Args, global: &Global, ui: &Ui) -> Result<()> {
        match &self.key {
            Some(key) => super::keygen::keep(key, args.keyring.as_ref(), global, ui),
            None => Ok(()),
        }
    }
}

/// A Cap'n Proto file ID: 64 random bits, the top one set.
fn file_id() -> Result<String> {
    let number = u64::from_ne_bytes(random::bytes()?) | 1 << 63;
    Ok(format!("0x{number:016x}"))
}

/// Where the files beside a definition go; nowhere, if it is written to stdout or a device.
fn beside(output: &Path) -> Option<PathBuf> {
    let is_file = output.metadata().map_or(true, |found| found.is_file());
    (output.as_os_str() != "-" && is_file)
        .then(|| output.parent().map(Path::to_owned).unwrap_or_default())
}

fn search_path(sources: &[OsString], rootfs: bool) -> String {
    let mut entries: Vec<String> = sources
        .iter()
        .map(|source| {
            format!("      ( sourcePath = \"{}\" ),", templates::escape(source.as_bytes()))
        })
        .collect();
    if sources.is_empty() {
        entries.push(THIS_DIRECTORY.to_owned());
    }
    if rootfs {
        entries.push(ROOTFS.to_owned());
    }
    if sources.is_empty() {
        entries.push(THIS_MACHINE.to_owned());
    }
    entries.join("\n")
}

/// The first place of files, where none is named.
const THIS_DIRECTORY: &str = r#"      ( sourcePath = "." ),  # Search this directory first."#;

/// Behind what is the app's own.
const ROOTFS: &str =
    r#"      ( sourcePath = "rootfs" ),  # Names of users and hosts in the sandbox."#;

/// The machine without what is private to it.
const THIS_MACHINE: &str = r#"      ( sourcePath = "/",    # Then the whole machine,
        hidePaths = [ "home", "proc", "sys",
                      "etc/passwd", "etc/hosts", "etc/host.conf",
                      "etc/nsswitch.conf", "etc/resolv.conf" ]
        # but not what is private to it.
      )"#;

fn file_selection(include_all: bool, rootfs: bool) -> String {
    if include_all {
        return "  alwaysInclude = [ \".\" ],\n  # The whole source map.".to_owned();
    }
    let names = templates::ROOTFS.iter().filter_map(|(path, _)| path.strip_prefix("rootfs/"));
    let names: Vec<String> = names.map(|path| format!("\"{path}\"")).collect();
    let names = if rootfs { names.join(", ") } else { String::new() };
    format!(
        "  fileList = \"sandstorm-files.list\",\n  \
         # Written by `spk dev`: the files that the app used.\n\n  \
         alwaysInclude = [{names}],\n  \
         # Further files and directories to pack, with everything below them."
    )
}
