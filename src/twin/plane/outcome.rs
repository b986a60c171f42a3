//! What becomes of a batch when its invocation has ended: delivered, tried again whole or in parts, or given up.
//!
//! A failed batch is retried whole. Requests it made before it failed are not undone.

use super::config::MappingConfig;
use super::function::Function;
use super::function::Invocation;
use super::invoke::{End, RETRY_MS};
use super::metrics::MetricStore;
use super::producer::Class;
use super::reader::{Batch, EventSeries, Slot};
use super::rng::Rng;
use super::stream::{Cohort, Shard};
use super::totals::MappingTotals;
use super::{Delivery, Event, LastResult, Plane};

/// Where records end that are given up.
pub(super) struct Sink<'a> {
    pub config: &'a MappingConfig,
    pub events: Option<EventSeries>,
    pub rng: &'a mut Rng,
    pub function: Option<&'a Function>,
    pub metrics: &'a mut MetricStore,
}

impl Sink<'_> {
    /// Gives records up: to the on-failure destination, when there is one and the delivery succeeds.
    pub(super) fn take(&mut self, count: u64, now: i64, totals: &mut MappingTotals) {
        if count == 0 {
            return;
        }
        totals.dropped += count;
        let mut delivered = self.config.on_failure;
        if delivered && let Some(function) = self.function {
            let failing = (function.in_phase(function.phase(now)).destination_error_rate * 1_000_000.0).round() as u64;
            if failing > 0 && self.rng.below(1_000_000) < failing {
                delivered = false;
                self.metrics.add(function.series.destination_failures, now, 1.0, 1);
            }
        }
        if delivered {
            totals.on_failure += count;
        }
        if let Some(events) = self.events {
            let series = if delivered { events.on_failure } else { events.dropped };
            self.metrics.add(series, now, count as f64, 1);
        }
    }
}

impl Plane {
    /// Settles the batch of an invocation that has ended.
    pub(super) fn settle_batch(&mut self, id: u64, invocation: &Invocation, end: End) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(invocation.mapping) else { return };
        let config = &mapping.config;
        let reader = mapping.readers.get_mut(invocation.shard);
        let slot = reader.and_then(|reader| reader.slots.get_mut(invocation.slot as usize));
        let Some(slot) = slot.filter(|slot| slot.batch.as_ref().and_then(|batch| batch.running) == Some(id)) else {
            return;
        };
        let Some(mut batch) = slot.batch.take() else { return };
        let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) else { return };
        totals.invocations += 1;
        batch.running = None;
        let failed = !matches!(end, End::Success | End::Partial(_));
        mapping.last = if failed { LastResult::Failed } else { LastResult::Ok };
        if let Some(events) = mapping.events.filter(|_| failed) {
            self.metrics.add(events.failed, now, batch.count as f64, 1);
        }
        if let End::Partial(done) = end {
            let done = done.min(batch.count);
            totals.delivered += done;
            if done > 0 {
                // The checkpoint has moved: attempts count from there. Assumption.
                let (head, rest) = split(batch.pieces, done);
                note(&mut self.deliveries, mapping.uuid.as_ref(), invocation, &head, now);
                batch = Batch { count: batch.count - done, pieces: rest, ..Batch::default() };
                batch.attempts = -1;
            }
        }
        if end == End::Success {
            totals.delivered += batch.count;
            note(&mut self.deliveries, mapping.uuid.as_ref(), invocation, &batch.pieces, now);
            if batch.closing {
                slot.window = None;
            }
        } else if config.bisect && batch.count > 1 && batch.attempts >= 0 {
            slot.batch = Some(first_half(batch, slot));
        } else {
            batch.attempts += 1;
            if config.max_retries >= 0 && batch.attempts > config.max_retries {
                let function = self.functions.at(mapping.function);
                let metrics = &mut self.metrics;
                let mut sink = Sink { config, events: mapping.events, rng: &mut mapping.rng, function, metrics };
                sink.take(batch.count, now, totals);
                if batch.closing {
                    slot.window = None;
                }
            } else {
                slot.batch = Some(batch);
            }
        }
        if slot.batch.is_some() {
            let wake = now + RETRY_MS;
            slot.wake = Some(wake);
            self.agenda.add(wake, Event::Wake(invocation.mapping, invocation.shard));
        }
        // A closed shard may be drained now although the mapping is paused.
        let stream = self.streams.at(mapping.stream);
        if !stream.and_then(|stream| stream.shards().get(invocation.shard)).is_some_and(Shard::is_open) {
            self.settle(invocation.mapping);
        }
    }
}

/// Keeps what was delivered, when somebody wants to know.
fn note(
    kept: &mut Option<Vec<Delivery>>,
    mapping: Option<&String>,
    invocation: &Invocation,
    pieces: &[Cohort],
    now: i64,
) {
    let (Some(kept), Some(mapping)) = (kept, mapping) else { return };
    kept.extend(pieces.iter().map(|piece| Delivery {
        mapping: mapping.clone(),
        shard: invocation.shard,
        first: piece.seq,
        count: piece.count,
        hot: piece.class == Class::Hot,
        arrived_ms: piece.at,
        sent_ms: invocation.started,
        done_ms: now,
    }));
}

/// Parts a batch after so many records.
fn split(pieces: Vec<Cohort>, mut first: u64) -> (Vec<Cohort>, Vec<Cohort>) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for piece in pieces {
        let count = u64::from(piece.count).min(first) as u32;
        first -= u64::from(count);
        if count > 0 {
            head.push(Cohort { count, ..piece });
        }
        if count < piece.count {
            tail.push(Cohort { seq: piece.seq + u64::from(count), count: piece.count - count, ..piece });
        }
    }
    (head, tail)
}

/// Splits a failed batch: its first half is tried alone, the rest goes back to the front of the queue.
fn first_half(batch: Batch, slot: &mut Slot) -> Batch {
    let count = (batch.count / 2).max(1);
    let (pieces, rest) = split(batch.pieces, count);
    slot.push_front(rest);
    Batch { pieces, count, attempts: batch.attempts, ..Batch::default() }
}
