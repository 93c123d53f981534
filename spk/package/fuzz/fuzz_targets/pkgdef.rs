//! Package definitions.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(dir) = tempfile::tempdir() else { return };
    let file = dir.path().join("sandstorm-pkgdef.capnp");
    if std::fs::write(&file, bytes).is_ok() {
        let _ = spk_package::pkgdef::load(&file, "pkgdef", &[]);
    }
});
