//! Keyrings.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = spk_package::keyring::parse(bytes);
});
