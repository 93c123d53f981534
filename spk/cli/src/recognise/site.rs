//! Sites of files.

use super::project::{Project, program, words};
use super::{Found, Port};

/// Files for a browser.
pub(super) fn site(project: &Project) -> Option<Found> {
    let places = [
        ("public/index.html", "/opt/app/public"),
        ("dist/index.html", "/opt/app/dist"),
        ("build/index.html", "/opt/app/build"),
        ("out/index.html", "/opt/app/out"),
        ("_site/index.html", "/opt/app/_site"),
        ("index.html", "/opt/app"),
    ];
    let (index, root) = places.iter().find(|(index, _)| project.has(index))?;
    Some(Found {
        what: "a web site of files".into(),
        by: (*index).into(),
        port: Port { number: project.port(), from: None },
        command: words(&[&program("python3"), "-s", "-B", "/opt/server.py"]),
        environ: vec![("SITE_ROOT".into(), (*root).into())],
        static_server: true,
        guessed: true,
        ..Found::default()
    })
}
