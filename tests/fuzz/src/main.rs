//! libFuzzer's own program around one target, which `SPK_FUZZ_TARGET` names; without a name it lists
//! all of them, and their longest inputs. See `tests/fuzz.sh`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use spk_fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

/// Before libFuzzer begins, for which an exit is a fault.
fn choose() {
    let name = std::env::var("SPK_FUZZ_TARGET").unwrap_or_default();
    if name.is_empty() {
        TARGETS.iter().for_each(|target| println!("{} {}", target.name, target.longest));
        std::process::exit(0);
    }
    let target = spk_fuzz::find(&name).unwrap_or_else(|| {
        eprintln!("SPK_FUZZ_TARGET={name}: no such target");
        std::process::exit(2);
    });
    TARGET.get_or_init(|| target);
}

fuzz_target!(init: choose(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(bytes);
    }
});
