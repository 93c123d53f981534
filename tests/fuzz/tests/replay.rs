//! The fuzz targets without a fuzzer: nothing in their corpora makes one of them panic, and no mutation
//! of these, of which there are a number, the same each time. It is the only test in this program: a panic
//! of another one would count.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use spk_fuzz::mutate::{Dice, mutate};
use spk_fuzz::{TARGETS, Target, corpus};

/// Where mutations begin.
const SEED: u64 = 1;

/// Mutations of a target's inputs, all together.
const MUTATIONS: usize = 500;

/// Panics of this process, in whichever thread or task.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The inputs, by name and in its order.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap());
    let mut inputs: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Whether a target takes an input; one that it does not is kept beside the fuzzer's.
fn takes(target: &Target, name: &str, input: &[u8]) -> bool {
    let before = PANICS.load(Ordering::SeqCst);
    let run = catch_unwind(|| (target.run)(input));
    if run.is_ok() && PANICS.load(Ordering::SeqCst) == before {
        return true;
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", target.name));
    fs::write(&kept, input).unwrap();
    eprintln!("{}: {name} makes it panic; the input is {}", target.name, kept.display());
    false
}

#[test]
fn no_input_makes_a_target_panic() {
    let tell = take_hook();
    set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        tell(info);
    }));
    eprintln!("mutations from seed {SEED}");
    let mut wrong = Vec::new();
    for target in TARGETS {
        let inputs = inputs(target);
        let mut dice = Dice::new(SEED);
        let mut good = inputs.iter().all(|(name, input)| takes(target, name, input));
        for number in 0..MUTATIONS {
            let input = &inputs[number % inputs.len()].1;
            let other = &inputs[dice.roll(inputs.len())].1;
            let input = mutate(&mut dice, input, other, target.longest);
            good &= takes(target, &format!("mutation-{number}"), &input);
        }
        if !good {
            wrong.push(target.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
