//! Invocations: when a slot starts one, what it asks of tables, how it ends.
//!
//! A failed batch is retried whole. Requests it made before it failed are not undone.

use super::function::{self, Invocation};
use super::reader::{Batch, Slot};
use super::{Event, MINUTE_MS, Plane};

/// Pause before a failed batch is tried again. Assumption: AWS does not publish its back-off.
const RETRY_MS: i64 = 1_000;
/// Random part of the pause after an invocation was refused for concurrency. Assumption.
const THROTTLE_SPREAD_MS: u64 = 500;

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Success,
    Error,
    Timeout,
}

impl Plane {
    /// Starts the slot's next batch, or the one it has to retry, unless something keeps it.
    pub(super) fn try_start(&mut self, id: u32, number: u32, index: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(&id) else { return };
        let Some(stream) = self.streams.get(&mapping.config.stream) else { return };
        let config = &mapping.config;
        let Some(slot) = mapping.readers.get_mut(&number).and_then(|reader| reader.slots.get_mut(index as usize))
        else {
            return;
        };
        // Only a batch that waits for its retry is held back; a batching window ends early when it is full.
        let held_back = slot.batch.is_some() && slot.wake.is_some_and(|wake| wake > now);
        if slot.is_running() || held_back {
            return;
        }
        slot.wake = None;
        let expired = slot.give_up(now - stream.retention_ms());
        let dropped = if config.max_age_s < 0 { 0 } else { slot.give_up(now - config.max_age_s * 1_000 - 1) };
        if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
            totals.expired += expired;
            totals.dropped += dropped;
        }
        if slot.batch.is_none() {
            if slot.queued == 0 {
                return;
            }
            let due = slot.fetched + config.window_ms;
            if now < due && !slot.is_full(config.batch_size) {
                slot.wake = Some(due);
                self.agenda.insert((due, Event::Wake(id, number)));
                return;
            }
            slot.batch = Some(slot.take(config.batch_size));
            slot.fetched = now;
        }
        self.start(id, number, index);
    }

    /// Invokes the function with the slot's batch, when its concurrency allows.
    fn start(&mut self, id: u32, number: u32, index: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(&id) else { return };
        let name = &mapping.config.function;
        let refused = !may_run(&self.functions, name, self.account_concurrency);
        let (Some(function), Some(totals)) = (self.functions.get_mut(name), self.totals.functions.get_mut(name)) else {
            return;
        };
        let slot = mapping.readers.get_mut(&number).and_then(|reader| reader.slots.get_mut(index as usize));
        let Some(slot) = slot else { return };
        if refused {
            totals.throttles += 1;
            self.metrics.add(function.series.throttles, now, 1.0, 1);
            let wake = now + RETRY_MS + mapping.rng.below(THROTTLE_SPREAD_MS) as i64;
            slot.wake = Some(wake);
            self.agenda.insert((wake, Event::Wake(id, number)));
            return;
        }
        let Some(batch) = &mut slot.batch else { return };
        let invocation = self.next_invocation;
        self.next_invocation += 1;
        batch.running = Some(invocation);
        function.running += 1;
        totals.invocations += 1;
        totals.max_concurrent = totals.max_concurrent.max(function.running);
        self.metrics.add(function.series.concurrent, now, f64::from(function.running), 1);
        let age = batch.pieces.last().map_or(0, |piece| now - piece.at);
        self.metrics.add(function.series.iterator_age, now, age as f64, 1);
        if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
            let worst = totals.iterator_age_ms.entry(now - now.rem_euclid(MINUTE_MS)).or_default();
            *worst = (*worst).max(age);
        }
        let mut runs = function.program(batch);
        runs.reverse();
        let deadline = now + i64::from(function.model.timeout_seconds) * 1_000;
        let next = (now + function.work_ms(batch.count)).min(deadline);
        let (function, mapping, shard, slot) = (name.clone(), id, number, index);
        let state = Invocation { function, mapping, shard, slot, started: now, deadline, runs, operation: 0, tries: 0 };
        self.invocations.insert(invocation, state);
        self.agenda.insert((next, Event::Invoke(invocation)));
    }

    /// An invocation makes its next request, or ends.
    pub(super) fn move_on(&mut self, id: u64) {
        let now = self.now_ms;
        let Some(invocation) = self.invocations.get_mut(&id) else { return };
        let Some(function) = self.functions.get_mut(&invocation.function) else { return };
        if now >= invocation.deadline {
            return self.end(id, End::Timeout);
        }
        let Some(run) = invocation.runs.last() else {
            let end = if function.fails() { End::Error } else { End::Success };
            return self.end(id, end);
        };
        let access = function.model.tables.get(run.access as usize);
        let operation = access.and_then(|access| access.operations.get(invocation.operation as usize));
        let (Some(access), Some(operation)) = (access, operation) else { return self.end(id, End::Error) };
        let table = self.tables.get_mut(&access.table);
        let (Some(table), Some(totals)) = (table, self.totals.tables.get_mut(&access.table)) else {
            return self.end(id, End::Error);
        };
        let mut next = now + i64::from(access.latency_ms);
        let operations = access.operations.len();
        if table.request(function::demand(operation, run.group, access.latency_ms), now, &mut self.metrics, totals) {
            invocation.step(operations);
        } else {
            invocation.tries += 1;
            match function.back_off(invocation.tries) {
                Some(wait) => next += wait,
                None => return self.end(id, End::Error),
            }
        }
        self.agenda.insert((next.min(invocation.deadline), Event::Invoke(id)));
    }

    /// An invocation ends: its metrics, and what becomes of its batch.
    fn end(&mut self, id: u64, end: End) {
        let now = self.now_ms;
        let Some(invocation) = self.invocations.remove(&id) else { return };
        let name = &invocation.function;
        if let (Some(function), Some(totals)) = (self.functions.get_mut(name), self.totals.functions.get_mut(name)) {
            function.running = function.running.saturating_sub(1);
            let failed = u64::from(end != End::Success);
            let duration = now - invocation.started;
            totals.errors += failed;
            totals.timeouts += u64::from(end == End::Timeout);
            totals.megabyte_ms += duration as u64 * u64::from(function.model.memory_mb);
            // AWS stamps these with the start and publishes them at the end.
            let series = function.series;
            self.metrics.add(series.invocations, invocation.started, 1.0, 1);
            self.metrics.add(series.errors, invocation.started, failed as f64, 1);
            self.metrics.add(series.throttles, invocation.started, 0.0, 1);
            self.metrics.add(series.duration, invocation.started, duration as f64, 1);
        }
        self.settle_batch(id, &invocation, end == End::Success);
        self.pump(invocation.mapping, invocation.shard);
    }

    fn settle_batch(&mut self, id: u64, invocation: &Invocation, success: bool) {
        let Some(mapping) = self.mappings.get_mut(&invocation.mapping) else { return };
        let config = &mapping.config;
        let reader = mapping.readers.get_mut(&invocation.shard);
        let slot = reader.and_then(|reader| reader.slots.get_mut(invocation.slot as usize));
        let Some(slot) = slot.filter(|slot| slot.batch.as_ref().and_then(|batch| batch.running) == Some(id)) else {
            return;
        };
        let Some(mut batch) = slot.batch.take() else { return };
        let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) else { return };
        totals.invocations += 1;
        batch.running = None;
        if success {
            totals.delivered += batch.count;
        } else if config.bisect && batch.count > 1 {
            slot.batch = Some(first_half(batch, slot));
        } else {
            batch.attempts += 1;
            if config.max_retries >= 0 && batch.attempts > config.max_retries {
                totals.dropped += batch.count;
            } else {
                slot.batch = Some(batch);
            }
        }
        if slot.batch.is_some() {
            let wake = self.now_ms + RETRY_MS;
            slot.wake = Some(wake);
            self.agenda.insert((wake, Event::Wake(invocation.mapping, invocation.shard)));
        }
        // The shard may be drained now although the mapping is paused.
        self.settle(invocation.mapping);
    }
}

/// Splits a failed batch: its first half is tried alone, the rest goes back to the front of the queue.
fn first_half(batch: Batch, slot: &mut Slot) -> Batch {
    let mut half = Slot::default();
    let now = batch.pieces.first().map_or(0, |piece| piece.at);
    let attempts = batch.attempts;
    let size = (batch.count / 2).max(1) as u32;
    batch.pieces.into_iter().for_each(|piece| half.push(piece, now));
    let first = half.take(size);
    slot.push_front(half.queue.into_iter().collect());
    Batch { attempts, ..first }
}

/// Whether the function may start one more invocation.
fn may_run(
    functions: &std::collections::BTreeMap<String, function::Function>,
    name: &str,
    account_concurrency: u32,
) -> bool {
    let Some(function) = functions.get(name) else { return false };
    if let Some(reserved) = function.reserved {
        return function.running < reserved;
    }
    let reserved: u32 = functions.values().filter_map(|function| function.reserved).sum();
    let unreserved = functions.values().filter(|function| function.reserved.is_none());
    let running: u32 = unreserved.map(|function| function.running).sum();
    running < account_concurrency.saturating_sub(reserved)
}
