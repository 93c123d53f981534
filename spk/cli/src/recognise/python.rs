//! Python: frameworks by what is required and what the sources make, plain programs by their usual
//! names.

use super::commands::Kind;
use super::listening::{self, Listens};
use super::project::{Project, program, words};
use super::toml::Toml;
use super::{Found, Port};

/// Where packages go that `pip` installs, below `.sandstorm`, and where the app sees them.
const SITE: (&str, &str) = ("site", "opt/site");

/// Usual names of the module with the app.
const MODULES: &[&str] =
    &["wsgi.py", "asgi.py", "app.py", "main.py", "server.py", "application.py", "run.py"];

/// Files that say what is required.
const LISTS: &[&str] = &["requirements.txt", "pyproject.toml", "Pipfile", "setup.py", "manage.py"];

/// Names of scripts that serve, where a project has several.
const SERVING: &[&str] = &["serve", "server", "web", "start", "app", "run"];

/// The interpreter, without the user's packages and without writing byte code.
pub(super) fn interpreter() -> Vec<String> {
    words(&[&program("python3"), "-s", "-B"])
}

/// What a project requires, by name.
struct Required(Vec<String>);

impl Required {
    fn of(project: &Project) -> Required {
        let mut names = Vec::new();
        let mut lists = vec!["requirements.txt".to_owned()];
        for _ in 0..8 {
            let Some(list) = lists.pop() else { break };
            for line in project.text(&list).lines().map(str::trim) {
                let other = line.strip_prefix("-r").or_else(|| line.strip_prefix("--requirement"));
                match other {
                    Some(other) => lists.push(other.trim().to_owned()),
                    None => names.extend(requirement(line)),
                }
            }
        }
        let pyproject = Toml::read(project, "pyproject.toml");
        let texts = pyproject.texts(&["project", "dependencies"]);
        names.extend(texts.iter().filter_map(|text| requirement(text)));
        names.extend(pyproject.keys(&["tool", "poetry", "dependencies"]));
        names.extend(Toml::read(project, "Pipfile").keys(&["packages"]));
        let setup = project.text("setup.py");
        names.extend(setup.split(['"', '\'']).skip(1).step_by(2).filter_map(requirement));
        Required(names.iter().map(|name| name.to_lowercase().replace('_', "-")).collect())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// The name of a line of requirements.
fn requirement(line: &str) -> Option<String> {
    let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let end = line.find(|c| !of_name(c)).unwrap_or(line.len());
    let name = &line[..end];
    name.starts_with(|c: char| c.is_ascii_alphanumeric()).then(|| name.to_owned())
}

/// All but what is started.
pub(super) fn base(project: &Project) -> Found {
    let by = project.first(LISTS);
    let pip = format!(
        "{} -m pip install --no-compile --target .sandstorm/{}",
        program("python3"),
        SITE.0
    );
    let prepare = match by {
        None | Some("manage.py") => None,
        Some("requirements.txt") => Some(format!("{pip} -r requirements.txt")),
        Some("Pipfile") => Some(format!(
            "pipenv requirements > .sandstorm/requirements.txt && {pip} -r .sandstorm/requirements.txt"
        )),
        Some(_) => Some(format!("{pip} .")),
    };
    let path = if project.has_dir("src") {
        "/opt/site:/opt/app:/opt/app/src"
    } else {
        "/opt/site:/opt/app"
    };
    let environ = [("PYTHONPATH", path), ("PYTHONUNBUFFERED", "1"), ("SQLITE_TMPDIR", "/var/tmp")];
    Found {
        what: "a Python app".into(),
        by: by.unwrap_or_default().into(),
        name: Toml::read(project, "pyproject.toml").text(&["project", "name"]),
        environ: environ.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        site: by.is_some().then(|| (SITE.0.into(), SITE.1.into())),
        prepare: prepare.into_iter().collect(),
        ..Found::default()
    }
}

/// A project with a list of what it requires.
pub(super) fn project(project: &Project) -> Option<Found> {
    let by = project.first(LISTS)?;
    let required = Required::of(project);
    let arguments = django(project, &required)
        .or_else(|| served(project, &required))
        .or_else(|| script(project));
    if let Some(arguments) = arguments {
        let port = Port { number: project.port(), from: None };
        return Some(Found { by: by.into(), port, ..app(project, arguments) });
    }
    let mut found = program_itself(project)?;
    found.by = by.into();
    Some(found)
}

/// A program without such a list.
pub(super) fn plain(project: &Project) -> Option<Found> {
    if let Some(arguments) = served(project, &Required(Vec::new())) {
        let by = module(project)?.0;
        let port = Port { number: project.port(), from: None };
        return Some(Found { by, port, guessed: true, ..app(project, arguments) });
    }
    program_itself(project)
}

fn app(project: &Project, arguments: Vec<String>) -> Found {
    Found { command: [interpreter(), arguments].concat(), ..base(project) }
}

/// The program by its usual name.
fn program_itself(project: &Project) -> Option<Found> {
    let file = project.first(MODULES)?;
    let port = match listening::of(project, Some(file), Kind::Python.endings()) {
        Some(Listens::On(number, place)) => Port::said(project, number, &place),
        _ => Port::hinted(project),
    };
    let found = app(project, words(&[&format!("/opt/app/{file}")]));
    Some(Found { by: file.into(), port, guessed: true, ..found })
}

fn django(project: &Project, required: &Required) -> Option<Vec<String>> {
    project.has("manage.py").then_some(())?;
    // manage.py names the settings, beside which the app for servers is.
    let text = project.text("manage.py");
    let settings = text.split_once("DJANGO_SETTINGS_MODULE").and_then(|(_, rest)| {
        rest.split(['"', '\''])
            .find(|part| part.ends_with("settings") || part.contains(".settings"))
    });
    let package = settings.and_then(|settings| settings.split('.').next());
    let package = package.filter(|package| project.has(&format!("{package}/wsgi.py")));
    if let Some(package) = package
        && let Some(arguments) = wsgi(project, required, &format!("{package}.wsgi:application"))
    {
        return Some(arguments);
    }
    let mut arguments = words(&["/opt/app/manage.py", "runserver"]);
    run_server(project, &mut arguments);
    Some(arguments)
}

/// `runserver` without its watcher, at the app's port.
pub(super) fn run_server(project: &Project, arguments: &mut Vec<String>) {
    if !arguments.iter().any(|word| word == "--noreload") {
        let at = arguments.iter().position(|word| word == "runserver").unwrap_or_default();
        arguments.insert(at + 1, "--noreload".into());
    }
    let plain = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
    match arguments.iter().position(plain) {
        // Behind the option, where it is looked for.
        Some(at) => {
            let number = arguments[at].rsplit(':').next().and_then(listening::port);
            let port = project.wanted().or(number).unwrap_or(project.port());
            arguments[at] = format!("127.0.0.1:{port}");
        }
        None => arguments.push(format!("127.0.0.1:{}", project.port())),
    }
}

/// By the server for WSGI that is required, if one is.
fn wsgi(project: &Project, required: &Required, app: &str) -> Option<Vec<String>> {
    let server = ["waitress", "gunicorn"].into_iter().find(|server| required.has(server))?;
    Some([words(&["-m", server]), told(project, server, words(&[app]))].concat())
}

/// Arguments of a server that is a module, told where to listen if they do not say so.
pub(super) fn told(project: &Project, server: &str, arguments: Vec<String>) -> Vec<String> {
    let probe: Vec<String> = std::iter::once(server.to_owned()).chain(arguments.clone()).collect();
    let listen = |option: &str| {
        arguments.iter().any(|word| word == option || word.starts_with(&format!("{option}=")))
    };
    let silent = listening::argument(&probe).is_none() && !listen("--bind") && !listen("--listen");
    let port = project.port().to_string();
    let address = format!("127.0.0.1:{port}");
    let mut first = Vec::new();
    match server {
        "gunicorn" => {
            if silent && !listen("-c") && !listen("--config") {
                first = words(&["--bind", &address]);
            }
            if !listen("--worker-tmp-dir") {
                first.extend(words(&["--worker-tmp-dir", "/dev/shm"]));
            }
        }
        "uvicorn" if silent => first = words(&["--host", "127.0.0.1", "--port", &port]),
        "hypercorn" if silent => first = words(&["--bind", &address]),
        "daphne" if silent => first = words(&["-b", "127.0.0.1", "-p", &port]),
        "waitress" if silent => first = vec![format!("--listen={address}")],
        "flask" | "fastapi" if silent && arguments.iter().any(|word| word == "run") => {
            return [arguments, words(&["--host", "127.0.0.1", "--port", &port])].concat();
        }
        "streamlit" if silent => {
            let more = [
                "--server.port",
                &port,
                "--server.address",
                "127.0.0.1",
                "--server.headless",
                "true",
            ];
            return [arguments, words(&more)].concat();
        }
        "http.server" if silent && arguments.is_empty() => first = vec![port],
        _ => {}
    }
    [first, arguments].concat()
}

/// The module with the app: a file of a usual name here, in `src`, or in a package; and its text.
fn module(project: &Project) -> Option<(String, String, String)> {
    let packages = |dir: &str| -> Vec<String> {
        let names = project.names(dir).into_iter();
        let path = |name: String| if dir.is_empty() { name } else { format!("{dir}/{name}") };
        names.map(path).filter(|path| project.has(&format!("{path}/__init__.py"))).collect()
    };
    let mut places = vec![String::new(), "src".to_owned()];
    places.extend(packages(""));
    places.extend(packages("src"));
    for dir in places {
        let init = !dir.is_empty() && dir != "src";
        let names = MODULES.iter().copied().chain(init.then_some("__init__.py"));
        for name in names {
            let file = if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") };
            let text = project.text(&file);
            let at_root = dir.is_empty() && project.has(&file);
            if at_root || makes_app(&text) {
                let module = file.trim_end_matches(".py").trim_end_matches("/__init__");
                let module = module.trim_start_matches("src/").replace('/', ".");
                return Some((file, module, text));
            }
        }
    }
    None
}

/// What makes a framework's app.
const MAKES: &[&str] = &[
    "Flask(",
    "FastAPI(",
    "Starlette(",
    "Quart(",
    "Litestar(",
    "Bottle(",
    "falcon.App(",
    "get_wsgi_application(",
    "get_asgi_application(",
];

fn makes_app(text: &str) -> bool {
    variable_made(text).is_some() || factory(text).is_some()
}

/// A function that makes a Flask app, where no variable has one.
fn factory(text: &str) -> Option<&'static str> {
    let names = ["create_app", "make_app"];
    let name = names.into_iter().find(|name| text.contains(&format!("def {name}(")))?;
    (MAKES.iter().any(|make| text.contains(make)) && variable_made(text).is_none()).then_some(name)
}

/// How the app's framework is served, if it has one.
fn served(project: &Project, required: &Required) -> Option<Vec<String>> {
    let (_, module, text) = module(project)?;
    let made = |names: &[&str]| names.iter().any(|name| text.contains(&format!("{name}(")));
    let any = |names: &[&str]| names.iter().any(|name| required.has(name));
    let factory = factory(&text);
    let app = match factory {
        Some(factory) => format!("{module}:{factory}"),
        None => format!("{module}:{}", variable(&text)),
    };
    if any(&["uvicorn", "fastapi", "starlette", "litestar"]) || made(&["FastAPI", "Starlette"]) {
        let server = if !any(&["uvicorn", "fastapi"]) && any(&["hypercorn"]) {
            "hypercorn"
        } else {
            "uvicorn"
        };
        let mut arguments = told(project, server, vec![app]);
        arguments.splice(..0, words(&["-m", server]));
        if factory.is_some() {
            arguments.push("--factory".into());
        }
        return Some(arguments);
    }
    if any(&["waitress"]) {
        let call = factory.map(|_| "--call".to_owned()).into_iter().collect();
        return Some(
            [words(&["-m", "waitress"]), told(project, "waitress", [call, vec![app]].concat())]
                .concat(),
        );
    }
    if any(&["gunicorn"]) {
        let app = if factory.is_some() { format!("{app}()") } else { app };
        return Some([words(&["-m", "gunicorn"]), told(project, "gunicorn", vec![app])].concat());
    }
    if any(&["flask"]) || (made(&["Flask"]) && !text.contains(".run(")) {
        let arguments = told(project, "flask", words(&["--app", &module, "run"]));
        return Some([words(&["-m", "flask"]), arguments].concat());
    }
    // It serves itself, or is none.
    None
}

/// A script of `[project.scripts]`: the one of the project's name, that serves, or the only one.
fn script(project: &Project) -> Option<Vec<String>> {
    const FILE: &str = "pyproject.toml";
    let toml = Toml::read(project, FILE);
    let table = ["project", "scripts"];
    let table: &[&str] =
        if toml.keys(&table).is_empty() { &["tool", "poetry", "scripts"] } else { &table };
    let names = toml.keys(table);
    let own = toml.text(&["project", "name"]).or_else(|| toml.text(&["tool", "poetry", "name"]));
    let chosen = match &names[..] {
        [] => return None,
        [only] => only,
        several => {
            let own = several.iter().find(|name| Some(*name) == own.as_ref());
            let chosen =
                own.or_else(|| several.iter().find(|name| SERVING.contains(&name.as_str())));
            match chosen {
                Some(chosen) => chosen,
                None => {
                    project.unclear(
                        &FILE,
                        format!("scripts {}: it is not clear which serves", several.join(", ")),
                    );
                    return None;
                }
            }
        }
    };
    let entry = toml.text(&[table, &[chosen.as_str()]].concat())?;
    let is_path = |text: &str| text.split('.').all(super::shell::is_name);
    let parts = entry.split_once(':').map(|(module, name)| (module.trim(), name.trim()));
    let Some((module, name)) = parts.filter(|(module, name)| is_path(module) && is_path(name))
    else {
        project.unclear(&FILE, format!("script {chosen} = {entry:?}; not understood"));
        return None;
    };
    let first = name.split('.').next().unwrap_or(name);
    project.note(format!("script {chosen} of {FILE} is started"));
    Some(words(&["-c", &format!("import sys; from {module} import {first}; sys.exit({name}())")]))
}

/// The variable that a framework's object is given to.
fn variable_made(text: &str) -> Option<&str> {
    let is_made = |value: &str| {
        let value = value.trim_start();
        MAKES.iter().any(|make| {
            value.starts_with(make)
                || value.split_once('.').is_some_and(|(module, rest)| {
                    super::shell::is_name(module) && rest.starts_with(make)
                })
        })
    };
    text.lines()
        // Within a function it is nothing a server could name.
        .filter(|line| !line.starts_with([' ', '\t', '#']))
        .filter_map(|line| line.split_once('='))
        .find(|(_, value)| is_made(value))
        .map(|(name, _)| name.split(':').next().unwrap_or(name).trim())
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

/// The variable that holds the app: the one a framework's object is given to, else `app`.
fn variable(text: &str) -> &str {
    let default = if text.contains("application =") { "application" } else { "app" };
    variable_made(text).unwrap_or(default)
}
