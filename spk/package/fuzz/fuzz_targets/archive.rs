//! Archive messages: what is behind a valid signature.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use spk_package::archive::read::{Archive, Check};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = tempfile::tempfile() else { return };
    if file.write_all(bytes).is_err() {
        return;
    }
    if let Ok(archive) = Archive::open(file, bytes.len() as u64) {
        let _ = archive.walk(&mut Check);
    }
});
