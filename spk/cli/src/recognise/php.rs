//! PHP: by its front controller, served by PHP's own server with a few workers.

use super::{Found, PORT, Project, program};

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
    let package: serde_json::Value =
        serde_json::from_str(&project.text("composer.json")).unwrap_or_default();
    let name = package["name"].as_str().and_then(|name| name.rsplit('/').next());
    let required = package["require"].as_object();
    let needs = required.is_some_and(|all| all.keys().any(|name| name.contains('/')));
    Some(Found {
        by: "composer.json".into(),
        name: name.map(str::to_owned),
        prepare: needs.then(|| "composer install --no-dev --optimize-autoloader".to_owned()),
        ..served(project)?
    })
}

/// Pages without Composer.
pub(super) fn plain(project: &Project) -> Option<Found> {
    served(project)
}

/// Where sessions are kept: what Debian names is below `/var`, too, but not there in a grain.
const SESSIONS: &str = "/var/lib/php";

fn served(project: &Project) -> Option<Found> {
    let (index, root) = ROOTS.iter().find(|(index, _)| project.has(index))?;
    let listen = format!("127.0.0.1:{PORT}");
    let sessions = format!("session.save_path={SESSIONS}");
    // Debian leaves it to a job of the machine's to remove old sessions.
    let removed = "session.gc_probability=1";
    let php = program("php");
    let command = [&php, "-d", &sessions, "-d", removed, "-S", &listen, "-t", root];
    Some(Found {
        what: "a PHP app".into(),
        by: (*index).into(),
        port: PORT,
        command: command.map(str::to_owned).to_vec(),
        storage: vec![SESSIONS.into()],
        environ: vec![("PHP_CLI_SERVER_WORKERS".into(), "4".into())],
        ..Found::default()
    })
}
