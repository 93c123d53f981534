//! For how long the kernel may keep what it is told, and whether what it keeps is still good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spk_package::view::Node;

use crate::nodes::Stamp;
use crate::options::Cache;
use crate::shared::Shared;

/// How long the kernel may keep what is watched, or is not to be seen changing.
const LONG: Duration = Duration::from_secs(3600);
/// How long it may keep names and attributes that nobody watches; as the original.
pub const SHORT: Duration = Duration::from_secs(1);
/// A source changed less than this before it was looked at may change once more without its times
/// telling: the clock of file times ticks every 4 ms (10 ms on some kernels).
const TICK_NS: i128 = 20_000_000;

/// How long the kernel may keep what it learns of names in this directory.
pub fn ttl(shared: &Shared, path: &[u8], dir: &Node) -> Duration {
    match (shared.options.cache, &shared.watch) {
        (Cache::Off, _) => Duration::ZERO,
        (Cache::Frozen, _) => LONG,
        (Cache::Watched, Some(watch)) if shared.is_covered(watch, path, dir) => LONG,
        (Cache::Watched, _) => SHORT,
    }
}

/// Whether what the kernel keeps of `ino` is what `stamp` says; remembers it for next time.
pub fn is_kept(shared: &Shared, ino: u64, stamp: Stamp) -> bool {
    if shared.options.cache == Cache::Off {
        return false;
    }
    let mut nodes = shared.nodes();
    let Some(entry) = nodes.get_mut(ino) else { return false };
    let kept = entry.stamp.as_ref() == Some(&stamp);
    entry.stamp = (now_ns() - stamp.newest() > TICK_NS).then_some(stamp);
    kept
}

fn now_ns() -> i128 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(now.as_nanos()).unwrap_or(i128::MAX)
}
