//! `Procfile`: the line `web:` says how the app is started, `release:` what is done before.

use super::project::{Place, Project};

const FILE: &str = "Procfile";

/// A line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) command: String,
    pub(super) place: Place,
}

/// What is taken of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Procfile {
    pub(super) web: Option<Line>,
    pub(super) release: Option<Line>,
}

/// The project's, if it has one.
pub(super) fn read(project: &Project) -> Option<Procfile> {
    project.has(FILE).then(|| parse(&project.text(FILE), project))
}

fn parse(text: &str, project: &Project) -> Procfile {
    let mut found = Procfile::default();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        let place = Place { file: FILE.to_owned(), line: at + 1 };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let entry = line.split_once(':').filter(|(name, _)| name.chars().all(is_name));
        let Some((name, command)) = entry else {
            project.unclear(&place, format!("{line}: no NAME: COMMAND; not understood"));
            continue;
        };
        let line = Line { command: command.trim().to_owned(), place };
        match name {
            "web" => found.web = Some(line),
            "release" => found.release = Some(line),
            _ => project.unclear(
                &line.place,
                format!("{name}: {}: not started, an app has one command", line.command),
            ),
        }
    }
    if found.web.is_none() {
        project.unclear(&FILE, "no line for web; not understood");
    }
    found
}
