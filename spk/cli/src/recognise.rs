//! What kind of app is in a directory, and how it would be started and packaged.
//!
//! Only guesses, from the files that each kind of project has: `spk init` shows them before it
//! writes anything. What says how the app is started has this order: the command line; the line
//! `web:` of a Procfile; what the project's own files say (scripts, frameworks); a Dockerfile; a main
//! file by its usual name. What is there and not understood is said, and the next one is taken.

mod commands;
mod compiled;
mod dockerfile;
mod listening;
mod node;
mod php;
mod procfile;
mod project;
mod python;
mod ruby;
mod shell;
mod site;
mod toml;

use std::path::Path;

use commands::{Kind, Run};
use dockerfile::{Image, Start};
use project::{Place, Project};

pub use dockerfile::is_secret;
pub use project::Said;

/// The port an app is told to listen on (`PORT`), unless it names another.
pub const PORT: u16 = 8000;

/// What is asked for, whatever is found.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The port.
    pub port: Option<u16>,
    /// Program and arguments; empty if there is no wish.
    pub command: Vec<String>,
}

/// A port, and what says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The port.
    pub number: u16,
    /// The place that says it; none where the app is told.
    pub from: Option<String>,
}

impl Default for Port {
    fn default() -> Self {
        Port { number: PORT, from: None }
    }
}

impl Port {
    /// One that a source names.
    fn said(project: &Project, number: u16, place: &Place) -> Port {
        match project.wanted() {
            Some(wanted) if wanted != number => {
                project.unclear(place, format!("port {number}; it has to be {wanted} there, too"));
                Port { number: wanted, from: None }
            }
            _ => Port { number, from: Some(place.to_string()) },
        }
    }

    /// Where no source names one.
    fn hinted(project: &Project) -> Port {
        match (project.wanted(), &project.exposed) {
            (None, Some((number, place))) => {
                Port { number: *number, from: Some(place.to_string()) }
            }
            _ => Port { number: project.port(), from: None },
        }
    }
}

/// An app that was recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// In a word or two: "a Node app".
    pub what: String,
    /// The file it was recognised by.
    pub by: String,
    /// Its name, if its files tell.
    pub name: Option<String>,
    /// Where it will listen.
    pub port: Port,
    /// Program and arguments, as they are in the sandbox, where the project is `/opt/app`.
    pub command: Vec<String>,
    /// Commands that are run each time before.
    pub before: Vec<Vec<String>>,
    /// Where they are run, below the project.
    pub directory: Option<String>,
    /// Environment beside what every app gets.
    pub environ: Vec<(String, String)>,
    /// Directories that the launcher makes below `/var`, beside those that every app gets.
    pub storage: Vec<String>,
    /// A static program that needs nothing else: its path from the project.
    pub program: Option<String>,
    /// Packages installed by `prepare`: directory below `.sandstorm`, and where the app sees it.
    pub site: Option<(String, String)>,
    /// Whether our own server of static sites is needed.
    pub static_server: bool,
    /// What to do before `spk dev`.
    pub prepare: Vec<String>,
    /// Whether the command is only a guess, by the usual name of a main file.
    pub guessed: bool,
}

impl Found {
    /// Sets a variable, in the place of what it was.
    fn set(&mut self, name: &str, value: &str) {
        self.environ.retain(|(known, _)| known != name);
        self.environ.push((name.to_owned(), value.to_owned()));
    }
}

/// Looks at the project in `dir`.
pub fn recognise(dir: &Path, wish: &Wish) -> (Option<Found>, Said) {
    let mut project = Project::new(dir, wish.port);
    let image = dockerfile::read(&project);
    if let Some(image) = &image {
        project.variables = image.environ.clone();
        project.exposed = image.port.clone();
    }
    let own = own(&project);
    let found = by_procfile(&project, own.as_ref());
    let found = found.or_else(|| own.clone().filter(|own| !own.guessed));
    let found = found.or_else(|| by_image(&project, image.as_ref(), own.as_ref())).or(own);
    let found = found.map(|mut found| {
        if let Some(image) = &image {
            with_image(&mut found, image);
        }
        if !wish.command.is_empty() {
            as_wished(&mut found, wish, &project);
        }
        node::with_build(&mut found.prepare);
        found
    });
    (found, project.said())
}

/// What the project's own files say.
fn own(project: &Project) -> Option<Found> {
    let kinds: [fn(&Project) -> Option<Found>; 8] = [
        php::composer,
        python::project,
        ruby::project,
        compiled::rust,
        compiled::go,
        node::project,
        php::plain,
        site::site,
    ];
    kinds.iter().find_map(|kind| kind(project)).or_else(|| python::plain(project))
}

fn by_procfile(project: &Project, own: Option<&Found>) -> Option<Found> {
    let procfile = procfile::read(project)?;
    let web = procfile.web?;
    let understood = |line: &procfile::Line, name: &str| {
        commands::line(project, &line.command, &line.place)
            .inspect_err(|what| {
                let command = &line.command;
                project.unclear(&line.place, format!("{name}: {command}: {what}; not understood"));
            })
            .ok()
    };
    let mut run = understood(&web, "web")?;
    if let Some(release) = &procfile.release
        && let Some(release) = understood(release, "release")
    {
        let environ = release.environ.iter().map(|(name, value)| format!("{name}={value}"));
        let environ: Vec<String> = environ.collect();
        let set = if environ.is_empty() { Vec::new() } else { vec!["/usr/bin/env".to_owned()] };
        run.before
            .splice(..0, [release.before, vec![[set, environ, release.command].concat()]].concat());
    }
    started_by(project, run, &web.place, own)
}

fn by_image(project: &Project, image: Option<&Image>, own: Option<&Found>) -> Option<Found> {
    let image = image?;
    let (start, place) = image.command.as_ref()?;
    let (run, text) = match start {
        Start::Shell(line) => {
            let words = line.split(' ').map(|word| image.in_project(word));
            (commands::line(project, &words.collect::<Vec<_>>().join(" "), place), line.clone())
        }
        Start::Words(words) => {
            let mapped: Vec<String> = words.iter().map(|word| image.in_project(word)).collect();
            (commands::list(project, &mapped, place), words.join(" "))
        }
    };
    match run {
        Ok(run) => started_by(project, run, place, own),
        Err(what) => {
            project.unclear(place, format!("{text}: {what}; not understood"));
            None
        }
    }
}

/// An app that is started as a line of a file says.
fn started_by(project: &Project, run: Run, place: &Place, own: Option<&Found>) -> Option<Found> {
    let mut base = match run.kind {
        Kind::Python => python::base(project),
        Kind::Node => node::base(project),
        Kind::Ruby => ruby::base(project),
        Kind::Php => php::base(project),
        Kind::Compiled => {
            let compiled = compiled::go(project).or_else(|| compiled::rust(project));
            compiled.or_else(|| {
                project.unclear(
                    place,
                    "starts what is built, and it is not clear how; not understood",
                );
                None
            })?
        }
        Kind::Other => match own {
            Some(own) => Found { program: None, static_server: false, ..own.clone() },
            None => Found { what: "an app".into(), ..Found::default() },
        },
    };
    if base.by.is_empty() {
        base.by.clone_from(&place.file);
    }
    if base.program.is_some() && (run.directory.is_some() || !run.before.is_empty()) {
        project.unclear(place, "what is run before is left out: the package has one program alone");
    }
    project.note(format!("started as {place} says"));
    Some(with_run(base, run, project))
}

/// What runs, with all that belongs to a project of its kind.
fn with_run(mut found: Found, run: Run, project: &Project) -> Found {
    found.guessed = false;
    found.command = run.command;
    found.before = run.before;
    found.directory = run.directory;
    for step in run.prepare {
        if !found.prepare.contains(&step) {
            found.prepare.push(step);
        }
    }
    for (name, value) in &run.environ {
        found.set(name, value);
    }
    found.port = run.port.unwrap_or_else(|| Port::hinted(project));
    found
}

/// What a Dockerfile sets, besides what was found to be needed.
fn with_image(found: &mut Found, image: &Image) {
    for (name, value) in &image.environ {
        if !found.environ.iter().any(|(known, _)| known == name) {
            found.environ.push((name.clone(), value.clone()));
        }
    }
}

/// The command line's own command.
fn as_wished(found: &mut Found, wish: &Wish, project: &Project) {
    if found.command != wish.command {
        project
            .note(format!("the command that was found is not taken: {}", found.command.join(" ")));
    }
    let is_program = wish.command.first().is_some_and(|program| program == "/app");
    found.program = found.program.take().filter(|_| is_program);
    found.static_server &= wish.command.iter().any(|word| word == "/opt/server.py");
    found.before = Vec::new();
    found.directory = None;
    if let Some((_, _, number)) = listening::argument(&wish.command).filter(|_| wish.port.is_none())
    {
        found.port = Port { number, from: Some("the command".into()) };
    }
    found.command.clone_from(&wish.command);
}

#[cfg(test)]
mod tests;
