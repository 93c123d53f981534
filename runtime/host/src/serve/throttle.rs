//! How fast something may go on for long, when it may be fast for a while.

use std::time::{Duration, Instant};

/// A measure that fills at a steady rate and is emptied by what is done.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Bytes a second.
    rate: u64,
    /// Bytes that may come at once.
    burst: u64,
    /// When the measure will be, or was, full.
    full_at: Instant,
}

impl Throttle {
    /// One that is full.
    pub fn new(rate: u64, burst: u64, now: Instant) -> Throttle {
        Throttle { rate, burst, full_at: now }
    }

    /// So many bytes were done; how long to wait before the next.
    pub fn spend(&mut self, bytes: u64, now: Instant) -> Duration {
        self.full_at = self.full_at.max(now) + self.time(bytes);
        (self.full_at - now).saturating_sub(self.time(self.burst))
    }

    fn time(&self, bytes: u64) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.rate as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_takes_its_time() {
        let start = Instant::now();
        let mut throttle = Throttle::new(1000, 5000, start);
        assert_eq!(throttle.spend(5000, start), Duration::ZERO);
        assert_eq!(throttle.spend(1000, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(1);
        assert_eq!(throttle.spend(500, later), Duration::from_millis(500));
        // Whoever rests has the burst again, and not more.
        let rested = start + Duration::from_secs(100);
        assert_eq!(throttle.spend(5000, rested), Duration::ZERO);
        assert_eq!(throttle.spend(1, rested), Duration::from_millis(1));
    }
}
