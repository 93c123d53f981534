//! Keyrings: `KeyFile` messages one after another in a file (format, "keyring").

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use rustix::fs::FlockOperation;

use crate::app_id::AppId;
use crate::causes::in_one_line;
use crate::wire::{Message, table_bytes};

/// Bytes of a key as this tool (and the original) writes it.
pub const KEY_LENGTH: usize = 128;

/// What comes before the key in such a message.
pub(crate) const HEAD: [u8; 32] = {
    let words: [u64; 4] = [
        0x0000_000f_0000_0000, // one segment of 15 words
        0x0002_0000_0000_0000, // root: no data, two pointers
        0x0000_0102_0000_0005, // 32 bytes, after both pointers
        0x0000_0202_0000_0011, // 64 bytes, after the public key
    ];
    let mut bytes = [0; 32];
    let mut place = 0;
    while place < bytes.len() {
        bytes[place] = words[place / 8].to_le_bytes()[place % 8];
        place += 1;
    }
    bytes
};

/// Largest keyring read, in bytes: half a million keys. Guards against `-k /dev/zero` and the like.
const MAX_KEYRING_BYTES: u64 = 64 << 20;

/// Segments a key message may have, as in any stream message.
const MAX_SEGMENTS: u32 = 511;

/// What can go wrong with a keyring.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Opening or reading failed.
    #[error("cannot read the keyring {}", .path.display())]
    Read {
        /// The keyring.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not a regular file.
    #[error("the keyring {} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Larger than any keyring.
    #[error("the keyring {} has {bytes} bytes; that is no keyring", .path.display())]
    TooLarge {
        /// The keyring.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Appending failed.
    #[error("cannot add a key to the keyring {}", .path.display())]
    Append {
        /// The keyring.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else than keys.
    #[error("{} is not a keyring: {reason}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Why its beginning is no key.
        reason: String,
    },
    /// A key that cannot be read.
    #[error("the keyring {} is damaged: key {number}: {reason}", .path.display())]
    Damaged {
        /// The keyring.
        path: PathBuf,
        /// Which key, from 1.
        number: usize,
        /// What is wrong.
        reason: String,
    },
    /// The key is there, but cannot sign.
    #[error("the key {id} in the keyring {} is damaged: {reason}", .path.display())]
    Unusable {
        /// The keyring.
        path: PathBuf,
        /// Whose key.
        id: AppId,
        /// What is wrong.
        reason: String,
    },
    /// The system gave no random numbers.
    #[error("cannot get random numbers for a new key")]
    Random(#[source] io::Error),
}

/// A key that can sign.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
}

impl Key {
    /// A new key from the system's random numbers.
    pub fn generate() -> Result<Key, Error> {
        Ok(Key::from_seed(spk_files::random::bytes().map_err(Error::Random)?))
    }

    /// The key made from a 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Key {
        Key { signing: SigningKey::from_bytes(&seed) }
    }

    /// The app ID this key signs for.
    pub fn app_id(&self) -> AppId {
        AppId(self.signing.verifying_key().to_bytes())
    }

    /// The key itself.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The `KeyFile` message, as it stands in a keyring.
    pub fn to_message(&self) -> [u8; KEY_LENGTH] {
        let mut message = [0; KEY_LENGTH];
        message[..32].copy_from_slice(&HEAD);
        message[32..64].copy_from_slice(self.signing.verifying_key().as_bytes());
        message[64..].copy_from_slice(&self.signing.to_keypair_bytes());
        message
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.app_id())
    }
}

/// One entry of a keyring. Its secret part is looked at only when it is used.
#[derive(Clone)]
pub struct Entry {
    id: AppId,
    secret: Vec<u8>,
}

impl Entry {
    /// Whose key it is.
    pub fn app_id(&self) -> AppId {
        self.id
    }

    /// Its secret part, as it stands there.
    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

/// A keyring that was read.
pub struct Keyring {
    path: PathBuf,
    entries: Vec<Entry>,
    damage: Option<(usize, String)>,
    /// Whether not even the beginning looks like a key.
    foreign: bool,
}

impl Keyring {
    /// Reads the keyring at `path`; any damage is an error.
    pub fn open(path: &Path) -> Result<Keyring, Error> {
        let keyring = Keyring::open_lenient(path)?;
        match keyring.damage() {
            Some(error) => Err(error),
            None => Ok(keyring),
        }
    }

    /// Reads the keyring at `path` up to the first damage; see [`Keyring::damage`].
    pub fn open_lenient(path: &Path) -> Result<Keyring, Error> {
        let read = |source| Error::Read { path: path.to_owned(), source };
        // Non-blocking, so that a FIFO gives the error below instead of waiting for a writer.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(read)?;
        let bytes = self::read(path, &file)?;
        Ok(Keyring::of(path, &bytes))
    }

    fn of(path: &Path, bytes: &[u8]) -> Keyring {
        let (mut entries, damage) = parse(bytes);
        let damage = damage.map(|reason| (entries.len() + 1, reason));
        if damage.is_some() {
            let whole = entries.len();
            let known = |entry: &Entry| entries[..whole].iter().any(|other| other.id == entry.id);
            let rescued: Vec<Entry> = rescue(bytes).filter(|entry| !known(entry)).collect();
            entries.extend(rescued);
        }
        let foreign = entries.is_empty() && !HEAD.starts_with(&bytes[..bytes.len().min(8)]);
        Keyring { path: path.to_owned(), entries, damage, foreign }
    }

    /// What ended the reading early, if anything did. The whole keys behind it are there, too.
    pub fn damage(&self) -> Option<Error> {
        let (number, reason) = self.damage.clone()?;
        let path = self.path.clone();
        Some(match self.foreign {
            true => Error::Foreign { path, reason },
            false => Error::Damaged { path, number, reason },
        })
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All entries in the file's order, duplicates included.
    pub fn keys(&self) -> &[Entry] {
        &self.entries
    }

    /// The first key for `id`.
    pub fn find(&self, id: &AppId) -> Result<Option<Key>, Error> {
        let Some(entry) = self.entries.iter().find(|entry| entry.id == *id) else {
            return Ok(None);
        };
        let unusable =
            |reason: String| Error::Unusable { path: self.path.clone(), id: *id, reason };
        let length = entry.secret.len();
        let secret: [u8; 64] =
            entry.secret.clone().try_into().map_err(|_| {
                unusable(format!("its secret part has {length} bytes instead of 64"))
            })?;
        // Both halves must agree: a signature made with another public part gives the key away.
        let signing = SigningKey::from_keypair_bytes(&secret)
            .map_err(|_| unusable("its secret and public parts do not belong together".into()))?;
        if signing.verifying_key().as_bytes() != id.as_bytes() {
            return Err(unusable("its secret and public parts do not belong together".into()));
        }
        Ok(Some(Key { signing }))
    }
}

/// Reads entries until the bytes end (up to seven trailing bytes are ignored, as in the original)
/// or something is wrong.
pub fn parse(bytes: &[u8]) -> (Vec<Entry>, Option<String>) {
    let mut rest = &bytes[..bytes.len() / 8 * 8];
    let mut entries = Vec::new();
    while !rest.is_empty() {
        match entry(rest) {
            Ok((entry, length)) => {
                entries.push(entry);
                rest = &rest[length..];
            }
            Err(reason) => return (entries, Some(reason)),
        }
    }
    (entries, None)
}

/// Keys as this tool and the original write them, wherever they stand in `bytes`. Both halves of a
/// key have to agree, so that nothing else is taken for one.
fn rescue(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.windows(KEY_LENGTH).filter(move |window| window.starts_with(&HEAD)).filter_map(|window| {
        let secret: [u8; 64] = window[64..].try_into().ok()?;
        let public = SigningKey::from_keypair_bytes(&secret).ok()?.verifying_key().to_bytes();
        (window[HEAD.len()..64] == public)
            .then(|| Entry { id: AppId(public), secret: secret.to_vec() })
    })
}

fn entry(bytes: &[u8]) -> Result<(Entry, usize), String> {
    let words = bytes.len() as u64 / 8;
    let message = Message::open(bytes, bytes.len() as u64, MAX_SEGMENTS, words)
        .map_err(|error| in_one_line(&error))?;
    let length = message_length(bytes);
    let root = message.root().map_err(|error| in_one_line(&error))?;
    let field = |index, what| -> Result<Vec<u8>, String> {
        let Some(slot) = root.and_then(|root| root.slot(index)) else { return Ok(Vec::new()) };
        let found = message.bytes(slot, what).map_err(|error| in_one_line(&error))?;
        Ok(found.map_or(Vec::new(), |found| {
            bytes[found.offset as usize..(found.offset + found.length) as usize].to_vec()
        }))
    };
    let public = field(0, "the public key")?;
    let length_found = public.len();
    let public: [u8; 32] = public
        .try_into()
        .map_err(|_| format!("its public part has {length_found} bytes instead of 32"))?;
    Ok((Entry { id: AppId(public), secret: field(1, "the private key")? }, length))
}

/// Bytes of the message at the start of `bytes`, whose table [`Message::open`] has checked.
fn message_length(bytes: &[u8]) -> usize {
    let number = |at: usize| {
        bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)
    };
    let count = number(0) + 1;
    table_bytes(count as u64) as usize + (1..=count).map(|n| number(n * 4) * 8).sum::<usize>()
}

/// A keyring to which a key can be added: it can be written, and all that is in it was read. Locked
/// as long as this exists.
pub struct Addition {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Addition {
    /// Opens the keyring at `path`, which is made (mode 0600) if it does not exist.
    ///
    /// # Errors
    /// When it cannot be written, and when it is damaged or no keyring: a key behind something that
    /// is no key could never be read again.
    pub fn prepare(path: &Path) -> Result<Addition, Error> {
        let failed = |source| Error::Append { path: path.to_owned(), source };
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600).custom_flags(flags);
        let file = options.open(path).map_err(failed)?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| failed(errno.into()))?;
        let bytes = read(path, &file)?;
        let keyring = Keyring::of(path, &bytes);
        match keyring.damage() {
            Some(error) => Err(error),
            None if keyring.entries.is_empty() && !bytes.is_empty() => {
                let reason = format!("{} bytes, and no key", bytes.len());
                Err(Error::Foreign { path: path.to_owned(), reason })
            }
            // Trailing bytes that readers ignore would shift what comes after them.
            None => {
                let length = bytes.len() as u64 / 8 * 8;
                Ok(Addition { path: path.to_owned(), file, length })
            }
        }
    }

    /// Adds `key`, which is on disk when this returns. What could not be added whole is taken back.
    ///
    /// # Errors
    /// Among others when the disk is full.
    pub fn append(mut self, key: &Key) -> Result<(), Error> {
        let failed = |path: &Path, source| Error::Append { path: path.to_owned(), source };
        self.file.set_len(self.length).map_err(|error| failed(&self.path, error))?;
        let added = self.file.write_all(&key.to_message()).and_then(|()| self.file.sync_all());
        if let Err(error) = added {
            // The rest of a key would make the keyring a damaged one.
            let _ = self.file.set_len(self.length);
            return Err(failed(&self.path, error));
        }
        Ok(())
    }
}

/// Adds `key` to the keyring at `path`: see [`Addition`].
///
/// # Errors
/// As [`Addition::prepare`] and [`Addition::append`].
pub fn append(path: &Path, key: &Key) -> Result<(), Error> {
    Addition::prepare(path)?.append(key)
}

/// What is in the file of a keyring.
fn read(path: &Path, file: &File) -> Result<Vec<u8>, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let metadata = file.metadata().map_err(read)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile(path.to_owned()));
    }
    if metadata.len() > MAX_KEYRING_BYTES {
        return Err(Error::TooLarge { path: path.to_owned(), bytes: metadata.len() });
    }
    let mut bytes = Vec::new();
    file.take(MAX_KEYRING_BYTES).read_to_end(&mut bytes).map_err(read)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        let mut seed = [0; 32];
        seed.iter_mut().enumerate().for_each(|(n, byte)| *byte = n as u8);
        Key::from_seed(seed)
    }

    #[test]
    fn writes_the_vector() {
        let message = key().to_message();
        let hex = spk_files::hex::encode(message);
        assert_eq!(
            hex,
            "000000000f000000000000000000020005000000020100001100000002020000\
             03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8\
             000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
             03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        );
    }

    #[test]
    fn halves_must_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        for (place, what) in [(64, "seed"), (100, "public half"), (32, "public key")] {
            let mut message = key().to_message();
            message[place] ^= 1;
            std::fs::write(&path, message).unwrap();
            let keyring = Keyring::open(&path).unwrap();
            let id = keyring.keys()[0].app_id();
            assert!(matches!(keyring.find(&id), Err(Error::Unusable { .. })), "{what}");
        }
    }

    #[test]
    fn appends_and_finds_again() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        let keys = [Key::generate().unwrap(), Key::generate().unwrap()];
        keys.iter().for_each(|key| append(&path, key).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let keyring = Keyring::open(&path).unwrap();
        assert_eq!(keyring.keys().len(), 2);
        for key in &keys {
            let found = keyring.find(&key.app_id()).unwrap().unwrap();
            assert_eq!(found.to_message(), key.to_message());
        }
        assert!(keyring.find(&AppId([9; 32])).unwrap().is_none());
        // bytes that readers ignore do not shift the next key
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"abc").unwrap();
        append(&path, &keys[0]).unwrap();
        assert_eq!(Keyring::open(&path).unwrap().keys().len(), 3);
    }

    #[test]
    fn what_is_no_keyring_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(Keyring::open(dir.path()), Err(Error::NotAFile(_))));
        assert!(matches!(Keyring::open(&dir.path().join("none")), Err(Error::Read { .. })));
        assert!(matches!(Keyring::open(Path::new("/dev/zero")), Err(Error::NotAFile(_))));
    }

    fn ring(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    #[test]
    fn nothing_is_added_to_what_is_damaged_or_no_keyring() {
        let two = [key().to_message(), Key::from_seed([1; 32]).to_message()].concat();
        let text = b"these are the notes of last week, and no key is here at all.";
        // The number of the damaged key; 0 for what is no keyring at all.
        let cut = [(two.len() - 9, 2), (136, 2), (100, 1), (8, 1)];
        let cases = cut.map(|(length, number)| (&two[..length], number));
        for (bytes, expected) in
            cases.into_iter().chain([(&text[..], 0), (&text[..24], 0), (&text[..3], 0)])
        {
            let (_dir, path) = ring(bytes);
            let found = match append(&path, &key()).unwrap_err() {
                Error::Foreign { .. } => 0,
                Error::Damaged { number, .. } => number,
                other => panic!("{other}"),
            };
            assert_eq!(found, expected, "{} bytes", bytes.len());
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn whole_keys_behind_damage_are_found() {
        let other = Key::from_seed([1; 32]);
        // Cut off in the middle of a key, and another added behind it by a tool that did not look.
        let cut = [&key().to_message()[..], &[7; 119], &other.to_message()[..], &[0; 50]].concat();
        let (_dir, path) = ring(&cut);
        let keyring = Keyring::open_lenient(&path).unwrap();
        assert!(matches!(keyring.damage(), Some(Error::Damaged { number: 2, .. })));
        assert_eq!(keyring.keys().len(), 2);
        let found = keyring.find(&other.app_id()).unwrap().unwrap();
        assert_eq!(found.to_message(), other.to_message());
    }

    #[test]
    fn keys_can_be_kept_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ring");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        append(&path, &key()).unwrap();
        assert_eq!(Keyring::open(&path).unwrap().keys().len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic_when_keys_are_looked_for(bytes: Vec<u8>) {
            let _ = Keyring::of(Path::new("ring"), &bytes);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_mutation_panics(place in 0usize..256, value: u8) {
            let mut bytes = [key().to_message(), key().to_message()].concat();
            bytes[place] = value;
            let _ = parse(&bytes);
        }
    }
}
