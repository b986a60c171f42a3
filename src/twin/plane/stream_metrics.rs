//! The metrics of a stream in `AWS/Kinesis` (guide, "Monitoring the Amazon Kinesis Data Streams service with
//! CloudWatch"): for the stream, for its shards when switched on, and for fan-out consumers.

use serde::{Deserialize, Serialize};

use super::metrics::{MetricStore, SeriesId};
use super::stream::{Cohort, Shard, Stream};

const NAMESPACE: &str = "AWS/Kinesis";
/// Time of one PutRecord, PutRecords or GetRecords call in milliseconds. Assumption.
const CALL_MS: f64 = 10.0;

/// A shard-level metric (EnableEnhancedMonitoring).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Level {
    IncomingBytes,
    IncomingRecords,
    OutgoingBytes,
    OutgoingRecords,
    WriteExceeded,
    ReadExceeded,
    IteratorAge,
}

impl Level {
    const ALL: [(Self, &'static str); 7] = [
        (Self::IncomingBytes, "IncomingBytes"),
        (Self::IncomingRecords, "IncomingRecords"),
        (Self::OutgoingBytes, "OutgoingBytes"),
        (Self::OutgoingRecords, "OutgoingRecords"),
        (Self::WriteExceeded, "WriteProvisionedThroughputExceeded"),
        (Self::ReadExceeded, "ReadProvisionedThroughputExceeded"),
        (Self::IteratorAge, "IteratorAgeMilliseconds"),
    ];

    /// The metric of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(level, _)| *level)
    }
}

/// Series of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Series {
    records: SeriesId,
    bytes: SeriesId,
    rejected: SeriesId,
    put_success: SeriesId,
    put_bytes: SeriesId,
    put_latency: SeriesId,
    puts_success: SeriesId,
    puts_bytes: SeriesId,
    puts_latency: SeriesId,
    puts_records: SeriesId,
    puts_total: SeriesId,
    puts_successful: SeriesId,
    puts_failed: SeriesId,
    puts_throttled: SeriesId,
    read_exceeded: SeriesId,
    get_age: SeriesId,
    get_records: SeriesId,
    get_bytes: SeriesId,
    get_success: SeriesId,
    get_latency: SeriesId,
}

impl Series {
    pub(super) fn new(metrics: &mut MetricStore, stream: &str) -> Self {
        let mut series = |name: &str| metrics.series(NAMESPACE, name, &[("StreamName", stream)]);
        Self {
            records: series("IncomingRecords"),
            bytes: series("IncomingBytes"),
            rejected: series("WriteProvisionedThroughputExceeded"),
            put_success: series("PutRecord.Success"),
            put_bytes: series("PutRecord.Bytes"),
            put_latency: series("PutRecord.Latency"),
            puts_success: series("PutRecords.Success"),
            puts_bytes: series("PutRecords.Bytes"),
            puts_latency: series("PutRecords.Latency"),
            puts_records: series("PutRecords.Records"),
            puts_total: series("PutRecords.TotalRecords"),
            puts_successful: series("PutRecords.SuccessfulRecords"),
            puts_failed: series("PutRecords.FailedRecords"),
            puts_throttled: series("PutRecords.ThrottledRecords"),
            read_exceeded: series("ReadProvisionedThroughputExceeded"),
            get_age: series("GetRecords.IteratorAgeMilliseconds"),
            get_records: series("GetRecords.Records"),
            get_bytes: series("GetRecords.Bytes"),
            get_success: series("GetRecords.Success"),
            get_latency: series("GetRecords.Latency"),
        }
    }

    /// Counts PutRecord calls with records of one size.
    pub(super) fn count_puts(&self, now: i64, offered: u64, accepted: u64, bytes: u64, metrics: &mut MetricStore) {
        metrics.add(self.put_success, now, 1.0, accepted);
        metrics.add(self.put_success, now, 0.0, offered - accepted);
        metrics.add(self.put_bytes, now, bytes as f64, accepted);
        metrics.add(self.put_latency, now, CALL_MS, offered);
        metrics.add(self.records, now, 1.0, accepted);
        metrics.add(self.bytes, now, bytes as f64, accepted);
        metrics.add(self.rejected, now, 1.0, offered - accepted);
    }

    /// Counts PutRecord calls that failed, and not for a limit.
    pub(super) fn count_failed_puts(&self, now: i64, count: u64, metrics: &mut MetricStore) {
        metrics.add(self.put_success, now, 0.0, count);
        metrics.add(self.put_latency, now, CALL_MS, count);
    }

    /// Counts a GetRecords call that failed, and not for a limit. That a call without permission counts too is an
    /// assumption.
    pub(super) fn count_failed_read(&self, now: i64, metrics: &mut MetricStore) {
        metrics.add(self.get_success, now, 0.0, 1);
    }

    /// Counts one PutRecords call: records, those stored with their bytes, those throttled. A minute's
    /// average, least and greatest of IncomingBytes are per call.
    pub(super) fn count_batch(&self, now: i64, batch: BatchPut, metrics: &mut MetricStore) {
        let BatchPut { total, stored, bytes, throttled } = batch;
        metrics.add(self.puts_success, now, f64::from(u8::from(stored > 0)), 1);
        metrics.add(self.puts_latency, now, CALL_MS, 1);
        metrics.add(self.puts_total, now, total as f64, 1);
        metrics.add(self.puts_successful, now, stored as f64, 1);
        metrics.add(self.puts_records, now, stored as f64, 1);
        metrics.add(self.puts_failed, now, (total - stored - throttled) as f64, 1);
        metrics.add(self.puts_throttled, now, throttled as f64, 1);
        if stored > 0 {
            metrics.add(self.puts_bytes, now, bytes as f64, 1);
            metrics.add(self.bytes, now, bytes as f64, 1);
            metrics.add(self.records, now, stored as f64, 1);
        }
        metrics.add(self.rejected, now, 1.0, throttled);
    }
}

/// One PutRecords call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BatchPut {
    pub total: u64,
    pub stored: u64,
    pub bytes: u64,
    pub throttled: u64,
}

fn sums(cohorts: &[Cohort]) -> (u64, u64) {
    let records = cohorts.iter().map(|cohort| u64::from(cohort.count)).sum();
    let bytes = cohorts.iter().map(|cohort| u64::from(cohort.count) * u64::from(cohort.bytes_each)).sum();
    (records, bytes)
}

impl Shard {
    /// Counts puts into this shard, where that is switched on.
    pub(super) fn count_put_level(&self, now: i64, offered: u64, accepted: u64, bytes: u64, metrics: &mut MetricStore) {
        for (level, series) in &self.level {
            match level {
                Level::IncomingBytes => metrics.add(*series, now, bytes as f64, accepted),
                Level::IncomingRecords => metrics.add(*series, now, 1.0, accepted),
                Level::WriteExceeded => metrics.add(*series, now, 1.0, offered - accepted),
                _ => {}
            }
        }
    }

    fn count_read_level(&self, now: i64, answer: Option<(&[Cohort], i64)>, metrics: &mut MetricStore) {
        for (level, series) in &self.level {
            match (level, answer) {
                (Level::ReadExceeded, None) => metrics.add(*series, now, 1.0, 1),
                (Level::OutgoingBytes, Some((cohorts, _))) => metrics.add(*series, now, sums(cohorts).1 as f64, 1),
                (Level::OutgoingRecords, Some((cohorts, _))) => metrics.add(*series, now, sums(cohorts).0 as f64, 1),
                (Level::IteratorAge, Some((_, age))) => metrics.add(*series, now, age as f64, 1),
                _ => {}
            }
        }
    }
}

impl Stream {
    /// Gives every open shard the series that are switched on.
    pub(super) fn set_levels(&mut self, metrics: &mut MetricStore) {
        let (name, levels) = (self.name().to_owned(), self.levels.clone());
        for (number, shard) in self.shards_mut() {
            shard.level.clear();
            for (level, metric) in Level::ALL.iter().filter(|(level, _)| levels.contains(level)) {
                let id = format!("shardId-{number:012}");
                let series = metrics.series(NAMESPACE, metric, &[("StreamName", &name), ("ShardId", &id)]);
                shard.level.insert(*level, series);
            }
        }
    }

    /// Counts one GetRecords call: `None` throttled, otherwise what it returned and the age it ended at.
    pub(super) fn count_read(&self, now: i64, shard: u32, answer: Option<(&[Cohort], i64)>, metrics: &mut MetricStore) {
        let series = &self.series;
        if let Some(shard) = self.shards().get(shard).filter(|shard| !shard.level.is_empty()) {
            shard.count_read_level(now, answer, metrics);
        }
        let Some((cohorts, age)) = answer else {
            metrics.add(series.read_exceeded, now, 1.0, 1);
            metrics.add(series.get_success, now, 0.0, 1);
            return;
        };
        let (records, bytes) = sums(cohorts);
        metrics.add(series.get_success, now, 1.0, 1);
        metrics.add(series.get_latency, now, CALL_MS, 1);
        metrics.add(series.get_age, now, age as f64, 1);
        metrics.add(series.get_records, now, records as f64, 1);
        metrics.add(series.get_bytes, now, bytes as f64, 1);
    }

    /// Counts one delivery to a fan-out consumer and how far behind it leaves it.
    pub(super) fn count_push(
        &self,
        now: i64,
        shard: u32,
        consumer: &str,
        answer: (&[Cohort], i64),
        metrics: &mut MetricStore,
    ) {
        let (cohorts, behind) = answer;
        let (records, bytes) = sums(cohorts);
        let dims = [("StreamName", self.name()), ("ConsumerName", consumer)];
        for (name, value) in [
            ("SubscribeToShardEvent.Success", 1),
            ("SubscribeToShardEvent.Records", records),
            ("SubscribeToShardEvent.Bytes", bytes),
            ("SubscribeToShardEvent.MillisBehindLatest", behind.max(0) as u64),
        ] {
            let series = metrics.series(NAMESPACE, name, &dims);
            metrics.add(series, now, value as f64, 1);
        }
        if let Some(shard) = self.shards().get(shard) {
            shard.count_read_level(now, Some((cohorts, behind)), metrics);
        }
    }

    /// Counts a SubscribeToShard call that was answered or refused for its rate.
    pub(super) fn count_subscription(&self, now: i64, consumer: &str, accepted: bool, metrics: &mut MetricStore) {
        let name = if accepted { "SubscribeToShard.Success" } else { "SubscribeToShard.RateExceeded" };
        let series = metrics.series(NAMESPACE, name, &[("StreamName", self.name()), ("ConsumerName", consumer)]);
        metrics.add(series, now, 1.0, 1);
    }
}
