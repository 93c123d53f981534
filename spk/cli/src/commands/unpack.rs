//! `spk unpack`.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use spk_package::causes::in_one_line;
use spk_package::unpack::{Options, unpack_from};

use crate::error::{CliError, Result, ResultExt};
use crate::global::Global;
use crate::package_input::Input;
use crate::progress::Bar;
use crate::ui::Ui;

/// Verify a package and extract it
///
/// Prints the app ID. The directory appears when everything is written, and not at all if the
/// package is bad.
#[derive(clap::Args)]
pub struct Args {
    /// The package; - is stdin
    #[arg(value_name = "FILE")]
    package: PathBuf,
    /// Directory to make [default: the package's name without .spk]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Print app ID, package ID and directory as JSON instead of the app ID
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: Args, _global: &Global, ui: &Ui) -> Result<()> {
    let directory = match args.directory {
        Some(directory) => directory,
        None => default_directory(&args.package).ok_or_else(|| {
            CliError::usage(format!("{}: does not end in .spk", args.package.display()))
                .hint("name the directory to unpack to after the package")
        })?,
    };
    if directory.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("{} already exists", directory.display()))
            .hint("name another directory after the package"));
    }
    let mut input = Input::open(&args.package)?;
    let size = input.size();
    let mut bar = Bar::new(ui);
    let (unpacked, verified) =
        unpack_from(&mut input, size, &directory, &Options::default(), &mut bar)
            .context(args.package.display().to_string())?;
    drop(bar);
    if let Err(error) = verified {
        let why = in_one_line(&error);
        ui.warn(format!("unpacked, but servers would not install this package: {why}"));
    }
    if args.json {
        let value = serde_json::json!({
            "appId": unpacked.app_id.to_string(),
            "packageId": unpacked.package_id.to_string(),
            "directory": directory.to_string_lossy(),
        });
        ui.line(value.to_string())?;
    } else {
        ui.line(unpacked.app_id.to_string())?;
    }
    Ok(())
}

fn default_directory(package: &Path) -> Option<PathBuf> {
    let stem = package.as_os_str().as_bytes().strip_suffix(b".spk")?;
    let nameless = stem.is_empty() || stem.ends_with(b"/");
    (!nameless).then(|| std::ffi::OsString::from_vec(stem.to_vec()).into())
}

#[cfg(test)]
mod tests {
    use super::default_directory;
    use std::path::{Path, PathBuf};

    #[test]
    fn directory_from_name() {
        let of = |name: &str| default_directory(Path::new(name));
        assert_eq!(of("a/b.spk"), Some(PathBuf::from("a/b")));
        assert_eq!(of(".spk"), None);
        assert_eq!(of("a/.spk"), None);
        assert_eq!(of("-"), None);
        assert_eq!(of("a.zip"), None);
    }
}
