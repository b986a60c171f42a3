//! A token bucket in thousandths of a unit: `rate` units a second are `rate` thousandths a millisecond. It
//! admits while it is above zero and may be taken below (an assumption: AWS does not publish the arithmetic).

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::twin::plane) struct Bucket {
    level: i64,
    rate: u64,
    cap: i64,
    at_ms: i64,
}

impl Bucket {
    /// A full bucket.
    pub fn full(rate: u64, seconds: u64, now: i64) -> Self {
        let cap = capacity(rate, seconds);
        Self { level: cap, rate, cap, at_ms: now }
    }

    fn refill(&mut self, now: i64) {
        let elapsed = (now - self.at_ms).max(0);
        self.level = self.level.saturating_add(elapsed.saturating_mul(self.rate as i64)).min(self.cap);
        self.at_ms = now;
    }

    /// Whether anything is left.
    pub fn admits(&mut self, now: i64) -> bool {
        self.refill(now);
        self.level > 0
    }

    /// Whole units that are left.
    pub fn available(&mut self, now: i64) -> u64 {
        self.refill(now);
        self.level.max(0) as u64 / 1_000
    }

    /// Consumes, below zero if need be.
    pub fn take(&mut self, milli_units: u64) {
        self.level = self.level.saturating_sub(milli_units as i64);
    }

    /// Another rate; credit above the new cap is lost.
    pub fn set_rate(&mut self, rate: u64, seconds: u64, now: i64) {
        self.refill(now);
        self.rate = rate;
        self.cap = capacity(rate, seconds);
        self.level = self.level.min(self.cap);
    }

    pub fn is_full(&mut self, now: i64) -> bool {
        self.refill(now);
        self.level == self.cap
    }
}

fn capacity(rate: u64, seconds: u64) -> i64 {
    rate.saturating_mul(seconds).saturating_mul(1_000).min(i64::MAX as u64) as i64
}
