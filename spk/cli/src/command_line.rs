//! The command line as a whole: what `clap` derives from the subcommands, with examples and with
//! completion of what only this machine knows.

use std::io::{self, IsTerminal, Write};

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};
use clap_complete::CompleteEnv;
use rustix::io::Errno;

use crate::error::CliError;
use crate::global::Global;
use crate::stdout::{self, Stdout};
use crate::ui::Ui;
use crate::{commands, complete, examples};

/// Build, check and run Sandstorm app packages on this machine, without root
#[derive(Parser)]
#[command(name = "spk", version, disable_help_subcommand = false, after_help = AFTER_HELP)]
pub struct Cli {
    /// See there.
    #[command(flatten)]
    pub global: Global,
    /// See there.
    #[command(subcommand)]
    pub command: commands::Command,
}

/// What all subcommands have in common.
const AFTER_HELP: &str = "\
Exit status:
  0  done
  1  it failed, or what was checked is not in order; the reason is on stderr
  2  the command line makes no sense
  3  this machine lacks something: user namespaces, /dev/fuse, a newer kernel, a program
  70  an error in spk itself
  128+N  ended by signal N

Environment:
  SPK_KEYRING, SPK_PKG_DEF, SPK_IMPORT_PATH, SPK_STATE  what -k, -p, -I and --state say
  SPK_WEBKEY, SPK_MAIL, SPK_REQUESTS                    what the options of these names say
  SPK_BRIDGE                                            the bridge to pack into HTTP apps
  SPK_LOG   what to log on stderr, instead of -v: info, debug, trace, or spk_host=debug,…

stdout is data, stderr is talk. Where something is removed or replaced, --dry-run shows what would be;
where nothing brings it back, it is asked, and --yes is the answer. NO_COLOR turns colours off; --json
is there wherever something is read. The machine is checked by: spk doctor";

/// All of it.
pub fn command() -> Command {
    decorated(Cli::command(), "")
}

/// Ends the process if it was started by a shell that completes a command line, which asks with
/// $COMPLETE.
pub fn complete_if_asked() {
    let (arguments, here) = (std::env::args_os(), std::env::current_dir().ok());
    let printed = match CompleteEnv::with_factory(command).try_complete(arguments, here.as_deref())
    {
        Ok(false) => return,
        // It writes through `std`, which keeps what it could not write.
        Ok(true) => io::stdout().flush(),
        Err(error) if error.kind() == ErrorKind::Io => {
            // Only its words are left of what the system said.
            let said = error.to_string();
            let said = said.trim_start_matches("error: ").trim_end();
            let kind = match said == io::Error::from(Errno::PIPE).to_string() {
                true => io::ErrorKind::BrokenPipe,
                false => io::ErrorKind::Other,
            };
            Err(io::Error::new(kind, format!("cannot write to stdout: {said}")))
        }
        Err(error) => error.exit(),
    };
    printed_and_ended(printed)
}

/// Reads this process's arguments; ends it where they make no sense, or ask for help.
pub fn parse() -> Cli {
    let matches = command().try_get_matches().unwrap_or_else(|error| answer(&error));
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| answer(&error));
    cli.global = cli.global.with_environment();
    cli.global.json = for_a_program(&matches);
    cli
}

/// Prints what was asked for (help, the version) or what makes no sense, and ends the process.
fn answer(error: &clap::Error) -> ! {
    if error.use_stderr() {
        error.exit();
    }
    printed_and_ended(match io::stdout().is_terminal() {
        true => error.print(),
        false => Stdout::default().write_all(error.to_string().as_bytes()),
    })
}

/// Ends the process after something was printed, or could not be.
fn printed_and_ended(printed: io::Result<()>) -> ! {
    std::process::exit(match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let failure: CliError = stdout::failure(error);
            failure.say(&Ui::new(&Global::default()));
            1
        }
        _ => 0,
    })
}

/// Whether `--json` was given to the subcommand.
fn for_a_program(matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some((_, below)) => for_a_program(below),
        None => matches!(matches.try_get_one::<bool>("json"), Ok(Some(true))),
    }
}

/// Adds examples and completion to a command and those below it. `path` is empty for the program,
/// else the words after it: "grain export".
fn decorated(command: Command, path: &str) -> Command {
    let command = match examples::help(path) {
        Some(text) if !path.is_empty() => command.after_help(text),
        _ => command,
    };
    let command = command.mut_args(|arg| completed(arg, path));
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        decorated(below, &path)
    })
}

fn completed(arg: Arg, path: &str) -> Arg {
    let of_grains = path.starts_with("grain ");
    match arg.get_id().as_str() {
        "id" | "ids" if of_grains => arg.add(complete::grains()),
        "grain" => arg.add(complete::grains()),
        "app_id" | "app_ids" => arg.add(complete::apps()),
        "template" => arg.add(complete::templates()),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// All commands below `command` by their words.
    fn all(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
            let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
            all(below, &path, found);
            found.push((path, below.clone()));
        }
    }

    fn every() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        all(&command(), "", &mut found);
        found.retain(|(path, _)| path != "help" && !path.ends_with(" help"));
        found
    }

    #[test]
    fn the_definition_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        for (path, command) in every() {
            if command.has_subcommands() {
                continue;
            }
            let lines = examples::of(&path);
            assert!(!lines.is_empty(), "no example of: spk {path}");
            for (line, _) in lines {
                parses(line, &path);
            }
        }
    }

    /// The part of an example that is ours.
    fn parses(line: &str, path: &str) {
        let words = line
            .split(['|', '>'])
            .find(|part| part.split_whitespace().any(|word| word == "spk"))
            .unwrap_or(line);
        let words: Vec<&str> = words.split_whitespace().skip_while(|word| *word != "spk").collect();
        let words: Vec<&str> = words.into_iter().take_while(|word| *word != "<").collect();
        assert!(words.join(" ").starts_with(&format!("spk {path}")), "{line} is not of {path}");
        if let Err(error) = command().try_get_matches_from(&words) {
            panic!("{line}: {error}");
        }
    }

    /// Whether a command, named by the words after `spk`, has the flag; those of the program are
    /// known to all.
    fn has(words: &str, flag: &str) -> bool {
        let mut found = command();
        found.build();
        for word in words.split_whitespace() {
            found = found.find_subcommand(word).expect("the command is ours").clone();
        }
        found.get_arguments().any(|arg| match flag.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short() == flag.chars().nth(1),
        })
    }

    /// What the original's commands take, copied from its own help by hand: a short and a long
    /// name, or one of them. All take --help, --version and --verbose, too.
    const ORIGINAL: &[(&str, &[&str])] = &[
        ("", &["-k --keyring", "-I --import-path", "-p --pkg-def", "-q --quiet"]),
        ("keygen", &["-k --keyring", "-q --quiet"]),
        ("listkeys", &["-k --keyring"]),
        ("getkey", &["-k --keyring"]),
        (
            "init",
            &[
                "-p --port",
                "-r --raw",
                "-I --source-path",
                "-A --include-all",
                "-i --app-id",
                "-o --output",
                "-k --keyring",
                "-q --quiet",
            ],
        ),
        ("pack", &["-I --import-path", "-p --pkg-def", "-k --keyring"]),
        ("unpack", &[]),
        ("verify", &["-d --details"]),
        (
            "dev",
            &[
                "-I --import-path",
                "-p --pkg-def",
                "-k --keyring",
                "-s --server",
                "-m --mount",
                "-c --cache",
                "--proc",
            ],
        ),
        ("publish", &["-k --keyring", "-s --status", "-e --embargo", "-r --remove", "--webkey"]),
    ];

    #[test]
    fn the_originals_flags_are_all_known() {
        let table = include_str!("../../../docs/original-flags.md");
        // Each row of the table in the docs: command, their flags, ours.
        let mut documented: BTreeSet<(&str, String)> = BTreeSet::new();
        for row in table.lines().filter(|line| line.contains("| `-")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let words = if cells[1].starts_with('(') { "" } else { cells[1] };
            let flags = |cell: &str| cell.replace(['`', ','], "");
            assert!(documented.insert((words, flags(cells[2]))), "twice: {row}");
            for flag in flags(cells[3]).split(' ') {
                assert!(has(words, flag), "spk {words} does not know {flag}");
            }
        }
        let of_all = ["--verbose", "--version", "--help"].map(|flag| ("", flag.to_owned()));
        let of_each = ORIGINAL
            .iter()
            .flat_map(|(words, flags)| flags.iter().map(|flags| (*words, (*flags).to_owned())));
        let expected: BTreeSet<(&str, String)> = of_each.chain(of_all).collect();
        assert_eq!(documented, expected);
        for (words, flags) in &expected {
            for flag in flags.split(' ') {
                assert!(has(words, flag), "spk {words} does not know {flag}");
            }
        }
        for (words, _) in ORIGINAL {
            assert!(has(words, "--verbose") && has(words, "--help"), "spk {words}");
        }
    }

    /// What a command must have: JSON for programs (not where nothing is read and nothing is told),
    /// a dry run where something that is there is changed or goes away, a question (and --yes)
    /// where nothing brings it back, and `-` where a file can as well be a pipe.
    const EXPECTED: &str = "
        init           -     dry-run  yes  dash
        keygen         json  -        -    -
        listkeys       json  -        -    -
        getkey         json  -        -    -
        rekey          json  dry-run  yes  -
        dev            json  -        -    -
        files why      json  -        -    -
        files diff     json  -        -    -
        files prune    json  dry-run  -    -
        files closure  json  -        -    -
        files coverage json  -        -    -
        pack           json  dry-run  -    dash
        check          json  -        -    dash
        verify         json  -        -    dash
        unpack         json  -        -    dash
        publish        json  dry-run  -    -
        ls             json  -        -    dash
        diff           json  -        -    dash
        cat            json  -        -    dash
        run            json  -        -    dash
        grain list     json  -        -    -
        grain show     json  -        -    -
        grain new      json  -        -    dash
        grain open     json  -        -    -
        grain stop     json  -        -    -
        grain rename   json  -        -    -
        grain upgrade  json  dry-run  yes  dash
        grain export   json  -        -    dash
        grain restore  json  dry-run  -    dash
        grain delete   json  dry-run  yes  -
        grain log      json  -        -    -
        grain shell    json  -        -    -
        grain size     json  -        -    -
        grain gc       json  dry-run  -    -
        grain token    json  -        -    -
        grain share    json  -        -    -
        oci            json  -        -    dash
        doctor         json  dry-run  yes  -
        completions    -     -        -    -
    ";

    #[test]
    fn every_command_has_what_is_expected() {
        let rows = EXPECTED.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let mut rows: BTreeMap<String, Vec<&str>> = rows
            .filter(|row| !row.is_empty())
            .map(|mut row| {
                let flags = row.split_off(row.len() - 4);
                (row.join(" "), flags)
            })
            .collect();
        for (path, command) in every() {
            if command.has_subcommands() {
                continue;
            }
            let long = |name| command.get_arguments().any(|arg| arg.get_long() == Some(name));
            let dash = command.get_arguments().any(|arg| {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                ["- is std", "- for std"].iter().any(|words| help.contains(words))
            });
            let found = [long("json"), long("dry-run"), long("yes"), dash];
            let found: Vec<&str> = ["json", "dry-run", "yes", "dash"]
                .into_iter()
                .zip(found)
                .map(|(name, found)| if found { name } else { "-" })
                .collect();
            let expected = rows.remove(&path);
            let expected = expected.unwrap_or_else(|| panic!("not in the table: spk {path}"));
            assert_eq!(found, expected, "spk {path}");
        }
        assert!(rows.is_empty(), "in the table, and gone: {rows:?}");
    }

    /// What names a place that stays the same from call to call may be said once and for all.
    #[test]
    fn paths_can_be_in_the_environment() {
        // What one call reads or makes, or where it runs the app, is said to that call.
        const OPERANDS: &[&str] =
            &["output", "source_path", "package", "mount", "server", "host_shell", "image"];
        let everywhere = command();
        let known = |arg: &Arg| {
            let id = arg.get_id().as_str();
            // `with_environment` reads it: several, separated by colons.
            let of_all = everywhere.get_arguments().find(|arg| arg.get_id().as_str() == id);
            arg.get_env().is_some()
                || id == "import_path"
                || of_all.is_some_and(|arg| arg.get_env().is_some())
        };
        let mut paths = 0;
        for (path, command) in every() {
            for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
                if let Some(variable) = arg.get_env().and_then(|name| name.to_str())
                    && variable.starts_with("SPK_")
                {
                    assert!(AFTER_HELP.contains(variable), "spk --help does not name {variable}");
                }
                let names = arg.get_value_names().unwrap_or_default();
                let is_path = names.iter().any(|name| {
                    ["FILE", "DIR", "FILE:NAME", "OUTPUT", "SPK"].contains(&name.as_str())
                });
                if !is_path || OPERANDS.contains(&arg.get_id().as_str()) {
                    continue;
                }
                assert!(known(arg), "spk {path} {}: not in the environment", arg.get_id());
                paths += 1;
            }
        }
        assert!(paths > 20, "{paths} paths");
    }

    #[test]
    fn slips_in_any_command_are_recognised() {
        for (path, _) in every() {
            let (before, name) = path.rsplit_once(' ').map_or(("", &*path), |split| split);
            // One letter too many is the slip that short names survive, too.
            let slip = format!("{name}{}", &name[name.len() - 1..]);
            let words = ["spk"].into_iter().chain(before.split_whitespace()).chain([&*slip]);
            let Err(error) = command().try_get_matches_from(words) else {
                panic!("spk {before} {slip} was taken");
            };
            let said = error.render().to_string();
            assert!(said.contains(&format!("'{name}'")), "spk {before} {slip}: {said}");
        }
    }
}
