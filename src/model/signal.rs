//! `Signal`: one metric with its freshness. Missing is never zero: a rule that wants a number must say
//! what it does without one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far back a rule or an estimator may look.
pub const WINDOW: SignedDuration = SignedDuration::from_mins(30);

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
    /// Younger minutes that are published already, oldest first. CloudWatch may still add to them: each is a least, so
    /// it can be a reason to raise something and never one to lower it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub young: Vec<Point>,
}

impl Default for Signal {
    fn default() -> Self {
        Self::absent()
    }
}

impl Signal {
    /// What CloudWatch published, oldest first, as fresh as the newest minute that it should have published. No
    /// metric that is asked for can be negative or not a number: such a point is as good as missing.
    pub fn of(mut points: Vec<Point>, newest_expected: Timestamp) -> Self {
        points.retain(|point| point.value.is_finite() && point.value >= 0.0);
        let young = points.split_off(points.partition_point(|point| point.at <= newest_expected));
        let freshness = match points.last() {
            None => Freshness::Absent,
            Some(last) if last.at >= newest_expected => Freshness::Fresh,
            Some(_) => Freshness::Stale,
        };
        Self { freshness, points, young }
    }

    /// The greatest of the minutes that are too young to rely on, if any.
    pub fn at_least(&self) -> Option<f64> {
        self.young.iter().map(|point| point.value).reduce(f64::max)
    }

    /// Its last [`WINDOW`] when `newest` was the newest minute.
    fn as_of(&self, newest: Timestamp) -> Self {
        let in_window = |point: &&Point| point.at <= newest && newest.duration_since(point.at) < WINDOW;
        let points = self.points.iter().filter(in_window).copied().collect();
        Self::of(points, newest)
    }

    /// A signal without data.
    pub fn absent() -> Self {
        Self { freshness: Freshness::Absent, points: Vec::new(), young: Vec::new() }
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

/// All signals of one pipeline. Those "asked for a diagnosis only" are [`Freshness::Absent`] in the daemon's own
/// observations: CloudWatch bills each metric, and no size depends on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    /// When CloudWatch was asked.
    pub observed_at: Timestamp,
    /// The newest minute that should be published by now (start of it).
    pub newest_expected: Timestamp,
    /// How many metrics were asked for (CloudWatch bills each).
    pub metrics_requested: u32,
    /// ConcurrentExecutions of the whole account in the region, Maximum; asked for a diagnosis only.
    pub account_concurrency: Signal,
    /// The stream's.
    pub stream: StreamSignals,
    /// Each consumer's, by its name in the spec.
    pub consumers: BTreeMap<String, ConsumerSignals>,
    /// Each table's, by name.
    pub tables: BTreeMap<String, TableSignals>,
}

/// `AWS/Kinesis`, dimension StreamName.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// GetRecords.Bytes, Sum, over all shared consumers; asked for a diagnosis only.
    pub get_records_bytes: Signal,
    /// GetRecords.Success, Average, 0 to 1; asked for a diagnosis only.
    pub get_records_success: Signal,
    /// PutRecord.Success, Average, 0 to 1; absent when nobody puts single records; asked for a diagnosis only.
    pub put_record_success: Signal,
    /// PutRecords.Success, Average, 0 to 1: calls with at least one record accepted; asked for a diagnosis only.
    pub put_records_success: Signal,
    /// Each open shard's, by shard id, when shard-level metrics are switched on; asked for a diagnosis only.
    pub shards: BTreeMap<String, ShardSignals>,
}

/// `AWS/Kinesis`, dimensions StreamName and ShardId; charged as custom metrics while switched on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardSignals {
    /// IncomingRecords, Sum: records accepted.
    pub incoming_records: Signal,
    /// IncomingBytes, Sum: bytes accepted.
    pub incoming_bytes: Signal,
    /// WriteProvisionedThroughputExceeded, Sum: records rejected.
    pub rejected_records: Signal,
}

/// `AWS/Lambda`, dimension FunctionName.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// DestinationDeliveryFailures, Sum; asked for a diagnosis of a mapping with a destination only.
    pub destination_failures: Signal,
    /// SubscribeToShardEvent.MillisBehindLatest, Maximum, of the fan-out consumer that the mapping reads through;
    /// absent for a shared reader.
    pub behind_latest_ms: Signal,
    /// DroppedEventCount, Sum, of the mapping; absent unless its metrics are switched on; asked for a diagnosis only.
    pub dropped_events: Signal,
}

/// `AWS/DynamoDB`, dimension TableName (excludes its GSIs).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TableSignals {
    /// The table's own capacity signals.
    pub table: IndexSignals,
    /// Each global secondary index's, by name.
    pub indexes: BTreeMap<String, IndexSignals>,
}

/// Capacity signals of a table or of one GSI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// WriteAccountLimitThrottleEvents, Sum: the account's quota; asked for a diagnosis only.
    pub account_limit_throttles: Signal,
    /// WriteMaxOnDemandThroughputThrottleEvents, Sum: the maximum somebody set; asked for a diagnosis only.
    pub on_demand_maximum_throttles: Signal,
}

impl Signals {
    /// What an observation of the last [`WINDOW`] would have held when `newest` was the newest minute that should be
    /// published. It looks back at what is known today: minutes that came late then are there now.
    #[must_use]
    pub fn as_of(&self, newest: Timestamp) -> Self {
        let delay = self.observed_at.duration_since(self.newest_expected);
        let mut then = Self { observed_at: newest + delay, newest_expected: newest, ..self.clone() };
        then.each(&mut |signal| *signal = signal.as_of(newest));
        then
    }

    /// Visits every signal.
    pub(crate) fn each(&mut self, visit: &mut impl FnMut(&mut Signal)) {
        visit(&mut self.account_concurrency);
        let stream = &mut self.stream;
        for signal in [
            &mut stream.incoming_records,
            &mut stream.incoming_bytes,
            &mut stream.rejected_records,
            &mut stream.read_throttles,
            &mut stream.iterator_age_ms,
            &mut stream.get_records,
            &mut stream.get_records_bytes,
            &mut stream.get_records_success,
            &mut stream.put_record_success,
            &mut stream.put_records_success,
        ] {
            visit(signal);
        }
        for shard in stream.shards.values_mut() {
            [&mut shard.incoming_records, &mut shard.incoming_bytes, &mut shard.rejected_records]
                .into_iter()
                .for_each(&mut *visit);
        }
        for consumer in self.consumers.values_mut() {
            [
                &mut consumer.invocations,
                &mut consumer.errors,
                &mut consumer.throttles,
                &mut consumer.duration_avg_ms,
                &mut consumer.duration_max_ms,
                &mut consumer.iterator_age_ms,
                &mut consumer.concurrent_executions,
                &mut consumer.destination_failures,
                &mut consumer.behind_latest_ms,
                &mut consumer.dropped_events,
            ]
            .into_iter()
            .for_each(&mut *visit);
        }
        for table in self.tables.values_mut() {
            for sink in std::iter::once(&mut table.table).chain(table.indexes.values_mut()) {
                [
                    &mut sink.consumed_write,
                    &mut sink.consumed_read,
                    &mut sink.write_throttles,
                    &mut sink.key_range_throttles,
                    &mut sink.read_throttles,
                    &mut sink.account_limit_throttles,
                    &mut sink.on_demand_maximum_throttles,
                ]
                .into_iter()
                .for_each(&mut *visit);
            }
        }
    }
}
