//! What a project's own command line starts, as the sandbox would start it: of a Procfile, a
//! Dockerfile, or a script of `package.json`.

use super::listening::{self, Listens};
use super::project::{Place, Project, installed, program, words};
use super::shell::{self, Step};
use super::{Port, node, php, python, ruby};

/// Scripts that call scripts are followed so far.
const DEEPEST: usize = 8;

/// What runs the program: other files of a project of that kind are needed with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    Python,
    Node,
    Ruby,
    Php,
    /// The project's own program, compiled.
    Compiled,
    #[default]
    Other,
}

impl Kind {
    /// How its sources end.
    pub(super) fn endings(self) -> &'static [&'static str] {
        match self {
            Kind::Python => &[".py"],
            Kind::Node => &[".js", ".mjs", ".cjs", ".ts"],
            Kind::Ruby => &[".rb", ".ru"],
            Kind::Php => &[".php"],
            Kind::Compiled => &[".go", ".rs"],
            Kind::Other => &[],
        }
    }
}

/// A command line that was understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) kind: Kind,
    /// Program and arguments in the sandbox.
    pub(super) command: Vec<String>,
    /// What is run each time before.
    pub(super) before: Vec<Vec<String>>,
    /// What is done once, on this machine.
    pub(super) prepare: Vec<String>,
    /// Where, below the project.
    pub(super) directory: Option<String>,
    pub(super) environ: Vec<(String, String)>,
    /// The source that is started, if it is one file.
    pub(super) main: Option<String>,
    /// The port that an argument, the environment or a source says.
    pub(super) port: Option<Port>,
}

impl Run {
    /// A file of the project, from where the command runs.
    fn file(&self, project: &Project, word: &str) -> Option<String> {
        let word = word.strip_prefix("/opt/app/").unwrap_or(word);
        let word = word.trim_start_matches("./");
        let path = match &self.directory {
            Some(dir) => format!("{dir}/{word}"),
            None => word.to_owned(),
        };
        (!word.is_empty() && !word.starts_with('/') && project.has(&path)).then_some(path)
    }
}

/// Understands a line, or says what of it is not understood.
pub(super) fn line(project: &Project, line: &str, place: &Place) -> Result<Run, String> {
    let steps = shell::steps(line, &|name| project.variable(name))?;
    let mut run = Run::default();
    all(project, steps, &mut run, 0)?;
    port(project, &mut run, place);
    Ok(run)
}

/// Understands words that no shell has read.
pub(super) fn list(project: &Project, list: &[String], place: &Place) -> Result<Run, String> {
    // `["sh", "-c", "…"]` is a line after all.
    if let [shell, option, line_of_it] = list
        && ["sh", "bash"].contains(&base(shell))
        && option.ends_with('c')
    {
        return line(project, line_of_it, place);
    }
    let mut run = Run::default();
    let step = Step { environ: Vec::new(), words: list.to_vec() };
    all(project, vec![step], &mut run, 0)?;
    port(project, &mut run, place);
    Ok(run)
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

fn all(project: &Project, mut steps: Vec<Step>, run: &mut Run, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err("scripts call each other".into());
    }
    let last = steps.pop().ok_or("is empty")?;
    for step in steps {
        before(project, step, run, depth)?;
    }
    one(project, last, run, depth)
}

/// What comes before the last `&&`.
fn before(project: &Project, step: Step, run: &mut Run, depth: usize) -> Result<(), String> {
    let Some(first) = step.words.first() else {
        run.environ.extend(step.environ);
        return Ok(());
    };
    match first.as_str() {
        "cd" => {
            let dir =
                step.words.get(1).map(|dir| dir.trim_start_matches("./").trim_end_matches('/'));
            let dir = dir.filter(|dir| project.has_dir(dir) && !dir.contains(".."));
            let dir = dir.ok_or_else(|| format!("has {:?}", step.words.join(" ")))?;
            run.directory = Some(dir.to_owned());
        }
        "export" | "set" => {
            run.environ.extend(step.words.iter().filter_map(|word| shell::assignment(word)));
        }
        "echo" | "true" | ":" | "mkdir" => {}
        _ if is_build(project, &step.words) => run.prepare.push(step.words.join(" ")),
        _ => {
            let mut own = Run { directory: run.directory.clone(), ..Run::default() };
            one(project, step, &mut own, depth)?;
            run.before.append(&mut own.before);
            run.prepare.append(&mut own.prepare);
            let environ = own.environ.iter().map(|(name, value)| format!("{name}={value}"));
            let environ: Vec<String> = environ.collect();
            let set = if environ.is_empty() { Vec::new() } else { words(&["/usr/bin/env"]) };
            run.before.push([set, environ, own.command].concat());
        }
    }
    Ok(())
}

/// What makes files of the project, which are read-only in the sandbox.
fn is_build(project: &Project, words: &[String]) -> bool {
    let text = words.join(" ");
    let builds = [
        "npm run build",
        "npm ci",
        "npm i",
        "npm install",
        "yarn build",
        "yarn run build",
        "yarn install",
        "pnpm build",
        "pnpm run build",
        "pnpm install",
        "tsc",
        "npx tsc",
        "webpack",
        "vite build",
        "next build",
        "rollup",
        "pip install",
        "pip3 install",
        "bundle install",
        "bundle exec rake assets",
        "composer install",
        "go build",
        "cargo build",
        "make",
    ];
    let begins = |build: &&str| {
        text.strip_prefix(*build)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':', '-']))
    };
    let builds_by_script = || {
        let script = words.iter().rev().find(|word| !word.starts_with('-'));
        script.is_some_and(|name| {
            let script = node::script(project, name).unwrap_or_default();
            builds.iter().any(|build| script.starts_with(build))
        })
    };
    builds.iter().any(begins)
        || text.contains("collectstatic")
        || (["npm", "yarn", "pnpm"].contains(&words[0].as_str()) && builds_by_script())
}

/// The command that serves.
fn one(project: &Project, step: Step, run: &mut Run, depth: usize) -> Result<(), String> {
    run.environ.extend(step.environ);
    let mut bundled = false;
    let mut rest = step.words;
    loop {
        let Some(first) = rest.first().cloned() else { return Err("has no program".into()) };
        let second = rest.get(1).map(String::as_str);
        match base(&first) {
            "exec" | "npx" | "bunx" | "pnpx" | "time" | "nohup" => {
                rest.remove(0);
            }
            "env" | "cross-env" | "cross-env-shell" => {
                rest.remove(0);
                while let Some(pair) = rest.first().and_then(|word| shell::assignment(word)) {
                    run.environ.push(pair);
                    rest.remove(0);
                }
            }
            "tini" | "dumb-init" => {
                rest.remove(0);
                let options = rest.iter().take_while(|word| word.starts_with('-')).count();
                rest.drain(..options);
            }
            "dotenv" | "dotenvx" if rest.iter().any(|word| word == "--") => {
                let end = rest.iter().position(|word| word == "--").unwrap_or_default();
                rest.drain(..=end);
                project.note("what is in .env does not reach the sandbox: put it into environ");
            }
            "poetry" | "pipenv" | "uv" | "pdm" | "rye" | "hatch" if second == Some("run") => {
                rest.drain(..2);
            }
            "yarn" | "pnpm" if second == Some("exec") => {
                rest.drain(..2);
            }
            "bundle" if second == Some("exec") => {
                bundled = true;
                rest.drain(..2);
            }
            "npm" | "yarn" | "pnpm" | "bun" => return script(project, &rest, run, depth),
            _ => break,
        }
    }
    program_of(project, rest, bundled, run)
}

/// `npm start`, `yarn serve`, `pnpm run web -- --port 3000`.
fn script(project: &Project, words: &[String], run: &mut Run, depth: usize) -> Result<(), String> {
    let mut rest =
        words[1..].iter().filter(|word| *word != "run" && *word != "--silent" && *word != "-s");
    let name = rest.next().ok_or_else(|| format!("has {:?}", words.join(" ")))?;
    if name.starts_with('-') {
        return Err(format!("has {name} for {}", words[0]));
    }
    let text = node::script(project, name).ok_or_else(|| match project.has("package.json") {
        true => format!("package.json has no script {name}"),
        false => "there is no package.json".to_owned(),
    })?;
    if let Some(before) = node::script(project, &format!("pre{name}")) {
        for step in shell::steps(&before, &|name| project.variable(name))? {
            self::before(project, step, run, depth)?;
        }
    }
    let mut steps = shell::steps(&text, &|name| project.variable(name))
        .map_err(|what| format!("script {name} ({text}) {what}"))?;
    if let Some(last) = steps.last_mut() {
        last.words.extend(rest.filter(|word| *word != "--").cloned());
    }
    all(project, steps, run, depth + 1)
}

/// Servers that are modules of Python.
const PYTHON_SERVERS: &[(&str, &str)] = &[
    ("gunicorn", "gunicorn"),
    ("uvicorn", "uvicorn"),
    ("hypercorn", "hypercorn"),
    ("flask", "flask"),
    ("waitress-serve", "waitress"),
    ("daphne", "daphne"),
    ("streamlit", "streamlit"),
    ("fastapi", "fastapi"),
    ("django-admin", "django"),
    ("celery", "celery"),
    ("alembic", "alembic"),
];

/// Servers for development, which watch and build.
const FOR_DEVELOPMENT: &[&str] = &[
    "vite",
    "react-scripts",
    "ng",
    "vue-cli-service",
    "webpack",
    "webpack-dev-server",
    "parcel",
    "gulp",
    "grunt",
    "browser-sync",
    "live-server",
];

/// The program itself, and what it is told besides.
fn program_of(
    project: &Project,
    mut rest: Vec<String>,
    bundled: bool,
    run: &mut Run,
) -> Result<(), String> {
    let name = base(&rest[0]).to_owned();
    let python = |arguments: Vec<String>| [python::interpreter(), arguments].concat();
    if FOR_DEVELOPMENT.contains(&name.as_str()) {
        return Err(format!("{name} serves for development alone"));
    }
    if let Some((_, module)) = PYTHON_SERVERS.iter().find(|(server, _)| *server == name) {
        let arguments = python::told(project, module, rest.split_off(1));
        run.kind = Kind::Python;
        run.command = python([words(&["-m", module]), arguments].concat());
        return Ok(());
    }
    if name.starts_with("python") || name == "pypy3" {
        let arguments = rest.split_off(1);
        run.kind = Kind::Python;
        let mut arguments = match arguments.first().map(String::as_str) {
            Some("-m") if arguments.len() > 1 => {
                let module = arguments[1].clone();
                [words(&["-m", &module]), python::told(project, &module, arguments[2..].to_vec())]
                    .concat()
            }
            _ => arguments,
        };
        let at = arguments.iter().position(|word| !word.starts_with('-'));
        if arguments.first().is_none_or(|word| word != "-m" && word != "-c") {
            let at = at.ok_or("has no program for python")?;
            let file = run.file(project, &arguments[at]).ok_or_else(|| absent(&arguments[at]))?;
            arguments[at] = format!("/opt/app/{file}");
            if file.ends_with("manage.py")
                && arguments.get(at + 1).is_some_and(|word| word == "runserver")
            {
                python::run_server(project, &mut arguments);
            }
            run.main = Some(file);
        }
        run.command = python(arguments);
        return Ok(());
    }
    match name.as_str() {
        "node" | "nodejs" | "nodemon" | "pm2-runtime" => {
            run.kind = Kind::Node;
            let mut arguments = rest.split_off(1);
            if name == "pm2-runtime" && arguments.first().is_some_and(|word| word == "start") {
                arguments.remove(0);
            }
            let places = arguments.iter().enumerate();
            let main = places.filter(|(_, word)| !word.starts_with('-')).find_map(|(at, word)| {
                let ways = ["", ".js", ".mjs", "/index.js"].map(|end| format!("{word}{end}"));
                let ways = ways.iter().map(|way| way.trim_start_matches("./"));
                ways.filter_map(|way| run.file(project, way)).next().map(|file| (at, file))
            });
            let main = main.or_else(|| {
                let at = arguments.iter().position(|word| word == ".")?;
                Some((at, node::main(project)?))
            });
            match main {
                Some((at, file)) => {
                    arguments[at] = format!("/opt/app/{file}");
                    run.main = Some(file);
                }
                // What a build makes may not be there yet.
                None => {
                    let word = arguments.iter().find(|word| !word.starts_with('-'));
                    let word = word.ok_or("has no program for node")?;
                    node::script(project, "build").ok_or_else(|| absent(word))?;
                    run.prepare.push("npm run build".into());
                }
            }
            run.command = [vec![program("node")], arguments].concat();
        }
        "php" | "heroku-php-apache2" | "heroku-php-nginx" => {
            run.kind = Kind::Php;
            run.command = php::told(project, &name, &rest[1..])
                .ok_or_else(|| format!("{} is no command that serves", rest.join(" ")))?;
        }
        "ruby" | "rackup" | "puma" | "thin" | "unicorn" | "rails" | "rake" => {
            run.kind = Kind::Ruby;
            if let Some(at) = rest.iter().skip(1).position(|word| !word.starts_with('-')) {
                let at = at + 1;
                if let Some(file) = run.file(project, &rest[at]) {
                    rest[at] = format!("/opt/app/{file}");
                    run.main = Some(file);
                } else if name == "ruby" {
                    return Err(absent(&rest[at]));
                }
            }
            rest[0] = name;
            run.command = ruby::told(project, bundled, rest);
        }
        "next" | "serve" | "nuxt" | "remix-serve" | "ts-node" | "tsx" | "http-server" => {
            run.kind = Kind::Node;
            run.command = node::told(project, &name, rest.split_off(1))?;
            if name == "next" && !project.has_dir(".next") {
                run.prepare.push(match node::script(project, "build") {
                    Some(_) => "npm run build".into(),
                    None => "npx next build".into(),
                });
            }
        }
        _ => other(project, rest, run)?,
    }
    Ok(())
}

/// A program of the project, of its packages, or of this machine.
fn other(project: &Project, mut rest: Vec<String>, run: &mut Run) -> Result<(), String> {
    let name = rest[0].clone();
    if let Some(file) = run.file(project, &name) {
        rest[0] = format!("/opt/app/{file}");
        run.command = rest;
    } else if project.has("go.mod") || project.has("Cargo.toml") {
        // As the buildpack calls what it built.
        let is_system = installed(base(&name)).is_some() && !name.contains('/');
        if is_system {
            return Err(format!("{name} is not understood"));
        }
        run.kind = Kind::Compiled;
        rest[0] = "/app".into();
        run.command = rest;
    } else if node::has_program(project, &name) {
        run.kind = Kind::Node;
        run.command = node::told(project, &name, rest.split_off(1))?;
    } else {
        let path = installed(base(&name)).filter(|path| !name.contains('/') || *path == name);
        rest[0] = path.ok_or_else(|| {
            format!("{name} is neither in the project nor installed on this machine")
        })?;
        // A jar, a script for a shell.
        for word in rest.iter_mut().skip(1).filter(|word| !word.starts_with('-')) {
            if let Some(file) = run.file(project, word) {
                *word = format!("/opt/app/{file}");
            }
        }
        run.command = rest;
    }
    Ok(())
}

fn absent(word: &str) -> String {
    format!("there is no {word}")
}

/// Where it listens; what is asked for is put into the arguments.
fn port(project: &Project, run: &mut Run, place: &Place) {
    let of_environ = run.environ.iter().rev().find(|(name, _)| name == "PORT");
    let of_environ = of_environ.and_then(|(_, value)| listening::port(value));
    run.environ.retain(|(name, _)| name != "PORT");
    if let Some((at, range, number)) = listening::argument(&run.command) {
        let number = match project.wanted() {
            Some(wanted) => {
                run.command[at].replace_range(range, &wanted.to_string());
                wanted
            }
            None => number,
        };
        let told = number == project.port();
        run.port = Some(Port { number, from: (!told).then(|| place.to_string()) });
        return;
    }
    let said = listening::of(project, run.main.as_deref(), run.kind.endings());
    run.port = match (said, of_environ) {
        (Some(Listens::On(number, place)), _) => Some(Port::said(project, number, &place)),
        (_, Some(number)) => {
            let number = project.wanted().unwrap_or(number);
            Some(Port { number, from: Some(place.to_string()) })
        }
        (Some(Listens::WhereTold), None) => Some(Port { number: project.port(), from: None }),
        (None, None) => None,
    };
}
