//! One thread on which all of a target's tasks run. They are given turns, not time: as many as a
//! conversation over sockets of this process needs, and each run of an input is the same.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors");
}

/// Runs `work`; whatever it leaves running ends with it.
pub fn run(work: impl Future<Output = ()>) {
    RUNTIME.with(|runtime| LocalSet::new().block_on(runtime, work));
}

/// Lets all others go on, so many times.
pub async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
