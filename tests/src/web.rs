//! The app `spk-web` (`web/main.rs`), packed and served, and what its tests share.

use std::sync::LazyLock;

use crate::bins::{built, copy_program, ok};
use crate::{Server, Stage, Who};

/// Length of [`pattern`]: a prime, so that it has no factor in common with anybody's buffers.
const PATTERN_LENGTH: usize = 1_048_573;

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..PATTERN_LENGTH).map(next).collect()
});

/// What large bodies consist of, over and over: the part from `offset`, as far as it goes without
/// beginning again. A piece that is lost, doubled or moved does not fit.
pub fn pattern(offset: u64) -> &'static [u8] {
    &PATTERN[(offset % PATTERN_LENGTH as u64) as usize..]
}

/// The app's package, as `web.spk` in a fresh stage.
pub fn packed(who: Who) -> Stage {
    let stage = Stage::new(who);
    let program = stage.work().join("spk-web");
    copy_program(&built("spk-web"), &program);
    stage.who.own(&stage.work());
    ok(stage.spk().args(["init", "-p", "8000", "--", "/spk-web", "8000"]));
    stage.write("sandstorm-files.list", "spk-web\n");
    ok(stage.spk().args(["pack", "--fast", "web.spk"]));
    stage
}

/// The app, served. `args` are further arguments of `spk run`.
pub fn serve(stage: &Stage, args: &[&str]) -> Server {
    Server::start(stage.spk().args(["run", "web.spk"]).args(args))
}

/// The header that makes the app answer with these bytes; see `web/script.rs`.
pub fn answer(raw: &str) -> String {
    raw.bytes().map(|byte| format!("{byte:02x}")).collect()
}
