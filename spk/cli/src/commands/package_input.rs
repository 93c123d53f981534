//! A package named on the command line: a file, or stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Result, ResultExt};

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
