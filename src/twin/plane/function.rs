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
use crate::twin::world::{FunctionModel, Operation, OperationKind, Per};

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

/// A function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Function {
    pub name: String,
    pub model: FunctionModel,
    /// The tables of the model's accesses, by number.
    pub tables: Vec<u32>,
    pub reserved: Option<u32>,
    pub running: u32,
    pub series: Series,
    /// Metrics of the function as invoked by an alias.
    pub qualified: BTreeMap<String, Series>,
    pub rng: Rng,
}

impl Function {
    /// A function of a world with this many racers.
    pub(super) fn new(
        name: &str,
        model: &FunctionModel,
        racers: u32,
        seed: u64,
        tables: &mut Named<Table>,
        metrics: &mut MetricStore,
    ) -> Self {
        let mut model = model.clone();
        let tables = model.tables.iter().map(|access| tables.number(&access.table)).collect();
        for operation in model.tables.iter_mut().flat_map(|access| &mut access.operations) {
            operation.item_bytes += operation.bytes_per_racer * u64::from(racers);
        }
        let series = Series::new(metrics, &[("FunctionName", name)]);
        let rng = Rng::new(seed, &format!("function/{name}"));
        let (reserved, qualified) = (model.reserved_concurrency, BTreeMap::new());
        Self { name: name.to_owned(), model, tables, reserved, running: 0, series, qualified, rng }
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
        let every = self.model.poison_every;
        if every == 0 {
            return None;
        }
        let mut before = 0;
        for piece in &batch.pieces {
            let first = every - 1 - piece.seq % every;
            if first < u64::from(piece.count) {
                return Some(before + first);
            }
            before += u64::from(piece.count);
        }
        None
    }

    /// Time of an invocation's own work, in milliseconds; at least one.
    pub(super) fn work_ms(&self, records: u64) -> i64 {
        let records = records.saturating_mul(u64::from(self.model.per_record_us)).div_ceil(1_000);
        (i64::from(self.model.startup_ms) + records as i64).max(1)
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
    pub(super) fn fails(&mut self) -> bool {
        if self.model.error_rate <= 0.0 {
            return false;
        }
        let share = (self.model.error_rate * 1_000_000.0).round() as u64;
        share > 0 && self.rng.below(1_000_000) < share
    }

    /// The requests for a batch, in order.
    pub(super) fn program(&self, batch: &Batch) -> Vec<Run> {
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
        let mut runs = Vec::with_capacity(groups.len() * self.model.tables.len());
        for (access, model) in self.model.tables.iter().enumerate() {
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
        runs
    }
}

/// The operations of one table access, repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Index of the table access in the function's model.
    pub access: u32,
    /// Group whose records these are.
    pub group: u32,
    /// How many times.
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
    /// Moves to the next request.
    pub(super) fn step(&mut self, operations: usize) {
        self.tries = 0;
        self.operation += 1;
        if (self.operation as usize) < operations {
            return;
        }
        self.operation = 0;
        if let Some(run) = self.runs.last_mut() {
            run.repeats -= 1;
            if run.repeats == 0 {
                self.runs.pop();
            }
        }
    }
}

/// The request that an operation makes for a group.
pub(super) fn demand(operation: &Operation, group: u32, latency_ms: u32) -> Demand {
    let mut key: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in operation.key.bytes() {
        key = (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    if operation.key_per_group {
        key = key.wrapping_add(u64::from(group) + 1);
    }
    let api = match operation.kind {
        OperationKind::Get => Api::GetItem,
        OperationKind::Put => Api::PutItem,
        OperationKind::Update => Api::UpdateItem,
    };
    Demand { api, bytes: operation.item_bytes, key, latency_ms }
}
