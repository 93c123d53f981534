//! Packages, from the outside inwards; keys; definitions; file lists.

use std::io::Write;

use spk_package::app_id::AppId;
use spk_package::archive::read::{Archive, Check};
use spk_package::progress::Silent;
use spk_package::verify::{Options, verify};
use spk_package::xz::decode::{Decoder, Error};
use spk_package::{file_list, keyring as keys, pkgdef as definition, signature};

/// Whole packages: magic, xz, signature.
pub fn whole(bytes: &[u8]) {
    let options = Options { threads: 1, ..Options::default() };
    let _ = verify(&mut &bytes[..], None, &options, &mut Silent);
}

/// What comes first behind the compression, before anything is known to be signed: the signature
/// message.
pub fn header(bytes: &[u8]) {
    if let Ok(Some(length)) = signature::message_length(bytes)
        && let Some(message) = bytes.get(..length)
    {
        let _ = signature::verify(message);
    }
}

/// Archive messages: what is behind a valid signature.
pub fn archive(bytes: &[u8]) {
    let Ok(mut file) = tempfile::tempfile() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    if let Ok(archive) = Archive::open(file, bytes.len() as u64) {
        let _ = archive.walk(&mut Check);
    }
}

/// Enough to see that output is cut off, not so much that bombs take all the time.
const XZ_OUTPUT: usize = 1 << 20;

/// The decoder's own states: several streams, padding, `.lzma`, in pieces of any size.
pub fn xz(bytes: &[u8]) {
    let Some((&step, bytes)) = bytes.split_first() else { return };
    let mut total = 0;
    let mut sink = |out: &[u8]| -> Result<(), Error> {
        total += out.len();
        if total > XZ_OUTPUT { Err(Error::Memory) } else { Ok(()) }
    };
    let mut decoder = Decoder::new(1);
    for piece in bytes.chunks(usize::from(step).max(1)) {
        if decoder.feed(piece, &mut sink).is_err() {
            return;
        }
    }
    let _ = decoder.finish(&mut sink);
}

/// Keyrings.
pub fn keyring(bytes: &[u8]) {
    let _ = keys::parse(bytes);
}

/// The text of app IDs: what is read comes out again in canonical form.
pub fn app_id(bytes: &[u8]) {
    if let Ok(id) = AppId::parse(bytes) {
        let text = id.to_string();
        assert_eq!(AppId::parse(text.as_bytes()), Ok(id));
        assert_eq!(text.len(), bytes.len());
    }
}

/// Any text as a package definition: errors are fine, panics and hangs are not.
pub fn pkgdef(text: &[u8]) {
    // Showing the error is part of what must not fail.
    if let Err(error) = definition::check(text, "fuzz.capnp", "pkgdef") {
        let _ = error.to_string();
    }
}

/// File lists: what can be listed comes back from a line of its own.
pub fn files(text: &[u8]) {
    for entry in file_list::parse(text) {
        if file_list::is_listable(&entry.path) {
            let again = file_list::parse(&entry.path);
            assert_eq!(again.len(), 1);
            assert_eq!(again[0].path, entry.path);
        }
    }
}
