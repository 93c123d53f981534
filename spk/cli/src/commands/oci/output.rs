//! Where an image goes: a directory or a tar, which appear when they are complete.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::Sha256;
use tempfile::{NamedTempFile, TempDir};

use super::image::{Blob, Hashing};
use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// See the module's description.
pub(super) struct Output {
    place: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory(TempDir),
    Tar(tar::Builder<Box<dyn Write>>, Option<NamedTempFile>),
}

impl Output {
    /// Nothing is there yet; a directory must not be, a file is replaced.
    pub fn create(place: &Path, directory: bool, ui: &Ui) -> Result<Output> {
        let parent = place.parent().filter(|dir| !dir.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let beside = || format!("cannot write to {}", parent.display());
        let mut named = tempfile::Builder::new();
        let named = named.prefix(".spk-").suffix(".tmp");
        let kind = if directory {
            if place.symlink_metadata().is_ok() {
                return Err(CliError::usage(format!("{} already exists", place.display())));
            }
            if place.as_os_str() == "-" {
                return Err(CliError::usage("a directory cannot go to stdout"));
            }
            Kind::Directory(named.tempdir_in(parent).context(beside())?)
        } else if place.as_os_str() == "-" {
            Kind::Tar(tar::Builder::new(Box::new(ui.pipe())), None)
        } else {
            let file = named.tempfile_in(parent).context(beside())?;
            Kind::Tar(tar::Builder::new(Box::new(file.reopen()?)), Some(file))
        };
        let mut output = Output { place: place.to_owned(), kind };
        for dir in ["blobs/", "blobs/sha256/"] {
            output.directory(dir)?;
        }
        Ok(output)
    }

    fn directory(&mut self, path: &str) -> Result<()> {
        match &mut self.kind {
            Kind::Directory(dir) => fs::create_dir(dir.path().join(path))?,
            Kind::Tar(tar, _) => {
                let mut header = entry(0, 0o755);
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, path, io::empty())?;
            }
        }
        Ok(())
    }

    /// A file of the layout.
    pub fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        self.copy(path, bytes.len() as u64, &mut &bytes[..])
    }

    /// A small blob.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<Blob> {
        self.blob(|out| out.write_all(bytes))
    }

    /// A blob that `write` writes.
    pub fn blob(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Blob> {
        // Its name is known when it is complete.
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut hashing = Hashing { out: file, hash: Sha256::default(), size: 0 };
        write(&mut hashing).context("cannot write a part of the image")?;
        let hash = sha2::Digest::finalize(hashing.hash);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        hashing.out.rewind()?;
        self.copy(&format!("blobs/sha256/{hex}"), hashing.size, &mut hashing.out)?;
        Ok(Blob { digest: format!("sha256:{hex}"), size: hashing.size })
    }

    fn copy(&mut self, path: &str, size: u64, from: &mut dyn Read) -> Result<()> {
        let failed = format!("cannot write {}", self.place.display());
        match &mut self.kind {
            Kind::Directory(dir) => {
                let mut file = File::create(dir.path().join(path)).context(&failed)?;
                io::copy(from, &mut file).context(failed)?;
            }
            Kind::Tar(tar, _) => {
                tar.append_data(&mut entry(size, 0o644), path, from).context(failed)?;
            }
        }
        Ok(())
    }

    /// Puts it in its place.
    pub fn finish(self) -> Result<()> {
        let failed = format!("cannot write {}", self.place.display());
        match self.kind {
            Kind::Directory(dir) => {
                use std::os::unix::fs::PermissionsExt;
                let open = fs::Permissions::from_mode(0o755);
                fs::set_permissions(dir.path(), open).context(&failed)?;
                fs::rename(dir.path(), &self.place).context(failed)?;
                let _ = dir.keep();
            }
            Kind::Tar(tar, file) => {
                tar.into_inner().and_then(|mut out| out.flush()).context(&failed)?;
                if let Some(file) = file {
                    use std::os::unix::fs::PermissionsExt;
                    let open = fs::Permissions::from_mode(0o644);
                    file.as_file().set_permissions(open).context(&failed)?;
                    file.persist(&self.place).map_err(|error| error.error).context(failed)?;
                }
            }
        }
        Ok(())
    }
}

fn entry(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header
}
