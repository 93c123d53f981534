//! What a package wants before its app is started (`spk_schema::launch`): a working directory,
//! directories in `/var` with something in them, and some that are empty each time. So an app that was
//! made for a container finds what it found there, without a shell in the package.

mod fill;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use spk_files::path::normal_form;
use spk_files::{Dir, printable};
use spk_schema::launch::Launch;

/// More than any package needs.
const LARGEST: u64 = 1 << 20;

/// Why it cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or a directory, cannot be read.
    #[error("reading '{path}' failed: {reason}")]
    Read {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The file is not what it should be.
    #[error("'{path}' makes no sense: {what}")]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Something in `/var` cannot be made.
    #[error("preparing '{path}' failed: {reason}")]
    Write {
        /// What.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The app's working directory is not there.
    #[error("the app's directory '{path}' cannot be used: {reason}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
}

/// Does what `file` says, if it is there, in `var`, and gives the app's working directory.
///
/// # Errors
/// When the file makes no sense, or something cannot be done. A directory that is being filled then, or
/// when this process is killed, is not seen by the app, and is filled anew the next time.
pub fn prepare(file: &Path, var: &Path) -> Result<Option<PathBuf>, Error> {
    let Some(launch) = read(file)? else { return Ok(None) };
    let bad = |what: String| Error::Decode { path: file.to_owned(), what };
    for path in launch.volumes.iter().chain(&launch.fresh) {
        // A hidden name of the first level is the bridge's own, or that of a directory being filled.
        let is_plain = normal_form(path.as_bytes()).is_some_and(|plain| plain.len() == path.len());
        if !is_plain || path.is_empty() || path.starts_with('.') {
            return Err(bad(format!("'{}' is no path below /var", printable::line(path))));
        }
    }
    let directory = launch.directory.as_ref().map(PathBuf::from);
    if directory.as_ref().is_some_and(|directory| !directory.is_absolute()) {
        return Err(bad("the directory is no absolute path".to_owned()));
    }
    // The directory may be in a volume.
    let contents = file.with_file_name("var");
    let open = |path: &Path| {
        Dir::open_trusted(path).map_err(|reason| Error::Read { path: path.to_owned(), reason })
    };
    let grain = open(var)?;
    let contents = match open(&contents) {
        Ok(dir) => Some(dir),
        Err(Error::Read { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let filling = fill::Filling { var: &grain, contents: contents.as_ref() };
    let failed = |path: &str| {
        let path = var.join(path);
        move |reason| Error::Write { path, reason }
    };
    for path in &launch.fresh {
        filling.anew(path.as_bytes()).map_err(failed(path))?;
    }
    for path in &launch.volumes {
        filling.once(path.as_bytes()).map_err(failed(path))?;
    }
    if let Some(path) = &directory {
        std::fs::read_dir(path)
            .map_err(|reason| Error::Directory { path: path.clone(), reason })?;
    }
    Ok(directory)
}

fn read(file: &Path) -> Result<Option<Launch>, Error> {
    let failed = |reason| Error::Read { path: file.to_owned(), reason };
    let opened = match File::open(file) {
        Ok(opened) => opened,
        Err(error) if spk_files::is_gone(&error) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    let bad = |what: String| Error::Decode { path: file.to_owned(), what };
    if bytes.len() as u64 > LARGEST {
        return Err(bad("it is larger than 1 MiB".into()));
    }
    Launch::from_bytes(&bytes).map(Some).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests;
