//! Hints of a Dockerfile: how its image is started, with what environment, and what it exposes.

use std::collections::BTreeMap;

use super::listening;
use super::project::{Place, Project};
use super::shell;

/// Its usual names.
const FILES: &[&str] = &["Dockerfile", "Containerfile", "docker/Dockerfile"];

/// Variables that are no matter of the app's, or that the definition sets itself.
const NOT_THE_APPS: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "PORT",
    "HOST",
    "HOSTNAME",
    "SANDSTORM",
    "DATA_DIR",
    "DEBIAN_FRONTEND",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
];

/// Parts of names of what is nobody else's.
const SECRETS: &[&str] = &["SECRET", "PASSWORD", "PASSWD", "TOKEN", "API_KEY", "PRIVATE"];

/// Whether a variable of that name is nobody else's.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|part| name.to_ascii_uppercase().contains(part))
}

/// What the last stage says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) file: String,
    /// What it starts.
    pub(super) command: Option<(Start, Place)>,
    pub(super) environ: BTreeMap<String, String>,
    pub(super) port: Option<(u16, Place)>,
    entry: Option<(Start, Place)>,
    /// Where the app is in the image.
    directory: String,
    variables: BTreeMap<String, String>,
}

/// Both forms of CMD and ENTRYPOINT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Shell(String),
    Words(Vec<String>),
}

/// The project's Dockerfile, if it has one.
pub(super) fn read(project: &Project) -> Option<Image> {
    let file = project.first(FILES)?;
    let mut image = parse(&project.text(file), file, project);
    image.command = started(&mut image, project);
    Some(image)
}

impl Image {
    /// Paths of the image as they are in the project, which is at the command's directory.
    pub(super) fn in_project(&self, word: &str) -> String {
        let dir = self.directory.trim_end_matches('/');
        match word.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) if !dir.is_empty() && !rest.is_empty() => rest.to_owned(),
            _ => word.to_owned(),
        }
    }
}

/// CMD, behind ENTRYPOINT where both are lists.
fn started(image: &mut Image, project: &Project) -> Option<(Start, Place)> {
    let command = image.command.take();
    let Some((entry, place)) = image.entry.take() else { return command };
    match (entry, command) {
        (Start::Words(entry), command) => {
            let program = entry.first()?.rsplit('/').next().unwrap_or_default().to_owned();
            let arguments = match &command {
                Some((Start::Words(words), _)) => words.clone(),
                _ => Vec::new(),
            };
            if program.contains("entrypoint") && !arguments.is_empty() {
                project.unclear(
                    &place,
                    format!("ENTRYPOINT {program} is a script that prepares; it is left out"),
                );
                return command;
            }
            Some((Start::Words([entry, arguments].concat()), place))
        }
        (entry @ Start::Shell(_), _) => Some((entry, place)),
    }
}

fn parse(text: &str, file: &str, project: &Project) -> Image {
    let mut stages: BTreeMap<String, Image> = BTreeMap::new();
    let mut image = Image::default();
    let mut name = String::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let place = Place { file: file.to_owned(), line: at + 1 };
        let Some((instruction, mut rest)) = instruction(line) else { continue };
        while rest.ends_with('\\') {
            rest.pop();
            match lines.next() {
                Some((_, next)) if next.trim_start().starts_with('#') => rest.push('\\'),
                Some((_, next)) => rest.push_str(next.trim_end()),
                None => break,
            }
        }
        // Documents within belong to RUN and COPY.
        if matches!(instruction.as_str(), "RUN" | "COPY" | "ADD")
            && let Some((_, end)) = rest.split_once("<<")
        {
            let end = end.trim_start_matches('-').trim_start_matches(['"', '\'']);
            let end: String =
                end.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !end.is_empty() {
                lines.by_ref().find(|(_, line)| line.trim() == end);
            }
            continue;
        }
        match instruction.as_str() {
            "FROM" => {
                stages.insert(std::mem::take(&mut name), std::mem::take(&mut image));
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let base = words.next().unwrap_or_default();
                image = stages.get(base).filter(|_| !base.is_empty()).cloned().unwrap_or_default();
                name = words.nth(1).unwrap_or_default().to_owned();
            }
            "WORKDIR" => {
                let dir = rest.trim().trim_matches('"').to_owned();
                image.directory = match dir.starts_with('/') {
                    true => dir,
                    false => format!("{}/{dir}", image.directory.trim_end_matches('/')),
                };
            }
            "ARG" => {
                if let Some((name, value)) = shell::assignment(rest.trim()) {
                    image.variables.insert(name, value.trim_matches(['"', '\'']).to_owned());
                }
            }
            "ENV" => environ(&mut image, &rest, &place, project),
            "EXPOSE" => expose(&mut image, &rest, &place, project),
            "CMD" => image.command = Some((start(&rest), place)),
            "ENTRYPOINT" => {
                // As docker does: what an earlier CMD said was for another.
                image.entry = Some((start(&rest), place));
            }
            "VOLUME" => project.note(format!(
                "{place}: VOLUME {}: in the sandbox an app keeps its data below /var alone",
                rest.trim()
            )),
            _ => {}
        }
    }
    image.file = file.to_owned();
    image
}

/// The instruction of a line, in upper case, and what is behind it.
fn instruction(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (instruction, rest) = line.split_once(char::is_whitespace)?;
    Some((instruction.to_ascii_uppercase(), rest.trim().to_owned()))
}

fn start(rest: &str) -> Start {
    match serde_json::from_str(rest) {
        Ok(words) => Start::Words(words),
        Err(_) => Start::Shell(rest.to_owned()),
    }
}

fn environ(image: &mut Image, rest: &str, place: &Place, project: &Project) {
    let known = image.variables.clone();
    // What is not set is empty, as in an image.
    let known = |name: &str| Some(known.get(name).cloned().unwrap_or_default());
    let old_form = rest.split_once(char::is_whitespace);
    let pairs = match old_form {
        // ENV NAME the whole rest
        Some((name, value)) if shell::is_name(name) => {
            Ok(vec![(name.to_owned(), value.trim().to_owned())])
        }
        _ => shell::steps(rest, &known)
            .map(|steps| steps.into_iter().flat_map(|step| step.environ).collect()),
    };
    match pairs {
        Ok(pairs) => {
            for (name, value) in pairs {
                if name == "PORT"
                    && let Some(port) = listening::port(&value)
                {
                    image.port = Some((port, place.clone()));
                }
                image.variables.insert(name.clone(), value.clone());
                if is_secret(&name) {
                    project
                        .note(format!("{place}: {name} is not taken: it would be in the package"));
                } else if !NOT_THE_APPS.contains(&name.as_str()) {
                    image.environ.insert(name, value);
                }
            }
        }
        Err(what) => project.unclear(place, format!("ENV {rest}: {what}; not understood")),
    }
}

fn expose(image: &mut Image, rest: &str, place: &Place, project: &Project) {
    let known = |name: &str| image.variables.get(name).cloned();
    let words = shell::steps(rest, &known);
    let words = words.unwrap_or_default().into_iter().flat_map(|step| step.words);
    let ports: Vec<u16> =
        words.filter_map(|word| listening::port(word.split('/').next()?)).collect();
    match ports[..] {
        [] => project
            .unclear(place, format!("EXPOSE {rest}: no port that can be bound in the sandbox")),
        [port, ref more @ ..] => {
            if let Some(other) = more.first() {
                project.unclear(
                    place,
                    format!("EXPOSE {rest}: an app has one port; {other} is left out"),
                );
            }
            image.port = Some((port, place.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let project = Project::new(std::path::Path::new("/nonexistent"), None);
        let mut image = parse(text, "Dockerfile", &project);
        image.command = started(&mut image, &project);
        let mut lines = Vec::new();
        if let Some((start, place)) = &image.command {
            let start = match start {
                Start::Shell(line) => Start::Shell(image.in_project(line)),
                Start::Words(words) => {
                    Start::Words(words.iter().map(|word| image.in_project(word)).collect())
                }
            };
            lines.push(format!("{place}: {start:?}"));
        }
        lines.extend(image.port.iter().map(|(port, place)| format!("{place}: port {port}")));
        lines.extend(image.environ.iter().map(|(name, value)| format!("{name}={value}")));
        let said = project.said();
        lines.extend(said.notes.into_iter().map(|note| format!("note: {note}")));
        lines.extend(said.unclear.into_iter().map(|what| format!("unclear: {what}")));
        lines.join("\n")
    }

    #[test]
    fn both_forms_and_stages() {
        let read_of = read(
            "# syntax=docker/dockerfile:1\n\
             FROM node:20 AS build\n\
             WORKDIR /src\n\
             EXPOSE 1234\n\
             CMD [\"npm\", \"run\", \"dev\"]\n\
             FROM node:20\n\
             ARG VERSION=1.2\n\
             ENV NODE_ENV=production APP_VERSION=$VERSION \\\n    TITLE=\"two words\"\n\
             ENV MODE old form\n\
             ENV API_TOKEN=x PATH=/x:$PATH\n\
             RUN <<END\nCMD nothing\nEND\n\
             WORKDIR /usr/src/app\n\
             EXPOSE 3000/tcp 9100\n\
             VOLUME /data\n\
             ENTRYPOINT [\"/usr/bin/tini\", \"--\"]\n\
             CMD [\"node\", \"/usr/src/app/server.js\"]\n",
        );
        insta::assert_snapshot!(read_of);
    }

    #[test]
    fn what_is_not_understood() {
        let read_of = read(
            "FROM php AS base\n\
             EXPOSE 8080\n\
             FROM base\n\
             EXPOSE 80\n\
             ENV A=$(date)\n\
             ENTRYPOINT [\"docker-entrypoint.sh\"]\n\
             CMD exec python app.py \\",
        );
        insta::assert_snapshot!(read_of);
        assert_eq!(
            read("FROM x\nENTRYPOINT [\"./entrypoint.sh\"]\nCMD [\"./run\"]"),
            "Dockerfile line 3: Words([\"./run\"])\nunclear: Dockerfile line 2: ENTRYPOINT \
             entrypoint.sh is a script that prepares; it is left out"
        );
        assert_eq!(read(""), "");
    }
}
