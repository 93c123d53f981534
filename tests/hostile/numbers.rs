//! Every call number, and every one with the x32 bit: `NUMBER<tab>OUTCOME`.

use crate::sys::{apart, raw, words};

/// The bit that marks x32 calls.
const X32: i64 = 0x4000_0000;

pub fn main(highest: i64) -> ! {
    for nr in (0..=highest).chain(X32..=X32 + highest) {
        // Nothing valid: an allowed call must not do anything either.
        let outcome = apart(|| words(raw(nr, [u64::MAX; 6])));
        println!("{nr}\t{outcome}");
    }
    std::process::exit(0)
}
