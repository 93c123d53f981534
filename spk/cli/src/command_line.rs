//! The command line as a whole: what `clap` derives from the subcommands, with examples and with
//! completion of what only this machine knows.

use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser};

use crate::global::Global;
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
  128+N  ended by signal N

stdout is data, stderr is talk. NO_COLOR turns colours off; --json is there wherever something is
read. The machine is checked by: spk doctor";

/// All of it.
pub fn command() -> Command {
    decorated(Cli::command(), "")
}

/// Reads this process's arguments; ends it where they make no sense, or ask for help.
pub fn parse() -> Cli {
    let matches = command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global = cli.global.with_environment();
    cli
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

    #[test]
    fn the_originals_flags_are_all_known() {
        let table = include_str!("../../../docs/original-flags.md");
        let mut flags = 0;
        for row in table.lines().filter(|line| line.contains("| `-")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let words = if cells[1].starts_with('(') { "" } else { cells[1] };
            for (theirs, cell) in [(true, cells[2]), (false, cells[3])] {
                for flag in cell.split(", ").map(|flag| flag.trim_matches('`')) {
                    assert!(has(words, flag), "spk {words} does not know {flag}");
                    flags += usize::from(theirs);
                }
            }
        }
        assert_eq!(flags, 65, "flags of the original in the table");
    }

    #[test]
    fn readers_have_json() {
        // The rest changes something, starts something, or writes bytes that are not ours.
        let not_readers = [
            "init",
            "keygen",
            "rekey",
            "getkey",
            "unpack",
            "grain rename",
            "grain open",
            "grain new",
            "grain upgrade",
            "completions",
            "oci",
        ];
        for (path, command) in every() {
            if command.has_subcommands() || not_readers.contains(&path.as_str()) {
                continue;
            }
            let json = command.get_arguments().any(|arg| arg.get_long() == Some("json"));
            assert!(json, "spk {path} has no --json");
        }
    }
}
