//! `spk init --image`: a container image as a project.
//!
//! The image's root becomes a directory of the project, of which `spk dev` finds out what is used. What
//! the image's configuration says goes into the definition; what it wants of a file system that can be
//! written to, the bridge provides in `/var` (`opt/spk/launch.json`, see docs/images.md).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use spk_files::{Dir, Staging, find_in_root, printable};
use spk_image::{Image, Input, Limits, Platform, Unkept, Wanted};
use spk_package::progress::{Progress, Stage};

use super::launch::{OfImage, Volume};
use super::plan::{Plan, exists};
use super::{AppKey, Args, LOWEST_PORT, definition_values};
use crate::definition;
use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::progress::Bar;
use crate::recognise::is_secret;
use crate::templates::{self, escape};
use crate::ui::Ui;

/// Where the image's root goes.
const ROOT: &str = "image";

/// Which image, and what it may take.
#[derive(clap::Args)]
#[command(next_help_heading = "Container images")]
pub struct ImageArgs {
    /// Start from a container image: an archive of docker save or podman save, or an OCI layout, as a tar
    /// or a directory; - is stdin
    #[arg(long, value_name = "FILE",
          conflicts_with_all = ["template", "raw", "source_path", "include_all", "output"])]
    pub image: Option<PathBuf>,
    /// Which image, where the file has several
    #[arg(long, value_name = "NAME", requires = "image")]
    pub image_name: Option<String>,
    /// For which machine, instead of this one: linux/amd64, linux/arm64
    #[arg(long, value_name = "OS/ARCH", requires = "image", value_parser = platform)]
    pub platform: Option<Platform>,
    /// Most files, directories and links in all layers
    #[arg(long, value_name = "N", requires = "image", default_value_t = Limits::default().entries)]
    pub max_entries: u64,
    /// Most bytes in all layers
    #[arg(long, value_name = "BYTES", requires = "image", default_value_t = Limits::default().total)]
    pub max_size: u64,
    /// How many times larger than its compressed form a layer may be
    #[arg(long, value_name = "N", requires = "image", default_value_t = Limits::default().ratio)]
    pub max_ratio: u64,
}

fn platform(text: &str) -> Result<Platform, String> {
    Platform::read(text).ok_or_else(|| "not OS/ARCH, such as linux/arm64".to_owned())
}

/// Directories of packages' own, of which the image's are not shown.
const HIDDEN: &[&str] = &["dev", "proc", "sys", "tmp", "run", "var"];

/// What package managers keep below `/var`, which no app needs.
const OF_MANAGERS: &[&str] = &[
    "backups",
    "cache/apk",
    "cache/apt",
    "cache/debconf",
    "cache/dnf",
    "cache/ldconfig",
    "cache/yum",
    "lib/apk",
    "lib/apt",
    "lib/dnf",
    "lib/dpkg",
    "lib/pam",
    "lib/rpm",
    "lib/systemd",
    "lib/ucf",
    "lock",
    "log/apt",
    "run",
    "tmp",
];

/// Variables that the definition sets itself.
const OWN: &[&str] = &["HOME", "SANDSTORM", "HOSTNAME"];

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes a project of the image `file` in this directory.
pub(super) fn run(file: &Path, args: &Args, global: &Global, ui: &Ui) -> Result<()> {
    let target = Path::new(definition::FILE);
    if !args.force {
        for path in [target, Path::new(ROOT)] {
            if path.symlink_metadata().is_ok() {
                return Err(exists(path));
            }
        }
    }
    let limits = Limits {
        entries: args.image.max_entries,
        total: args.image.max_size,
        ratio: args.image.max_ratio,
    };
    let failed = || format!("{}: no project is made of this image", file.display());
    let input = match file == Path::new("-") {
        true => Input::from_stream(io::stdin().lock(), &limits),
        false => Input::open(file, &limits),
    };
    let wanted = Wanted {
        platform: args.image.platform.clone().unwrap_or_else(Platform::of_this_machine),
        name: args.image.image_name.clone(),
    };
    let image = input.and_then(|input| Image::find(input, &wanted)).context(failed())?;
    let start = Start::of(&image, args)?;
    start.tell(&image, ui);
    let mut volumes = args.var.iter().map(|path| Volume::read(path)).collect::<Result<Vec<_>>>()?;
    for path in &start.volumes {
        match Volume::read(path) {
            Ok(volume) => volumes.push(volume),
            // `/tmp`, say, which needs nothing.
            Err(error) => ui.note(format!("a volume of the image is left out: {}", error.lines())),
        }
    }
    if args.dry_run {
        ui.line(format!("would write: {ROOT}/"))?;
        return plan(&start, None, args, ui)?.show(ui);
    }

    let here = Dir::open_trusted(Path::new("."))?;
    let staging =
        Staging::create(&here, ROOT.as_bytes(), 0o755).context(format!("cannot make {ROOT}"))?;
    unpack(&image, staging.dir(), &limits, ui).context(failed())?;
    start.check_program(staging.dir(), ui);
    let of_image = OfImage::new(staging.dir(), &start.directory, &volumes, OF_MANAGERS)?;
    let plan = plan(&start, Some((staging.dir(), &of_image)), args, ui)?;
    let app = AppKey::new(args)?;
    let title = args.title.clone().unwrap_or_else(|| start.title.clone());
    let staged = plan.stage(&definition_values(&app.id, &title)?)?;
    app.keep(args, global, ui)?;
    if args.force {
        here.remove_tree(ROOT.as_bytes()).context(format!("cannot replace {ROOT}"))?;
    }
    staging.commit(ROOT.as_bytes()).context(format!("cannot make {ROOT}"))?;
    ui.line(format!("wrote: {ROOT}/"))?;
    staged.finish(ui)?;
    for volume in &of_image.volumes {
        volume.make_link(Path::new("rootfs"))?;
    }
    ui.note("next: spk dev");
    Ok(())
}

fn unpack(image: &Image, dir: &Dir, limits: &Limits, ui: &Ui) -> Result<()> {
    let mut bar = Bar::new(ui);
    bar.stage(Stage::Unpack, Some(image.size()?));
    let (counts, notes) = image.unpack(dir, limits, &mut |bytes| bar.advance(bytes))?;
    drop(bar);
    ui.note(format!(
        "layers: {}; files: {}, directories: {}, links: {}, together {} bytes",
        counts.layers, counts.files, counts.directories, counts.links, counts.bytes
    ));
    for (what, count, paths) in notes.iter() {
        let what = match what {
            Unkept::SetId => "set-id bits, which grant nothing in the sandbox, are not kept",
            Unkept::Capabilities => {
                "file capabilities, which grant nothing in the sandbox, are not kept"
            }
            Unkept::Special => "devices and FIFOs, which packages do not have, are left out",
            Unkept::Attributes => "extended attributes, which packages do not have, are left out",
        };
        let mut shown: Vec<String> = paths.iter().take(3).map(printable::line).collect();
        if count > 3 {
            shown.push(format!("and {} more", count - 3));
        }
        ui.note(format!("{what}: {}", shown.join(", ")));
    }
    Ok(())
}

/// How the image is started, as the definition is going to say it.
#[derive(Debug)]
struct Start {
    title: String,
    command: Vec<String>,
    environ: Vec<(String, String)>,
    directory: String,
    port: u16,
    /// What says which port.
    port_from: &'static str,
    volumes: Vec<String>,
}

impl Start {
    fn of(image: &Image, args: &Args) -> Result<Start> {
        let config = &image.config;
        let mut command = match args.command.is_empty() {
            true => [&config.entrypoint[..], &config.command].concat(),
            false => {
                let text = args.command.iter().map(|word| word.to_str().map(str::to_owned));
                text.collect::<Option<_>>()
                    .ok_or_else(|| CliError::usage("the command is no text in UTF-8"))?
            }
        };
        if command.is_empty() {
            return Err(CliError::usage("the image has neither an entry point nor a command")
                .hint("say what starts the app: spk init --image FILE -- COMMAND"));
        }
        // Where the definition's command is looked for is the package's root.
        if let Some(program) = command.first_mut()
            && program.contains('/')
            && !program.starts_with('/')
        {
            let mut names: Vec<&str> = Vec::new();
            for name in config.directory.split('/').chain(program.split('/')) {
                match name {
                    "" | "." => {}
                    ".." => drop(names.pop()),
                    name => names.push(name),
                }
            }
            *program = format!("/{}", names.join("/"));
        }
        let environ: BTreeMap<&str, &str> =
            config.environ.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (port, port_from) = port(args, &config.ports, environ.get("PORT").copied())?;
        let label = |name: &str| config.labels.get(name).cloned();
        let name = image.name.as_deref().map(|name| {
            let name = name.rsplit('/').next().unwrap_or(name);
            name.split([':', '@']).next().unwrap_or(name).to_owned()
        });
        // A layout often says the tag alone.
        let name = name.filter(|name| name != "latest");
        let text = port.to_string();
        let own = [
            ("PATH", environ.get("PATH").copied().unwrap_or(PATH)),
            ("HOME", "/var/home"),
            ("PORT", &text),
            ("SANDSTORM", "1"),
        ];
        let is_own = |name: &str| {
            OWN.contains(&name) || is_secret(name) || own.iter().any(|(own, _)| *own == name)
        };
        let rest =
            environ.iter().filter(|(name, _)| !is_own(name)).map(|(name, value)| (*name, *value));
        Ok(Start {
            title: label("org.opencontainers.image.title")
                .filter(|title| !title.is_empty())
                .or(name)
                .unwrap_or_else(|| "App".into()),
            command,
            environ: own
                .iter()
                .copied()
                .chain(rest)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            directory: config.directory.clone(),
            port,
            port_from,
            volumes: config.volumes.clone(),
        })
    }

    fn tell(&self, image: &Image, ui: &Ui) {
        let config = &image.config;
        let name = image.name.as_deref().map(|name| format!("{}, ", printable::line(name)));
        ui.note(format!("found an image ({}{})", name.unwrap_or_default(), image.platform));
        ui.note(format!("command: {}", printable::line(self.command.join(" "))));
        ui.note(format!("port: {} ({})", self.port, self.port_from));
        if !matches!(config.user.as_str(), "" | "0" | "root") {
            ui.note(format!(
                "it runs as the grain's own user, not as {}",
                printable::line(&config.user)
            ));
        }
        for (name, _) in config.environ.iter().filter(|(name, _)| is_secret(name)) {
            let name = printable::line(name);
            ui.note(format!("{name} of the image is not taken: it would be in the package"));
        }
    }

    /// Says where the command is not in the image; the definition can be changed.
    fn check_program(&self, root: &Dir, ui: &Ui) {
        let Some(program) = self.command.first() else { return };
        let path = self.environ.iter().find(|(name, _)| name == "PATH").map_or("", |path| &path.1);
        let places: Vec<String> = match program.contains('/') {
            true => vec![program.clone()],
            false => path.split(':').map(|dir| format!("{dir}/{program}")).collect(),
        };
        let is_there = |place: &String| {
            find_in_root(&root.proc_path(""), place.trim_start_matches('/').as_bytes()).is_ok()
        };
        if !places.iter().any(is_there) {
            ui.warn(format!("the image has no {}", printable::line(program)));
        }
    }
}

/// Where the app listens, and what says so.
fn port(args: &Args, exposed: &[u16], variable: Option<&str>) -> Result<(u16, &'static str)> {
    if let Some(port) = args.port {
        return Ok((port, "as asked for"));
    }
    if let Some(port) = exposed.iter().find(|port| **port >= LOWEST_PORT) {
        return Ok((*port, "exposed by the image"));
    }
    let variable = variable.and_then(|text| text.parse().ok());
    if let Some(port) = variable.filter(|port| *port >= LOWEST_PORT) {
        return Ok((port, "PORT of the image"));
    }
    Err(match exposed.first() {
        Some(port) => CliError::usage(format!(
            "the image exposes port {port}, which no app can listen on in the sandbox"
        ))
        .hint(format!(
            "have it listen on another one (by a variable, an argument, or a file in rootfs/ in place of \
             the image's), and say which: -p {}",
            8000 + port % 1000
        )),
        None => CliError::usage("the image does not say on which port the app listens")
            .hint("say it: -p PORT"),
    })
}

/// All files but for the image's root.
fn plan(start: &Start, unpacked: Option<(&Dir, &OfImage)>, args: &Args, ui: &Ui) -> Result<Plan> {
    let mut plan = Plan::new(args.force);
    for (path, text) in templates::ROOTFS {
        let of_image = match (*path, unpacked) {
            ("rootfs/etc/passwd" | "rootfs/etc/group", Some((root, _))) => {
                others(root, path.trim_start_matches("rootfs/"), text)?
            }
            _ => Vec::new(),
        };
        plan.add(*path, [*text, &of_image].concat())?;
    }
    let default = OfImage::default();
    let of_image = unpacked.map_or(&default, |(_, of_image)| of_image);
    plan.add(format!("rootfs/{}", spk_schema::launch::PATH), of_image.launch.to_bytes()?)?;
    let ignored = [templates::GITIGNORE, format!("/{ROOT}/\n").as_bytes()].concat();
    plan.add_ignored(super::IGNORED, &ignored, ui)?;
    let words = ["/sandstorm-http-bridge".to_owned(), start.port.to_string(), "--".to_owned()];
    let argv: Vec<String> = words
        .iter()
        .chain(&start.command)
        .map(|word| format!("\"{}\"", escape(word.as_bytes())))
        .collect();
    let text = |text: &str| escape(text.as_bytes());
    let environ: Vec<String> = start
        .environ
        .iter()
        .map(|(name, value)| {
            format!("    (key = \"{}\", value = \"{}\"),", text(name), text(value))
        })
        .collect();
    let links: Vec<&[u8]> = of_image.volumes.iter().filter_map(Volume::link).collect();
    let values = [
        ("searchPath", search_path(of_image)),
        ("fileSelection", selection(&links)),
        ("argv", argv.join(", ")),
        ("environ", environ.join("\n")),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let text = templates::fill(templates::FOUND, &values);
    plan.add(definition::FILE, text.into_bytes())?;
    Ok(plan)
}

fn search_path(of_image: &OfImage) -> String {
    let list = |names: &[String]| {
        let names = names.iter().map(|name| format!("\"{}\"", escape(name.as_bytes())));
        names.collect::<Vec<_>>().join(", ")
    };
    let hidden: Vec<String> = HIDDEN.iter().map(|name| (*name).to_owned()).collect();
    let mut lines = vec![
        "      (sourcePath = \"rootfs\"),\n      \
         # Files in place of the image's: names of users and hosts, what the bridge provides, links to\n      \
         # what can be written to.\n"
            .to_owned(),
        format!(
            "      (sourcePath = \"{ROOT}\", hidePaths = [{}]),\n      \
             # The image. `spk dev` finds out which of its files are used.\n",
            list(&hidden)
        ),
    ];
    for (package, source, hidden) in &of_image.mappings {
        let (package, source) = (escape(package.as_bytes()), escape(source.as_bytes()));
        let hides = match hidden.as_slice() {
            [] => String::new(),
            hidden => format!(", hidePaths = [{}]", list(hidden)),
        };
        lines.push(format!(
            "      (packagePath = \"{package}\", sourcePath = \"{ROOT}/{source}\"{hides}),"
        ));
    }
    if !of_image.mappings.is_empty() {
        lines.push("      # What a new grain's /var begins with.".to_owned());
    }
    lines.join("\n")
}

fn selection(links: &[&[u8]]) -> String {
    let names = templates::ROOTFS.iter().filter_map(|(path, _)| path.strip_prefix("rootfs/"));
    let names = names.map(str::to_owned).chain(["opt/spk".to_owned()]);
    let names: Vec<String> = names
        .chain(links.iter().map(|link| escape(link)))
        .map(|path| format!("\"{path}\""))
        .collect();
    format!(
        "  fileList = \"sandstorm-files.list\",\n  \
         # Written by `spk dev`: the files that the app used.\n\n  \
         alwaysInclude = [\n    {}\n  ],\n  \
         # In the package whether they were used or not. Add what is used rarely: templates,\n  \
         # translations, pictures.",
        names.join(",\n    ")
    )
}

/// Lines of the image's `path` whose names and numbers ours have not.
fn others(root: &Dir, path: &str, ours: &[u8]) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read {ROOT}/{path}");
    let theirs = match find_in_root(&root.proc_path(""), path.as_bytes()) {
        // What was found is nothing but a file: there are no others in an image's root.
        Ok(found) => fs::read(format!("/proc/self/fd/{}", found.as_raw_fd())).context(cannot())?,
        Err(error) if spk_files::is_gone(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error).context(cannot()),
    };
    let field =
        |line: &[u8], at: usize| line.split(|&byte| byte == b':').nth(at).map(<[u8]>::to_vec);
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
    };
    let ours = lines(ours);
    let is_new = |line: &Vec<u8>| {
        let is_taken = |at| ours.iter().any(|own| field(own, at) == field(line, at));
        field(line, 2).is_some() && !is_taken(0) && !is_taken(2)
    };
    let theirs = lines(&theirs).into_iter().filter(is_new);
    Ok(theirs.flat_map(|line| [line, b"\n".to_vec()].concat()).collect())
}
