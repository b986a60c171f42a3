//! The part of a world file that says how a Lambda function behaves: its settings, what one invocation costs and
//! asks of tables, and how that changes with time. Pure data; the plane plays it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Lambda function: its settings and what one invocation costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FunctionModel {
    /// Timeout in seconds, 1–900.
    #[schemars(range(min = 1, max = 900))]
    pub timeout_seconds: u32,
    /// Memory in MB, 128–10,240.
    #[schemars(range(min = 128, max = 10_240))]
    pub memory_mb: u32,
    /// Time of an invocation before its first record, in milliseconds.
    #[serde(default)]
    pub startup_ms: u32,
    /// Time per record of the batch, in microseconds.
    #[serde(default)]
    pub per_record_us: u32,
    /// Share of invocations that fail at their end for reasons of their own, 0–1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: f64,
    /// Reserved concurrency, if any.
    #[serde(default)]
    pub reserved_concurrency: Option<u32>,
    /// What an invocation asks of tables, in this order after its own work.
    #[serde(default)]
    pub tables: Vec<TableAccess>,
    /// Aliases that exist: `live` makes `NAME:live` a function that a mapping can invoke.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Every so many-th record of a shard is poison: it fails each invocation that holds it. 0: none.
    #[serde(default)]
    pub poison_every: u64,
    /// Answers with the first poison record of the batch (`batchItemFailures`) instead of failing. Counts only
    /// when the mapping asks for it; otherwise Lambda takes the answer for success.
    #[serde(default)]
    pub partial_batch_response: bool,
    /// Share of producers' records that pass the filters of a mapping that has some, 0–1. Records put on the wire
    /// are matched by what they carry.
    #[serde(default = "default_pass_share")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub filter_pass_share: f64,
    /// Share of deliveries to an on-failure destination that fail, 0–1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub destination_error_rate: f64,
    /// Its own time is work of the processor: with another memory than `memoryMb` it takes as much longer or
    /// shorter as a function of 1,769 MB has one vCPU and a smaller one its share (Lambda guide, "Configure Lambda
    /// function memory").
    #[serde(default)]
    pub cpu_bound: bool,
    /// Times in which it behaves otherwise. Of two at once the later one in the list counts.
    #[serde(default)]
    pub phases: Vec<Phase>,
}

/// A time in which a function behaves otherwise. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Phase {
    /// First second concerned, after the world's start.
    pub from_seconds: u32,
    /// End, exclusive; absent: it never ends.
    #[serde(default)]
    pub to_seconds: Option<u32>,
    /// Time of an invocation before its first record, in milliseconds.
    #[serde(default)]
    pub startup_ms: Option<u32>,
    /// Time per record of the batch, in microseconds.
    #[serde(default)]
    pub per_record_us: Option<u32>,
    /// Share of invocations that fail at their end for reasons of their own, 0–1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub error_rate: Option<f64>,
    /// Every so many-th record of a shard is poison. This one concerns the records that arrive in the phase: they
    /// stay what they are.
    #[serde(default)]
    pub poison_every: Option<u64>,
    /// Share of deliveries to an on-failure destination that fail, 0–1.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub destination_error_rate: Option<f64>,
    /// What an invocation asks of tables.
    #[serde(default)]
    pub tables: Option<Vec<TableAccess>>,
    /// The execution role may not read the stream.
    #[serde(default)]
    pub read_denied: bool,
}

impl Phase {
    /// The function in this phase.
    pub(in crate::twin) fn of(&self, model: &FunctionModel) -> FunctionModel {
        FunctionModel {
            startup_ms: self.startup_ms.unwrap_or(model.startup_ms),
            per_record_us: self.per_record_us.unwrap_or(model.per_record_us),
            error_rate: self.error_rate.unwrap_or(model.error_rate),
            poison_every: self.poison_every.unwrap_or(model.poison_every),
            destination_error_rate: self.destination_error_rate.unwrap_or(model.destination_error_rate),
            tables: self.tables.clone().unwrap_or_else(|| model.tables.clone()),
            phases: Vec::new(),
            ..model.clone()
        }
    }
}

impl Default for FunctionModel {
    /// A function that does nothing, with Lambda's default settings.
    fn default() -> Self {
        Self {
            timeout_seconds: 3,
            memory_mb: 128,
            startup_ms: 0,
            per_record_us: 0,
            error_rate: 0.0,
            reserved_concurrency: None,
            tables: Vec::new(),
            aliases: Vec::new(),
            poison_every: 0,
            partial_batch_response: false,
            filter_pass_share: default_pass_share(),
            destination_error_rate: 0.0,
            cpu_bound: false,
            phases: Vec::new(),
        }
    }
}

/// Requests to one table, repeated for each group or each record of the batch, one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableAccess {
    /// Table name.
    pub table: String,
    /// How often.
    pub per: Per,
    /// Milliseconds of one request.
    #[serde(default = "default_latency")]
    pub latency_ms: u32,
    /// With `per: record`: so many records share one request, which consumes for all of them and is refused or
    /// admitted as a whole. BatchWriteItem takes 25; more make a long simulation cheaper.
    #[serde(default = "default_records")]
    #[schemars(range(min = 1, max = 10_000))]
    pub records_per_request: u32,
    /// The requests, in order.
    pub operations: Vec<Operation>,
}

/// How often the operations of a [`TableAccess`] run in one invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Per {
    /// Once per group (race) with a record in the batch.
    Group,
    /// Once per record.
    Record,
    /// Once per final record (the last of a racer in a race).
    FinalRecord,
}

/// One request to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Get, put or update.
    pub kind: OperationKind,
    /// Name of the partition key's kind, e.g. `race`.
    pub key: String,
    /// Whether each group has its own partition key (`race-<id>`); otherwise the kind is one key.
    #[serde(default)]
    pub key_per_group: bool,
    /// Whether each record has a partition key of its own, which is then never hot.
    #[serde(default)]
    pub key_per_record: bool,
    /// Fixed item size in bytes.
    #[serde(default)]
    #[schemars(range(min = 0, max = 409_600))]
    pub item_bytes: u64,
    /// Bytes added for each racer of the world: an item that holds a map over all of them.
    #[serde(default)]
    #[schemars(range(min = 0, max = 409_600))]
    pub bytes_per_racer: u64,
    /// Of the items written, how many in a hundred carry the key of this global secondary index, 0 to 100: a sparse
    /// index holds only those. An index that is not named holds all.
    #[serde(default)]
    pub index_percent: BTreeMap<String, u32>,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OperationKind {
    /// GetItem, eventually consistent.
    Get,
    /// PutItem.
    Put,
    /// UpdateItem: billed as the whole item.
    Update,
}

fn default_latency() -> u32 {
    5
}

fn default_records() -> u32 {
    1
}

fn default_pass_share() -> f64 {
    1.0
}
