//! Which package definition a command means, and which file list goes with it.

use std::path::{Path, PathBuf};

use spk_package::pkgdef::{self, Definition, Evaluator};

use crate::error::{CliError, Result};
use crate::global::Global;
use crate::machine;
use crate::ui::Ui;

/// The file's usual name.
pub const FILE: &str = "sandstorm-pkgdef.capnp";

/// The constant's usual name.
pub const CONSTANT: &str = "pkgdef";

/// Where it is looked for when nothing was said: here, and where vagrant-spk keeps it.
const PLACES: &[&str] = &["", machine::DIRECTORY];

/// A package definition: a constant in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: PathBuf,
    /// The constant, at its top level.
    pub constant: String,
}

/// The definition named by the subcommand's `-p`, else by the one before it, else found here or in
/// the nearest directory above that has one.
///
/// # Errors
/// When `-p` is not FILE:NAME, or when there is no definition here.
pub fn locate(local: Option<&str>, global: &Global) -> Result<Located> {
    if let Some(argument) = local.or(global.pkg_def.as_deref()) {
        // As the original: the first colon, so the path itself cannot have one.
        return match argument.split_once(':') {
            Some((file, constant)) if !file.is_empty() && !constant.is_empty() => {
                let file = PathBuf::from(file);
                if !file.exists() {
                    return Err(CliError::usage(format!("{} does not exist", file.display())));
                }
                Ok(Located { file, constant: constant.to_owned() })
            }
            _ => Err(CliError::usage(format!("{argument:?} is not FILE:NAME"))
                .hint(format!("such as -p {FILE}:{CONSTANT}"))),
        };
    }
    match find(Path::new("")).or_else(above) {
        Some(file) => Ok(Located { file, constant: CONSTANT.to_owned() }),
        None => {
            Err(CliError::new(format!("no {FILE} here, in .sandstorm/, or in a directory above"))
                .hint(
                    "start one with spk init, go to the directory that has one, \
                 or name it: -p FILE:pkgdef",
                ))
        }
    }
}

fn find(dir: &Path) -> Option<PathBuf> {
    PLACES.iter().map(|place| dir.join(place).join(FILE)).find(|file| file.exists())
}

/// In the directories above this one, by their absolute paths.
fn above() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().skip(1).find_map(find)
}

/// Evaluates the definition, and says so when `capnp` was asked for it. What vagrant-spk shows an
/// app at `/opt/app` is there: see [`machine`].
///
/// # Errors
/// As [`pkgdef::load`].
pub fn load(located: &Located, imports: &[PathBuf], ui: &Ui) -> Result<Definition> {
    let mut definition = pkgdef::load(&located.file, &located.constant, imports)?;
    if let Evaluator::Capnp { reason } = &definition.evaluator {
        ui.note(format!("{}: evaluated by the installed capnp: {reason}", located.file.display()));
    }
    let dir = std::path::absolute(&located.file)?;
    let dir = dir.parent().unwrap_or(Path::new("/"));
    if let Some(map) = machine::as_in_the_machine(&definition.source_map, dir) {
        tracing::info!("the directory above .sandstorm is opt/app, as in vagrant-spk's machine");
        definition.source_map = map;
    }
    Ok(definition)
}

/// The directory of the project whose definition is `file`.
pub fn project(file: &Path) -> &Path {
    let dir = match file.parent() {
        None => Path::new("."),
        Some(dir) if dir.as_os_str().is_empty() => Path::new("."),
        Some(dir) => dir,
    };
    dir.parent().filter(|_| dir.ends_with(machine::DIRECTORY)).map_or(dir, |project| {
        if project.as_os_str().is_empty() { Path::new(".") } else { project }
    })
}

/// Where the file list `name` of the definition `file` is: beside the definition. The original
/// took it from the working directory; a list that exists only there is used, with a note.
pub fn list_path(file: &Path, name: &str, ui: &Ui) -> PathBuf {
    let beside = file.parent().unwrap_or(Path::new("")).join(name);
    let here = PathBuf::from(name);
    if !beside.exists() && here.exists() {
        ui.note(format!("using the file list in this directory, {name}, not {}", beside.display()));
        return here;
    }
    beside
}
