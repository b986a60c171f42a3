//! The twin's data plane: producers → shards → pollers → functions → tables, and the metrics of it all.
//!
//! A discrete-event model without clock, I/O or outside randomness. Every change of state happens at an
//! event's own time, so advancing once or in a thousand pieces gives the same bytes.

mod access;
mod agenda;
mod cohort;
mod config;
mod control;
mod filter;
mod flights;
mod function;
mod invoke;
mod metrics;
mod named;
mod numbered;
mod outcome;
mod outside;
mod payload;
mod poll;
mod producer;
mod reader;
mod rng;
mod stream;
mod stream_metrics;
mod table;
mod totals;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(super) use access::{Position, PutRefused, Received};
pub use config::{LastResult, MappingConfig, ShardView, Start, TableConfig};
pub use metrics::{MINUTE_MS, MetricStore, Name, Point, Stat};
pub(super) use stream::PUSH_LATENCY_MS;
pub use totals::{FunctionTotals, MappingTotals, StreamTotals, TableTotals, Totals};
pub use view::{MappingView, SinkView};

use agenda::{Agenda, Event};
use flights::Flights;
use function::{Account, Function};
use named::Named;
use numbered::Numbered;
use outside::{Failures, OutsideReader, failing};
use producer::ProducerState;
use reader::{Mapping, State};
use rng::Rng;
use stream::Stream;
pub use table::{Api, ThrottleCause};
pub(super) use table::{Draw, Indexes, Throttle};

use table::Table;

use crate::twin::{World, world::StreamCall};

/// The data plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plane {
    now_ms: i64,
    seed: u64,
    account_concurrency: u32,
    /// Draws partition keys, when the world wants them random.
    keys: Option<Rng>,
    /// The world's start, in epoch milliseconds.
    origin: i64,
    outside: Vec<OutsideReader>,
    failures: Vec<Failures>,
    agenda: Agenda,
    producers: Vec<ProducerState>,
    streams: Named<Stream>,
    mappings: Numbered<Mapping>,
    next_mapping: u32,
    functions: Named<Function>,
    account: Account,
    invocations: Flights,
    tables: Named<Table>,
    /// Units per second of one table and of all (DynamoDB quotas).
    table_quota: u64,
    account_quota: u64,
    metrics: MetricStore,
    totals: Totals,
    /// Memory the payloads of wire records take, refreshed each minute.
    payload_bytes: u64,
    /// What was delivered when, for a test that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<Delivery>>,
}

/// Records of one cohort in a batch that succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// UUID of the mapping.
    pub mapping: String,
    /// Number of the shard.
    pub shard: u32,
    /// Number of the first record in the shard, and how many follow on it.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// All of one key, so that their order counts whatever the slots.
    pub hot: bool,
    /// When they arrived in the stream, epoch milliseconds.
    pub arrived_ms: i64,
    /// When the function was invoked with them.
    pub sent_ms: i64,
    /// When it had succeeded.
    pub done_ms: i64,
}

impl Plane {
    /// The plane of this world at its start, without stream, mapping or table.
    pub fn new(world: &World, seed: u64) -> Self {
        let now = world.start.as_millisecond();
        let mut metrics = MetricStore::default();
        let mut totals = Totals::default();
        let account = Account::new(&mut metrics);
        let (mut functions, mut tables) = (Named::default(), Named::default());
        for (name, model) in &world.functions {
            let function = Function::new(name, model, world.racers(), (seed, now), &mut tables, &mut metrics);
            functions.insert(name, function);
            totals.functions.insert(name.clone(), FunctionTotals::default());
        }
        let producer = |(index, spec)| ProducerState::new(spec, index, now, seed, world.step_ms);
        let producers: Vec<_> = (0..).zip(&world.producers).map(producer).collect();
        let mut agenda = Agenda::default();
        agenda.add((now.div_euclid(MINUTE_MS) + 1) * MINUTE_MS, Event::Minute);
        for (index, producer) in (0..).zip(&producers) {
            totals.streams.entry(producer.stream().to_owned()).or_default();
            if let Some(at) = producer.first() {
                agenda.add(at, Event::Emit(index));
            }
        }
        let outside: Vec<_> = world.external_consumers.iter().map(|reader| OutsideReader::new(reader, now)).collect();
        for (index, reader) in (0..).zip(&outside) {
            reader.turns().into_iter().for_each(|at| agenda.add(at, Event::Outside(index)));
        }
        Self {
            now_ms: now,
            seed,
            account_concurrency: world.account_concurrency,
            keys: world.random_keys.then(|| Rng::new(seed, "keys")),
            origin: now,
            outside,
            failures: world.stream_failures.iter().map(|failure| Failures::new(failure, now)).collect(),
            agenda,
            producers,
            streams: Named::default(),
            mappings: Numbered::default(),
            next_mapping: 0,
            functions,
            account,
            invocations: Flights::default(),
            tables,
            table_quota: 40_000,
            account_quota: 80_000,
            metrics,
            totals,
            payload_bytes: 0,
            deliveries: None,
        }
    }

    /// Keeps each delivery from now on. For tests: it takes memory without bound.
    pub fn record_deliveries(&mut self) {
        self.deliveries.get_or_insert_default();
    }

    /// The deliveries kept, in the order in which they were done.
    pub fn deliveries(&self) -> &[Delivery] {
        self.deliveries.as_deref().unwrap_or_default()
    }

    /// The moment up to which everything has happened (exclusive), in epoch milliseconds.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// Lets everything before `to_ms` happen. Does nothing when that is in the past.
    pub fn advance(&mut self, to_ms: i64) {
        while let Some((at, event)) = self.agenda.next_before(to_ms) {
            self.now_ms = at;
            match event {
                Event::Minute => self.end_minute(),
                Event::Emit(producer) => self.emit(producer),
                Event::Poll(mapping, shard) => self.poll(mapping, shard),
                Event::Wake(mapping, shard) => self.pump(mapping, shard),
                Event::Invoke(invocation) => self.move_on(invocation),
                Event::Outside(reader) => self.turn_outside(reader),
            }
        }
        self.now_ms = self.now_ms.max(to_ms);
    }

    /// The metrics so far.
    pub fn metrics(&self) -> &MetricStore {
        &self.metrics
    }

    /// The metrics, to put a client's own.
    pub(in crate::twin) fn metrics_mut(&mut self) -> &mut MetricStore {
        &mut self.metrics
    }

    /// The counters so far.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Checks that no record was made up or lost: offered = accepted + rejected for each stream, offered =
    /// admitted + throttled for each table, and accepted = skipped + delivered + waiting + expired + dropped +
    /// filtered for each mapping that exists.
    ///
    /// # Errors
    /// The equation that does not hold, with its numbers.
    pub fn check(&self) -> Result<(), String> {
        for (name, totals) in &self.totals.streams {
            if totals.offered != totals.accepted + totals.rejected {
                return Err(format!("stream {name}: offered is not accepted + rejected: {totals:?}"));
            }
        }
        for (name, totals) in &self.totals.tables {
            if totals.offered != totals.requests + totals.throttled_requests {
                return Err(format!("table {name}: offered is not admitted + throttled: {totals:?}"));
            }
        }
        for mapping in self.mappings.values() {
            let Some(uuid) = &mapping.uuid else { continue };
            let Some(stream) = self.streams.at(mapping.stream) else { continue };
            let (Some(totals), Some(of_stream)) =
                (self.totals.mappings.get(uuid), self.totals.streams.get(&mapping.config.stream))
            else {
                return Err(format!("mapping {uuid} has no counters"));
            };
            let waiting = mapping.waiting(stream);
            let accounted = (totals.accounted() + waiting) as i64;
            let expected = mapping.expected + of_stream.accepted as i64;
            if accounted != expected {
                return Err(format!(
                    "mapping {uuid}: {accounted} records accounted for ({waiting} waiting), {expected} expected: {totals:?}"
                ));
            }
        }
        Ok(())
    }

    /// A producer's records reach the stream.
    fn emit(&mut self, index: u32) {
        let now = self.now_ms;
        let Some(producer) = self.producers.get_mut(index as usize) else { return };
        let (bursts, next) = producer.step(now);
        if let Some(at) = next {
            self.agenda.add(at, Event::Emit(index));
        }
        let Some(totals) = self.totals.streams.get_mut(producer.stream()) else { return };
        let bytes = producer.record_bytes();
        match self.streams.get_mut(producer.stream()) {
            None => totals.no_stream += bursts.iter().map(|burst| u64::from(burst.count)).sum::<u64>(),
            Some(stream) => {
                for mut burst in bursts {
                    let failed = failing(&mut self.failures, producer.stream(), StreamCall::Put, now, burst.count);
                    burst.count -= failed;
                    totals.failed += u64::from(failed);
                    stream.series.count_failed_puts(now, failed.into(), &mut self.metrics);
                    stream.put(now, burst, bytes, self.keys.as_mut(), &mut self.metrics, totals);
                }
            }
        }
        let Some(producer) = self.producers.get(index as usize) else { return };
        let pushed = |mapping: &Mapping| mapping.config.consumer.is_some();
        for (id, mapping) in self.mappings.iter_mut().filter(|(_, mapping)| pushed(mapping)) {
            if mapping.config.stream == producer.stream() {
                mapping.expect_push(id, now, &self.streams, &mut self.agenda);
            }
        }
    }

    /// The minute that ends now: zeros for idle tables, gauges, retention, housekeeping.
    fn end_minute(&mut self) {
        let now = self.now_ms;
        self.agenda.add(now + MINUTE_MS, Event::Minute);
        for table in self.tables.values_mut() {
            table.end_minute(now - MINUTE_MS, now, &mut self.metrics);
        }
        self.account_gauges(now - MINUTE_MS);
        for function in self.functions.values().filter(|function| function.running > 0) {
            self.metrics.add(function.series.concurrent, now, f64::from(function.running), 1);
        }
        self.account.count_running(&self.functions, now, &mut self.metrics);
        self.metrics.prune(now);
        let streams: Vec<u32> = self.streams.names().map(|(_, stream)| stream).collect();
        for stream in streams {
            self.expire(stream);
        }
        if self.payload_bytes > 0 {
            self.payload_bytes = self.streams.values().map(Stream::payload_memory).sum();
        }
    }

    /// The account's DynamoDB gauges, every five minutes while there are tables.
    fn account_gauges(&mut self, minute: i64) {
        if minute.rem_euclid(5 * MINUTE_MS) != 0 || self.tables.values().next().is_none() {
            return;
        }
        let (mut all, mut most) = ((0, 0), (0, 0));
        for ((read, write), own) in self.tables.values().map(Table::provisioned) {
            all = (all.0 + read, all.1 + write);
            most = (most.0.max(own.0), most.1.max(own.1));
        }
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        let (account, table) = (self.account_quota, self.table_quota);
        for (direction, plural, all, most) in [("Read", "Reads", all.0, most.0), ("Write", "Writes", all.1, most.1)] {
            let gauges = [
                (format!("AccountMax{plural}"), account as f64),
                (format!("AccountMaxTableLevel{plural}"), table as f64),
                (format!("AccountProvisioned{direction}CapacityUtilization"), percent(all, account)),
                (format!("MaxProvisionedTable{direction}CapacityUtilization"), percent(most, table)),
            ];
            for (metric, value) in gauges {
                let series = self.metrics.series("AWS/DynamoDB", &metric, &[]);
                self.metrics.add(series, minute, value, 1);
            }
        }
    }

    /// Enforces a stream's retention and tidies its logs.
    fn expire(&mut self, of: u32) {
        let now = self.now_ms;
        let Some(stream) = self.streams.at_mut(of) else { return };
        stream.expire(now);
        let mut passed: BTreeMap<u32, u64> = BTreeMap::new();
        let mut begun = Vec::new();
        for (id, mapping) in self.mappings.iter_mut().filter(|(_, mapping)| mapping.stream == of) {
            let expired = mapping.skip_expired(stream);
            if let Some(totals) = mapping.uuid.as_ref().and_then(|uuid| self.totals.mappings.get_mut(uuid)) {
                totals.expired += expired;
            }
            begun.extend(mapping.settle(stream).into_iter().map(|shard| (id, shard)));
            for (shard, reader) in mapping.readers.iter() {
                let least = passed.entry(shard).or_insert(u64::MAX);
                *least = (*least).min(reader.cursor);
            }
        }
        stream.coalesce(now, &passed);
        let readers = || self.mappings.values().filter(|mapping| mapping.stream == of);
        let needed = |shard| {
            readers().any(|mapping| mapping.readers.get(shard).is_some_and(|reader| reader.state != State::Done))
        };
        stream.forget(now, needed);
        for mapping in self.mappings.values_mut().filter(|mapping| mapping.stream == of) {
            mapping.readers.retain(|shard, _| stream.shards().contains(shard));
        }
        for (mapping, shard) in begun {
            self.pump(mapping, shard);
        }
    }
}
