//! Where an image goes: a directory or a tar, which appear when they are complete.

use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sha2::Sha256;
use spk_files::atomic::{self, AtomicFile};
use spk_files::path::split;
use spk_files::{Dir, Staging};

use super::blob::{Blob, Hashing};
use crate::error::{CliError, Result, ResultExt};
use crate::ui::Ui;

/// See the module's description.
pub(super) struct Output {
    place: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory(Staging),
    Tar(tar::Builder<Box<dyn Write>>, Option<AtomicFile>),
}

impl Output {
    /// Nothing is there yet; a directory must not be, a file is replaced.
    pub fn create(place: &Path, directory: bool, ui: &Ui) -> Result<Output> {
        let parent = atomic::directory_of(place);
        let beside = || format!("cannot write to {}", parent.display());
        let kind = if directory {
            if place.symlink_metadata().is_ok() {
                return Err(CliError::usage(format!("{} already exists", place.display())));
            }
            if place.as_os_str() == "-" {
                return Err(CliError::usage("a directory cannot go to stdout"));
            }
            let name = place.file_name().unwrap_or_default().as_encoded_bytes();
            let parent = Dir::open_trusted(parent).context(beside())?;
            Kind::Directory(Staging::create(&parent, name, 0o755).context(beside())?)
        } else if place.as_os_str() == "-" {
            Kind::Tar(tar::Builder::new(Box::new(ui.pipe())), None)
        } else {
            let file = atomic::Options::mode(0o644).create(place).context(beside())?;
            Kind::Tar(tar::Builder::new(Box::new(file.file().try_clone()?)), Some(file))
        };
        let mut output = Output { place: place.to_owned(), kind };
        for dir in ["blobs/", "blobs/sha256/"] {
            output.directory(dir)?;
        }
        Ok(output)
    }

    fn directory(&mut self, path: &str) -> Result<()> {
        match &mut self.kind {
            Kind::Directory(staging) => {
                let (parent, name) = split(path.trim_end_matches('/').as_bytes());
                staging.dir().open_dir(parent)?.create_dir(name, 0o755)?;
            }
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
        let hex = spk_files::hex::encode(hash);
        hashing.out.rewind()?;
        self.copy(&format!("blobs/sha256/{hex}"), hashing.size, &mut hashing.out)?;
        Ok(Blob { digest: format!("sha256:{hex}"), size: hashing.size })
    }

    fn copy(&mut self, path: &str, size: u64, from: &mut dyn Read) -> Result<()> {
        let failed = format!("cannot write {}", self.place.display());
        match &mut self.kind {
            Kind::Directory(staging) => {
                let (parent, name) = split(path.as_bytes());
                let made =
                    staging.dir().open_dir(parent).and_then(|dir| dir.create_file(name, 0o644));
                match made {
                    Ok(mut file) => drop(io::copy(from, &mut file).context(failed)?),
                    // The same blob once more: its name says what is in it.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error).context(failed),
                }
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
            Kind::Directory(staging) => {
                let name = self.place.file_name().unwrap_or_default();
                staging.commit(name.as_encoded_bytes()).context(failed)?;
            }
            Kind::Tar(tar, file) => {
                tar.into_inner().and_then(|mut out| out.flush()).context(&failed)?;
                if let Some(file) = file {
                    file.commit().context(failed)?;
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
