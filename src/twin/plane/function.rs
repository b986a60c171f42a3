//! A Lambda function and one invocation of it: its own work, then its requests to tables one after the
//! other, each retried inside the function as the AWS SDK does.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::metrics::{MetricStore, SeriesId};
use super::named::Named;
use super::producer::Class;
use super::reader::Batch;
use super::rng::Rng;
use super::table::{Api, Demand, Table};
use crate::twin::world::{FunctionModel, Operation, OperationKind, Per, Phase};

/// Retries of a throttled DynamoDB request inside the function (the JavaScript SDK's default).
const SDK_RETRIES: u32 = 10;
/// First back-off; doubles with each retry, with full jitter (the SDK's default for DynamoDB).
const SDK_BASE_MS: u64 = 50;
/// Longest back-off.
const SDK_CAP_MS: u64 = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Series {
    pub invocations: SeriesId,
    pub errors: SeriesId,
    pub throttles: SeriesId,
    pub duration: SeriesId,
    pub iterator_age: SeriesId,
    pub concurrent: SeriesId,
    pub destination_failures: SeriesId,
}

impl Series {
    fn new(metrics: &mut MetricStore, dims: &[(&str, &str)]) -> Self {
        let mut series = |metric: &str| metrics.series("AWS/Lambda", metric, dims);
        Self {
            invocations: series("Invocations"),
            errors: series("Errors"),
            throttles: series("Throttles"),
            duration: series("Duration"),
            iterator_age: series("IteratorAge"),
            concurrent: series("ConcurrentExecutions"),
            destination_failures: series("DestinationDeliveryFailures"),
        }
    }
}

/// The Region's totals, which have no dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Account {
    pub series: Series,
    unreserved: SeriesId,
}

impl Account {
    pub(super) fn new(metrics: &mut MetricStore) -> Self {
        let unreserved = metrics.series("AWS/Lambda", "UnreservedConcurrentExecutions", &[]);
        Self { series: Series::new(metrics, &[]), unreserved }
    }

    /// Samples the concurrency of all functions.
    pub(super) fn count_running(&self, functions: &Named<Function>, now: i64, metrics: &mut MetricStore) {
        let all: u32 = functions.values().map(|function| function.running).sum();
        let unreserved = functions.values().filter(|function| function.reserved.is_none());
        let unreserved: u32 = unreserved.map(|function| function.running).sum();
        if all > 0 {
            metrics.add(self.series.concurrent, now, f64::from(all), 1);
            metrics.add(self.unreserved, now, f64::from(unreserved), 1);
        }
    }
}

/// Memory in MB that has one vCPU; a smaller function has its share of one (Lambda guide, "Configure Lambda function
/// memory").
const ONE_CPU_MB: u32 = 1_769;

/// How a function behaves in a phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Behaviour {
    from_ms: i64,
    to_ms: i64,
    model: FunctionModel,
    tables: Vec<u32>,
    read_denied: bool,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Function {
    pub name: String,
    pub model: FunctionModel,
    /// The tables of the model's accesses, by number.
    tables: Vec<u32>,
    phases: Vec<Behaviour>,
    /// The memory at which its times are given, MB.
    given_mb: u32,
    pub reserved: Option<u32>,
    pub running: u32,
    pub series: Series,
    /// Metrics of the function as invoked by an alias.
    pub qualified: BTreeMap<String, Series>,
    pub rng: Rng,
}

impl Function {
    /// A function of a world with this many racers that began at `origin`.
    pub(super) fn new(
        name: &str,
        model: &FunctionModel,
        racers: u32,
        (seed, origin): (u64, i64),
        tables: &mut Named<Table>,
        metrics: &mut MetricStore,
    ) -> Self {
        let mut sized = |mut model: FunctionModel| {
            for operation in model.tables.iter_mut().flat_map(|access| &mut access.operations) {
                operation.item_bytes += operation.bytes_per_racer * u64::from(racers);
            }
            let tables: Vec<u32> = model.tables.iter().map(|access| tables.number(&access.table)).collect();
            (model, tables)
        };
        let at = |seconds: u32| origin + i64::from(seconds) * 1_000;
        let (own, tables) = sized(FunctionModel { phases: Vec::new(), ..model.clone() });
        let phase = |phase: &Phase| {
            let (model, tables) = sized(phase.of(model));
            let (from_ms, to_ms) = (at(phase.from_seconds), phase.to_seconds.map_or(i64::MAX, at));
            Behaviour { from_ms, to_ms, model, tables, read_denied: phase.read_denied }
        };
        Self {
            name: name.to_owned(),
            phases: model.phases.iter().map(phase).collect(),
            given_mb: model.memory_mb,
            reserved: model.reserved_concurrency,
            model: own,
            tables,
            running: 0,
            series: Series::new(metrics, &[("FunctionName", name)]),
            qualified: BTreeMap::new(),
            rng: Rng::new(seed, &format!("function/{name}")),
        }
    }

    /// Another timeout (seconds) and memory (MB), for invocations from now on.
    pub(super) fn set(&mut self, timeout_seconds: u32, memory_mb: u32) {
        for model in self.phases.iter_mut().map(|phase| &mut phase.model).chain([&mut self.model]) {
            (model.timeout_seconds, model.memory_mb) = (timeout_seconds, memory_mb);
        }
    }

    /// The phase of a moment: 0 is none.
    pub(super) fn phase(&self, at: i64) -> u32 {
        let found = self.phases.iter().rposition(|phase| phase.from_ms <= at && at < phase.to_ms);
        found.map_or(0, |index| index as u32 + 1)
    }

    /// How it behaves in a phase.
    pub(super) fn in_phase(&self, phase: u32) -> &FunctionModel {
        let index = (phase as usize).checked_sub(1);
        index.and_then(|index| self.phases.get(index)).map_or(&self.model, |phase| &phase.model)
    }

    /// The table of an access in a phase, by number.
    pub(super) fn table(&self, phase: u32, access: u32) -> Option<u32> {
        let index = (phase as usize).checked_sub(1);
        let tables = index.and_then(|index| self.phases.get(index)).map_or(&self.tables, |phase| &phase.tables);
        tables.get(access as usize).copied()
    }

    /// Whether its role may not read streams now.
    pub(super) fn is_read_denied(&self, now: i64) -> bool {
        let index = (self.phase(now) as usize).checked_sub(1);
        index.and_then(|index| self.phases.get(index)).is_some_and(|phase| phase.read_denied)
    }

    /// Keeps metrics of an alias from now on.
    pub(super) fn qualify(&mut self, name: &str, qualifier: &str, metrics: &mut MetricStore) {
        let resource = format!("{name}:{qualifier}");
        let series = Series::new(metrics, &[("FunctionName", name), ("Resource", &resource)]);
        self.qualified.insert(qualifier.to_owned(), series);
    }

    /// The metrics an invocation counts in: the function's and, by an alias, the alias's.
    pub(super) fn counted(&self, qualifier: Option<&String>) -> impl Iterator<Item = Series> + use<> {
        [Some(self.series), qualifier.and_then(|qualifier| self.qualified.get(qualifier)).copied()]
            .into_iter()
            .flatten()
    }

    /// How many records of the batch come before its first poison record; `None` when it has none.
    pub(super) fn before_poison(&self, batch: &Batch) -> Option<u64> {
        if self.model.poison_every == 0 && self.phases.is_empty() {
            return None;
        }
        let mut before = 0;
        for piece in &batch.pieces {
            let every = self.in_phase(self.phase(piece.at)).poison_every;
            if every > 0 {
                let first = every - 1 - piece.seq % every;
                if first < u64::from(piece.count) {
                    return Some(before + first);
                }
            }
            before += u64::from(piece.count);
        }
        None
    }

    /// Time of an invocation's own work, in milliseconds; at least one.
    pub(super) fn work_ms(&self, records: u64, phase: u32) -> i64 {
        let model = self.in_phase(phase);
        let records = records.saturating_mul(u64::from(model.per_record_us)).div_ceil(1_000);
        let mut work = u64::from(model.startup_ms).saturating_add(records);
        if model.cpu_bound {
            let share = |memory: u32| u64::from(memory.clamp(1, ONE_CPU_MB));
            work = work.saturating_mul(share(self.given_mb)).div_ceil(share(model.memory_mb));
        }
        (work as i64).max(1)
    }

    /// The back-off after the `tries`-th refusal of one request, or `None` when the SDK gives up.
    pub(super) fn back_off(&mut self, tries: u32) -> Option<i64> {
        if tries > SDK_RETRIES {
            return None;
        }
        let most = (SDK_BASE_MS << (tries - 1).min(20)).min(SDK_CAP_MS);
        Some(self.rng.below(most + 1) as i64)
    }

    /// Whether this invocation fails at its end for a reason of its own.
    pub(super) fn fails(&mut self, phase: u32) -> bool {
        let rate = self.in_phase(phase).error_rate;
        if rate <= 0.0 {
            return false;
        }
        let share = (rate * 1_000_000.0).round() as u64;
        share > 0 && self.rng.below(1_000_000) < share
    }

    /// The requests for a batch, the first one last.
    pub(super) fn program(&self, batch: &Batch, phase: u32) -> Vec<Run> {
        // (group, records, final ones), in the groups' order; most batches have few.
        let mut groups: Vec<(u32, u32, u32)> = Vec::new();
        for piece in &batch.pieces {
            let finals = if piece.class == Class::Final { piece.count } else { 0 };
            match groups.binary_search_by_key(&piece.group, |(group, ..)| *group) {
                Ok(index) => {
                    if let Some(group) = groups.get_mut(index) {
                        (group.1, group.2) = (group.1 + piece.count, group.2 + finals);
                    }
                }
                Err(index) => groups.insert(index, (piece.group, piece.count, finals)),
            }
        }
        let accesses = &self.in_phase(phase).tables;
        let mut runs = Vec::with_capacity(groups.len() * accesses.len());
        for (access, model) in accesses.iter().enumerate() {
            for (group, all, finals) in &groups {
                let repeats = match model.per {
                    Per::Group => 1,
                    Per::Record => *all,
                    Per::FinalRecord => *finals,
                };
                if repeats > 0 && !model.operations.is_empty() {
                    runs.push(Run { access: access as u32, group: *group, repeats });
                }
            }
        }
        runs.reverse();
        runs
    }
}

/// The operations of one table access, repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Index of the table access in how the function behaves.
    pub access: u32,
    /// Group whose records these are.
    pub group: u32,
    /// For how many records, or how many times.
    pub repeats: u32,
}

/// An invocation in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invocation {
    /// By number.
    pub function: u32,
    pub qualifier: Option<String>,
    pub mapping: u32,
    pub shard: u32,
    pub slot: u32,
    /// The function's phase when it started.
    pub phase: u32,
    pub started: i64,
    pub deadline: i64,
    /// The requests still to make, the current one last.
    pub runs: Vec<Run>,
    /// Operation inside the current run.
    pub operation: u32,
    /// Refusals of the current request.
    pub tries: u32,
}

impl Invocation {
    /// Moves to the next request, past `records` of the run when all its operations are made.
    pub(super) fn step(&mut self, operations: usize, records: u32) {
        self.tries = 0;
        self.operation += 1;
        if (self.operation as usize) < operations {
            return;
        }
        self.operation = 0;
        if let Some(run) = self.runs.last_mut() {
            run.repeats -= records.min(run.repeats);
            if run.repeats == 0 {
                self.runs.pop();
            }
        }
    }
}

/// The request that an operation makes for so many records of a group.
pub(super) fn demand(operation: &Operation, group: u32, latency_ms: u32, records: u32) -> Demand<'_> {
    let mut key: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in operation.key.bytes() {
        key = (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    if operation.key_per_group {
        key = key.wrapping_add(u64::from(group) + 1);
    }
    let api = match operation.kind {
        OperationKind::Put | OperationKind::Update if records > 1 => Api::BatchWriteItem,
        OperationKind::Get => Api::GetItem,
        OperationKind::Put => Api::PutItem,
        OperationKind::Update => Api::UpdateItem,
    };
    let key = (!operation.key_per_record).then_some(key);
    let shares = &operation.index_percent;
    Demand { api, bytes: operation.item_bytes, records: records.into(), key, latency_ms, shares }
}
