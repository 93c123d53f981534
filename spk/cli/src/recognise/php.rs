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

fn served(project: &Project) -> Option<Found> {
    let (index, root) = ROOTS.iter().find(|(index, _)| project.has(index))?;
    let listen = format!("127.0.0.1:{PORT}");
    let command = [&program("php"), "-S", &listen, "-t", root];
    Some(Found {
        what: "a PHP app".into(),
        by: (*index).into(),
        port: PORT,
        command: command.map(str::to_owned).to_vec(),
        environ: vec![("PHP_CLI_SERVER_WORKERS".into(), "4".into())],
        ..Found::default()
    })
}
