//! Python: frameworks by what is required, plain programs by their usual names.

use super::{Found, PORT, Project, port_in, program};

/// Where packages go that `pip` installs, below `.sandstorm`, and where the app sees them.
const SITE: (&str, &str) = ("site", "opt/site");

/// Usual names of the module with the app.
const MODULES: &[&str] =
    &["wsgi.py", "asgi.py", "app.py", "main.py", "server.py", "application.py", "run.py"];

/// A project with a list of what it requires.
pub(super) fn project(project: &Project) -> Option<Found> {
    let by = project.first(&["requirements.txt", "pyproject.toml", "manage.py"])?;
    let required =
        format!("{}\n{}", project.text("requirements.txt"), project.text("pyproject.toml"));
    let required = required.to_lowercase();
    let (arguments, port) = if project.has("manage.py") && !required.contains("gunicorn") {
        let listen = format!("127.0.0.1:{PORT}");
        (words(&["/opt/app/manage.py", "runserver", "--noreload", &listen]), PORT)
    } else {
        served(project, &required)?
    };
    let what = if project.has("requirements.txt") { "-r requirements.txt" } else { "." };
    let prepare = (by != "manage.py").then(|| {
        format!(
            "{} -m pip install --no-compile --target .sandstorm/{} {what}",
            program("python3"),
            SITE.0
        )
    });
    Some(Found {
        name: name(&project.text("pyproject.toml")),
        site: Some((SITE.0.into(), SITE.1.into())),
        prepare,
        ..app(by, arguments, port)
    })
}

/// A program without such a list.
pub(super) fn plain(project: &Project) -> Option<Found> {
    let file = project.first(MODULES)?;
    let port = port_in(&project.text(file)).unwrap_or(PORT);
    Some(app(file, words(&[&format!("/opt/app/{file}")]), port))
}

fn app(by: &str, arguments: Vec<String>, port: u16) -> Found {
    let mut command = words(&[&program("python3"), "-s", "-B"]);
    command.extend(arguments);
    Found {
        what: "a Python app".into(),
        by: by.into(),
        port,
        command,
        environ: [
            ("PYTHONPATH", "/opt/site:/opt/app"),
            ("PYTHONUNBUFFERED", "1"),
            ("SQLITE_TMPDIR", "/var/tmp"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        ..Found::default()
    }
}

/// How the app's framework is served, or the program itself if there is none.
fn served(project: &Project, required: &str) -> Option<(Vec<String>, u16)> {
    let file = project.first(MODULES)?;
    let text = project.text(file);
    let module = file.trim_end_matches(".py");
    let app = format!("{module}:{}", variable(&text));
    let address = format!("127.0.0.1:{PORT}");
    let port = PORT.to_string();
    let arguments = if ["uvicorn", "fastapi", "starlette"].iter().any(|s| required.contains(s)) {
        words(&["-m", "uvicorn", "--host", "127.0.0.1", "--port", &port, &app])
    } else if required.contains("waitress") {
        words(&["-m", "waitress", &format!("--listen={address}"), &app])
    } else if required.contains("gunicorn") {
        words(&["-m", "gunicorn", "--bind", &address, "--worker-tmp-dir", "/dev/shm", &app])
    } else if required.contains("flask") {
        words(&["-m", "flask", "--app", module, "run", "--host", "127.0.0.1", "--port", &port])
    } else {
        let listens = port_in(&text).unwrap_or(PORT);
        return Some((words(&[&format!("/opt/app/{file}")]), listens));
    };
    Some((arguments, PORT))
}

/// The variable that holds the app: the one a framework's object is given to, else `app`.
fn variable(text: &str) -> &str {
    let made =
        ["Flask(", "FastAPI(", "Starlette(", "get_wsgi_application(", "get_asgi_application("];
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(_, value)| made.iter().any(|made| value.trim_start().starts_with(made)))
        .map(|(name, _)| name.split(':').next().unwrap_or(name).trim())
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .unwrap_or(if text.contains("application =") { "application" } else { "app" })
}

/// `name` in `[project]`.
fn name(pyproject: &str) -> Option<String> {
    super::other::toml_name(pyproject, "[project]")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
