//! A Kinesis stream: shards with their limits, hash ranges and logs, uniform reshards, retention.
//!
//! A shard's log is a sequence of cohorts numbered by record, so a reader's position is one number.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::config::ShardView;
use super::metrics::{MINUTE_MS, MetricStore, SeriesId, Stat};
use super::producer::{Burst, Class};
use super::rng::Rng;
use super::table::Bucket;
use super::totals::StreamTotals;

/// Records a shard takes in one second (Kinesis quotas). Counted per whole second: an assumption.
const RECORDS_PER_SECOND: u64 = 1_000;
/// Bytes a shard takes in one second (Kinesis quotas: 1 MiB).
const BYTES_PER_SECOND: u64 = 1_048_576;
/// Bytes all shared readers of a shard get in one second (Kinesis quotas: 2 MiB).
const READ_BYTES_PER_SECOND: u64 = 2_097_152;
/// GetRecords calls a second on one shard, all shared readers together (Kinesis quotas).
pub(super) const CALLS_PER_SECOND: u64 = 5;
/// Records of one GetRecords call (API reference).
pub(super) const CALL_RECORDS: u64 = 10_000;
/// Bytes of one GetRecords call (API reference: 10 MB).
const CALL_BYTES: u64 = 10_485_760;
/// Bytes of one PUT payload unit (Kinesis pricing: 25 KB).
const PAYLOAD_UNIT: u64 = 25 * 1_024;
/// Age from which records that every reader has passed are kept by the minute instead of by the step.
const COALESCE_MS: i64 = 300_000;
/// Weights of hash ranges add up to this.
const WHOLE: i64 = 1 << 32;
/// Where the hot partition key falls: inside the first shard's range whatever the count.
const HOT_HASH: u128 = 1 << 64;

/// Records of one kind that arrived together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

impl Cohort {
    fn end(&self) -> u64 {
        self.seq + u64::from(self.count)
    }

    fn continues(&self, before: &Self) -> bool {
        self.at / MINUTE_MS == before.at / MINUTE_MS
            && (self.group, self.class, self.bytes_each) == (before.group, before.class, before.bytes_each)
    }
}

/// A shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shard {
    parents: Vec<u32>,
    start: u128,
    end: u128,
    created: i64,
    closed: Option<i64>,
    /// Old cohorts that every reader has passed, one per minute and kind.
    old: VecDeque<Cohort>,
    log: VecDeque<Cohort>,
    /// Number of the next record.
    next: u64,
    carry: i64,
    second: i64,
    second_records: u64,
    second_bytes: u64,
    read_bytes: Bucket,
    read_calls: Bucket,
}

impl Shard {
    fn new(parents: Vec<u32>, start: u128, end: u128, now: i64) -> Self {
        Self {
            parents,
            start,
            end,
            created: now,
            closed: None,
            old: VecDeque::new(),
            log: VecDeque::new(),
            next: 0,
            carry: 0,
            second: 0,
            second_records: 0,
            second_bytes: 0,
            read_bytes: Bucket::full(READ_BYTES_PER_SECOND, 1, now),
            read_calls: Bucket::full(CALLS_PER_SECOND, 1, now),
        }
    }

    /// Whether it takes records.
    pub(super) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The shards it was made from.
    pub(super) fn parents(&self) -> &[u32] {
        &self.parents
    }

    /// Number of the next record to arrive.
    pub(super) fn tip(&self) -> u64 {
        self.next
    }

    /// Number of the oldest record still kept.
    pub(super) fn base(&self) -> u64 {
        self.old.front().or_else(|| self.log.front()).map_or(self.next, |cohort| cohort.seq)
    }

    /// Number of the first record at or after a moment.
    pub(super) fn position_at(&self, moment: i64) -> u64 {
        self.old.iter().chain(&self.log).find(|cohort| cohort.at >= moment).map_or(self.next, |cohort| cohort.seq)
    }

    /// Stores what this second's limits leave room for; returns how many were accepted.
    fn put(&mut self, now: i64, burst: Burst, bytes_each: u32) -> u64 {
        let second = now.div_euclid(1_000);
        if second != self.second {
            (self.second, self.second_records, self.second_bytes) = (second, 0, 0);
        }
        let by_records = RECORDS_PER_SECOND.saturating_sub(self.second_records);
        let by_bytes = BYTES_PER_SECOND.saturating_sub(self.second_bytes) / u64::from(bytes_each.max(1));
        let accepted = u64::from(burst.count).min(by_records).min(by_bytes);
        if accepted > 0 {
            self.second_records += accepted;
            self.second_bytes += accepted * u64::from(bytes_each);
            let Burst { group, class, .. } = burst;
            self.log.push_back(Cohort { seq: self.next, at: now, group, class, count: accepted as u32, bytes_each });
            self.next += accepted;
        }
        accepted
    }

    /// One GetRecords call from this position, at most `limit` records; `None` when it is throttled.
    pub(super) fn get_records(&mut self, now: i64, from: u64, limit: u64) -> Option<Vec<Cohort>> {
        if !self.read_calls.admits(now) || !self.read_bytes.admits(now) {
            return None;
        }
        self.read_calls.take(1_000);
        let old = self.old.partition_point(|cohort| cohort.end() <= from);
        let log = self.log.partition_point(|cohort| cohort.end() <= from);
        let (mut records, mut bytes) = (limit.min(CALL_RECORDS), CALL_BYTES);
        let mut taken = Vec::new();
        for cohort in self.old.range(old..).chain(self.log.range(log..)) {
            let passed = from.saturating_sub(cohort.seq);
            let left = u64::from(cohort.count) - passed;
            let count = left.min(records).min(bytes / u64::from(cohort.bytes_each.max(1)));
            if count > 0 {
                records -= count;
                bytes -= count * u64::from(cohort.bytes_each);
                taken.push(Cohort { seq: cohort.seq + passed, count: count as u32, ..*cohort });
            }
            if count < left || records == 0 {
                break;
            }
        }
        self.read_bytes.take((CALL_BYTES - bytes) * 1_000);
        Some(taken)
    }

    fn expire(&mut self, before: i64) {
        while self.old.front().is_some_and(|cohort| cohort.at <= before) {
            self.old.pop_front();
        }
        while self.old.is_empty() && self.log.front().is_some_and(|cohort| cohort.at <= before) {
            self.log.pop_front();
        }
    }

    fn coalesce(&mut self, before: i64, passed: u64) {
        while let Some(cohort) = self.log.front().copied().filter(|cohort| cohort.at < before && cohort.end() <= passed)
        {
            self.log.pop_front();
            match self.old.back_mut() {
                Some(last) if cohort.continues(last) => {
                    last.count += cohort.count;
                    last.at = cohort.at;
                }
                _ => self.old.push_back(cohort),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Series {
    records: SeriesId,
    bytes: SeriesId,
    rejected: SeriesId,
    put_success: SeriesId,
    read_exceeded: SeriesId,
    get_age: SeriesId,
    get_records: SeriesId,
    get_bytes: SeriesId,
    get_success: SeriesId,
}

impl Series {
    fn new(metrics: &mut MetricStore, stream: &str) -> Self {
        let mut series = |name: &str| metrics.series("AWS/Kinesis", name, &[("StreamName", stream)]);
        Self {
            records: series("IncomingRecords"),
            bytes: series("IncomingBytes"),
            rejected: series("WriteProvisionedThroughputExceeded"),
            put_success: series("PutRecord.Success"),
            read_exceeded: series("ReadProvisionedThroughputExceeded"),
            get_age: series("GetRecords.IteratorAgeMilliseconds"),
            get_records: series("GetRecords.Records"),
            get_bytes: series("GetRecords.Bytes"),
            get_success: series("GetRecords.Success"),
        }
    }
}

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    retention_ms: i64,
    shards: BTreeMap<u32, Shard>,
    next_shard: u32,
    series: Series,
}

impl Stream {
    /// A stream with even shards.
    pub(super) fn new(name: &str, shards: u32, retention_hours: u32, metrics: &mut MetricStore, now: i64) -> Self {
        let series = Series::new(metrics, name);
        let mut stream = Self { retention_ms: 0, shards: BTreeMap::new(), next_shard: 0, series };
        stream.set_retention(retention_hours);
        stream.open(shards, &[], now);
        stream
    }

    /// Retention in milliseconds.
    pub(super) fn retention_ms(&self) -> i64 {
        self.retention_ms
    }

    /// Changes the retention.
    pub(super) fn set_retention(&mut self, hours: u32) {
        self.retention_ms = i64::from(hours) * 3_600_000;
    }

    /// All shards that are open or still hold something.
    pub(super) fn shards(&self) -> &BTreeMap<u32, Shard> {
        &self.shards
    }

    /// One shard.
    pub(super) fn shard_mut(&mut self, number: u32) -> Option<&mut Shard> {
        self.shards.get_mut(&number)
    }

    /// Closes the open shards and opens `target` even ones.
    pub(super) fn reshard(&mut self, target: u32, now: i64) {
        let mut parents = Vec::new();
        for (number, shard) in &mut self.shards {
            if shard.is_open() {
                shard.closed = Some(now);
                parents.push((*number, shard.start, shard.end));
            }
        }
        self.open(target, &parents, now);
    }

    fn open(&mut self, count: u32, parents: &[(u32, u128, u128)], now: i64) {
        let count = u128::from(count.max(1));
        let width = u128::MAX / count;
        for index in 0..count {
            let start = width * index;
            let end = if index + 1 == count { u128::MAX } else { width * (index + 1) - 1 };
            let overlapping = parents.iter().filter(|(_, first, last)| *first <= end && start <= *last);
            let shard = Shard::new(overlapping.map(|(number, ..)| *number).collect(), start, end, now);
            self.shards.insert(self.next_shard, shard);
            self.next_shard += 1;
        }
    }

    /// Views in the order of their ids.
    pub(super) fn views(&self) -> Vec<ShardView> {
        let id = |number: &u32| format!("shardId-{number:012}");
        let view = |(number, shard): (&u32, &Shard)| ShardView {
            id: id(number),
            parents: shard.parents.iter().map(id).collect(),
            starting_hash: shard.start,
            ending_hash: shard.end,
            open: shard.is_open(),
            created_ms: shard.created,
        };
        self.shards.iter().map(view).collect()
    }

    /// Puts records; each is one PutRecord call. `random` draws a key for each instead of spreading evenly.
    pub(super) fn put(
        &mut self,
        now: i64,
        burst: Burst,
        bytes_each: u32,
        random: Option<&mut Rng>,
        metrics: &mut MetricStore,
        totals: &mut StreamTotals,
    ) {
        let accepted: u64 = if burst.class == Class::Hot {
            let hot = self.shards.values_mut().find(|shard| shard.is_open() && shard.end >= HOT_HASH);
            hot.map_or(0, |shard| shard.put(now, burst, bytes_each))
        } else {
            let parts = self.spread(burst.count, random);
            let open = self.shards.values_mut().filter(|shard| shard.is_open());
            open.zip(parts).map(|(shard, count)| shard.put(now, Burst { count, ..burst }, bytes_each)).sum()
        };
        let offered = u64::from(burst.count);
        let bytes = u64::from(bytes_each);
        totals.offered += offered;
        totals.accepted += accepted;
        totals.rejected += offered - accepted;
        totals.accepted_bytes += accepted * bytes;
        totals.put_payload_units += accepted * bytes.div_ceil(PAYLOAD_UNIT);
        let series = self.series;
        metrics.add(series.put_success, now, 1.0, accepted);
        metrics.add(series.put_success, now, 0.0, offered - accepted);
        metrics.add(series.records, now, 1.0, accepted);
        metrics.add(series.bytes, now, bytes as f64, accepted);
        metrics.add(series.rejected, now, 1.0, offered - accepted);
    }

    /// How many of `count` records go to each open shard, in their order. The parts add up to `count`; what
    /// rounding takes from a shard it gets back later.
    fn spread(&mut self, count: u32, random: Option<&mut Rng>) -> Vec<u32> {
        let starts: Vec<i64> =
            self.shards.values().filter(|shard| shard.is_open()).map(|shard| (shard.start >> 96) as i64).collect();
        if let Some(rng) = random {
            let mut parts = vec![0; starts.len()];
            for _ in 0..count {
                let hash = (rng.next() >> 32) as i64;
                let index = starts.partition_point(|start| *start <= hash).saturating_sub(1);
                if let Some(part) = parts.get_mut(index) {
                    *part += 1;
                }
            }
            return parts;
        }
        let ends = starts.iter().skip(1).copied().chain([WHOLE]);
        let weights: Vec<i64> = starts.iter().zip(ends).map(|(start, end)| end - start).collect();
        let open = self.shards.values_mut().filter(|shard| shard.is_open());
        let mut parts: Vec<(&mut Shard, i64)> = Vec::with_capacity(weights.len());
        for (shard, weight) in open.zip(weights) {
            shard.carry += weight * i64::from(count);
            let part = shard.carry.div_euclid(WHOLE).max(0);
            shard.carry -= part * WHOLE;
            parts.push((shard, part));
        }
        let mut missing = i64::from(count) - parts.iter().map(|(_, part)| part).sum::<i64>();
        while missing != 0 {
            let give = missing > 0;
            let candidates = parts.iter_mut().filter(|(_, part)| give || *part > 0);
            let chosen = if give {
                candidates.rev().max_by_key(|(shard, _)| shard.carry)
            } else {
                candidates.rev().min_by_key(|(shard, _)| shard.carry)
            };
            let Some((shard, part)) = chosen else { break };
            let one = if give { 1 } else { -1 };
            *part += one;
            shard.carry -= one * WHOLE;
            missing -= one;
        }
        parts.into_iter().map(|(_, part)| part as u32).collect()
    }

    /// Counts one GetRecords call: `None` throttled, otherwise what it returned and the age it ended at.
    pub(super) fn count_read(&self, now: i64, answer: Option<(&[Cohort], i64)>, metrics: &mut MetricStore) {
        let series = self.series;
        let Some((cohorts, age)) = answer else {
            metrics.add(series.read_exceeded, now, 1.0, 1);
            metrics.add(series.get_success, now, 0.0, 1);
            return;
        };
        let one = |value: u64| Stat { sum: value as f64, min: value as f64, max: value as f64, count: 1 };
        let records = cohorts.iter().map(|cohort| u64::from(cohort.count)).sum();
        let bytes = cohorts.iter().map(|cohort| u64::from(cohort.count) * u64::from(cohort.bytes_each)).sum();
        metrics.add(series.get_success, now, 1.0, 1);
        metrics.add(series.get_age, now, age as f64, 1);
        metrics.merge(series.get_records, now, one(records));
        metrics.merge(series.get_bytes, now, one(bytes));
    }

    /// Drops what has outlived the retention. (Enforced each minute: an assumption.)
    pub(super) fn expire(&mut self, now: i64) {
        let before = now - self.retention_ms;
        self.shards.values_mut().for_each(|shard| shard.expire(before));
    }

    /// Keeps old records that every reader has passed in a coarser form. `passed` by shard.
    pub(super) fn coalesce(&mut self, now: i64, passed: &BTreeMap<u32, u64>) {
        for (number, shard) in &mut self.shards {
            shard.coalesce(now - COALESCE_MS, passed.get(number).copied().unwrap_or(u64::MAX));
        }
    }

    /// Forgets closed shards that hold nothing any more and that no reader needs.
    pub(super) fn forget(&mut self, now: i64, needed: impl Fn(u32) -> bool) {
        let retention = self.retention_ms;
        self.shards.retain(|number, shard| {
            shard.closed.is_none_or(|closed| closed + retention > now) || shard.base() < shard.next || needed(*number)
        });
    }
}
