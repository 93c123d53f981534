//! Any text as a package definition: errors are fine, panics and hangs are not.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    // Showing the error is part of what must not fail.
    if let Err(error) = spk_package::pkgdef::check(text, "fuzz.capnp", "pkgdef") {
        let _ = error.to_string();
    }
});
