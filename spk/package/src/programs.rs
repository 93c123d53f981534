//! Which programs the commands of a manifest start, and whether a package has them: one that has
//! not can never start.

use std::fs::File;
use std::path::Path;
use std::{fmt, io};

use spk_files::elf::Elf;

use crate::manifest::{Command, Manifest};

/// Options of the HTTP bridge that have a value as the argument after them.
const BRIDGE_VALUES: &[&[u8]] =
    &[b"--config", b"--api-socket", b"--proxy-port", b"--launch", b"--var"];

/// Where programs may be that are no part of a package: the grain's own files, and what is mounted.
const NOT_PACKED: &[&str] = &["var", "tmp", "dev", "proc"];

/// Whether the file is a program that needs no other: what is packed as the HTTP bridge runs where
/// there may be none.
///
/// # Errors
/// When it cannot be read.
pub fn is_static(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    let Some(elf) = Elf::open(&file)? else { return Ok(false) };
    // What ends before its own tables do is no program either.
    Ok(matches!(elf.interpreter(), Ok(None))
        && elf.libraries().is_ok_and(|needed| needed.is_empty()))
}

/// A program that a command starts and the package does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which command: `continueCommand`, or that of an action.
    pub field: String,
    /// The program, as the command names it.
    pub program: Vec<u8>,
}

impl Missing {
    /// The program as a path in the package.
    pub fn path(&self) -> Vec<u8> {
        in_package(&self.program)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = self.program.escape_ascii();
        write!(f, "the manifest's {} starts {program}, which is not in the package", self.field)
    }
}

/// Programs of the manifest's commands for which `has` finds no file. It is asked for paths in the
/// package, without a leading slash.
pub fn missing(manifest: &Manifest, has: impl Fn(&[u8]) -> bool) -> Vec<Missing> {
    let mut commands = vec![("continueCommand".to_owned(), &manifest.continue_command)];
    for (index, action) in manifest.actions.iter().enumerate() {
        commands.push((format!("actions[{index}].command"), &action.command));
    }
    let mut missing: Vec<Missing> = Vec::new();
    for (field, command) in commands {
        for Program { name, places } in programs(command) {
            let known = missing.iter().any(|other| other.program == name);
            if !known && !places.is_empty() && !places.iter().any(|place| has(place)) {
                missing.push(Missing { field: field.clone(), program: name });
            }
        }
    }
    missing
}

/// A program and the paths where it may be; none where the package cannot tell.
struct Program {
    name: Vec<u8>,
    places: Vec<Vec<u8>>,
}

/// What the command starts, and what the HTTP bridge starts for it.
fn programs(command: &Command) -> Vec<Program> {
    let Some(first) = command.argv.first() else { return Vec::new() };
    // The host starts it by this path, from the root.
    let mut programs = vec![Program { name: first.clone(), places: vec![in_package(first)] }];
    if command.uses_bridge()
        && let Some(name) = behind_bridge(&command.argv[1..])
    {
        let places = match name.contains(&b'/') {
            true => vec![in_package(name)],
            false => in_path(command, name),
        };
        programs.push(Program { name: name.to_vec(), places });
    }
    for program in &mut programs {
        let packed = |place: &Vec<u8>| {
            let top = place.split(|byte| *byte == b'/').next().unwrap_or_default();
            !NOT_PACKED.iter().any(|name| name.as_bytes() == top)
        };
        if !program.places.iter().all(packed) {
            program.places.clear();
        }
    }
    programs
}

/// The command in the arguments of the bridge: behind its options and the port.
fn behind_bridge(arguments: &[Vec<u8>]) -> Option<&[u8]> {
    let mut arguments = arguments.iter();
    loop {
        let argument = arguments.next()?.as_slice();
        if BRIDGE_VALUES.contains(&argument) {
            arguments.next();
        } else if !argument.starts_with(b"-") {
            // The port.
            let next = arguments.next()?;
            let program = if next == b"--" { arguments.next()? } else { next };
            return Some(program);
        }
    }
}

/// Where a name is looked for in the command's `PATH`; nowhere if it has none.
fn in_path(command: &Command, name: &[u8]) -> Vec<Vec<u8>> {
    let path = command.environ.iter().rev().find(|(key, _)| key == b"PATH");
    let dirs = path.map(|(_, value)| value.split(|byte| *byte == b':')).into_iter().flatten();
    dirs.map(|dir| in_package(&[dir, b"/", name].concat())).collect()
}

/// `/opt/./app` as `opt/app`.
fn in_package(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.collect::<Vec<_>>().join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str, path: Option<&str>) -> Command {
        Command {
            argv: words.split(' ').map(|word| word.as_bytes().to_vec()).collect(),
            environ: path.map(|path| (b"PATH".to_vec(), path.into())).into_iter().collect(),
        }
    }

    fn missing_of(words: &str, path: Option<&str>, packed: &[&str]) -> Vec<String> {
        let manifest = Manifest { continue_command: command(words, path), ..Manifest::default() };
        let has = |path: &[u8]| packed.iter().any(|packed| packed.as_bytes() == path);
        let names = missing(&manifest, has).into_iter();
        names.map(|missing| String::from_utf8_lossy(&missing.program).into_owned()).collect()
    }

    #[test]
    fn programs_are_looked_up_as_they_are_started() {
        let bridge = "sandstorm-http-bridge";
        for (words, path, packed, expected) in [
            ("/opt/start", None, &["opt/start"][..], &[][..]),
            ("./opt//start x", None, &["opt/start"], &[]),
            ("/opt/start", None, &["start"], &["/opt/start"]),
            ("start", Some("/bin"), &["bin/start"], &["start"]),
            ("/sandstorm-http-bridge 8000 -- /app", None, &[bridge], &["/app"]),
            ("/sandstorm-http-bridge 8000 /app x", None, &[bridge], &["/app"]),
            ("/sandstorm-http-bridge --var /v -v 80 -- /app", None, &[bridge, "app"], &[]),
            ("/sandstorm-http-bridge 80 -- node x.js", Some("/bin:/usr/bin"), &[bridge], &["node"]),
            (
                "/sandstorm-http-bridge 80 -- node",
                Some("/bin:/usr/bin"),
                &[bridge, "usr/bin/node"],
                &[],
            ),
            // Nobody can tell from here.
            ("/sandstorm-http-bridge 80 -- node x.js", None, &[bridge], &[]),
            ("/sandstorm-http-bridge 80 -- node", Some("/var/bin:/bin"), &[bridge], &[]),
            ("/var/app/start", None, &[], &[]),
            ("/sandstorm-http-bridge 80", None, &[], &["/sandstorm-http-bridge"]),
        ] {
            assert_eq!(missing_of(words, path, packed), expected, "{words}");
        }
    }

    #[test]
    fn a_program_of_several_commands_is_named_once() {
        use crate::manifest::Action;
        let action = |words| Action { command: command(words, None), ..Action::default() };
        let manifest = Manifest {
            continue_command: command("/app", None),
            actions: vec![action("/app new"), action("/other")],
            ..Manifest::default()
        };
        let said: Vec<String> =
            missing(&manifest, |_| false).iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "the manifest's continueCommand starts /app, which is not in the package",
                "the manifest's actions[1].command starts /other, which is not in the package",
            ]
        );
    }
}
