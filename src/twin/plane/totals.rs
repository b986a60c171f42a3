//! What really happened, counted since the start: the truth against which metrics and the operator are judged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::stream::PAYLOAD_UNIT;
use super::table::ThrottleCause;

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// By stream name.
    pub streams: BTreeMap<String, StreamTotals>,
    /// By mapping UUID; kept after the mapping is removed.
    pub mappings: BTreeMap<String, MappingTotals>,
    /// By function name.
    pub functions: BTreeMap<String, FunctionTotals>,
    /// By table name; kept after the table is deleted.
    pub tables: BTreeMap<String, TableTotals>,
}

/// Counters of one stream. Always `offered = accepted + rejected`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamTotals {
    /// Records that producers tried to put while the stream existed.
    pub offered: u64,
    /// Records stored.
    pub accepted: u64,
    /// Records refused for a shard's limit; lost, as the producer does not retry.
    pub rejected: u64,
    /// Records sent while the stream did not exist; not part of `offered`.
    pub no_stream: u64,
    /// Records whose put failed, and not for a limit; not part of `offered`.
    #[serde(default)]
    pub failed: u64,
    /// Bytes of the records offered.
    #[serde(default)]
    pub offered_bytes: u64,
    /// Bytes stored.
    pub accepted_bytes: u64,
    /// KiB stored, each record rounded up (the billing unit of on-demand streams).
    #[serde(default)]
    pub accepted_kib: u64,
    /// PUT payload units of 25 KB stored (the billing unit of PutRecord).
    pub put_payload_units: u64,
    /// GetRecords calls refused for a shard's limit.
    pub read_throttles: u64,
}

impl StreamTotals {
    /// Counts records of one size.
    pub(super) fn count(&mut self, offered: u64, accepted: u64, bytes_each: u64) {
        self.offered += offered;
        self.accepted += accepted;
        self.rejected += offered - accepted;
        self.offered_bytes += offered * bytes_each;
        self.accepted_bytes += accepted * bytes_each;
        self.accepted_kib += accepted * bytes_each.div_ceil(1_024);
        self.put_payload_units += accepted * bytes_each.div_ceil(PAYLOAD_UNIT);
    }
}

/// Counters of one mapping. Always `accepted = skipped + delivered + waiting + expired + dropped + filtered`, over the
/// records the stream held when the mapping was created and those accepted since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MappingTotals {
    /// The function it invokes.
    pub function: String,
    /// Records before the starting position.
    pub skipped: u64,
    /// Records in batches that succeeded.
    pub delivered: u64,
    /// Records that outlived the retention before they were delivered: lost.
    pub expired: u64,
    /// Records given up for maximumRetryAttempts or maximumRecordAge.
    pub dropped: u64,
    /// Of the records given up, those an on-failure destination was told of.
    pub on_failure: u64,
    /// Records that a filter took out.
    pub filtered: u64,
    /// Invocations that ended, whatever the result.
    pub invocations: u64,
    /// Largest IteratorAge of an invocation in a minute, in milliseconds, by the minute's epoch milliseconds.
    pub iterator_age_ms: BTreeMap<i64, i64>,
}

impl MappingTotals {
    /// Notes the age at which an invocation of this minute began; minutes come in order.
    pub(super) fn note_age(&mut self, minute: i64, age_ms: i64) {
        match self.iterator_age_ms.last_entry().filter(|last| *last.key() == minute) {
            Some(mut last) => *last.get_mut() = age_ms.max(*last.get()),
            // No age is below zero.
            None => _ = self.iterator_age_ms.insert(minute, age_ms.max(0)),
        }
    }

    /// Records that are done with, one way or another.
    pub(super) fn accounted(&self) -> u64 {
        self.skipped + self.delivered + self.expired + self.dropped + self.filtered
    }
}

/// Counters of one function.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionTotals {
    /// Invocations started.
    pub invocations: u64,
    /// Invocations that ended in an error, timeouts included.
    pub errors: u64,
    /// Invocations that ran into the timeout.
    pub timeouts: u64,
    /// Invocations refused for concurrency.
    pub throttles: u64,
    /// Most invocations at one moment.
    pub max_concurrent: u32,
    /// Billed memory-time in MB·ms; divide by 1,024,000 for GB-seconds.
    pub megabyte_ms: u64,
}

impl FunctionTotals {
    /// Billed GB-seconds.
    pub fn gb_seconds(&self) -> f64 {
        self.megabyte_ms as f64 / 1_024_000.0
    }
}

/// Counters of one table with its indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableTotals {
    /// Requests made (each item of a batch is one). Always `offered = requests + throttled_requests`.
    pub offered: u64,
    /// Requests admitted.
    pub requests: u64,
    /// Requests refused, whatever the cause.
    pub throttled_requests: u64,
    /// Refusals of a write by provisioned capacity, counted on each resource (table, index) that refused.
    pub provisioned_write_throttles: u64,
    /// Refusals of a write by the limit of one partition key.
    pub key_range_write_throttles: u64,
    /// Refusals of a read by provisioned capacity.
    pub provisioned_read_throttles: u64,
    /// Refusals of a read by the limit of one partition key.
    pub key_range_read_throttles: u64,
    /// Refusals by the account's limit per on-demand table.
    pub account_limit_throttles: u64,
    /// Refusals by the owner's own maximum of an on-demand table.
    pub maximum_throttles: u64,
    /// Write units consumed by the table (with its local indexes), in thousandths.
    pub write_milli_units: u64,
    /// Read units consumed, in thousandths.
    pub read_milli_units: u64,
}

impl TableTotals {
    pub(super) fn count(&mut self, write: bool, cause: ThrottleCause, items: u64) {
        let counter = match (cause, write) {
            (ThrottleCause::ProvisionedThroughput, true) => &mut self.provisioned_write_throttles,
            (ThrottleCause::ProvisionedThroughput, false) => &mut self.provisioned_read_throttles,
            (ThrottleCause::KeyRangeThroughput, true) => &mut self.key_range_write_throttles,
            (ThrottleCause::KeyRangeThroughput, false) => &mut self.key_range_read_throttles,
            (ThrottleCause::AccountLimit, _) => &mut self.account_limit_throttles,
            (ThrottleCause::MaxOnDemandThroughput, _) => &mut self.maximum_throttles,
        };
        *counter += items;
    }
}
