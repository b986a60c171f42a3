//! Cohorts: what a shard's log is made of.

use serde::{Deserialize, Serialize};

use super::metrics::MINUTE_MS;
use super::producer::Class;

/// Group of records that came over the wire.
pub(super) const WIRE_GROUP: u32 = u32::MAX;

/// Records of one kind that arrived together. Stored as a bare tuple: a backlog holds many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, i64, u32, Class, u32, u32)", from = "(u64, i64, u32, Class, u32, u32)")]
pub(super) struct Cohort {
    /// Number of its first record in the shard.
    pub seq: u64,
    /// Arrival in epoch milliseconds.
    pub at: i64,
    /// Race, or producer.
    pub group: u32,
    /// Class.
    pub class: Class,
    /// How many.
    pub count: u32,
    /// Bytes of each.
    pub bytes_each: u32,
}

impl From<(u64, i64, u32, Class, u32, u32)> for Cohort {
    fn from((seq, at, group, class, count, bytes_each): (u64, i64, u32, Class, u32, u32)) -> Self {
        Self { seq, at, group, class, count, bytes_each }
    }
}

impl From<Cohort> for (u64, i64, u32, Class, u32, u32) {
    fn from(cohort: Cohort) -> Self {
        (cohort.seq, cohort.at, cohort.group, cohort.class, cohort.count, cohort.bytes_each)
    }
}

impl Cohort {
    /// Number of the record after its last.
    pub(super) fn end(&self) -> u64 {
        self.seq + u64::from(self.count)
    }

    /// Whether it may be kept as one with the cohort before it.
    pub(super) fn continues(&self, before: &Self) -> bool {
        self.group != WIRE_GROUP
            && self.at / MINUTE_MS == before.at / MINUTE_MS
            && (self.group, self.class, self.bytes_each) == (before.group, before.class, before.bytes_each)
    }
}
