//! What the standard streams were when the program began.
//!
//! Before `main` the standard library puts `/dev/null` in the place of closed ones, so that no file
//! is opened under their numbers. Later nobody can tell any more that output goes nowhere.

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this process was started with stdout closed (`spk … >&-`): what is written there is lost.
pub fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}

extern "C" fn look() {
    // SAFETY: the call reads a flag of a number, whether or not that is a descriptor.
    if unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1 {
        STDOUT_CLOSED.store(true, Ordering::Relaxed);
    }
}

// SAFETY: the C library calls what stands in this section before `main`, and before the standard
// library's own preparations, once, without other threads; `look` needs none of these preparations.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK_AT_THE_START: extern "C" fn() = look;
