//! Compressed blocks kept between packs, so that packing again compresses only what changed.
//!
//! A block's name is a hash of all that its bytes depend on. The cache is an aid only: whatever
//! goes wrong with it, packing goes on without it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use spk_files::atomic;

use crate::xz::container::{Block, Record};
use crate::xz::encode::{self, Settings};

/// Blocks are removed, those not used for longest first, while all together have more bytes than
/// this: several large packages.
const LIMIT: u64 = 2 << 30;

/// Bytes before a block: both numbers of its record, and a hash over all of it.
const HEAD: usize = 8 + 8 + 32;

/// A directory of blocks.
pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Uses `directory`, which is made if need be.
    pub(super) fn open(directory: &Path) -> io::Result<Cache> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        Ok(Cache { directory: directory.to_owned() })
    }

    /// The block from the cache, or from the encoder and into the cache.
    pub(super) fn block(
        &self,
        contents: &[u8],
        settings: &Settings,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Block, encode::Error> {
        let path = self.directory.join(name(contents, settings));
        if let Ok(block) = read(&path) {
            tracing::debug!(bytes = contents.len(), path = %path.display(), "block found in the cache");
            progress(contents.len() as u64);
            return Ok(block);
        }
        let block = encode::block_with(contents, settings, progress)?;
        tracing::debug!(bytes = contents.len(), path = %path.display(), "block into the cache");
        // Next time, then.
        let _ = Self::write(&path, &block);
        Ok(block)
    }

    fn write(path: &Path, block: &Block) -> io::Result<()> {
        let mut file = atomic::Options::mode(0o600).not_durable().create(path)?;
        file.write_all(&head(block))?;
        file.write_all(&block.bytes)?;
        file.commit()
    }

    /// Removes what was not used for longest.
    pub(super) fn prune(&self) -> io::Result<()> {
        let mut total = 0;
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            total += metadata.len();
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        for (_, length, path) in files {
            if total <= LIMIT {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
        }
        Ok(())
    }
}

fn name(contents: &[u8], settings: &Settings) -> String {
    let mut hash = Sha256::new_with_prefix(format!("{}\n{settings:?}\n", encode::version()));
    hash.update(contents);
    spk_files::hex::encode(hash.finalize())
}

fn head(block: &Block) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..8].copy_from_slice(&block.record.unpadded.to_le_bytes());
    head[8..16].copy_from_slice(&block.record.uncompressed.to_le_bytes());
    let mut hash = Sha256::new_with_prefix(&head[..16]);
    hash.update(&block.bytes);
    head[16..].copy_from_slice(&hash.finalize());
    head
}

fn read(path: &Path) -> io::Result<Block> {
    let mut stored = fs::read(path)?;
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let number = |at: usize| -> io::Result<u64> {
        let bytes = stored.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        Ok(u64::from_le_bytes(bytes.ok_or_else(damaged)?))
    };
    let record = Record { unpadded: number(0)?, uncompressed: number(8)? };
    if stored.len() < HEAD {
        return Err(damaged());
    }
    let bytes = stored.split_off(HEAD);
    let block = Block { bytes, record };
    if head(&block)[..] != stored {
        return Err(damaged());
    }
    // So that it is among the last to go.
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_what_the_encoder_gives_and_survives_damage() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("a/b")).unwrap();
        let contents = b"contents".repeat(1000);
        let settings = Settings::preset(1);
        let plain = encode::block(&contents, &settings).unwrap();
        assert_eq!(cache.block(&contents, &settings, &mut |_| {}).unwrap(), plain);
        let path = dir.path().join("a/b").join(name(&contents, &settings));
        assert_eq!(read(&path).unwrap(), plain);
        assert_eq!(cache.block(&contents, &settings, &mut |_| {}).unwrap(), plain);
        let good = fs::read(&path).unwrap();
        for place in [0, 20, HEAD + 3, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.block(&contents, &settings, &mut |_| {}).unwrap(), plain);
            assert_eq!(fs::read(&path).unwrap(), good, "the damage is repaired");
        }
        fs::write(&path, &good[..5]).unwrap();
        assert_eq!(cache.block(&contents, &settings, &mut |_| {}).unwrap(), plain);
        // other settings, another block
        assert!(name(&contents, &Settings::preset(2)) != name(&contents, &settings));
        cache.prune().unwrap();
        assert!(path.exists());
    }
}
