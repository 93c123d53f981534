//! PHP: by its front controller, served by PHP's own server with a few workers.

use super::project::{Project, program, words};
use super::{Found, Port};

/// Where projects have what the browser may see.
const ROOTS: &[(&str, &str)] = &[
    ("public/index.php", "/opt/app/public"),
    ("web/index.php", "/opt/app/web"),
    ("htdocs/index.php", "/opt/app/htdocs"),
    ("index.php", "/opt/app"),
];

/// A project of Composer's.
pub(super) fn composer(project: &Project) -> Option<Found> {
    project.has("composer.json").then_some(())?;
    let (_, root) = ROOTS.iter().find(|(index, _)| project.has(index))?;
    let (command, port) = (server(project, root), port(project));
    Some(Found { command, port, ..base(project) })
}

/// Pages without Composer.
pub(super) fn plain(project: &Project) -> Option<Found> {
    let (index, root) = ROOTS.iter().find(|(index, _)| project.has(index))?;
    let by = (*index).to_owned();
    let (command, port) = (server(project, root), port(project));
    Some(Found { by, command, port, guessed: true, ..base(project) })
}

fn port(project: &Project) -> Port {
    Port { number: project.port(), from: None }
}

/// Where sessions are kept: what Debian names is below `/var`, too, but not there in a grain.
const SESSIONS: &str = "/var/lib/php";

/// All but what is started.
pub(super) fn base(project: &Project) -> Found {
    let package: serde_json::Value =
        serde_json::from_str(&project.text("composer.json")).unwrap_or_default();
    let name = package["name"].as_str().and_then(|name| name.rsplit('/').next());
    let required = package["require"].as_object();
    let needs = required.is_some_and(|all| all.keys().any(|name| name.contains('/')));
    let prepare = needs.then(|| "composer install --no-dev --optimize-autoloader".to_owned());
    Found {
        what: "a PHP app".into(),
        by: project.first(&["composer.json"]).unwrap_or_default().into(),
        name: name.map(str::to_owned),
        prepare: prepare.into_iter().collect(),
        storage: vec![SESSIONS.into()],
        environ: vec![("PHP_CLI_SERVER_WORKERS".into(), "4".into())],
        ..Found::default()
    }
}

/// PHP with what it needs to keep sessions.
fn php() -> Vec<String> {
    let sessions = format!("session.save_path={SESSIONS}");
    // Debian leaves it to a job of the machine's to remove old sessions.
    words(&[&program("php"), "-d", &sessions, "-d", "session.gc_probability=1"])
}

fn server(project: &Project, root: &str) -> Vec<String> {
    let listen = format!("127.0.0.1:{}", project.port());
    [php(), words(&["-S", &listen, "-t", root])].concat()
}

/// What a command line of PHP's serves: its own server, Laravel's `serve`, a buildpack's server of a
/// directory.
pub(super) fn told(project: &Project, name: &str, rest: &[String]) -> Option<Vec<String>> {
    let directory = |word: &String| {
        let dir = word.trim_start_matches("./").trim_end_matches('/');
        (!word.starts_with('-') && project.has_dir(dir)).then(|| match dir {
            "" | "." => "/opt/app".to_owned(),
            dir => format!("/opt/app/{dir}"),
        })
    };
    if name != "php" {
        let root = rest.iter().rev().find_map(directory).unwrap_or_else(|| "/opt/app".into());
        return Some(server(project, &root));
    }
    if rest.first().is_some_and(|word| word == "artisan")
        && rest.get(1).is_some_and(|word| word == "serve")
    {
        return Some(server(project, "/opt/app/public"));
    }
    // A script that serves by itself, or prepares.
    if let Some(file) =
        rest.first().map(|word| word.trim_start_matches("./")).filter(|file| project.has(file))
    {
        return Some([php(), vec![format!("/opt/app/{file}")], rest[1..].to_vec()].concat());
    }
    rest.iter().any(|word| word == "-S").then_some(())?;
    let mapped = rest.iter().map(|word| directory(word).unwrap_or_else(|| word.clone()));
    Some([php(), mapped.collect()].concat())
}
