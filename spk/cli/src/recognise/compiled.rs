//! Programs that are compiled and need nothing else: Rust and Go.

use super::commands::Kind;
use super::listening::{self, Listens};
use super::project::Project;
use super::toml::Toml;
use super::{Found, Port};

/// `Cargo.toml` of a program.
pub(super) fn rust(project: &Project) -> Option<Found> {
    project.has("Cargo.toml").then_some(())?;
    let name = Toml::read(project, "Cargo.toml").text(&["package", "name"])?;
    let target = "x86_64-unknown-linux-gnu";
    let program = format!("target/{target}/release/{name}");
    let build = format!(
        "RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target {target}"
    );
    Some(compiled(project, "a Rust app", "Cargo.toml", name, program, build, Some("src/main.rs")))
}

/// `go.mod`: the program at its root, or one in `cmd`.
pub(super) fn go(project: &Project) -> Option<Found> {
    project.has("go.mod").then_some(())?;
    let text = project.text("go.mod");
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
    let module = module.trim().trim_matches('"');
    // example.org/wiki/v2 is called wiki
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|v| v.parse::<u32>().is_ok());
    let name = module.rsplit('/').find(|part| !is_version(part))?.to_owned();
    let (package, main) = main_package(project, &name)?;
    let build = format!(
        "CGO_ENABLED=0 go build -trimpath -tags netgo,osusergo,timetzdata -o .sandstorm/app {package}"
    );
    let program = ".sandstorm/app".to_owned();
    Some(compiled(project, "a Go app", "go.mod", name, program, build, main.as_deref()))
}

/// The package to build, and a file of it. Where no main package is found, the root is as good a guess
/// as any.
fn main_package(project: &Project, name: &str) -> Option<(String, Option<String>)> {
    let main = |dir: &str| {
        let at =
            |name: &str| if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
        let files = project.names(dir).into_iter().filter(|name| name.ends_with(".go"));
        let mut mains = files.map(|name| at(&name)).filter(|file| {
            let text = project.text(file);
            text.lines().any(|line| line.trim_end() == "package main")
                && text.contains("func main(")
        });
        mains.next()
    };
    if let Some(file) = main("") {
        return Some((".".into(), Some(file)));
    }
    let commands: Vec<(String, String)> = project
        .names("cmd")
        .into_iter()
        .filter_map(|command| Some((command.clone(), main(&format!("cmd/{command}"))?)))
        .collect();
    let serving = ["server", "web", "serve", "app", "api", "httpd"];
    let of_name = |wanted: &str| commands.iter().find(|(command, _)| command == wanted);
    let chosen = of_name(name)
        .or_else(|| serving.iter().find_map(|wanted| of_name(wanted)))
        .or_else(|| commands.first());
    let Some((command, file)) = chosen else {
        if let Some(file) = main("cmd") {
            return Some(("./cmd".into(), Some(file)));
        }
        return Some((".".into(), None));
    };
    if commands.len() > 1 {
        let others: Vec<&str> = commands
            .iter()
            .map(|(other, _)| other.as_str())
            .filter(|other| other != command)
            .collect();
        project.note(format!("of cmd, {command} is built, and not {}", others.join(", ")));
    }
    Some((format!("./cmd/{command}"), Some(file.clone())))
}

fn compiled(
    project: &Project,
    what: &str,
    by: &str,
    name: String,
    program: String,
    prepare: String,
    main: Option<&str>,
) -> Found {
    let port = match listening::of(project, main, Kind::Compiled.endings()) {
        Some(Listens::On(number, place)) => Port::said(project, number, &place),
        Some(Listens::WhereTold) => Port { number: project.port(), from: None },
        None => Port::hinted(project),
    };
    Found {
        what: what.into(),
        by: by.into(),
        name: Some(name),
        port,
        command: vec!["/app".into()],
        program: Some(program),
        prepare: vec![prepare],
        ..Found::default()
    }
}
