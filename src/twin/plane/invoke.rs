//! Invocations: when a slot starts one, what it asks of tables, how it ends.

#![allow(clippy::match_same_arms, reason = "each way to succeed has a comment of its own")]

use super::function::{self, Invocation};
use super::named::Named;
use super::outcome::Sink;
use super::reader::{Batch, Reader};
use super::{Event, LastResult, MINUTE_MS, Plane};

/// Pause before a failed batch is tried again. Assumption: AWS does not publish its back-off.
pub(super) const RETRY_MS: i64 = 1_000;
/// Random part of the pause after an invocation was refused for concurrency. Assumption.
const THROTTLE_SPREAD_MS: u64 = 500;

/// How an invocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Success,
    /// It reports the first record that failed: so many before it are done.
    Partial(u64),
    Error,
    Timeout,
}

impl Plane {
    /// Starts the slot's next batch, or the one it has to retry, unless something keeps it.
    pub(super) fn try_start(&mut self, id: u32, number: u32, index: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let Some(reader) = mapping.readers.get_mut(number) else { return };
        if let Some(slot) = reader.slots.get_mut(index as usize).filter(|slot| slot.is_empty()) {
            slot.wake = None;
            return;
        }
        let Some(stream) = self.streams.at(mapping.stream) else { return };
        let config = &mapping.config;
        let (caught_up, last) = stream.shards().get(number).map_or((true, true), |shard| {
            let caught_up = reader.cursor >= shard.tip();
            (caught_up, caught_up && !shard.is_open())
        });
        let Some(slot) = reader.slots.get_mut(index as usize) else { return };
        // Only a batch that waits for its retry is held back; a batching window ends early when it is full.
        let held_back = slot.batch.is_some() && slot.wake.is_some_and(|wake| wake > now);
        if slot.is_running() || held_back {
            return;
        }
        slot.wake = None;
        let expired = slot.give_up(now - stream.retention_ms());
        let aged = if config.max_age_s < 0 { 0 } else { slot.give_up(now - config.max_age_s * 1_000 - 1) };
        let dropped = aged + slot.oversized();
        let lost = mapping.uuid.as_ref().filter(|_| expired + dropped > 0);
        if let Some(totals) = lost.and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
            totals.expired += expired;
            let (function, metrics) = (self.functions.at(mapping.function), &mut self.metrics);
            let mut sink = Sink { config, events: mapping.events, rng: &mut mapping.rng, function, metrics };
            sink.take(dropped, now, totals);
        }
        if config.tumbling_ms == 0 {
            slot.window = None;
        }
        if slot.batch.is_none() && slot.closes(now, config.tumbling_ms, caught_up, last) {
            slot.batch = Some(Batch { closing: true, ..Batch::default() });
        }
        if slot.batch.is_none() {
            if slot.queued == 0 {
                if let Some(window) = slot.window.filter(|_| caught_up) {
                    self.agenda.add((window + 1) * config.tumbling_ms, Event::Wake(id, number));
                }
                return;
            }
            let due = slot.fetched + config.window_ms;
            if now < due && !slot.is_full(config.batch_size) {
                slot.wake = Some(due);
                self.agenda.add(due, Event::Wake(id, number));
                return;
            }
            slot.batch = Some(slot.take(config.batch_size, config.tumbling_ms));
            slot.fetched = now;
        }
        self.start(id, number, index);
    }

    /// Invokes the function with the slot's batch, when its concurrency allows.
    fn start(&mut self, id: u32, number: u32, index: u32) {
        let now = self.now_ms;
        let Some(mapping) = self.mappings.get_mut(id) else { return };
        let name = &mapping.config.function;
        let (qualifier, refused) =
            (mapping.config.qualifier.as_ref(), !may_run(&self.functions, mapping.function, self.account_concurrency));
        let slot = mapping.readers.get_mut(number).and_then(|reader| reader.slots.get_mut(index as usize));
        let Some(slot) = slot else { return };
        let Some(batch) = &mut slot.batch else { return };
        if let Some(events) = mapping.events {
            self.metrics.add(events.invoked, now, batch.count as f64, 1);
        }
        let (Some(function), Some(totals)) =
            (self.functions.at_mut(mapping.function), self.totals.functions.get_mut(name))
        else {
            mapping.last = LastResult::NoFunction;
            slot.wake = Some(now + RETRY_MS);
            self.agenda.add(now + RETRY_MS, Event::Wake(id, number));
            return;
        };
        if refused {
            mapping.last = LastResult::Throttled;
            totals.throttles += 1;
            for series in function.counted(qualifier).chain([self.account.series]) {
                self.metrics.add(series.throttles, now, 1.0, 1);
            }
            let wake = now + RETRY_MS + mapping.rng.below(THROTTLE_SPREAD_MS) as i64;
            slot.wake = Some(wake);
            self.agenda.add(wake, Event::Wake(id, number));
            return;
        }
        let invocation = self.invocations.next();
        batch.running = Some(invocation);
        function.running += 1;
        totals.invocations += 1;
        totals.max_concurrent = totals.max_concurrent.max(function.running);
        let age = batch.pieces.last().map(|piece| now - piece.at);
        for series in function.counted(qualifier) {
            self.metrics.add(series.concurrent, now, f64::from(function.running), 1);
        }
        if let Some(age) = age {
            for series in function.counted(qualifier).chain([self.account.series]) {
                self.metrics.add(series.iterator_age, now, age as f64, 1);
            }
            if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
                totals.note_age(now - now.rem_euclid(MINUTE_MS), age);
            }
        }
        let phase = function.phase(now);
        let runs = function.program(batch, phase);
        let deadline = now + i64::from(function.model.timeout_seconds) * 1_000;
        let next = (now + function.work_ms(batch.count, phase)).min(deadline);
        let (function, qualifier, mapping, shard, slot) = (mapping.function, qualifier.cloned(), id, number, index);
        let state = Invocation {
            function,
            qualifier,
            mapping,
            shard,
            slot,
            phase,
            started: now,
            deadline,
            runs,
            operation: 0,
            tries: 0,
        };
        self.invocations.add(state);
        self.agenda.add(next, Event::Invoke(invocation));
        self.account.count_running(&self.functions, now, &mut self.metrics);
    }

    /// An invocation makes its next request, or ends.
    pub(super) fn move_on(&mut self, id: u64) {
        let now = self.now_ms;
        let Some(invocation) = self.invocations.get_mut(id) else { return };
        let Some(function) = self.functions.at_mut(invocation.function) else { return self.end(id, End::Error) };
        if now >= invocation.deadline {
            return self.end(id, End::Timeout);
        }
        let Some(run) = invocation.runs.last() else {
            let end = if function.fails(invocation.phase) { End::Error } else { self.verdict(id) };
            return self.end(id, end);
        };
        let access = function.in_phase(invocation.phase).tables.get(run.access as usize);
        let operation = access.and_then(|access| access.operations.get(invocation.operation as usize));
        let (Some(access), Some(operation)) = (access, operation) else { return self.end(id, End::Error) };
        let table = function.table(invocation.phase, run.access).and_then(|table| self.tables.at_mut(table));
        let (Some(table), Some(totals)) = (table, self.totals.tables.get_mut(&access.table)) else {
            return self.end(id, End::Error);
        };
        let mut next = now + i64::from(access.latency_ms);
        let operations = access.operations.len();
        let records = access.records_per_request.min(run.repeats);
        let demand = function::demand(operation, run.group, access.latency_ms, records);
        if table.request(demand, now, &mut self.metrics, totals) {
            invocation.step(operations, records);
        } else {
            invocation.tries += 1;
            match function.back_off(invocation.tries) {
                Some(wait) => next += wait,
                None => return self.end(id, End::Error),
            }
        }
        self.agenda.add(next.min(invocation.deadline), Event::Invoke(id));
    }

    /// How an invocation ends that has done its work: poison records fail it, or are reported.
    fn verdict(&self, id: u64) -> End {
        let Some(invocation) = self.invocations.get(id) else { return End::Error };
        let (mapping, function) = (self.mappings.get(invocation.mapping), self.functions.at(invocation.function));
        let (Some(mapping), Some(function)) = (mapping, function) else { return End::Success };
        let slot = |reader: &Reader| {
            reader.slots.get(invocation.slot as usize)?.batch.as_ref().map(|batch| function.before_poison(batch))
        };
        match mapping.readers.get(invocation.shard).and_then(slot).flatten() {
            None => End::Success,
            Some(_) if !function.model.partial_batch_response => End::Error,
            Some(done) if mapping.config.reports_failures => End::Partial(done),
            // Lambda does not look at the answer.
            Some(_) => End::Success,
        }
    }

    /// An invocation ends: its metrics, and what becomes of its batch.
    fn end(&mut self, id: u64, end: End) {
        let now = self.now_ms;
        let Some(invocation) = self.invocations.remove(id) else { return };
        let function = self.functions.at_mut(invocation.function);
        if let Some((function, totals)) = function.and_then(|function| {
            let totals = self.totals.functions.get_mut(&function.name)?;
            Some((function, totals))
        }) {
            function.running = function.running.saturating_sub(1);
            let failed = u64::from(matches!(end, End::Error | End::Timeout));
            let duration = now - invocation.started;
            totals.errors += failed;
            totals.timeouts += u64::from(end == End::Timeout);
            totals.megabyte_ms += duration as u64 * u64::from(function.model.memory_mb);
            // AWS stamps these with the start and publishes them at the end.
            for series in function.counted(invocation.qualifier.as_ref()).chain([self.account.series]) {
                self.metrics.add(series.invocations, invocation.started, 1.0, 1);
                self.metrics.add(series.errors, invocation.started, failed as f64, 1);
                self.metrics.add(series.throttles, invocation.started, 0.0, 1);
                self.metrics.add(series.duration, invocation.started, duration as f64, 1);
            }
        }
        self.settle_batch(id, &invocation, end);
        self.pump(invocation.mapping, invocation.shard);
    }
}

/// Whether the function may start one more invocation.
fn may_run(functions: &Named<function::Function>, number: u32, account_concurrency: u32) -> bool {
    let Some(function) = functions.at(number) else { return false };
    if let Some(reserved) = function.reserved {
        return function.running < reserved;
    }
    let reserved: u32 = functions.values().filter_map(|function| function.reserved).sum();
    let unreserved = functions.values().filter(|function| function.reserved.is_none());
    let running: u32 = unreserved.map(|function| function.running).sum();
    running < account_concurrency.saturating_sub(reserved)
}
