//! Pollers: when a reader of a shard calls GetRecords, and what it does with the answer.
//!
//! Caught up it polls once a second; behind, as often as its share of the shard's call rate allows.

use super::outside::failing;
use super::reader::State;
use super::stream::{CALL_RECORDS, CALLS_PER_SECOND, Cohort, PUSH_LATENCY_MS};
use super::{Event, LastResult, Plane};
use crate::twin::world::StreamCall;

/// Base polling interval (Lambda guide: "at a base rate of once per second").
const BASE_MS: i64 = 1_000;
/// Shortest pause after a throttled GetRecords call; up to [`RETRY_SPREAD_MS`] more. Assumption.
const RETRY_MS: i64 = 200;
/// Records a mapping's poller asks for at least. Assumption: AWS does not publish how far it reads ahead; here
/// it asks for two batches per slot, or this if that is more, within the limit of GetRecords.
const AHEAD_RECORDS: u64 = 4_000;
/// Random part of that pause. Assumption.
const RETRY_SPREAD_MS: u64 = 800;

/// Shortest time between two pushes to one reader. Assumption.
const PUSH_PAUSE_MS: i64 = 10;

impl Plane {
    /// A reader calls GetRecords, when that is still due.
    pub(super) fn poll(&mut self, id: u32, number: u32) {
        let now = self.now_ms;
        if self.fails_to_read(id, number) {
            return;
        }
        if self.mappings.get(id).is_some_and(|mapping| mapping.config.consumer.is_some()) {
            return self.receive(id, number);
        }
        let sharers = self.sharers(id);
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let Some(stream) = self.streams.at_mut(mapping.stream) else { return };
        let Some(reader) = mapping.readers.get_mut(number).filter(|reader| reader.poll == Some(now)) else { return };
        let Some(shard) = stream.shard_mut(number) else { return };
        reader.poll = None;
        // Each shared reader gets its even share of the calls.
        let turn = sharers * 1_000 / CALLS_PER_SECOND as i64;
        let slots = u64::from(mapping.config.parallelization_factor);
        let ahead = 2 * u64::from(mapping.config.batch_size) * slots;
        let limit = if mapping.uuid.is_some() { ahead.max(AHEAD_RECORDS) } else { CALL_RECORDS };
        if let Some(cohorts) = shard.get_records(now, reader.cursor, limit) {
            let last = cohorts.last();
            reader.cursor = last.map_or(reader.cursor, |cohort| cohort.seq + u64::from(cohort.count));
            let caught_up = reader.cursor >= shard.tip();
            let age = last.filter(|_| !caught_up).map_or(0, |cohort| now - cohort.at);
            reader.earliest = now + if caught_up { turn.max(BASE_MS) } else { turn };
            stream.count_read(now, number, Some((&cohorts, age)), &mut self.metrics);
            self.take_in(id, number, cohorts);
        } else {
            reader.earliest = now + RETRY_MS + mapping.rng.below(RETRY_SPREAD_MS) as i64;
            stream.count_read(now, number, None, &mut self.metrics);
            if let Some(totals) = self.totals.streams.get_mut(&mapping.config.stream) {
                totals.read_throttles += 1;
            }
        }
        self.pump(id, number);
    }

    /// Whether the call that is due fails, and not for a limit: the role may not read, or GetRecords fails for a
    /// reason of its own. It is tried again after a pause.
    fn fails_to_read(&mut self, id: u32, number: u32) -> bool {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return false };
        let Some(reader) = mapping.readers.get_mut(number).filter(|reader| reader.poll == Some(now)) else {
            return false;
        };
        let function = self.functions.at(mapping.function);
        let denied = mapping.uuid.is_some() && function.is_some_and(|function| function.is_read_denied(now));
        let mut failed = || failing(&mut self.failures, &mapping.config.stream, StreamCall::Get, now, 1) > 0;
        if !denied && (mapping.config.consumer.is_some() || !failed()) {
            return false;
        }
        if denied {
            mapping.last = LastResult::Denied;
        }
        reader.poll = None;
        let pause = if denied { BASE_MS } else { RETRY_MS };
        reader.earliest = now + pause + mapping.rng.below(RETRY_SPREAD_MS) as i64;
        if let Some(stream) = self.streams.get(&mapping.config.stream) {
            stream.series.count_failed_read(now, &mut self.metrics);
        }
        self.pump(id, number);
        true
    }

    /// A reader with a fan-out consumer is sent what is due through its own pipe.
    fn receive(&mut self, id: u32, number: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let Some(consumer) = &mapping.config.consumer else { return };
        let Some(stream) = self.streams.at_mut(mapping.stream) else { return };
        let Some(reader) = mapping.readers.get_mut(number).filter(|reader| reader.poll == Some(now)) else { return };
        let Some(shard) = stream.shard_mut(number) else { return };
        reader.poll = None;
        reader.earliest = now + PUSH_PAUSE_MS;
        let cohorts = shard.push_records(now, consumer, reader.cursor, CALL_RECORDS);
        if let Some(last) = cohorts.last() {
            reader.cursor = last.seq + u64::from(last.count);
            let age = if reader.cursor < shard.tip() { now - last.at } else { 0 };
            stream.count_push(now, number, consumer, (&cohorts, age), &mut self.metrics);
        }
        self.take_in(id, number, cohorts);
        self.pump(id, number);
    }

    /// Fetched records pass the filters and are shared out over the slots.
    fn take_in(&mut self, id: u32, number: u32, mut cohorts: Vec<Cohort>) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let fetched: u64 = match mapping.events {
            Some(_) => cohorts.iter().map(|cohort| u64::from(cohort.count)).sum(),
            None => 0,
        };
        let mut filtered = 0;
        if !mapping.config.filters.is_empty() {
            let stream = self.streams.at(mapping.stream);
            let Some(shard) = stream.and_then(|stream| stream.shards().get(number)) else { return };
            let share = self.functions.at(mapping.function).map_or(1.0, |found| found.model.filter_pass_share);
            filtered = mapping.filter(&mut cohorts, shard, (share * 1_000_000.0).round() as u64);
            if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
                totals.filtered += filtered;
            }
        }
        if let Some(events) = mapping.events {
            self.metrics.add(events.polled, now, fetched as f64, 1);
            if !mapping.config.filters.is_empty() {
                self.metrics.add(events.filtered, now, filtered as f64, 1);
            }
        }
        if let Some(reader) = mapping.readers.get_mut(number) {
            reader.distribute(&cohorts, now);
        }
    }

    /// Readers that share the calls on the mapping's stream.
    fn sharers(&self, id: u32) -> i64 {
        let Some(mapping) = self.mappings.get(id) else { return 1 };
        let shares = |other: &&super::Mapping| {
            other.config.enabled && other.config.consumer.is_none() && other.stream == mapping.stream
        };
        (self.mappings.values().filter(shares).count() as i64).max(1)
    }

    /// Moves a reader on as far as it can go at this moment: slots re-form and start, the shard ends, the
    /// next poll is set.
    pub(super) fn pump(&mut self, id: u32, number: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id).filter(|mapping| mapping.config.enabled) else { return };
        let factor = mapping.config.parallelization_factor;
        let Some(reader) = mapping.readers.get_mut(number).filter(|reader| reader.state == State::Reading) else {
            return;
        };
        reader.reform(factor, now);
        if reader.slots.len() == factor as usize {
            for slot in 0..factor {
                self.try_start(id, number, slot);
            }
        }
        self.set_poll(id, number);
    }

    /// Sets the next poll, or ends the reader when its shard is drained.
    fn set_poll(&mut self, id: u32, number: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let invokes = mapping.invokes();
        let (batch_size, factor) = (mapping.config.batch_size, mapping.config.parallelization_factor as usize);
        let Some(stream) = self.streams.at(mapping.stream) else { return };
        let Some(reader) = mapping.readers.get_mut(number) else { return };
        let Some(shard) = stream.shards().get(number) else { return };
        if !shard.is_open() && reader.cursor >= shard.tip() {
            if reader.held() == 0 {
                self.settle(id);
            }
            return;
        }
        let room = !invokes || (reader.slots.len() == factor && reader.has_room(batch_size));
        if reader.poll.is_none() && room {
            let mut at = reader.earliest.max(now);
            if mapping.config.consumer.is_some() {
                // Nothing is asked for: what arrives is sent.
                let Some(arrived) = shard.arrival(reader.cursor).filter(|_| reader.cursor < shard.tip()) else {
                    return;
                };
                at = at.max(arrived + PUSH_LATENCY_MS);
            }
            reader.poll = Some(at);
            self.agenda.add(at, Event::Poll(id, number));
        }
    }
}
