//! What happened in the twin, from AWS's side: every mutating request, every change of a capacity value, how
//! often each operation was called, and the meters a bill is made of.
//!
//! Integers only: meters are exact integrals over virtual time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    timestamp,
    wire::{Cause, Refusal},
};

/// One mutating request and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// When it was answered.
    pub at: Timestamp,
    /// `service:Operation`, e.g. `kinesis:UpdateShardCount`.
    pub operation: String,
    /// Stream, table or function name, ARN or UUID, as the request named it.
    pub resource: String,
    /// AWS's error code, or `None` when it was accepted.
    pub refused: Option<String>,
    /// AWS's message when refused.
    pub message: String,
    /// Made by another user, not through the wire.
    pub foreign: bool,
}

/// A capacity value took another value. Creation is a change from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it took effect.
    pub at: Timestamp,
    /// `stream/x`, `table/x`, `table/x/index/y`, `function/x` or `mapping/UUID`.
    pub resource: String,
    /// `shards`, `retentionHours`, `readCapacity`, `writeCapacity`, `parallelizationFactor`, `batchSize`,
    /// `reservedConcurrency`.
    pub field: String,
    /// Before.
    pub from: u64,
    /// After.
    pub to: u64,
}

/// What is paid for by the hour of all streams at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streams {
    /// Open shards of provisioned streams.
    pub shards: u64,
    /// Of them, those of streams with a retention above 24 hours.
    pub extended_shards: u64,
    /// Fan-out consumers, each times its stream's open shards.
    pub fan_out_shards: u64,
    /// On-demand streams.
    pub on_demand: u64,
}

/// What the control plane's resources were paid for, integrated over virtual time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meters {
    shard_ms: u128,
    #[serde(default)]
    extended_shard_ms: u128,
    #[serde(default)]
    fan_out_shard_ms: u128,
    #[serde(default)]
    on_demand_stream_ms: u128,
    read_unit_ms: u128,
    write_unit_ms: u128,
    /// Metrics asked for through GetMetricData; several statistics of one metric in one call are one.
    pub cloudwatch_metrics: u64,
}

/// Mutations and changes remembered: the newest, and for a while up to twice as many. A client of a served twin
/// can make any number.
const REMEMBERED: usize = 10_000;
/// Names of operations counted one by one (the twin knows 87); further ones are counted as [`OTHER`].
const NAMES: usize = 512;
const OTHER: &str = "other";

const HOUR_MS: f64 = 3_600_000.0;

impl Meters {
    pub(super) fn add(&mut self, span_ms: i64, streams: &Streams, (read, write): (u64, u64)) {
        let span = span_ms.max(0) as u128;
        self.shard_ms += span * u128::from(streams.shards);
        self.extended_shard_ms += span * u128::from(streams.extended_shards);
        self.fan_out_shard_ms += span * u128::from(streams.fan_out_shards);
        self.on_demand_stream_ms += span * u128::from(streams.on_demand);
        self.read_unit_ms += span * u128::from(read);
        self.write_unit_ms += span * u128::from(write);
    }

    /// Open shards times hours, over all provisioned streams.
    pub fn shard_hours(&self) -> f64 {
        self.shard_ms as f64 / HOUR_MS
    }

    /// Of them, those of streams that keep records for more than 24 hours.
    pub fn extended_shard_hours(&self) -> f64 {
        self.extended_shard_ms as f64 / HOUR_MS
    }

    /// Fan-out consumers times open shards times hours.
    pub fn fan_out_shard_hours(&self) -> f64 {
        self.fan_out_shard_ms as f64 / HOUR_MS
    }

    /// On-demand streams times hours.
    pub fn on_demand_stream_hours(&self) -> f64 {
        self.on_demand_stream_ms as f64 / HOUR_MS
    }

    /// Provisioned read capacity units times hours, over tables and indexes.
    pub fn rcu_hours(&self) -> f64 {
        self.read_unit_ms as f64 / HOUR_MS
    }

    /// Provisioned write capacity units times hours, over tables and indexes.
    pub fn wcu_hours(&self) -> f64 {
        self.write_unit_ms as f64 / HOUR_MS
    }
}

/// The twin's books.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Mutating requests that are not records or items, oldest first; the newest ten thousand at least.
    pub mutations: Vec<Mutation>,
    /// Capacity changes, oldest first; the newest ten thousand at least.
    pub history: Vec<Change>,
    /// Requests by `service:Operation`, reads too; foreign calls are not counted.
    pub calls: BTreeMap<String, u64>,
    /// Our requests refused because a budget was used up: ten reshards in 24 h, DynamoDB decreases.
    pub quota_refusals: u64,
    /// Our requests refused because the resource was in transition.
    pub transition_refusals: u64,
    /// Integrals of what was paid for.
    pub meters: Meters,
}

impl Audit {
    pub(super) fn count(&mut self, operation: &str) {
        let known = self.calls.contains_key(operation) || (self.calls.len() < NAMES && operation.len() < 128);
        *self.calls.entry(if known { operation } else { OTHER }.to_owned()).or_default() += 1;
    }

    pub(super) fn mutation(
        &mut self,
        now_ms: i64,
        operation: String,
        resource: String,
        refusal: Option<&Refusal>,
        foreign: bool,
    ) {
        if let Some(refusal) = refusal.filter(|_| !foreign) {
            self.quota_refusals += u64::from(refusal.cause == Cause::Quota);
            self.transition_refusals += u64::from(refusal.cause == Cause::Transition);
        }
        self.mutations.push(Mutation {
            at: timestamp(now_ms),
            operation,
            resource,
            refused: refusal.map(|refusal| refusal.code.clone()),
            message: refusal.map(|refusal| refusal.message.clone()).unwrap_or_default(),
            foreign,
        });
        forget(&mut self.mutations);
    }

    pub(super) fn change(&mut self, now_ms: i64, resource: &str, field: &str, from: u64, to: u64) {
        if from != to {
            let (resource, field) = (resource.to_owned(), field.to_owned());
            self.history.push(Change { at: timestamp(now_ms), resource, field, from, to });
            forget(&mut self.history);
        }
    }

    /// Accepted mutating requests that were ours.
    pub fn accepted(&self) -> impl Iterator<Item = &Mutation> {
        self.mutations.iter().filter(|mutation| mutation.refused.is_none() && !mutation.foreign)
    }

    /// The least and greatest value a field of a resource ever had, creation's 0 and deletion's 0 left out.
    pub fn range(&self, resource: &str, field: &str) -> Option<(u64, u64)> {
        let values = self.history.iter().filter(|change| change.resource == resource && change.field == field);
        let values: Vec<u64> = values.flat_map(|change| [change.from, change.to]).filter(|value| *value > 0).collect();
        Some((*values.iter().min()?, *values.iter().max()?))
    }
}

fn forget<T>(remembered: &mut Vec<T>) {
    if remembered.len() >= 2 * REMEMBERED {
        remembered.drain(..REMEMBERED);
    }
}
