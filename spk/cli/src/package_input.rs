//! A package named on the command line: a file, or stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use spk_files::path::is_prefix;
use spk_grains::store::{Package, Store};
use spk_package::contents::Opened;
use spk_package::source_map::{Mapping, SourceMap};
use spk_package::verify::Options;
use spk_package::view::View;
use spk_package::{programs, selection};

use crate::error::{CliError, Result, ResultExt};
use crate::progress::Bar;
use crate::serving;
use crate::ui::Ui;

/// Opens a package for looking into it.
pub fn open(path: &Path, ui: &Ui) -> Result<Opened> {
    let mut input = Input::open(path)?;
    let size = input.size();
    let mut bar = Bar::new(ui);
    Opened::open(&mut input, size, &Options::default(), &mut bar)
        .context(path.display().to_string())
}

/// Adds a package to the store, also one that comes through stdin, which is read twice.
pub fn add(store: &Store, path: &Path) -> Result<Package> {
    if path.as_os_str() != "-" {
        return Ok(store.add_package(path)?);
    }
    let mut collected = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    io::copy(&mut io::stdin().lock(), &mut collected).context("cannot collect the package")?;
    store.add_package(collected.path()).context("the package on stdin cannot be taken")
}

/// Refuses a package that has nothing to start, before a grain is made that could never run.
pub fn can_start(package: &Package) -> Result<()> {
    serving::program(&package.manifest, false)?;
    let mapping = Mapping {
        package_path: Vec::new(),
        source_path: package.dir.clone(),
        hide_paths: Vec::new(),
    };
    let view = View::plain(SourceMap::new(vec![mapping])?);
    let has = |path: &[u8]| selection::follow(&view, path).is_ok();
    match programs::missing(&package.manifest, has).first() {
        Some(missing) => Err(CliError::new(missing.to_string())),
        None => Ok(()),
    }
}

/// Whether `path` is `top` or below it; the root is `.` or empty.
pub fn below(path: &[u8], top: &[u8]) -> bool {
    top == b"." || is_prefix(top, path)
}

/// A package path in messages and JSON.
pub fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// A package to read.
pub enum Input {
    /// A file.
    File(File),
    /// `-`.
    Stdin(io::Stdin),
}

impl Input {
    /// Opens the file, or takes stdin for `-`.
    pub fn open(path: &Path) -> Result<Input> {
        if path.as_os_str() == "-" {
            return Ok(Input::Stdin(io::stdin()));
        }
        let file = File::open(path).context(format!("cannot open {}", path.display()))?;
        Ok(Input::File(file))
    }

    /// Bytes, if they are known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Input::File(file) => file.metadata().ok().filter(|m| m.is_file()).map(|m| m.len()),
            Input::Stdin(_) => None,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Input::File(file) => file.read(buffer),
            Input::Stdin(stdin) => stdin.read(buffer),
        }
    }
}
