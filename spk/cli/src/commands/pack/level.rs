//! How hard to compress: `-0` to `-9` and `--fast`.

use clap::{Arg, ArgAction, ArgMatches, Command};
use spk_package::pack::Level;

/// The preset for builds that are only tried out.
const FAST: u32 = 0;

/// Names of the options for the presets.
const NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The preset that was asked for, if one was; with several, the last wins, as in `xz`.
pub struct Preset(Option<u32>);

impl Preset {
    /// For the encoder.
    pub fn level(&self) -> Level {
        self.0.map_or_else(Level::default, Level::preset)
    }
}

impl clap::Args for Preset {
    fn augment_args(command: Command) -> Command {
        let digits = NAMES.into_iter().map(|preset| {
            let help = match preset {
                "0" => "Compress fast, to -9: compress well [default: -6]",
                _ => "Compress accordingly",
            };
            Arg::new(preset)
                .short(preset.chars().next())
                .action(ArgAction::SetTrue)
                .hide(preset != "0" && preset != "9")
                .help(help)
        });
        command.args(digits).arg(
            Arg::new("fast")
                .long("fast")
                .action(ArgAction::SetTrue)
                .help("Compress as fast as possible, for packages to be tried out: same as -0"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Preset {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &str| {
            let index = matches.indices_of(name).and_then(|mut indices| indices.next_back());
            index.filter(|_| matches.get_flag(name))
        };
        let last = (0..)
            .zip(NAMES)
            .map(|(preset, name)| (given(name), preset))
            .chain([(given("fast"), FAST)])
            .filter_map(|(index, preset)| Some((index?, preset)))
            .max();
        Ok(Preset(last.map(|(_, preset)| preset)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
