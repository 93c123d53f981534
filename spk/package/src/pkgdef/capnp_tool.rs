//! Asking an installed `capnp` for what this evaluator does not know.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::error::Error;
use super::limits::MAX_VALUE_WORDS;

/// The message of the constant in one segment, without framing; `None` when no `capnp` is
/// installed.
pub fn evaluate(
    file: &Path,
    constant: &str,
    import_path: &[PathBuf],
) -> Result<Option<Vec<u64>>, Error> {
    let failed = |message: String| Error::Tool { file: file.to_owned(), message };
    let schemas = embedded_schemas().map_err(|error| failed(error.to_string()))?;
    let mut command = Command::new("capnp");
    // It warns when this one is stale.
    command.env_remove("PWD");
    command.arg("eval").arg("--flat");
    for dir in import_path {
        command.arg("-I").arg(dir);
    }
    command.arg("-I").arg(schemas.path());
    // A file name that starts with a dash is not an option.
    let file_argument =
        if file.is_absolute() { file.to_owned() } else { Path::new(".").join(file) };
    command.arg(file_argument).arg(constant);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(format!("cannot start it: {error}"))),
    };
    // What it says is short; what it writes is bounded here.
    let stderr = child.stderr.take();
    let talk = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(stderr) = stderr {
            let _ = stderr.take(MAX_TALK).read_to_end(&mut text);
        }
        text
    });
    let most = MAX_VALUE_WORDS * 8;
    let mut bytes = Vec::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(most + 1).read_to_end(&mut bytes),
        None => Ok(0),
    };
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    let talk = talk.join().unwrap_or_default();
    read.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        let talk = String::from_utf8_lossy(&talk);
        return Err(failed(talk.trim().to_owned()));
    }
    if bytes.len() as u64 > most {
        return Err(failed(format!("the value is larger than {} MiB", most >> 20)));
    }
    let words = bytes.chunks_exact(8).map(|chunk| {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    Ok(Some(words.collect()))
}

/// Most that is kept of what the tool says, in bytes.
const MAX_TALK: u64 = 64 << 10;

/// The schemas of this program as files.
fn embedded_schemas() -> std::io::Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    for (name, text) in spk_schema::text::FILES {
        let path = dir.path().join(name.trim_start_matches('/'));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(dir)
}
