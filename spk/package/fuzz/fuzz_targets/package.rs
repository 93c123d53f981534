//! Whole packages: magic, xz, signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use spk_package::progress::Silent;
use spk_package::verify::{Options, verify};

fuzz_target!(|bytes: &[u8]| {
    let options = Options { threads: 1, ..Options::default() };
    let _ = verify(&mut &bytes[..], None, &options, &mut Silent);
});
