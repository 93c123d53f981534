//! Node: what `package.json` starts, its framework, or a main file by its usual name.

use serde_json::Value;

use super::commands::{self, Kind, Run};
use super::listening::{self, Listens};
use super::project::{Place, Project, program, words};
use super::{Found, Port};

const FILE: &str = "package.json";

/// Usual names of a server's main file.
const MAINS: &[&str] = &["server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs"];

fn package(project: &Project) -> Value {
    serde_json::from_str(&project.text(FILE)).unwrap_or_default()
}

/// A script of `package.json`.
pub(super) fn script(project: &Project, name: &str) -> Option<String> {
    package(project)["scripts"][name].as_str().map(str::to_owned)
}

/// Where a script is.
fn place(project: &Project, name: &str) -> Place {
    let key = format!("\"{name}\"");
    let text = project.text(FILE);
    let scripts = text.lines().position(|line| line.contains("\"scripts\"")).unwrap_or_default();
    let line = text.lines().skip(scripts).position(|line| line.contains(&key)).unwrap_or_default();
    Place { file: FILE.into(), line: scripts + line + 1 }
}

/// The main file by what `package.json` says, or by its usual name.
pub(super) fn main(project: &Project) -> Option<String> {
    let package = package(project);
    let named = package["main"].as_str().map(|main| main.trim_start_matches("./"));
    let main = named.filter(|main| project.has(main)).or_else(|| project.first(MAINS))?;
    Some(main.to_owned())
}

fn depends(project: &Project, name: &str) -> bool {
    let package = package(project);
    ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .any(|kind| package[*kind].get(name).is_some())
}

/// Whether a package brings a program of this name.
pub(super) fn has_program(project: &Project, name: &str) -> bool {
    project.has(&format!("node_modules/.bin/{name}")) || depends(project, name)
}

/// A program of a package with its arguments, told where to listen if it does not say so.
pub(super) fn told(
    project: &Project,
    name: &str,
    mut arguments: Vec<String>,
) -> Result<Vec<String>, String> {
    if !has_program(project, name) {
        return Err(format!("{name} is in no dependency of package.json"));
    }
    let program = format!("/opt/app/node_modules/.bin/{name}");
    let probe: Vec<String> = std::iter::once(program.clone()).chain(arguments.clone()).collect();
    let port = project.port().to_string();
    let silent = listening::argument(&probe).is_none();
    match name {
        "next" | "nuxt" => {
            match arguments.first().map(String::as_str) {
                Some("start") => {}
                _ => return Err(format!("{} serves for development alone", probe[1..].join(" "))),
            }
            if silent {
                arguments.extend(words(&["-p", &port]));
            }
            if !arguments.iter().any(|word| word == "-H" || word == "--hostname") {
                arguments.extend(words(&["-H", "127.0.0.1"]));
            }
        }
        "serve" if silent => arguments.extend(words(&["-l", &port])),
        "http-server" if silent => arguments.extend(words(&["-p", &port])),
        _ => {}
    }
    Ok([vec![program], arguments].concat())
}

/// All but what is started.
pub(super) fn base(project: &Project) -> Found {
    let package = package(project);
    let has = |kind: &str| package[kind].as_object().is_some_and(|all| !all.is_empty());
    let needs =
        has("dependencies") || (has("devDependencies") && script(project, "build").is_some());
    let prepare = match project.first(&["package-lock.json", "pnpm-lock.yaml", "yarn.lock"]) {
        Some("pnpm-lock.yaml") => "pnpm install --frozen-lockfile",
        Some("yarn.lock") => "yarn install --frozen-lockfile",
        Some(_) => "npm ci --omit=dev",
        None => "npm install --omit=dev",
    };
    Found {
        what: "a Node app".into(),
        by: FILE.into(),
        name: package["name"].as_str().map(str::to_owned),
        environ: vec![("NODE_ENV".into(), "production".into())],
        prepare: if needs { vec![prepare.to_owned()] } else { Vec::new() },
        ..Found::default()
    }
}

/// What is done before, where a build needs what only development needs.
pub(super) fn with_build(prepare: &mut [String]) {
    if prepare.iter().any(|step| step.contains("build")) {
        for step in prepare.iter_mut() {
            *step = step.replace(" --omit=dev", "");
        }
    }
}

/// `package.json` with something to start.
pub(super) fn project(project: &Project) -> Option<Found> {
    project.has(FILE).then_some(())?;
    if let Err(error) = serde_json::from_str::<Value>(&project.text(FILE)) {
        project.unclear(&FILE, format!("{error}; not understood"));
        return None;
    }
    let start = script(project, "start");
    let run = start.as_deref().and_then(|start| {
        let place = place(project, "start");
        match commands::line(project, "npm start", &place) {
            Ok(run) => Some(run),
            Err(what) => {
                // Of a script its text is said already.
                let script =
                    if what.starts_with("script ") { "" } else { &format!("start: {start}: ") };
                project.unclear(&place, format!("{script}{what}; not understood"));
                None
            }
        }
    });
    let run = run.or_else(|| framework(project));
    if let Some(run) = run {
        return Some(Found { by: FILE.into(), ..super::with_run(base(project), run, project) });
    }
    let main = main(project)?;
    let port = match listening::of(project, Some(&main), Kind::Node.endings()) {
        Some(Listens::On(number, place)) => Port::said(project, number, &place),
        _ => Port::hinted(project),
    };
    let command = vec![program("node"), format!("/opt/app/{main}")];
    let guessed = package(project)["main"].as_str().is_none();
    Some(Found { port, command, guessed, ..base(project) })
}

/// What is started where no script says it.
fn framework(project: &Project) -> Option<Run> {
    let place = Place { file: FILE.into(), line: 1 };
    if depends(project, "next") {
        return commands::line(project, "next start", &place).ok();
    }
    None
}
