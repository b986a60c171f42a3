//! A Kinesis stream: shards with their limits, hash ranges and logs, uniform reshards, retention.
//!
//! A shard's log is a sequence of cohorts numbered by record, so a reader's position is one number.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

pub(super) use super::cohort::Cohort;
use super::cohort::WIRE_GROUP;
use super::config::ShardView;
use super::metrics::{MetricStore, SeriesId};
use super::numbered::Numbered;
use super::payload::Payload;
use super::producer::{Burst, Class};
use super::rng::Rng;
use super::stream_metrics::{Level, Series};
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
/// How long GetRecords is refused after a call that returned all of 10 MB (Kinesis quotas).
const AFTER_FULL_CALL_MS: i64 = 5_000;
/// Bytes one fan-out consumer gets from a shard in one second (Kinesis quotas: 2 MiB).
const PUSH_BYTES_PER_SECOND: u64 = 2_097_152;
/// Age at which a record reaches a fan-out consumer. Assumption: AWS gives "about 70 ms" as the average.
pub(in crate::twin) const PUSH_LATENCY_MS: i64 = 70;
/// Bytes of one PUT payload unit (Kinesis pricing: 25 KB).
pub(super) const PAYLOAD_UNIT: u64 = 25 * 1_024;
/// Age from which records that every reader has passed are kept by the minute instead of by the step.
const COALESCE_MS: i64 = 60_000;
/// How many cohorts from a log's end are looked at one by one.
const NEAR: usize = 4;
/// Weights of hash ranges add up to this.
const WHOLE: i64 = 1 << 32;
/// Where the hot partition key falls: inside the first shard's range whatever the count.
const HOT_HASH: u128 = 1 << 64;

/// Index of the first cohort with a record at or after a position. Readers are near the end of a log as a rule.
fn first_after(cohorts: &VecDeque<Cohort>, position: u64) -> usize {
    let newest = cohorts.iter().rev().take(NEAR).take_while(|cohort| cohort.end() > position).count();
    if newest < NEAR {
        return cohorts.len() - newest;
    }
    cohorts.partition_point(|cohort| cohort.end() <= position)
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
    /// No GetRecords before this moment.
    refused_until: i64,
    /// What each fan-out consumer may still be sent, by name.
    push_bytes: BTreeMap<String, Bucket>,
    /// Records that came over the wire, by number.
    payloads: BTreeMap<u64, Payload>,
    /// Bytes and records stored since the last look of on-demand scaling.
    lately: (u64, u64),
    /// The shard-level metrics that are switched on.
    pub(super) level: BTreeMap<Level, SeriesId>,
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
            refused_until: i64::MIN,
            push_bytes: BTreeMap::new(),
            payloads: BTreeMap::new(),
            lately: (0, 0),
            level: BTreeMap::new(),
        }
    }

    /// As ListShards shows it.
    pub(super) fn view(&self, number: u32) -> ShardView {
        let id = |number: u32| format!("shardId-{number:012}");
        ShardView {
            id: id(number),
            parents: self.parents.iter().copied().map(id).collect(),
            starting_hash: self.start,
            ending_hash: self.end,
            open: self.is_open(),
            created_ms: self.created,
            number,
            closed_ms: self.closed,
            tip: self.next,
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

    /// A new second has its whole allowance, less what a record above it still owes.
    fn turn_second(&mut self, now: i64) {
        let second = now.div_euclid(1_000);
        if second != self.second {
            let elapsed = second.saturating_sub(self.second).max(0) as u64;
            self.second_bytes = self.second_bytes.saturating_sub(elapsed.saturating_mul(BYTES_PER_SECOND));
            (self.second, self.second_records) = (second, 0);
        }
    }

    /// Whether this second leaves room for one more record of this size. A record above the limit of a second
    /// is let through when the second is untouched, and uses up the following ones.
    pub(super) fn admits(&mut self, now: i64, bytes: u64) -> bool {
        self.turn_second(now);
        let fits = self.second_bytes + bytes <= BYTES_PER_SECOND || self.second_bytes == 0;
        self.second_records < RECORDS_PER_SECOND && fits
    }

    /// Stores one record of the wire, after [`Self::admits`]; returns its number.
    pub(super) fn store(&mut self, now: i64, payload: Payload) -> u64 {
        let bytes_each = payload.bytes();
        let number = self.next;
        self.second_records += 1;
        self.second_bytes += u64::from(bytes_each);
        self.lately.0 += u64::from(bytes_each);
        self.lately.1 += 1;
        self.log.push_back(Cohort {
            seq: number,
            at: now,
            group: WIRE_GROUP,
            class: Class::Keyed(payload.key_hash()),
            count: 1,
            bytes_each,
        });
        self.payloads.insert(number, payload);
        self.next += 1;
        number
    }

    /// What a record carries, when it came over the wire and is still kept.
    pub(super) fn payload(&self, number: u64) -> Option<&Payload> {
        self.payloads.get(&number)
    }

    /// Memory its payloads take.
    pub(super) fn payload_memory(&self) -> u64 {
        self.payloads.values().map(Payload::memory).sum()
    }

    /// When the record at this position, or the first one after it, arrived.
    pub(super) fn arrival(&self, position: u64) -> Option<i64> {
        let (old, index) = (first_after(&self.old, position), first_after(&self.log, position));
        self.old.get(old).or_else(|| self.log.get(index)).map(|cohort| cohort.at)
    }

    /// The hash keys it takes, both inclusive.
    pub(super) fn range(&self) -> (u128, u128) {
        (self.start, self.end)
    }

    /// What a fan-out consumer is sent from this position, at most `limit` records: nothing younger than the
    /// delivery latency, and no more than its own pipe carries.
    pub(super) fn push_records(&mut self, now: i64, consumer: &str, from: u64, limit: u64) -> Vec<Cohort> {
        let pipe = self.push_bytes.entry(consumer.to_owned());
        let pipe = pipe.or_insert_with(|| Bucket::full(PUSH_BYTES_PER_SECOND, 1, now));
        let room = pipe.available(now);
        if room == 0 {
            return Vec::new();
        }
        let (taken, bytes) = self.collect(from, limit.min(CALL_RECORDS), room, now - PUSH_LATENCY_MS);
        if let Some(pipe) = self.push_bytes.get_mut(consumer) {
            pipe.take(bytes * 1_000);
        }
        taken
    }

    /// Records from a position on that arrived until `until`, with their bytes.
    fn collect(&self, from: u64, mut records: u64, bytes: u64, until: i64) -> (Vec<Cohort>, u64) {
        let (old, log) = (first_after(&self.old, from), first_after(&self.log, from));
        let mut left_bytes = bytes;
        let mut taken = Vec::new();
        for cohort in self.old.range(old..).chain(self.log.range(log..)).take_while(|cohort| cohort.at <= until) {
            let passed = from.saturating_sub(cohort.seq);
            let left = u64::from(cohort.count) - passed;
            let mut count = left.min(records).min(left_bytes / u64::from(cohort.bytes_each.max(1)));
            if count == 0 && taken.is_empty() && records > 0 {
                // A record above the limit of a call is returned alone.
                count = 1;
            }
            if count > 0 {
                records -= count;
                left_bytes = left_bytes.saturating_sub(count * u64::from(cohort.bytes_each));
                taken.push(Cohort { seq: cohort.seq + passed, count: count as u32, ..*cohort });
            }
            if count < left || records == 0 {
                break;
            }
        }
        let sum = taken.iter().map(|cohort| u64::from(cohort.count) * u64::from(cohort.bytes_each)).sum();
        (taken, sum)
    }

    /// Stores what this second's limits leave room for; returns how many were accepted.
    fn put(&mut self, now: i64, burst: Burst, bytes_each: u32) -> u64 {
        self.turn_second(now);
        let by_records = RECORDS_PER_SECOND.saturating_sub(self.second_records);
        let by_bytes = BYTES_PER_SECOND.saturating_sub(self.second_bytes) / u64::from(bytes_each.max(1));
        let accepted = u64::from(burst.count).min(by_records).min(by_bytes);
        if accepted > 0 {
            self.second_records += accepted;
            self.second_bytes += accepted * u64::from(bytes_each);
            self.lately.0 += accepted * u64::from(bytes_each);
            self.lately.1 += accepted;
            let Burst { group, class, .. } = burst;
            self.log.push_back(Cohort { seq: self.next, at: now, group, class, count: accepted as u32, bytes_each });
            self.next += accepted;
        }
        accepted
    }

    fn put_counted(&mut self, now: i64, burst: Burst, bytes_each: u32, metrics: &mut MetricStore) -> u64 {
        let accepted = self.put(now, burst, bytes_each);
        if !self.level.is_empty() {
            self.count_put_level(now, u64::from(burst.count), accepted, u64::from(bytes_each), metrics);
        }
        accepted
    }

    /// One GetRecords call from this position, at most `limit` records; `None` when it is throttled.
    pub(super) fn get_records(&mut self, now: i64, from: u64, limit: u64) -> Option<Vec<Cohort>> {
        if now < self.refused_until || !self.read_calls.admits(now) || !self.read_bytes.admits(now) {
            return None;
        }
        self.read_calls.take(1_000);
        let (taken, bytes) = self.collect(from, limit.min(CALL_RECORDS), CALL_BYTES, i64::MAX);
        self.read_bytes.take(bytes * 1_000);
        let largest = taken.last().map_or(1, |cohort| u64::from(cohort.bytes_each));
        if bytes + largest > CALL_BYTES {
            self.refused_until = now + AFTER_FULL_CALL_MS;
        }
        Some(taken)
    }

    fn expire(&mut self, before: i64) {
        while self.old.front().is_some_and(|cohort| cohort.at <= before) {
            self.old.pop_front();
        }
        while self.old.is_empty() && self.log.front().is_some_and(|cohort| cohort.at <= before) {
            self.log.pop_front();
        }
        if !self.payloads.is_empty() {
            self.payloads = self.payloads.split_off(&self.base());
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

/// A stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stream {
    retention_ms: i64,
    shards: Numbered<Shard>,
    next_shard: u32,
    pub(super) series: Series,
    /// Shard-level metrics that are switched on.
    pub(super) levels: BTreeSet<Level>,
    name: String,
}

impl Stream {
    /// A stream with even shards.
    pub(super) fn new(name: &str, shards: u32, retention_hours: u32, metrics: &mut MetricStore, now: i64) -> Self {
        let series = Series::new(metrics, name);
        let mut stream = Self {
            retention_ms: 0,
            shards: Numbered::default(),
            next_shard: 0,
            series,
            levels: BTreeSet::new(),
            name: name.to_owned(),
        };
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
    pub(super) fn shards(&self) -> &Numbered<Shard> {
        &self.shards
    }

    /// All shards, to be changed.
    pub(super) fn shards_mut(&mut self) -> impl Iterator<Item = (u32, &mut Shard)> {
        self.shards.iter_mut()
    }

    /// One shard.
    pub(super) fn shard_mut(&mut self, number: u32) -> Option<&mut Shard> {
        self.shards.get_mut(number)
    }

    /// Closes the open shards and opens `target` even ones.
    pub(super) fn reshard(&mut self, target: u32, now: i64) {
        let mut parents = Vec::new();
        for (number, shard) in self.shards.iter_mut() {
            if shard.is_open() {
                shard.closed = Some(now);
                parents.push((number, shard.start, shard.end));
            }
        }
        self.open(target, &parents, now);
    }

    /// Closes a shard and opens two in its place; the second begins at `second_start`.
    pub(super) fn split(&mut self, number: u32, second_start: u128, now: i64) -> bool {
        let Some(shard) = self.shards.get_mut(number).filter(|shard| shard.is_open()) else { return false };
        let (start, end) = shard.range();
        if second_start <= start || second_start > end {
            return false;
        }
        shard.closed = Some(now);
        self.add(Shard::new(vec![number], start, second_start - 1, now));
        self.add(Shard::new(vec![number], second_start, end, now));
        true
    }

    /// Closes two shards with adjacent ranges and opens one in their place.
    pub(super) fn merge(&mut self, number: u32, adjacent: u32, now: i64) -> bool {
        let range = |number| self.shards.get(number).filter(|shard| shard.is_open()).map(Shard::range);
        let (Some(one), Some(other)) = (range(number), range(adjacent)) else { return false };
        for closed in [number, adjacent] {
            if let Some(shard) = self.shards.get_mut(closed) {
                shard.closed = Some(now);
            }
        }
        self.add(Shard::new(vec![number, adjacent], one.0.min(other.0), one.1.max(other.1), now));
        true
    }

    /// The open shards that stored more than this a second since the last look.
    pub(super) fn busy(&mut self, seconds: u64, bytes: u64, records: u64) -> Vec<u32> {
        let mut busy = Vec::new();
        for (number, shard) in self.shards.iter_mut() {
            let (stored_bytes, stored_records) = std::mem::take(&mut shard.lately);
            let above = stored_bytes > bytes * seconds || stored_records > records * seconds;
            if shard.is_open() && above {
                busy.push(number);
            }
        }
        busy
    }

    /// The open shard that takes this hash key.
    pub(super) fn shard_of(&self, hash: u128) -> Option<u32> {
        let takes = |shard: &Shard| shard.is_open() && shard.start <= hash && hash <= shard.end;
        self.shards.iter().find(|(_, shard)| takes(shard)).map(|(number, _)| number)
    }

    /// A fan-out consumer is gone.
    pub(super) fn forget_consumer(&mut self, consumer: &str) {
        for shard in self.shards.values_mut() {
            shard.push_bytes.remove(consumer);
        }
    }

    /// Memory its payloads take.
    pub(super) fn payload_memory(&self) -> u64 {
        self.shards.values().map(Shard::payload_memory).sum()
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn add(&mut self, shard: Shard) {
        self.shards.insert(self.next_shard, shard);
        self.next_shard += 1;
    }

    fn open(&mut self, count: u32, parents: &[(u32, u128, u128)], now: i64) {
        let count = u128::from(count.max(1));
        let width = u128::MAX / count;
        for index in 0..count {
            let start = width * index;
            let end = if index + 1 == count { u128::MAX } else { width * (index + 1) - 1 };
            let overlapping = parents.iter().filter(|(_, first, last)| *first <= end && start <= *last);
            let shard = Shard::new(overlapping.map(|(number, ..)| *number).collect(), start, end, now);
            self.add(shard);
        }
    }

    /// Views in the order of their ids.
    pub(super) fn views(&self) -> Vec<ShardView> {
        self.shards.iter().map(|(number, shard)| shard.view(number)).collect()
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
            let hot = self
                .shards
                .values_mut()
                .find(|shard| shard.is_open() && shard.start <= HOT_HASH && shard.end >= HOT_HASH);
            hot.map_or(0, |shard| shard.put_counted(now, burst, bytes_each, metrics))
        } else {
            let parts = self.spread(burst.count, random);
            let open = self.shards.values_mut().filter(|shard| shard.is_open());
            open.zip(parts)
                .map(|(shard, count)| shard.put_counted(now, Burst { count, ..burst }, bytes_each, metrics))
                .sum()
        };
        let offered = u64::from(burst.count);
        totals.count(offered, accepted, bytes_each.into());
        self.series.count_puts(now, offered, accepted, u64::from(bytes_each), metrics);
    }

    /// How many of `count` records go to each open shard, in their order. The parts add up to `count`; what
    /// rounding takes from a shard it gets back later.
    fn spread(&mut self, count: u32, random: Option<&mut Rng>) -> Vec<u32> {
        let weight = |shard: &Shard| {
            let end = shard.end.checked_add(1).map_or(WHOLE, |end| (end >> 96) as i64);
            end - (shard.start >> 96) as i64
        };
        let weights: Vec<i64> = self.shards.values().filter(|shard| shard.is_open()).map(weight).collect();
        if let Some(rng) = random {
            let open = self.shards.values().filter(|shard| shard.is_open());
            let mut starts: Vec<(i64, usize)> =
                open.zip(0..).map(|(shard, at)| ((shard.start >> 96) as i64, at)).collect();
            starts.sort_unstable();
            let mut parts = vec![0; starts.len()];
            for _ in 0..count {
                let hash = (rng.next() >> 32) as i64;
                let index = starts.partition_point(|(start, _)| *start <= hash).saturating_sub(1);
                if let Some(part) = starts.get(index).and_then(|(_, at)| parts.get_mut(*at)) {
                    *part += 1;
                }
            }
            return parts;
        }
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

    /// Drops what has outlived the retention. (Enforced each minute: an assumption.)
    pub(super) fn expire(&mut self, now: i64) {
        let before = now - self.retention_ms;
        self.shards.values_mut().for_each(|shard| shard.expire(before));
    }

    /// Keeps old records that every reader has passed in a coarser form. `passed` by shard.
    pub(super) fn coalesce(&mut self, now: i64, passed: &BTreeMap<u32, u64>) {
        for (number, shard) in self.shards.iter_mut() {
            shard.coalesce(now - COALESCE_MS, passed.get(&number).copied().unwrap_or(u64::MAX));
        }
    }

    /// Forgets closed shards that hold nothing any more and that no reader needs.
    pub(super) fn forget(&mut self, now: i64, needed: impl Fn(u32) -> bool) {
        let retention = self.retention_ms;
        self.shards.retain(|number, shard| {
            shard.closed.is_none_or(|closed| closed + retention > now) || shard.base() < shard.next || needed(number)
        });
    }
}
