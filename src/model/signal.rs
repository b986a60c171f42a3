//! `Signal`: one metric with its freshness. Missing is never zero: a rule that wants a number must say
//! what it does without one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One datapoint of a one-minute period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Start of the minute.
    pub at: Timestamp,
    /// The value at the statistic the signal was asked for; always finite.
    pub value: f64,
}

/// How far a signal can be trusted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Freshness {
    /// The newest minute that CloudWatch should have published is there.
    Fresh,
    /// There are points, but the newest is older than it should be.
    Stale,
    /// No point in the window.
    Absent,
}

/// One metric over the observation window, oldest point first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// Whether the newest expected minute is present.
    pub freshness: Freshness,
    /// The points, oldest first, at most one a minute.
    pub points: Vec<Point>,
}

impl Signal {
    /// A signal without data.
    pub fn absent() -> Self {
        Self { freshness: Freshness::Absent, points: Vec::new() }
    }

    /// Whether the newest expected minute is present.
    pub fn is_fresh(&self) -> bool {
        self.freshness == Freshness::Fresh
    }

    /// The value at minute `at`, if published.
    pub fn at(&self, at: Timestamp) -> Option<f64> {
        self.points.iter().rev().find(|point| point.at == at).map(|point| point.value)
    }

    /// The newest point.
    pub fn last(&self) -> Option<Point> {
        self.points.last().copied()
    }
}

/// All signals of one pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    /// When CloudWatch was asked.
    pub observed_at: Timestamp,
    /// The newest minute that should be published by now (start of it).
    pub newest_expected: Timestamp,
    /// How many metrics were asked for (CloudWatch bills each).
    pub metrics_requested: u32,
    /// The stream's.
    pub stream: StreamSignals,
    /// Each consumer's, by its name in the spec.
    pub consumers: BTreeMap<String, ConsumerSignals>,
    /// Each table's, by name.
    pub tables: BTreeMap<String, TableSignals>,
}

/// `AWS/Kinesis`, dimension StreamName.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSignals {
    /// IncomingRecords, Sum: records accepted.
    pub incoming_records: Signal,
    /// IncomingBytes, Sum: bytes accepted.
    pub incoming_bytes: Signal,
    /// WriteProvisionedThroughputExceeded, Sum: records rejected.
    pub rejected_records: Signal,
    /// ReadProvisionedThroughputExceeded, Sum: GetRecords calls throttled.
    pub read_throttles: Signal,
    /// GetRecords.IteratorAgeMilliseconds, Maximum, over all shared consumers.
    pub iterator_age_ms: Signal,
    /// GetRecords.Records, Sum, over all shared consumers: 0 while polled proves an idle stream.
    pub get_records: Signal,
}

/// `AWS/Lambda`, dimension FunctionName.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumerSignals {
    /// Invocations, Sum.
    pub invocations: Signal,
    /// Errors, Sum.
    pub errors: Signal,
    /// Throttles, Sum.
    pub throttles: Signal,
    /// Duration, Average, ms.
    pub duration_avg_ms: Signal,
    /// Duration, Maximum, ms.
    pub duration_max_ms: Signal,
    /// IteratorAge, Maximum, ms; no data when nothing is invoked.
    pub iterator_age_ms: Signal,
    /// ConcurrentExecutions, Maximum.
    pub concurrent_executions: Signal,
}

/// `AWS/DynamoDB`, dimension TableName (excludes its GSIs).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSignals {
    /// The table's own capacity signals.
    pub table: IndexSignals,
    /// Each global secondary index's, by name.
    pub indexes: BTreeMap<String, IndexSignals>,
}

/// Capacity signals of a table or of one GSI.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexSignals {
    /// ConsumedWriteCapacityUnits, Sum.
    pub consumed_write: Signal,
    /// ConsumedReadCapacityUnits, Sum.
    pub consumed_read: Signal,
    /// WriteProvisionedThroughputThrottleEvents, Sum: more capacity helps.
    pub write_throttles: Signal,
    /// WriteKeyRangeThroughputThrottleEvents, Sum: a hot partition; more capacity does not help.
    pub key_range_throttles: Signal,
    /// ReadProvisionedThroughputThrottleEvents, Sum.
    pub read_throttles: Signal,
}
