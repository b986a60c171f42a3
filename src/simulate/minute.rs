//! What truly happened in one simulated minute: the twin's own state, not what CloudWatch publishes late or not at all.
//! Violation minutes, costs and the clairvoyant's plan are all made from these.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One minute of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Minute {
    /// When it began.
    pub at: Timestamp,
    /// Records that producers tried to put.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Records stored.
    pub accepted: u64,
    /// Records refused for a shard's limit: lost.
    pub rejected: u64,
    /// Records that outlived the retention before a consumer was done with them, summed over the consumers.
    pub expired: u64,
    /// Records a consumer has to read a second time because its mapping was moved, summed over the consumers.
    pub reread: u64,
    /// The greatest iterator age over the consumers, ms: of an invocation begun in the minute, or of the oldest record
    /// not done with when it ended.
    pub max_age_ms: f64,
    /// Open shards at its end.
    pub shards: u32,
    /// Slots of the first consumer at its end: open shards times parallelization factor.
    pub slots: u32,
    /// Slots of the first consumer that worked, on average: billed time of its function over the minute.
    pub busy_slots: f64,
    /// The tables (`table/t`) and global secondary indexes (`table/t/index/i`).
    pub sinks: BTreeMap<String, SinkMinute>,
}

/// One minute of a table or of one of its global secondary indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SinkMinute {
    /// Provisioned write units per second at the minute's end; 0 while on demand.
    pub write_capacity: u64,
    /// Provisioned read units per second at the minute's end; 0 while on demand.
    pub read_capacity: u64,
    /// Write units consumed in the minute.
    pub written: f64,
    /// Read units consumed in the minute.
    pub read: f64,
    /// Requests refused, whatever the cause.
    pub throttled: u64,
    /// Whether it is billed by request.
    pub on_demand: bool,
}
