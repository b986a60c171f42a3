//! The data plane as clients of the wire use it: put a record, read a shard, be sent a shard.
//!
//! Wire records count in the same totals and against the same limits as simulated ones.

use super::Plane;
use super::payload::Payload;
use super::stream::{Cohort, PUSH_LATENCY_MS, Shard};
use super::stream_metrics::BatchPut;

/// Memory that payloads of wire records may take in the account. Ours, not AWS's: it bounds the twin.
const PAYLOAD_MEMORY: u64 = 128 * 1_048_576;

/// Where a reader begins in a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::twin) enum Position {
    /// The oldest record kept.
    TrimHorizon,
    /// The next record to arrive.
    Latest,
    /// The first record at or after this moment, in epoch milliseconds.
    At(i64),
}

/// Why a record was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::twin) enum PutRefused {
    /// A limit of its shard.
    Throttled(u32),
    /// The twin's memory for payloads is used up.
    Memory,
}

/// A record as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::twin) struct Received {
    /// Position in its shard.
    pub position: u64,
    /// Arrival in epoch milliseconds.
    pub at_ms: i64,
    /// Partition key.
    pub key: String,
    /// Data.
    pub data: Vec<u8>,
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::twin) struct Reading {
    /// The records, oldest first.
    pub records: Vec<Received>,
    /// The position after them.
    pub next: u64,
    /// How old what was read last is; 0 at the tip.
    pub behind_ms: i64,
    /// The shard is closed and read to its end.
    pub ended: bool,
}

impl Plane {
    /// Puts one record. The shard is that of the hash key; its number and the record's position come back.
    pub(in crate::twin) fn put_record(
        &mut self,
        stream: &str,
        hash: u128,
        key: &str,
        data: Vec<u8>,
    ) -> Result<(u32, u64), PutRefused> {
        let now = self.now_ms;
        let payload = Payload { key: key.to_owned(), data };
        let bytes = u64::from(payload.bytes());
        let memory = payload.memory();
        let full = self.payload_bytes + memory > PAYLOAD_MEMORY;
        let (Some(found), Some(totals)) = (self.streams.get_mut(stream), self.totals.streams.get_mut(stream)) else {
            return Err(PutRefused::Memory);
        };
        let number = found.shard_of(hash).ok_or(PutRefused::Memory)?;
        let shard = found.shard_mut(number).ok_or(PutRefused::Memory)?;
        if full {
            totals.count(1, 0, bytes);
            return Err(PutRefused::Memory);
        }
        let admitted = shard.admits(now, bytes);
        shard.count_put_level(now, 1, u64::from(admitted), bytes, &mut self.metrics);
        totals.count(1, u64::from(admitted), bytes);
        if !admitted {
            return Err(PutRefused::Throttled(number));
        }
        self.payload_bytes += memory;
        let position = shard.store(now, payload);
        for (id, mapping) in self.mappings.iter_mut() {
            if mapping.config.consumer.is_some() && mapping.config.stream == stream {
                mapping.expect_push(id, now, &self.streams, &mut self.agenda);
            }
        }
        Ok((number, position))
    }

    /// Counts a PutRecord call in the metrics.
    pub(in crate::twin) fn count_put(&mut self, stream: &str, bytes: u64, accepted: bool) {
        if let Some(stream) = self.streams.get(stream) {
            stream.series.count_puts(self.now_ms, 1, u64::from(accepted), bytes, &mut self.metrics);
        }
    }

    /// Counts a PutRecords call in the metrics: its records, those stored, their bytes, those throttled.
    pub(in crate::twin) fn count_batch(&mut self, stream: &str, total: u64, stored: u64, bytes: u64, throttled: u64) {
        if let Some(stream) = self.streams.get(stream) {
            let batch = BatchPut { total, stored, bytes, throttled };
            stream.series.count_batch(self.now_ms, batch, &mut self.metrics);
        }
    }

    /// The position in a shard, when the shard is known.
    pub(in crate::twin) fn position(&self, stream: &str, shard: u32, from: Position) -> Option<u64> {
        let shard = self.streams.get(stream)?.shards().get(shard)?;
        Some(match from {
            Position::TrimHorizon => shard.base(),
            Position::Latest => shard.tip(),
            Position::At(moment) => shard.position_at(moment),
        })
    }

    /// One GetRecords call; `None` when the shard's limits refuse it.
    pub(in crate::twin) fn read(&mut self, stream: &str, number: u32, from: u64, limit: u64) -> Option<Reading> {
        let now = self.now_ms;
        let stream_name = stream;
        let stream = self.streams.get_mut(stream_name)?;
        let shard = stream.shard_mut(number)?;
        let from = from.max(shard.base());
        let Some(cohorts) = shard.get_records(now, from, limit) else {
            stream.count_read(now, number, None, &mut self.metrics);
            if let Some(totals) = self.totals.streams.get_mut(stream_name) {
                totals.read_throttles += 1;
            }
            return None;
        };
        let reading = reading(shard, &cohorts, from, now);
        stream.count_read(now, number, Some((&cohorts, reading.behind_ms)), &mut self.metrics);
        Some(reading)
    }

    /// What a fan-out consumer is sent from this position; `None` when the shard is gone.
    pub(in crate::twin) fn push(&mut self, stream: &str, number: u32, consumer: &str, from: u64) -> Option<Reading> {
        let now = self.now_ms;
        let stream = self.streams.get_mut(stream)?;
        let shard = stream.shard_mut(number)?;
        let from = from.max(shard.base());
        let cohorts = shard.push_records(now, consumer, from, u64::MAX);
        let reading = reading(shard, &cohorts, from, now);
        if !cohorts.is_empty() {
            stream.count_push(now, number, consumer, (&cohorts, reading.behind_ms), &mut self.metrics);
        }
        Some(reading)
    }

    /// When the next record for a fan-out consumer at this position is old enough to be sent, in epoch
    /// milliseconds; `None` when none waits.
    pub(in crate::twin) fn push_due(&self, stream: &str, number: u32, from: u64) -> Option<i64> {
        let shard = self.streams.get(stream)?.shards().get(number)?;
        if from >= shard.tip() { None } else { Some(shard.arrival(from)? + PUSH_LATENCY_MS) }
    }

    /// Counts a SubscribeToShard call in the metrics.
    pub(in crate::twin) fn count_subscription(&mut self, stream: &str, consumer: &str, accepted: bool) {
        if let Some(stream) = self.streams.get(stream) {
            stream.count_subscription(self.now_ms, consumer, accepted, &mut self.metrics);
        }
    }
}

fn reading(shard: &Shard, cohorts: &[Cohort], from: u64, now: i64) -> Reading {
    let next = cohorts.last().map_or(from, |cohort| cohort.seq + u64::from(cohort.count));
    let caught_up = next >= shard.tip();
    let last = cohorts.last().map(|cohort| cohort.at).or_else(|| shard.arrival(next));
    let mut records = Vec::new();
    for cohort in cohorts {
        for position in cohort.seq..cohort.seq + u64::from(cohort.count) {
            let payload = shard.payload(position).cloned().unwrap_or_else(|| Payload::made_up(cohort, position));
            records.push(Received { position, at_ms: cohort.at, key: payload.key, data: payload.data });
        }
    }
    Reading {
        records,
        next,
        behind_ms: last.filter(|_| !caught_up).map_or(0, |at| now - at),
        ended: caught_up && !shard.is_open(),
    }
}
